/**
 * What keeps a server from starting though each setting by itself can be: some need others, or files that are right. A
 * start finds the same when it comes to it; this is to know before, and opens nothing.
 */
import { Effect, type FileSystem, type Path } from "effect"
import type { Failure } from "../Failure.ts"
import * as Administration from "./Administration.ts"
import type { ConfigFile } from "./ConfigFile.ts"
import * as Given from "./Given.ts"
import * as Listen from "./Listen.ts"
import type * as Reload from "./Reload.ts"
import * as Store from "./Store.ts"
import type { Name } from "./Table.ts"

type Files = FileSystem.FileSystem | Path.Path

/** Of the parts of a server, what is wrong with the settings that each looks at. */
const parts: ReadonlyArray<{
  readonly checked: ReadonlyArray<Name>
  readonly faultsOf: (settings: Given.Settings) => Effect.Effect<ReadonlyArray<Failure>, never, Files>
}> = [Listen, Administration, Store]

/**
 * All that is wrong with a config file by itself; if that is nothing, what else there is to say of it. What has to do with
 * a value that cannot be is not looked into.
 */
export const ofFile = Effect.fnUntraced(function*(file: ConfigFile) {
  const { faults, settings, wrong } = yield* Given.ofFileAlone(file)
  const known = parts.filter(({ checked }) => !checked.some((name) => wrong.has(name)))
  const all = [...faults, ...(yield* Effect.forEach(known, ({ faultsOf }) => faultsOf(settings))).flat()]
  return { faults: all, warnings: all.length === 0 ? yield* Listen.warningsOf(settings) : [] }
})

/** What is other than it was, and takes a restart, has to be right for that. */
export const reload = Effect.map(
  Effect.context<Files>(),
  (context): Reload.Part => (settings, changed) =>
    Effect.forEach(
      parts.filter(({ checked }) => checked.some((name) => changed.has(name))),
      ({ faultsOf }) => Effect.flatMap(faultsOf(settings), ([first]) => first ?? Effect.void),
      { discard: true }
    ).pipe(Effect.as(Effect.undefined), Effect.provideContext(context))
)
