/** `cpt serve`: hosts a chat until it is told to stop. */
import { Limits } from "@cpt/schema"
import { Accounts, layerMemory, Listener, MessageStore, Server, ServerConfig } from "@cpt/server"
import { ByteSize, Config, Console, Duration, Effect, Layer, Option, Schema, SchemaGetter, SchemaIssue } from "effect"
import { Command, Flag } from "effect/cli"
import { NetAddress } from "effect/net"
import type { SocketServer } from "effect/socket"
import { DurationFromText } from "../DurationText.ts"
import * as Interrupted from "../Interrupted.ts"

/** It could not begin to listen. */
export class CannotListen extends Schema.TaggedError<CannotListen>()("CannotListen", { message: Schema.String }) {}

const Count = Schema.NumberFromString.pipe(Schema.check(Schema.isInt(), Schema.isGreaterThan(0)))

/** `100000` messages, `64MiB` of them, or both: `100000,64MiB`. */
const MemoryLimit = Schema.String.pipe(
  Schema.decodeTo(Schema.Struct({ messages: Schema.optionalKey(Schema.Int), bytes: Schema.optionalKey(Schema.Int) }), {
    decode: SchemaGetter.transformEffect((text: string, options) => {
      const limit: { messages?: number; bytes?: number } = {}
      for (const part of text.split(",")) {
        if (/^\d+$/.test(part)) limit.messages = Number(part)
        else limit.bytes = Option.match(ByteSize.fromString(part), { onNone: () => 0, onSome: ByteSize.toNumberUnsafe })
      }
      const isGood = Object.values(limit).every((n) => Number.isSafeInteger(n) && n > 0)
      return isGood ? Effect.succeed(limit) : Effect.fail(
        new SchemaIssue.InvalidValue({ message: `expected messages, bytes, or both, like 100000,64MiB` }, text, options)
      )
    }),
    encode: SchemaGetter.forbidden(() => "MemoryLimit is only read")
  })
)

const Port = Schema.NumberFromString.pipe(
  Schema.check(Schema.isBetween({ minimum: 0, maximum: 65_535 }), Schema.isInt())
)

const Switch = Schema.Literals(["on", "off"])

/** Every setting is a flag, and an environment variable of the same name: `--max-sessions`, `CPT_MAX_SESSIONS`. */
const setting = <A>(name: string, codec: Schema.Codec<A, string>, fallback: A, description: string) =>
  Flag.String(name).pipe(
    Flag.withSchema(codec),
    Flag.withFallbackConfig(Config.schema(codec, `CPT_${name.toUpperCase().replaceAll("-", "_")}`)),
    Flag.withDefault(fallback),
    Flag.withDescription(description)
  )

const { defaults } = ServerConfig

const flags = {
  host: setting("host", Schema.NonEmptyString, "127.0.0.1", "address to listen on; 0.0.0.0 or :: for every network"),
  port: setting("port", Port, Limits.defaultPort, "TCP port to listen on; 0 takes a free one and prints it"),
  memory: Flag.Boolean("memory").pipe(
    Flag.withDescription("keep messages in memory only; for now there is nothing else"),
    Flag.withDefault(true)
  ),
  memoryLimit: setting(
    "memory-limit",
    MemoryLimit,
    {},
    "what is kept in memory, oldest first out: messages, bytes, or both (default 1000000,256MiB)"
  ),
  maxLineBytes: setting("max-line-bytes", Count, defaults.maxLineBytes, "longest line that a client may send"),
  maxSessions: setting("max-sessions", Count, defaults.maxSessions, "connections at the same time"),
  maxFollowedGroups: setting(
    "max-followed-groups",
    Count,
    defaults.maxFollowedGroups,
    "groups that one session may follow"
  ),
  loginDeadline: setting("login-deadline", DurationFromText, defaults.loginDeadline, "time to log in"),
  writeDeadline: setting(
    "write-deadline",
    DurationFromText,
    defaults.writeDeadline,
    "time for a client to take at least something of what it was sent"
  ),
  resendWindow: setting(
    "resend-window",
    DurationFromText,
    Duration.millis(Limits.resendWindow),
    "time in which a message that is sent again counts as the same one; 0s: never"
  ),
  live: setting(
    "live",
    Switch,
    "on",
    "whether new messages are pushed to those who follow: on, or off for clients that poll"
  )
}

/** In one line, what is wrong and what to do. */
const cannotListen = (host: string, port: number) => (error: SocketServer.SocketServerError) => {
  const at = `${host.includes(":") ? `[${host}]` : host}:${port}`
  const cause = error.reason.cause
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined
  switch (code) {
    case "EADDRINUSE": {
      const outgoing = port >= 32_768 && port <= 60_999
        ? `, or an outgoing connection has it for a moment (${port} lies in the range that Linux gives to those)`
        : ""
      return new CannotListen({
        message:
          `${at} is in use: another server is running there${outgoing}; stop it, try again, or take another --port`
      })
    }
    case "EACCES":
      return new CannotListen({ message: `${at}: only root may listen on this port; take one above 1023 with --port` })
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return new CannotListen({ message: `${host} is no address of this machine; take another --host` })
    default:
      return new CannotListen({
        message: `cannot listen on ${at}: ${cause instanceof Error ? cause.message : String(cause)}`
      })
  }
}

const isLoopback = (address: NetAddress.SocketAddress): boolean =>
  NetAddress.isUnixPathAddress(address) || NetAddress.isLoopback(address.address)

const announceOurselves = Effect.gen(function*() {
  const { addresses } = yield* Server
  const { description } = yield* MessageStore
  yield* Console.log(`cpt: listening on ${addresses.join(" and ")}; messages are kept ${description}`)
  if (!addresses.every(isLoopback)) {
    yield* Console.error("cpt: warning: open to other machines, and everything goes over the network in clear text")
  }
})

export const serve = Command.make(
  "serve",
  flags,
  Effect.fnUntraced(function*({ host, live, memoryLimit, port, resendWindow, ...settings }) {
    const server = Server.layer(Listener.tcp({ host, port })).pipe(
      Layer.provide(Accounts.layerOpen),
      Layer.provideMerge(layerMemory({ ...memoryLimit, resendWindow: Duration.toMillis(resendWindow) })),
      Layer.provide(ServerConfig.layer({ ...settings, live: live === "on" }))
    )
    Interrupted.isHowThisEnds()
    yield* Layer.launch(Layer.provide(Layer.effectDiscard(announceOurselves), server)).pipe(
      Effect.catchTag("SocketServerError", (error) => Effect.fail(cannotListen(host, port)(error)))
    )
  })
).pipe(
  Command.withShortDescription("Host a chat"),
  Command.withDescription(
    "Host a chat, until SIGINT or SIGTERM. Every setting is also an environment variable: --max-sessions is CPT_MAX_SESSIONS."
  ),
  Command.withExamples([
    { command: "cpt serve", description: "Host on this machine only, on port 39168" },
    { command: "cpt serve --host 0.0.0.0", description: "Host for every network that this machine is in" },
    { command: "cpt serve --memory-limit 100000,64MiB", description: "Keep less" }
  ])
)
