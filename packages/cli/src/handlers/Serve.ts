/** `cpt serve`: hosts a chat until it is told to stop. */
import { Limits } from "@cpt/schema"
import { Accounts, Admin, layerMemory, layerSqlite, Listener, MessageStore, Server, ServerConfig } from "@cpt/server"
import {
  ByteSize,
  Console,
  Duration,
  Effect,
  FileSystem,
  Layer,
  Logger,
  Option,
  Redacted,
  Schema,
  type SchemaAST,
  SchemaGetter,
  SchemaIssue
} from "effect"
import { NetAddress } from "effect/net"
import type { SocketServer } from "effect/socket"
import * as Address from "../Address.ts"
import type { Input } from "../commands/Serve.ts"
import * as Data from "../Data.ts"
import { DurationFromText } from "../DurationText.ts"
import { explainFile, failed, type Failure, usage } from "../Failure.ts"
import * as Interrupted from "../Interrupted.ts"
import { variable } from "../Settings.ts"
import { visible } from "../Visible.ts"

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

/** Where the administration is: a path, an address, or nowhere. */
const AdminUri = Schema.Union([
  Schema.Literal("off"),
  Schema.TemplateLiteral(["unix:///", Schema.NonEmptyString]),
  Schema.TemplateLiteral(["http://", Schema.NonEmptyString])
]).annotate({ message: "expected unix:///PATH, http://HOST:PORT or off" })

/** What was given for a setting, if something was: the flag, else the environment variable of the same name. */
const given = Effect.fnUntraced(
  function*<A>(name: string, flag: Option.Option<string>, codec: Schema.ConstraintDecoder<A>) {
    const from = Option.isSome(flag) ? `--${name}` : `CPT_${name.toUpperCase().replaceAll("-", "_")}`
    const text = Option.getOrUndefined(Option.isSome(flag) ? flag : yield* variable(from))
    if (text === undefined) return undefined
    const value = yield* Effect.mapError(
      Schema.decodeUnknownEffect(codec)(text),
      (error) => usage(`${from} "${visible(text)}": ${error.message.split("\n")[0]}`)
    )
    return { from, value }
  }
)

const setting = <A>(name: string, flag: Option.Option<string>, codec: Schema.ConstraintDecoder<A>, fallback: A) =>
  Effect.map(given(name, flag, codec), (given) => given === undefined ? fallback : given.value)

/**
 * The same, of a setting for one of the two stores. For the other one it would do nothing: as a flag it is refused; the
 * environment may be that of several servers, and is not looked at.
 */
const ofStore = <A>(
  isThisStore: boolean,
  name: string,
  flag: Option.Option<string>,
  codec: Schema.ConstraintDecoder<A>,
  otherwise: string
): Effect.Effect<A | undefined, Failure> => {
  if (isThisStore) return Effect.map(given(name, flag, codec), (given) => given?.value)
  return Option.isSome(flag) ? Effect.fail(usage(`--${name} ${otherwise}`)) : Effect.undefined
}

const { defaults } = ServerConfig

const read = (input: Omit<Input, "data" | "memory">, isMemory: boolean) => {
  const onDisk = <A>(name: string, flag: Option.Option<string>, codec: Schema.ConstraintDecoder<A>) =>
    ofStore(!isMemory, name, flag, codec, "is for messages on disk, not with --memory")
  return Effect.all({
    host: setting("host", input.host, Schema.NonEmptyString, "127.0.0.1"),
    port: setting("port", input.port, Port, Limits.defaultPort),
    keep: onDisk("keep", input.keep, Deadline),
    keepMessages: onDisk("keep-messages", input.keepMessages, Count),
    keepBytes: onDisk("keep-bytes", input.keepBytes, Size),
    cache: onDisk("cache", input.cache, Size),
    memoryLimit: ofStore(
      isMemory,
      "memory-limit",
      input.memoryLimit,
      MemoryLimit,
      "goes with --memory; on disk there is --keep-bytes"
    ),
    maxLineBytes: setting("max-line-bytes", input.maxLineBytes, Count, defaults.maxLineBytes),
    maxSessions: setting("max-sessions", input.maxSessions, Count, defaults.maxSessions),
    maxFollowedGroups: setting("max-followed-groups", input.maxFollowedGroups, Count, defaults.maxFollowedGroups),
    loginDeadline: setting("login-deadline", input.loginDeadline, Deadline, defaults.loginDeadline),
    writeDeadline: setting("write-deadline", input.writeDeadline, Deadline, defaults.writeDeadline),
    resendWindow: setting("resend-window", input.resendWindow, DurationFromText, Duration.millis(Limits.resendWindow)),
    live: setting("live", input.live, Switch, "on"),
    admin: setting("admin", input.admin, AdminUri, undefined),
    adminTokenFile: setting("admin-token-file", input.adminTokenFile, Schema.NonEmptyString, undefined)
  })
}

/** In one line, what is wrong and what to do. */
const cannotListen = (host: string, port: number) => (error: SocketServer.SocketServerError): Failure => {
  const at = `${host.includes(":") ? `[${host}]` : host}:${port}`
  const cause = error.reason.cause
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined
  switch (code) {
    case "EADDRINUSE": {
      const outgoing = port >= 32_768 && port <= 60_999
        ? `, or an outgoing connection has it for a moment (${port} lies in the range that Linux gives to those)`
        : ""
      return failed(
        `${at} is in use: another server is running there${outgoing}; stop it, try again, or take another --port`
      )
    }
    case "EACCES":
      return failed(`${at}: only root may listen on this port; take one above 1023 with --port`)
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return failed(`${host} is no address of this machine; take another --host`)
    default:
      return failed(`cannot listen on ${at}: ${cause instanceof Error ? cause.message : String(cause)}`)
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

/** The token, which is the first line of its file. */
const readToken = Effect.fnUntraced(function*(file: string | undefined) {
  if (file === undefined) {
    return yield* usage("--admin http://… is open to the network: give it a token with --admin-token-file")
  }
  const fs = yield* FileSystem.FileSystem
  const text = yield* Effect.mapError(
    fs.readFileString(file),
    (error) => usage(`--admin-token-file "${visible(file)}": ${explainFile(error)}`)
  )
  if (text.trim() === "") return yield* usage(`--admin-token-file "${visible(file)}": the file is empty`)
  return Redacted.make(text.trim())
})

/** The administration: by default beside the messages, if those are on disk. */
const administration = Effect.fnUntraced(function*(
  uri: typeof AdminUri.Type | undefined,
  tokenFile: string | undefined,
  directory: string | undefined
) {
  if (uri === "off") return Layer.empty
  if (uri === undefined) {
    return directory === undefined ? Layer.empty : Admin.layerUnix(yield* Data.adminSocketIn(directory))
  }
  if (uri.startsWith("unix://")) return Admin.layerUnix(uri.slice("unix://".length))
  const address = Address.parse(uri.slice("http://".length).replace(/\/$/, ""))
  if (address === undefined) return yield* usage(`--admin "${visible(uri)}": expected http://HOST:PORT`)
  return Admin.layerTcp({ ...address, token: yield* readToken(tokenFile) })
})

export const serve = Effect.fnUntraced(function*({ data, memory, ...flags }: Input) {
  const isMemory = yield* Data.isMemory(memory, data)
  const {
    admin,
    adminTokenFile,
    cache,
    host,
    keep,
    keepBytes,
    keepMessages,
    live,
    memoryLimit,
    port,
    resendWindow: window,
    ...settings
  } = yield* read(flags, isMemory)
  const resendWindow = Duration.toMillis(window)
  const age = keep === undefined ? undefined : Duration.toMillis(keep)
  const directory = isMemory ? undefined : yield* Data.makeDirectory(yield* Data.directory(data))
  const store = directory === undefined
    ? layerMemory({ ...memoryLimit, resendWindow })
    : layerSqlite({
      resendWindow,
      cache,
      keep: { age, messages: keepMessages, bytes: keepBytes },
      file: yield* Data.fileIn(directory)
    })
  const server = (yield* administration(admin, adminTokenFile, directory)).pipe(
    Layer.provideMerge(Server.layer(Listener.tcp({ host, port }))),
    Layer.provide(Accounts.layerOpen),
    Layer.provideMerge(store),
    Layer.provide(ServerConfig.layer({ ...settings, live: live === "on" })),
    Layer.provide(Logger.layer([Logger.withConsoleError(Logger.formatLogFmt)])) // stdout is for data
  )
  Interrupted.isHowThisEnds()
  yield* Layer.launch(Layer.provide(Layer.effectDiscard(announceOurselves), server)).pipe(
    Effect.catchTags({
      SocketServerError: (error) => Effect.fail(cannotListen(host, port)(error)),
      AdminFailed: (error) => Effect.fail(failed(visible(error.message))),
      CannotOpen: (error) => Effect.fail(failed(visible(error.message)))
    })
  )
})
