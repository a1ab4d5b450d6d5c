/**
 * What a server was told: each setting from the flag, else the variable of the environment, else the config file, else
 * the table; and where each came from, by whose name a bad one is refused.
 */
import { Effect, Option, Schema, SchemaIssue } from "effect"
import { type Failure, usage } from "../Failure.ts"
import { parseSwitch, variable } from "../Settings.ts"
import { visible } from "../Visible.ts"
import * as ConfigFile from "./ConfigFile.ts"
import { about, type Name, names, Values } from "./Table.ts"

/** What was given as flags. */
export type Flags = { readonly [K in Name | "config"]: Option.Option<string> }

/** The text of a setting, and how the place is called that it came from. */
export interface Given {
  readonly text: string
  readonly from: string
  readonly by: "flag" | "environment" | "file" | "default"
}

export interface Settings {
  readonly values: Values
  /** Of each setting that has a value. */
  readonly given: ReadonlyMap<Name, Given>
}

/** Whether somebody has said it. */
export const isGiven = ({ given }: Settings, name: Name): boolean => (given.get(name)?.by ?? "default") !== "default"

const variableOf = (name: Name): string => `CPT_${name.toUpperCase().replaceAll("-", "_")}`

const ofFile = ({ file, texts }: ConfigFile.ConfigFile): Map<Name, Given> =>
  new Map([...texts].map(([name, text]) => [name, { text, from: `"${name}" in ${visible(file)}`, by: "file" }]))

const lookUp = Effect.fnUntraced(function*(flags: Flags, file: ConfigFile.ConfigFile | undefined) {
  const given = file === undefined ? new Map<Name, Given>() : ofFile(file)
  for (const name of names) {
    const flag = flags[name]
    const inEnvironment = Option.isSome(flag) ? Option.none() : yield* variable(variableOf(name))
    const { fallback } = about(name)
    if (Option.isSome(flag)) given.set(name, { text: flag.value, from: `--${name}`, by: "flag" })
    else if (Option.isSome(inEnvironment)) {
      given.set(name, { text: inEnvironment.value, from: variableOf(name), by: "environment" })
    } else if (!given.has(name) && fallback !== undefined) {
      given.set(name, { text: fallback, from: "default", by: "default" })
    }
  }
  return given
})

const strength = ["default", "file", "environment", "flag"]

/** Whether messages are in memory: they are in one or the other, and what was said nearer to the command line counts. */
const settleStore = Effect.fnUntraced(function*(given: Map<Name, Given>) {
  const [memory, data] = [given.get("memory"), given.get("data")]
  if (memory === undefined) return false
  const isMemory = yield* Effect.mapError(Effect.fromResult(parseSwitch(memory.text)), (why) => refuse(memory, why))
  if (!isMemory || data === undefined) return isMemory
  const nearer = strength.indexOf(memory.by) - strength.indexOf(data.by)
  if (nearer === 0) return yield* usage(`${memory.from} and ${data.from}: messages are in one or the other`)
  if (nearer > 0) given.delete("data")
  else given.set("memory", { text: "false", from: data.from, by: data.by })
  return nearer > 0
})

/** `--host` and `--port` are short for one `--listen`; what was said nearer to the command line counts. */
const settlePlace = Effect.fnUntraced(function*(given: Map<Name, Given>) {
  for (const name of ["host", "port"] as const) {
    const [listen, short] = [given.get("listen"), given.get(name)]
    if (listen === undefined || short === undefined || short.by === "default") continue
    const nearer = strength.indexOf(listen.by) - strength.indexOf(short.by)
    if (nearer === 0) {
      return yield* usage(`${listen.from} and ${short.from}: say where in one of them, as in --listen cpt://HOST:PORT`)
    }
    if (nearer < 0) given.delete("listen")
    else given.set(name, { text: about(name).fallback ?? "", from: "default", by: "default" })
  }
})

export const refuse = ({ from, text }: Given, why: string): Failure => usage(`${from} "${visible(text)}": ${why}`)

/**
 * For the other kind of store a setting would do nothing: as a flag it is refused; the environment and the file may be
 * those of several servers, and it is not looked at.
 */
const withoutThoseOf = Effect.fnUntraced(function*(other: "disk" | "memory", given: Map<Name, Given>) {
  for (const [name, { by, from }] of given) {
    if (about(name).isFor !== other) continue
    if (by !== "flag") given.delete(name)
    else {
      const why = other === "disk"
        ? "is for messages on disk, not with --memory"
        : "goes with --memory; on disk there is --keep-bytes"
      return yield* usage(`${from} ${why}`)
    }
  }
})

const decode = Schema.decodeUnknownEffect(Values, { errors: "all" })
const explain = SchemaIssue.makeFormatterStandardSchemaV1()

/** What the texts come to; fails with all that cannot be. */
const read = (given: ReadonlyMap<Name, Given>): Effect.Effect<Values, ReadonlyArray<Failure>> =>
  Effect.mapError(
    decode(Object.fromEntries([...given].map(([name, { text }]) => [name, text]))),
    ({ issue }) =>
      explain(issue).issues.flatMap(({ message, path }) =>
        [...given].filter(([name]) => name === path?.[0]).map(([, wrong]) => refuse(wrong, message.split("\n")[0]!))
      )
  )

/** The settings of a server that was started with these flags. */
export const resolve = Effect.fnUntraced(function*(flags: Flags) {
  const given = yield* lookUp(flags, yield* ConfigFile.read(flags.config))
  yield* settlePlace(given)
  const isMemory = yield* settleStore(given)
  yield* withoutThoseOf(isMemory ? "disk" : "memory", given)
  const values = yield* Effect.mapError(read(given), ([first]) => first ?? usage("the settings cannot be read"))
  const settings: Settings = { values, given }
  return settings
})

/** All that is wrong with a config file by itself. */
export const faultsOf = Effect.fnUntraced(function*(file: ConfigFile.ConfigFile) {
  const given = ofFile(file)
  return yield* settlePlace(new Map(given)).pipe(
    Effect.andThen(settleStore(new Map(given))),
    Effect.andThen(read(given)),
    Effect.as<ReadonlyArray<string>>([]),
    Effect.catch((wrong) => Effect.succeed((Array.isArray(wrong) ? wrong : [wrong]).map(({ message }) => message)))
  )
})
