/**
 * New settings for a server that runs, all or none of them: what was given is looked up and checked again, then each
 * part of the server looks whether it can take it, and only when all can, all do. What only a restart can change stays
 * as it is, and is named.
 */
import { Effect, type Scope, Semaphore } from "effect"
import type { Failure } from "../Failure.ts"
import type { Settings } from "./Given.ts"
import { about, type Name, names } from "./Table.ts"

/**
 * A part of the server: sees whether it can take these settings, of which some are other than those that hold; and gives
 * what it then does, which cannot fail. That may give a word for what it has taken anew beside the settings. What it has
 * prepared for that goes with the scope where nothing comes of it.
 */
export type Part = (
  settings: Settings,
  changed: ReadonlySet<Name>
) => Effect.Effect<Effect.Effect<string | void>, Failure, Scope.Scope>

export interface Report {
  /** What is other than it was, and holds from now on: settings, and in words what was read again with them. */
  readonly applied: ReadonlyArray<string>
  /** What is other than it was, and would take a restart. */
  readonly needsRestart: ReadonlyArray<Name>
}

/** @param started what the server was started with */
export const make = Effect.fnUntraced(function*<R>(
  lookUp: Effect.Effect<Settings, Failure, R>,
  started: Settings,
  parts: ReadonlyArray<Part>
) {
  const current = new Map(started.given) // as far as it holds
  const one = yield* Semaphore.make(1)
  return one.withPermit(Effect.gen(function*() {
    const next = yield* lookUp
    const changed = names.filter((name) => next.given.get(name)?.text !== current.get(name)?.text)
    const taken = yield* Effect.forEach(parts, (part) => part(next, new Set(changed))).pipe(
      Effect.flatMap((commits) => Effect.uninterruptible(Effect.all(commits))),
      Effect.scoped
    )
    const applied = changed.filter((name) => about(name).reloads === true)
    const report: Report = {
      applied: [...applied, ...taken.filter((word) => typeof word === "string")],
      needsRestart: changed.filter((name) => about(name).reloads !== true)
    }
    for (const name of applied) {
      const given = next.given.get(name)
      if (given === undefined) current.delete(name)
      else current.set(name, given)
    }
    return report
  }))
})

/** Says in the log what came of one. */
export const logged = <R>(reload: Effect.Effect<Report, Failure, R>): Effect.Effect<Report, Failure, R> =>
  reload.pipe(
    Effect.tapError(({ message }) => Effect.logError(`settings are not reloaded, all stay as they are: ${message}`)),
    Effect.tap(({ applied, needsRestart }) =>
      Effect.andThen(
        Effect.logInfo(
          applied.length === 0 ? "settings reloaded" : `settings reloaded, changed: ${applied.join(", ")}`
        ),
        needsRestart.length === 0
          ? Effect.void
          : Effect.logWarning(`a restart is needed for the change of: ${needsRestart.join(", ")}`)
      )
    )
  )
