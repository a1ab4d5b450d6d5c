/** `cpt config`: the settings of `cpt serve`, without a server. */
import { Effect, Option } from "effect"
import type { CheckInput, ShowInput } from "../commands/Config.ts"
import * as Data from "../Data.ts"
import { silent, usage } from "../Failure.ts"
import { Output } from "../Output.ts"
import * as Checks from "../serve/Checks.ts"
import * as ConfigFile from "../serve/ConfigFile.ts"
import * as Given from "../serve/Given.ts"
import { names } from "../serve/Table.ts"
import { visible } from "../Visible.ts"

export const check = Effect.fnUntraced(function*({ file }: CheckInput) {
  const { note, write } = yield* Output
  const found = yield* ConfigFile.read(file)
  if (found === undefined) return yield* usage("there is no config file; name one")
  const faults = yield* Checks.ofFile(found)
  if (faults.length === 0) return yield* write(`${visible(found.file)} is right: ${found.texts.size} settings\n`)
  yield* Effect.forEach(faults, ({ message }) => note(message), { discard: true })
  return yield* silent("usage")
})

export const show = Effect.fnUntraced(function*({ json, ...flags }: ShowInput) {
  const { write } = yield* Output
  const { given, values } = yield* Given.resolve(flags)
  const directory = values.memory ? undefined : yield* Data.directory(Option.fromUndefinedOr(values.data))
  const rows = names.map((name) => ({
    name,
    value: (name === "data" ? directory : given.get(name)?.text) ?? null,
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
