/**
 * What a server was told: each setting from the flag, else the variable of the environment, else the config file, else
 * the table; and where each came from, by whose name a bad one is refused.
 */
import { Effect, Option, Result, Schema, SchemaIssue } from "effect"
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

/** What the table says of a setting. */
const ofTable = (name: Name): Given | undefined => {
  const { fallback } = about(name)
  return fallback === undefined ? undefined : { text: fallback, from: "default", by: "default" }
}

const put = (given: Map<Name, Given>, name: Name, one: Given | undefined) =>
  one === undefined ? given.delete(name) : given.set(name, one)

/** What stands in the file, else the table. */
const ofFile = (found: ConfigFile.ConfigFile | undefined): Map<Name, Given> => {
  const given = new Map<Name, Given>()
  for (const name of names) {
    const text = found?.texts.get(name)
    const isThere = found !== undefined && text !== undefined
    put(given, name, isThere ? { text, from: `"${name}" in ${visible(found.file)}`, by: "file" } : ofTable(name))
  }
  return given
}

const lookUp = Effect.fnUntraced(function*(flags: Flags, file: ConfigFile.ConfigFile | undefined) {
  const given = ofFile(file)
  for (const name of names) {
    const flag = flags[name]
    const inEnvironment = Option.isSome(flag) ? Option.none() : yield* variable(variableOf(name))
    if (Option.isSome(flag)) given.set(name, { text: flag.value, from: `--${name}`, by: "flag" })
    else if (Option.isSome(inEnvironment)) {
      given.set(name, { text: inEnvironment.value, from: variableOf(name), by: "environment" })
    }
  }
  return given
})

const strength = ["default", "file", "environment", "flag"]

/** `--host` and `--port` are short for one `--listen`; what was said nearer to the command line counts. */
const settlePlace = (given: Map<Name, Given>): ReadonlyArray<Failure> =>
  (["host", "port"] as const).flatMap((name) => {
    const [listen, short] = [given.get("listen"), given.get(name)]
    if (listen === undefined || short === undefined || short.by === "default") return []
    const nearer = strength.indexOf(listen.by) - strength.indexOf(short.by)
    if (nearer === 0) {
      return [usage(`${listen.from} and ${short.from}: say where in one of them, as in --listen cpt://HOST:PORT`)]
    }
    if (nearer < 0) given.delete("listen")
    else put(given, name, ofTable(name))
    return []
  })

export const refuse = ({ from, text }: Given, why: string): Failure => usage(`${from} "${visible(text)}": ${why}`)

/**
 * For the other kind of store a setting would do nothing: as a flag it is refused; the environment and the file may be
 * those of several servers, and it is not looked at.
 */
const withoutThoseOf = (given: Map<Name, Given>, other: "disk" | "memory"): ReadonlyArray<Failure> =>
  [...given].flatMap(([name, { by, from }]) => {
    if (about(name).isFor !== other) return []
    given.delete(name)
    const why = other === "disk"
      ? "is for messages on disk, not with --memory"
      : "goes with --memory; on disk there is --keep-bytes"
    return by === "flag" ? [usage(`${from} ${why}`)] : []
  })

/** Whether messages are in memory: they are in one or the other, and what was said nearer to the command line counts. */
const settleMemory = (given: Map<Name, Given>): Result.Result<boolean, Failure> => {
  const [memory, data] = [given.get("memory"), given.get("data")]
  if (memory === undefined) return Result.succeed(false)
  const isMemory = Result.mapError(parseSwitch(memory.text), (why) => refuse(memory, why))
  if (data === undefined || !Result.getOrElse(isMemory, () => false)) return isMemory
  const nearer = strength.indexOf(memory.by) - strength.indexOf(data.by)
  if (nearer === 0) return Result.fail(usage(`${memory.from} and ${data.from}: messages are in one or the other`))
  if (nearer > 0) given.delete("data")
  else given.set("memory", { text: "false", from: data.from, by: data.by })
  return Result.succeed(nearer > 0)
}

const settleStore = (given: Map<Name, Given>): ReadonlyArray<Failure> =>
  Result.match(settleMemory(given), {
    onFailure: (fault) => [fault],
    onSuccess: (isMemory) => withoutThoseOf(given, isMemory ? "disk" : "memory")
  })

const decode = Schema.decodeUnknownEffect(Values, { errors: "all" })
const explain = SchemaIssue.makeFormatterStandardSchemaV1()

/** What the texts come to; fails with all that cannot be. */
const read = (given: ReadonlyMap<Name, Given>): Effect.Effect<Values, ReadonlyMap<Name, Failure>> =>
  Effect.mapError(
    decode(Object.fromEntries([...given].map(([name, { text }]) => [name, text]))),
    ({ issue }) => {
      const wrong = new Map<Name, Failure>()
      for (const { message, path } of explain(issue).issues) {
        for (const [name, one] of given) {
          if (name === path?.[0]) wrong.set(name, refuse(one, message.split("\n")[0] ?? ""))
        }
      }
      return wrong
    }
  )

/** The settings of a server that was started with these flags. */
export const resolve = Effect.fnUntraced(function*(flags: Flags) {
  const file = yield* ConfigFile.read(flags.config)
  const given = yield* lookUp(flags, file)
  const [fault] = [...file?.faults.values() ?? [], ...settlePlace(given), ...settleStore(given)]
  if (fault !== undefined) return yield* fault
  const values = yield* Effect.mapError(
    read(given),
    (wrong) => [...wrong.values()][0] ?? usage("the settings cannot be read")
  )
  const settings: Settings = { values, given }
  return settings
})

/**
 * What a server would be told by a config file alone, and all that is wrong with that. What cannot be is as if it were not
 * there, and its name is in `wrong`.
 */
export const ofFileAlone = Effect.fnUntraced(function*(file: ConfigFile.ConfigFile) {
  const given = ofFile(file)
  const unreadable = yield* Effect.match(read(given), {
    onFailure: (wrong) => wrong,
    onSuccess: () => new Map<Name, Failure>()
  })
  const places = settlePlace(given)
  for (const name of unreadable.keys()) put(given, name, ofTable(name))
  const stores = settleStore(given)
  const settings: Settings = { given, values: yield* Effect.orDie(read(given)) }
  return {
    settings,
    wrong: new Set<string>([...file.faults.keys(), ...unreadable.keys()]),
    faults: [...file.faults.values(), ...unreadable.values(), ...places, ...stores]
  }
})
