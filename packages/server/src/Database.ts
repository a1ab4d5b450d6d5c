/**
 * What an operator does with the database of the durable store, also while a server is at work on it: make a copy, and
 * see whether it is right. Not for the store itself, which is `layerSqlite`.
 */
import { Effect, Schema } from "effect"
import * as Backup from "./MessageStore/sqlite/Backup.ts"
import * as Check from "./MessageStore/sqlite/Check.ts"

export type { BackupProgress } from "./MessageStore/sqlite/Backup.ts"
export type { CheckProgress, Report } from "./MessageStore/sqlite/Check.ts"
export { syncDirectory } from "./MessageStore/sqlite/Database.ts"

/** The database cannot be read, or is none of cpt, or the copy cannot be made: the message says why. */
export class DatabaseFailed extends Schema.TaggedError<DatabaseFailed>()("DatabaseFailed", {
  message: Schema.String
}) {}

const failed = (error: unknown) =>
  new DatabaseFailed({ message: error instanceof Error ? error.message : String(error) })

/**
 * Copies a database into a file that is not there yet, readable for its owner only: everything that was ACKed before it
 * began, and nothing halfway. The file appears when it is complete and on disk; interrupted or failed, nothing is left.
 */
export const backup = (
  file: string,
  to: string,
  onProgress: (progress: Backup.BackupProgress) => void = () => {}
): Effect.Effect<void, DatabaseFailed> =>
  Effect.callback((resume) => {
    const interruption = new AbortController()
    const ended = Backup.backup(file, to, { onProgress, signal: interruption.signal }).then(
      () => resume(Effect.void),
      (error: unknown) => resume(Effect.fail(failed(error)))
    )
    return Effect.promise(() => {
      interruption.abort()
      return ended
    })
  })

/** Checks structure, order and counts of a database. What it finds is in the report; it fails where it cannot look. */
export const check = (
  file: string,
  onProgress: (progress: Check.CheckProgress) => Effect.Effect<void> = () => Effect.void
): Effect.Effect<Check.Report, DatabaseFailed> =>
  Effect.gen(function*() {
    const steps = yield* Effect.acquireRelease(
      Effect.sync(() => Check.check(file)),
      (steps) => Effect.sync(() => void steps.return(Check.nothing))
    )
    for (;;) {
      const step = yield* Effect.try({ try: () => steps.next(), catch: failed })
      if (step.done === true) return step.value
      yield* onProgress(step.value)
      yield* Effect.yieldNow
    }
  }).pipe(Effect.scoped)
