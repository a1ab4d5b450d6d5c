/**
 * Where a client command connects to, and as whom: the flags of `send`, `sync` and `tail`, the environment
 * behind them, and the config file behind that. A bad value is refused by the name of the place that it came from.
 */
import type { TlsOptions } from "@cpt/client"
import { Limits, Name } from "@cpt/schema"
import { ConfigProvider, Duration, Effect, FileSystem, Option, Path, Result, Schema } from "effect"
import { Buffer } from "node:buffer"
import { statSync } from "node:fs"
import { homedir, userInfo } from "node:os"
import { isAbsolute } from "node:path"
import * as Address from "./Address.ts"
import * as Bytes from "./Bytes.ts"
import { DurationFromText } from "./DurationText.ts"
import { explainFile, usage } from "./Failure.ts"
import type * as Flags from "./Flags.ts"
import * as Json from "./Json.ts"
import { visible } from "./Visible.ts"

export interface Settings {
  readonly address: Address.Address
  readonly username: Name.Username
  /** Whether the name was asked for on this very command line. */
  readonly isNamed: boolean
  readonly timeout: Duration.Duration
  readonly tls: TlsOptions | undefined
}

type Key = keyof Flags.Connection

const variables: { readonly [K in Key]: string } = {
  server: "CPT_SERVER",
  as: "CPT_USERNAME",
  timeout: "CPT_TIMEOUT",
  tls: "CPT_TLS",
  "tls-ca": "CPT_TLS_CA",
  "tls-cert": "CPT_TLS_CERT",
  "tls-key": "CPT_TLS_KEY"
}

/** `$XDG_CONFIG_HOME/cpt/config.json`: its keys are the names of the flags. */
const ConfigFile = Schema.Struct({
  server: Schema.optionalKey(Schema.String),
  as: Schema.optionalKey(Schema.String),
  timeout: Schema.optionalKey(Schema.String),
  tls: Schema.optionalKey(Schema.Boolean),
  "tls-ca": Schema.optionalKey(Schema.String),
  "tls-cert": Schema.optionalKey(Schema.String),
  "tls-key": Schema.optionalKey(Schema.String)
})

/** A variable of the environment; an empty one counts as none. Not by `Config`, which makes a Schema for it: 1 ms. */
export const variable = (name: string) =>
  Effect.flatMap(ConfigProvider.ConfigProvider, (provider) => provider.load([name])).pipe(
    Effect.orDie,
    Effect.flatMap((node) => {
      const value = node?.value ?? ""
      if (Bytes.isRepairedVariable(name, value)) {
        return Effect.fail(usage(`${name} "${visible(value)}": it is not valid UTF-8`))
      }
      return Effect.succeed(value === "" ? Option.none<string>() : Option.some(value))
    })
  )

const nothing: typeof ConfigFile.Type = {}

/** Nearly always it is not, and to ask `FileSystem` would begin with the start of Node's threads for files: 1 to 2 ms. */
const isThere = (file: string): boolean => {
  try {
    return statSync(file, { throwIfNoEntry: false }) !== undefined
  } catch {
    return true // to say why it cannot be read is for who reads it
  }
}

/** Where a user is at home; none where that is not known, as of a user whom the system does not know. */
export const home = Effect.map(
  Effect.option(Effect.try({ try: () => homedir(), catch: String })),
  Option.filter((home) => isAbsolute(home))
)

/**
 * Where a user's settings are; undefined if that cannot be known. A relative path is to be ignored, by the specification of
 * these directories.
 */
export const configFolder = Effect.gen(function*() {
  const path = yield* Path.Path
  const named = Option.filter(yield* variable("XDG_CONFIG_HOME"), path.isAbsolute)
  if (Option.isSome(named)) return path.join(named.value, "cpt")
  return Option.getOrUndefined(Option.map(yield* home, (home) => path.join(home, ".config", "cpt")))
})

const readConfigFile = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const folder = yield* configFolder
  if (folder === undefined) return { file: "", values: nothing }
  const file = path.join(folder, "config.json")
  if (!isThere(file)) return { file, values: nothing }
  const wrong = (why: string) => usage(`the config file ${visible(file)} is not right: ${why}`)
  const bytes = yield* Effect.mapError(
    fs.readFile(file),
    (error) => usage(`cannot read the config file ${visible(file)}: ${explainFile(error)}`)
  )
  const json = yield* Effect.mapError(Json.parse(bytes), wrong)
  const decode = Schema.decodeUnknownEffect(ConfigFile, { onExcessProperty: "error" })
  const values = yield* Effect.mapError(
    decode(json),
    ({ message }) => wrong(visible(message.replaceAll(/\s+/g, " ")))
  )
  return { file, values }
})

/** A value, how the place is called that it came from, and how near that is to the command line. */
interface Given {
  readonly from: string
  readonly value: string
  readonly nearness: number
}

const refuse = ({ from, value }: Given, why: string) => usage(`${from} "${visible(value)}": ${why}`)

const switches: ReadonlyMap<string, boolean> = new Map([
  ...["true", "1", "yes", "on"].map((word) => [word, true] as const),
  ...["false", "0", "no", "off"].map((word) => [word, false] as const)
])

/** The flag, else the variable of the environment, else what stands in the config file. */
export const resolve = Effect.fnUntraced(function*(flags: Flags.Connection) {
  const { file, values } = yield* readConfigFile

  const given = Effect.fnUntraced(function*(key: Key) {
    const flag: Option.Option<string | boolean> = flags[key]
    if (Option.isSome(flag)) return { from: `--${key}`, value: String(flag.value), nearness: 2 }
    const inEnvironment = yield* variable(variables[key])
    if (Option.isSome(inEnvironment)) return { from: variables[key], value: inEnvironment.value, nearness: 1 }
    const inFile = values[key]
    if (inFile === undefined) return undefined
    return { from: `"${key}" in ${visible(file)}`, value: String(inFile), nearness: 0 }
  })

  const setting = <A>(key: Key, parse: (text: string) => Result.Result<A, string>, fallback: A) =>
    Effect.flatMap(given(key), (given) => {
      if (given === undefined) return Effect.succeed(fallback)
      const parsed = parse(given.value)
      return Result.isSuccess(parsed) ? Effect.succeed(parsed.success) : Effect.fail(refuse(given, parsed.failure))
    })

  const checks = Effect.promise(() => import("./Pem.ts"))

  /** What stands in a file. */
  const pem = Effect.fnUntraced(function*(key: Key, kind: "certificate" | "privateKey", expected: string) {
    const fs = yield* FileSystem.FileSystem
    const place = yield* given(key)
    if (place === undefined) return undefined
    const bytes = yield* Effect.mapError(fs.readFile(place.value), (error) => refuse(place, explainFile(error)))
    const check = (yield* checks)[kind]
    return yield* Effect.try({ try: () => check(Buffer.from(bytes)), catch: () => refuse(place, expected) }).pipe(
      Effect.as(Buffer.from(bytes))
    )
  })

  const nearness = (key: Key) => Effect.map(given(key), (given) => given?.nearness ?? -1)

  /** A file of TLS also says that it is wanted. What is said nearer to the command line counts. */
  const wantsTls = Effect.fnUntraced(function*(address: Address.Address) {
    const switched = yield* given("tls")
    const files = Math.max(yield* nearness("tls-ca"), yield* nearness("tls-cert"))
    const isOn = yield* setting("tls", parseSwitch, false)
    if (!("port" in address)) return false // there is no TLS over a Unix socket
    if (switched !== undefined && !isOn && address.isTls && switched.nearness >= (yield* nearness("server"))) {
      return yield* refuse(switched, "the server is at cpts://, which is with TLS")
    }
    return address.isTls || isOn || files > (switched?.nearness ?? -1)
  })

  const address = yield* setting("server", parseAddress, local)
  const timeout = yield* setting("timeout", parseTimeout, Duration.seconds(5))
  if (((yield* given("tls-cert")) === undefined) !== ((yield* given("tls-key")) === undefined)) {
    return yield* usage("--tls-cert and --tls-key go together")
  }
  const ca = yield* pem("tls-ca", "certificate", "expected a certificate in PEM")
  const cert = yield* pem("tls-cert", "certificate", "expected a certificate in PEM")
  const key = yield* pem("tls-key", "privateKey", "expected a private key in PEM, without a passphrase")
  if (cert !== undefined && key !== undefined && !(yield* checks).belongTogether(cert, key)) {
    return yield* usage("--tls-key is not the key of --tls-cert")
  }
  const isTls = yield* wantsTls(address)
  const name = yield* setting("as", parseName, undefined)
  const settings: Settings = {
    address,
    timeout,
    username: name ?? (yield* loginName),
    isNamed: Option.isSome(flags.as),
    tls: isTls ? { ca, cert, key } : undefined
  }
  return settings
})

const local: Address.Address = { host: "127.0.0.1", port: Limits.defaultPort, isTls: false }

const parseAddress = (text: string): Result.Result<Address.Address, string> =>
  Result.fromNullishOr(
    Address.parse(text),
    () =>
      "expected HOST[:PORT], such as chat.example.org, 10.0.0.7:39168 or [::1]:39168; or cpts://HOST[:PORT], or unix:///PATH"
  )

export const parseSwitch = (text: string): Result.Result<boolean, string> =>
  Result.fromNullishOr(switches.get(text.toLowerCase()), () => "expected true or false")

const decodeDuration = Schema.decodeUnknownResult(DurationFromText)

export const parseTimeout = (text: string): Result.Result<Duration.Duration, string> =>
  decodeDuration(text).pipe(
    Result.filterOrFail((duration) => Duration.isPositive(duration), () => ""),
    Result.mapError(() => "expected a duration, such as 500ms, 5s or 1m")
  )

const decodeName = Schema.decodeUnknownResult(Name.Username)

const parseName = (text: string): Result.Result<Name.Username, string> =>
  Result.mapError(decodeName(text), (error) => error.message)

/** The name of the user at the operating system, if it can be one here. */
const loginName = Effect.try({
  try: () => userInfo().username,
  catch: () => usage("your login name is not known; say who you are with --as")
}).pipe(Effect.flatMap((name) =>
  Effect.mapError(
    Effect.fromResult(parseName(name)),
    (why) => usage(`your login name "${visible(name)}" cannot be used: ${why}; take another with --as`)
  )
))
