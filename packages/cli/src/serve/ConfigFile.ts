/**
 * The config file of `cpt serve`: JSON, whose keys are the names of the settings. Which file, what stands in it, and what
 * is wrong with it.
 */
import { Effect, FileSystem, Option, Path, Schema } from "effect"
import { explainFile, type Failure, usage } from "../Failure.ts"
import * as Json from "../Json.ts"
import { configFolder, variable } from "../Settings.ts"
import { visible } from "../Visible.ts"
import { isName, type Name } from "./Table.ts"

export interface ConfigFile {
  readonly file: string
  readonly texts: ReadonlyMap<Name, string>
  /** Keys that are no settings, and settings that have no text. */
  readonly faults: ReadonlyMap<string, Failure>
}

const Scalar = Schema.Union([Schema.String, Schema.Number, Schema.Boolean])
const decode = Schema.decodeUnknownEffect(Schema.Record(Schema.String, Schema.Unknown))
const isValue = Schema.is(Schema.Union([Scalar, Schema.Array(Scalar)]))

/** `--config`, else `CPT_CONFIG`, else `$XDG_CONFIG_HOME/cpt/serve.json` if it is there. */
const place = Effect.fnUntraced(function*(flag: Option.Option<string>) {
  const path = yield* Path.Path
  if (Option.contains(flag, "")) return yield* usage("the name of the config file is empty")
  const named = Option.isSome(flag) ? flag : yield* variable("CPT_CONFIG")
  if (Option.isSome(named)) return { file: path.resolve(named.value), isNamed: true }
  const folder = yield* configFolder
  return folder === undefined ? undefined : { file: path.join(folder, "serve.json"), isNamed: false }
})

/** Undefined if there is none, and none was asked for. */
export const read = Effect.fnUntraced(function*(flag: Option.Option<string>) {
  const fs = yield* FileSystem.FileSystem
  const found = yield* place(flag)
  if (found === undefined) return undefined
  const { file, isNamed } = found
  const bytes = yield* fs.readFile(file).pipe(
    Effect.catchIf(({ reason }) => reason._tag === "NotFound" && !isNamed, () => Effect.undefined),
    Effect.mapError((error) => usage(`cannot read the config file ${visible(file)}: ${explainFile(error)}`))
  )
  return bytes === undefined ? undefined : yield* parse(file, bytes)
})

const parse = Effect.fnUntraced(function*(file: string, bytes: Uint8Array) {
  const wrong = (why: string) => usage(`the config file ${visible(file)} is not right: ${why}`)
  const json = yield* Effect.mapError(Json.parse(bytes), wrong)
  const contents = yield* Effect.mapError(
    decode(json),
    ({ message }) => wrong(visible(message.replaceAll(/\s+/g, " ")))
  )
  const texts = new Map<Name, string>()
  const faults = new Map<string, Failure>()
  for (const [key, value] of Object.entries(contents)) {
    if (!isName(key)) {
      faults.set(key, wrong(`there is no setting "${visible(key)}"; "cpt serve --help" lists them`))
    } else if (isValue(value)) texts.set(key, Array.isArray(value) ? value.join(",") : String(value))
    else faults.set(key, wrong(`"${key}": expected a text, a number, true or false, or a list of them`))
  }
  const found: ConfigFile = { file, texts, faults }
  return found
})
