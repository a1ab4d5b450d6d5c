/** Where a server on this machine keeps its messages: the setting `--data`, and the files below it. */
import { Database } from "@cpt/server"
import { Effect, FileSystem, Option, Path } from "effect"
import { explainFile, failed, usage } from "./Failure.ts"
import { home, variable } from "./Settings.ts"
import { visible } from "./Visible.ts"

/** `--data`, else `CPT_DATA`, else the place that the system has for such things. */
export const directory = Effect.fnUntraced(function*(data: Option.Option<string>) {
  const path = yield* Path.Path
  if (Option.contains(data, "")) return yield* usage("--data \"\": expected a directory")
  const given = Option.isSome(data) ? data : yield* variable("CPT_DATA")
  if (Option.isSome(given)) return path.resolve(given.value)
  // The specification of these directories wants a relative path to be ignored
  const state = Option.filter(yield* variable("XDG_STATE_HOME"), path.isAbsolute)
  const local = Option.map(yield* home, (home) => path.join(home, ".local", "state"))
  return yield* Option.match(Option.orElse(state, () => local), {
    onNone: () => Effect.fail(usage("your home directory is not known; name a directory with --data, or set HOME")),
    onSome: (state) => Effect.succeed(path.join(state, "cpt"))
  })
})

/** Where the database of such a directory is. */
export const fileIn = (directory: string) => Effect.map(Path.Path, (path) => path.join(directory, "messages.db"))

/** The socket of who administers the server of such a directory. */
export const adminSocketIn = (directory: string) => Effect.map(Path.Path, (path) => path.join(directory, "admin.sock"))

/** Makes the directory, for its owner alone, if it is not there; and makes sure that it is still there after a power cut. */
export const makeDirectory = Effect.fnUntraced(
  function*(directory: string) {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const missing: Array<string> = []
    for (let at = directory; !(yield* fs.exists(at)); at = path.dirname(at)) missing.unshift(at)
    for (const folder of missing) {
      yield* fs.makeDirectory(folder, { mode: 0o700 }).pipe( // not `recursive`, which in /proc would try for ever
        Effect.catchReason("PlatformError", "AlreadyExists", () => Effect.void) // somebody else has made it meanwhile
      )
      Database.syncDirectory(path.dirname(folder))
    }
    if ((yield* fs.stat(directory)).type !== "Directory") {
      return yield* failed(`${visible(directory)} is no directory; take another --data`)
    }
    return directory
  },
  (effect, directory) =>
    Effect.catchTag(
      effect,
      "PlatformError",
      (error) => failed(`cannot make the directory ${visible(directory)}: ${explainFile(error)}`)
    )
)

/** A database that is there. */
export const databaseAt = Effect.fnUntraced(function*(file: string, hint = "") {
  const fs = yield* FileSystem.FileSystem
  if (yield* Effect.orElseSucceed(fs.exists(file), () => true)) return file
  return yield* failed(`there is no ${visible(file)}${hint}`)
})

/** The database of a server. */
export const existing = Effect.fnUntraced(function*(data: Option.Option<string>) {
  return yield* databaseAt(yield* fileIn(yield* directory(data)), "; name the directory of the server with --data")
})
