/** `cpt serve`: hosts a chat until it is told to stop. */
import { Limits } from "@cpt/schema"
import { Accounts, layerMemory, layerSqlite, Listener, MessageStore, Server, ServerConfig } from "@cpt/server"
import {
  ByteSize,
  Config,
  Console,
  Duration,
  Effect,
  FileSystem,
  Layer,
  Logger,
  Option,
  Path,
  Result,
  Schema,
  SchemaGetter,
  SchemaIssue
} from "effect"
import { Command, Flag } from "effect/cli"
import { NetAddress } from "effect/net"
import type { SocketServer } from "effect/socket"
import { DurationFromText } from "../DurationText.ts"
import { explainFile, failed, usage } from "../Failure.ts"
import * as Interrupted from "../Interrupted.ts"
import { parseSwitch, toggle, variable } from "../Settings.ts"
import { visible } from "../Visible.ts"

/** It could not begin to listen. */
export class CannotListen extends Schema.TaggedError<CannotListen>()("CannotListen", { message: Schema.String }) {}

const Count = Schema.String.pipe(
  Schema.check(Schema.isPattern(/^[1-9][0-9]{0,14}$/, { message: "expected a number from 1 on" })),
  Schema.decodeTo(Schema.Int, { decode: SchemaGetter.Number(), encode: SchemaGetter.String() })
)

const expectedPort = "expected a port from 0 to 65535"
const Port = Schema.String.pipe(
  Schema.check(Schema.isPattern(/^[0-9]{1,5}$/, { message: expectedPort })),
  Schema.decodeTo(Schema.Int, { decode: SchemaGetter.Number(), encode: SchemaGetter.String() }),
  Schema.check(Schema.isLessThanOrEqualTo(65_535, { message: expectedPort }))
)

/** `100000` messages, `64MiB` of them, or both: `100000,64MiB`. */
const MemoryLimit = Schema.String.pipe(
  Schema.decodeTo(Schema.Struct({ messages: Schema.optionalKey(Schema.Int), bytes: Schema.optionalKey(Schema.Int) }), {
    decode: SchemaGetter.transformEffect((text: string, options) => {
      const limit: { messages?: number; bytes?: number } = {}
      for (const part of text.split(",")) {
        if (/^[0-9]+$/.test(part)) limit.messages = Number(part)
        else limit.bytes = Option.match(ByteSize.fromString(part), { onNone: () => 0, onSome: ByteSize.toNumberUnsafe })
      }
      return Object.values(limit).every((n) => Number.isSafeInteger(n) && n > 0)
        ? Effect.succeed(limit)
        : Effect.fail(
          new SchemaIssue.InvalidValue({ message: "expected messages, bytes, or both: 100000,64MiB" }, text, options)
        )
    }),
    encode: SchemaGetter.forbidden(() => "it is only read")
  })
)

const Deadline = DurationFromText.pipe(
  Schema.check(
    Schema.makeFilter((duration) => Duration.isPositive(duration) ? undefined : "expected more than nothing")
  )
)

const Switch = Schema.Literals(["on", "off"]).annotate({ message: "expected on or off" })

/** A setting is a flag, and an environment variable of the same name: `--max-sessions`, `CPT_MAX_SESSIONS`. */
const setting = <A>(
  name: string,
  metavar: string,
  codec: Schema.Codec<A, string>,
  fallback: A,
  description: string
) => {
  const variable = `CPT_${name.toUpperCase().replaceAll("-", "_")}`
  const decode = Schema.decodeUnknownEffect(codec)
  const read = (from: string, text: string) =>
    Effect.mapError(decode(text), (error) => usage(`${from} "${visible(text)}": ${error.message.split("\n")[0]}`))
  return Flag.String(name).pipe(
    Flag.withMetavar(metavar),
    Flag.withDescription(description),
    Flag.optional,
    Flag.map(Option.match({
      onSome: (text) => read(`--${name}`, text),
      onNone: () =>
        Effect.flatMap(
          Effect.orDie(Config.option(Config.String(variable))),
          (value) => Option.isSome(value) && value.value !== "" ? read(variable, value.value) : Effect.succeed(fallback)
        )
    }))
  )
}

const { defaults } = ServerConfig

const flags = {
  host: setting(
    "host",
    "ADDRESS",
    Schema.NonEmptyString,
    "127.0.0.1",
    "address to listen on; 0.0.0.0 or :: for every network"
  ),
  port: setting(
    "port",
    "PORT",
    Port,
    Limits.defaultPort,
    `port to listen on (${Limits.defaultPort}); 0 takes a free one`
  ),
  memory: toggle("memory").pipe(
    Flag.withDescription("keep messages in memory only, as without --data (CPT_MEMORY)"),
    Flag.withDefault(false)
  ),
  data: Flag.String("data").pipe(
    Flag.withMetavar("DIR"),
    Flag.withDescription("keep messages on disk, in one SQLite database in this directory (CPT_DATA)"),
    Flag.optional
  ),
  memoryLimit: setting(
    "memory-limit",
    "LIMIT",
    MemoryLimit,
    {},
    "what is kept, oldest first out: messages, bytes, or both (1000000,256MiB)"
  ),
  maxLineBytes: setting("max-line-bytes", "N", Count, defaults.maxLineBytes, "longest line of a client (8192)"),
  maxSessions: setting("max-sessions", "N", Count, defaults.maxSessions, "connections at the same time (10000)"),
  maxFollowedGroups: setting(
    "max-followed-groups",
    "N",
    Count,
    defaults.maxFollowedGroups,
    "groups that one session may follow (1000)"
  ),
  loginDeadline: setting(
    "login-deadline",
    "DURATION",
    Deadline,
    defaults.loginDeadline,
    "time to log in (10s)"
  ),
  writeDeadline: setting(
    "write-deadline",
    "DURATION",
    Deadline,
    defaults.writeDeadline,
    "time for a client to take anything of what it was sent (30s)"
  ),
  resendWindow: setting(
    "resend-window",
    "DURATION",
    DurationFromText,
    Duration.millis(Limits.resendWindow),
    "time in which a message sent again is the same one (2m); 0s: never"
  ),
  live: setting("live", "on|off", Switch, "on", "push new messages (on), or let clients poll (off)")
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

/** Where on disk messages are, if they are there: a flag wins over the environment. */
const directory = Effect.fnUntraced(function*(memory: boolean, data: Option.Option<string>) {
  if (memory && Option.isSome(data)) return yield* usage("--memory and --data: messages are in one or the other")
  if (Option.contains(data, "")) return yield* usage("--data \"\": expected a directory")
  if (memory || Option.isSome(data)) return Option.getOrUndefined(data)
  const [inMemory, onDisk] = [yield* variable("CPT_MEMORY"), yield* variable("CPT_DATA")]
  const isInMemory = parseSwitch(Option.getOrElse(inMemory, () => "false"))
  if (Result.isFailure(isInMemory)) {
    return yield* usage(`CPT_MEMORY "${visible(Option.getOrElse(inMemory, () => ""))}": ${isInMemory.failure}`)
  }
  if (isInMemory.success && Option.isSome(onDisk)) {
    return yield* usage("CPT_MEMORY and CPT_DATA: messages are in one or the other")
  }
  return Option.getOrUndefined(onDisk)
})

/** The database in its directory, which is made for its owner alone if it is not there. */
const onDisk = (directory: string, resendWindow: number) =>
  Layer.unwrap(Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    yield* fs.makeDirectory(directory, { recursive: true, mode: 0o700 })
    return layerSqlite({ file: path.resolve(directory, "messages.db"), resendWindow })
  }))

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
  Effect.fnUntraced(function*({ data: asked, memory, ...given }) {
    const { host, live, memoryLimit, port, resendWindow, ...settings } = yield* Effect.all(given)
    const data = yield* directory(memory, asked)
    const window = Duration.toMillis(resendWindow)
    const store = data === undefined ? layerMemory({ ...memoryLimit, resendWindow: window }) : onDisk(data, window)
    const server = Server.layer(Listener.tcp({ host, port })).pipe(
      Layer.provide(Accounts.layerOpen),
      Layer.provideMerge(store),
      Layer.provide(ServerConfig.layer({ ...settings, live: live === "on" })),
      Layer.provide(Logger.layer([Logger.withConsoleError(Logger.formatLogFmt)])) // stdout is for data
    )
    Interrupted.isHowThisEnds()
    yield* Layer.launch(Layer.provide(Layer.effectDiscard(announceOurselves), server)).pipe(
      Effect.catchTags({
        SocketServerError: (error) => Effect.fail(cannotListen(host, port)(error)),
        CannotOpen: (error) => Effect.fail(failed(visible(error.message))),
        PlatformError: (error) =>
          Effect.fail(failed(`cannot make the directory ${visible(data ?? "")}: ${explainFile(error)}`))
      })
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
    { command: "cpt serve --data ~/chat", description: "Keep messages on disk" }
  ])
)
