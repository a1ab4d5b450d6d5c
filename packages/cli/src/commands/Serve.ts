/** `cpt serve`: hosts a chat until it is told to stop. */
import { Limits } from "@cpt/schema"
import {
  Accounts,
  layerMemory,
  layerSqlite,
  Listener,
  type MemoryLimits,
  MessageStore,
  Server,
  ServerConfig
} from "@cpt/server"
import {
  ByteSize,
  Console,
  Duration,
  Effect,
  Layer,
  Logger,
  Option,
  Schema,
  type SchemaAST,
  SchemaGetter,
  SchemaIssue
} from "effect"
import { Command, Flag } from "effect/cli"
import { NetAddress } from "effect/net"
import type { SocketServer } from "effect/socket"
import * as Data from "../Data.ts"
import { DurationFromText } from "../DurationText.ts"
import { failed, usage } from "../Failure.ts"
import * as Interrupted from "../Interrupted.ts"
import { toggle, variable } from "../Settings.ts"
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

const expected = (message: string) => (text: string, options: SchemaAST.ParseOptions) =>
  Effect.fail(new SchemaIssue.InvalidValue({ message }, text, options))

/** `64MiB`, `2GB`, `65536`. */
const Size = Schema.String.pipe(
  Schema.decodeTo(Schema.Int, {
    decode: SchemaGetter.transformEffect((text: string, options) => {
      const bytes = sizeOf(text)
      return bytes === undefined
        ? expected("expected a size, such as 64MiB or 2GB")(text, options)
        : Effect.succeed(bytes)
    }),
    encode: SchemaGetter.String()
  })
)

/** Bytes, from 1 on; undefined for what is no size. */
const sizeOf = (text: string): number | undefined =>
  /^[0-9]+$/.test(text)
    ? Number.isSafeInteger(Number(text)) && Number(text) > 0 ? Number(text) : undefined
    : Option.getOrUndefined(
      ByteSize.fromString(text).pipe(
        Option.map(ByteSize.toNumberUnsafe),
        Option.filter((bytes) => Number.isSafeInteger(bytes) && bytes > 0)
      )
    )

/** `100000` messages, `64MiB` of them, or both: `100000,64MiB`. */
const MemoryLimit = Schema.String.pipe(
  Schema.decodeTo(Schema.Struct({ messages: Schema.optionalKey(Schema.Int), bytes: Schema.optionalKey(Schema.Int) }), {
    decode: SchemaGetter.transformEffect((text: string, options) => {
      const limit: { messages?: number; bytes?: number } = {}
      for (const part of text.split(",")) limit[/^[0-9]+$/.test(part) ? "messages" : "bytes"] = sizeOf(part) ?? 0
      return Object.values(limit).every((n) => n > 0)
        ? Effect.succeed(limit)
        : expected("expected messages, bytes, or both: 100000,64MiB")(text, options)
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
const optional = <A>(name: string, metavar: string, codec: Schema.Codec<A, string>, description: string) => {
  const decode = Schema.decodeUnknownEffect(codec)
  const read = ({ from, text }: { readonly from: string; readonly text: string }) =>
    Effect.mapError(decode(text), (error) => usage(`${from} "${visible(text)}": ${error.message.split("\n")[0]}`)).pipe(
      Effect.map((value) => ({ from, value }))
    )
  const place = (flag: Option.Option<string>) => {
    if (Option.isSome(flag)) return Effect.succeedSome({ from: `--${name}`, text: flag.value })
    const from = `CPT_${name.toUpperCase().replaceAll("-", "_")}`
    return Effect.map(variable(from), Option.map((text) => ({ from, text })))
  }
  return Flag.String(name).pipe(
    Flag.withMetavar(metavar),
    Flag.withDescription(description),
    Flag.optional,
    Flag.map((flag) =>
      Effect.flatMap(
        place(flag),
        Option.match({ onNone: () => Effect.undefined, onSome: read })
      )
    )
  )
}

const setting = <A>(
  name: string,
  metavar: string,
  codec: Schema.Codec<A, string>,
  fallback: A,
  description: string
) =>
  Flag.map(
    optional(name, metavar, codec, description),
    Effect.map((given) => given === undefined ? fallback : given.value)
  )

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
    Flag.withDescription("keep messages in memory only: they are gone when the server stops (CPT_MEMORY)"),
    Flag.withDefault(false)
  ),
  data: Flag.String("data").pipe(
    Flag.withMetavar("DIR"),
    Flag.withDescription("keep messages on disk, in this directory (CPT_DATA, else $XDG_STATE_HOME/cpt)"),
    Flag.optional
  ),
  keep: optional("keep", "DURATION", Deadline, "on disk: how long messages are kept, such as 30d (for ever)"),
  keepMessages: optional("keep-messages", "N", Count, "on disk: messages kept of each group and inbox (all)"),
  keepBytes: optional(
    "keep-bytes",
    "SIZE",
    Size,
    "on disk: messages kept in all, oldest first out, such as 2GiB (all)"
  ),
  cache: optional("cache", "SIZE", Size, "on disk: memory for the newest messages of what is followed (64MiB)"),
  memoryLimit: optional(
    "memory-limit",
    "LIMIT",
    MemoryLimit,
    "with --memory: what is kept, oldest first out: messages, bytes, or both (1000000,256MiB)"
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

/** A value, and the name of the place that it came from. */
type Given<A> = { readonly from: string; readonly value: A } | undefined

/** What is set of a store: some of it is for one on disk, some for one in memory. */
interface StoreSettings {
  readonly resendWindow: number
  readonly onDisk: {
    readonly cache: Given<number>
    readonly keep: Given<Duration.Duration>
    readonly keepBytes: Given<number>
    readonly keepMessages: Given<number>
  }
  readonly inMemory: { readonly memoryLimit: Given<Partial<MemoryLimits>> }
}

/** Where messages are. What is set for the other place is refused: it would do nothing. */
const store = Effect.fnUntraced(
  function*(memory: boolean, data: Option.Option<string>, { inMemory, onDisk, resendWindow }: StoreSettings) {
    if (yield* Data.isMemory(memory, data)) {
      for (const given of Object.values(onDisk)) {
        if (given !== undefined) return yield* usage(`${given.from} is for messages on disk, not with --memory`)
      }
      return layerMemory({ ...inMemory.memoryLimit?.value, resendWindow })
    }
    if (inMemory.memoryLimit !== undefined) {
      return yield* usage(`${inMemory.memoryLimit.from} goes with --memory; on disk there is --keep-bytes`)
    }
    const { cache, keep, keepBytes, keepMessages } = onDisk
    return layerSqlite({
      file: yield* Data.fileIn(yield* Data.makeDirectory(yield* Data.directory(data))),
      resendWindow,
      cache: cache?.value,
      keep: {
        age: keep === undefined ? undefined : Duration.toMillis(keep.value),
        messages: keepMessages?.value,
        bytes: keepBytes?.value
      }
    })
  }
)

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
  Effect.fnUntraced(function*({ data, memory, ...given }) {
    const { cache, host, keep, keepBytes, keepMessages, live, memoryLimit, port, resendWindow, ...settings } =
      yield* Effect
        .all(given)
    const server = Server.layer(Listener.tcp({ host, port })).pipe(
      Layer.provide(Accounts.layerOpen),
      Layer.provideMerge(
        yield* store(memory, data, {
          resendWindow: Duration.toMillis(resendWindow),
          onDisk: { cache, keep, keepBytes, keepMessages },
          inMemory: { memoryLimit }
        })
      ),
      Layer.provide(ServerConfig.layer({ ...settings, live: live === "on" })),
      Layer.provide(Logger.layer([Logger.withConsoleError(Logger.formatLogFmt)])) // stdout is for data
    )
    Interrupted.isHowThisEnds()
    yield* Layer.launch(Layer.provide(Layer.effectDiscard(announceOurselves), server)).pipe(
      Effect.catchTags({
        SocketServerError: (error) => Effect.fail(cannotListen(host, port)(error)),
        CannotOpen: (error) => Effect.fail(failed(visible(error.message)))
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
    {
      command: "cpt serve --data ~/chat --keep 30d",
      description: "Keep messages in a directory of their own, for a month"
    },
    { command: "cpt serve --memory", description: "Keep nothing when it stops" }
  ])
)
