/** `cpt config`: the settings of `cpt serve`, without a server. */
import { Effect, Option } from "effect"
import * as Address from "../Address.ts"
import type { CheckInput, ShowInput } from "../commands/Config.ts"
import * as Data from "../Data.ts"
import { silent, usage } from "../Failure.ts"
import { Output } from "../Output.ts"
import { counted } from "../Progress.ts"
import * as Administration from "../serve/Administration.ts"
import * as Checks from "../serve/Checks.ts"
import * as ConfigFile from "../serve/ConfigFile.ts"
import * as Given from "../serve/Given.ts"
import * as Log from "../serve/Log.ts"
import { type Name, names } from "../serve/Table.ts"
import { visible } from "../Visible.ts"

export const check = Effect.fnUntraced(function*({ file }: CheckInput) {
  const { note, write } = yield* Output
  const found = yield* ConfigFile.read(file)
  if (found === undefined) return yield* usage("there is no config file; name one")
  const { faults, warnings } = yield* Checks.ofFile(found)
  yield* Effect.forEach(warnings, (warning) => note(`warning: ${visible(warning)}`), { discard: true })
  if (faults.length === 0) {
    return yield* write(`${visible(found.file)} is right: ${counted(found.texts.size, "setting")}\n`)
  }
  yield* Effect.forEach(faults, ({ message }) => note(message), { discard: true })
  return yield* silent("usage")
})

export const show = Effect.fnUntraced(function*({ json, ...flags }: ShowInput) {
  const { write } = yield* Output
  const { given, values } = yield* Given.resolve(flags)
  const directory = values.memory ? undefined : yield* Data.directory(Option.fromUndefinedOr(values.data))
  const admin = yield* Administration.defaultPlace(directory)
  /** What holds of a setting that is not in the table, or does not hold though it is. */
  const inForce: { readonly [K in Name]?: string | undefined } = {
    ...given.has("listen") && { host: undefined, port: undefined },
    data: directory,
    admin: given.get("admin")?.text ?? (admin === "off" ? admin : Address.toUri(admin)),
    "log-format": values["log-format"] ?? Log.defaultFormat()
  }
  const rows = names.map((name) => ({
    name,
    value: (name in inForce ? inForce[name] : given.get(name)?.text) ?? null,
    from: given.get(name)?.from ?? "default"
  }))
  if (json) {
    return yield* Effect.forEach(rows, (row) => write(`${JSON.stringify(row)}\n`), { discard: true })
  }
  const shown = (value: string | null) => visible(value ?? "-")
  const longest = (texts: ReadonlyArray<string>) => Math.max(...texts.map((text) => text.length))
  const first = longest(names)
  const second = longest(rows.map(({ value }) => shown(value)))
  const lines = rows.map(({ from, name, value }) => `${name.padEnd(first)}  ${shown(value).padEnd(second)}  ${from}\n`)
  yield* write(lines.join(""))
})
