/**
 * Where `tail` is, kept in a file: the timestamp of the last message of each group that stdout took, or where it began
 * until there is one. It is replaced as a whole, so that it is always right, whenever the process or the machine stops.
 */
import { maxAhead } from "@cpt/client"
import { Timestamp } from "@cpt/schema"
import { Clock, Duration, Effect, Exit, FileSystem, Option, Path, type PlatformError, Schedule, Schema } from "effect"
import { explainFile, failed, type Failure, usage } from "./Failure.ts"
import { visible } from "./Visible.ts"

const Content = Schema.fromJsonString(Schema.Struct({
  version: Schema.Literal(1),
  groups: Schema.Array(Schema.Struct({ group: Schema.String, timestamp: Timestamp.Timestamp }))
}))

const decode = Schema.decodeUnknownEffect(Content)
const encode = Schema.encodeEffect(Content)

/** How long a process may take to write the file, before another one does. */
const maxSaving = "2 seconds"

/** Where a group begins that has no place yet; whether that is a time on this machine's clock. */
interface Since {
  readonly after: number
  readonly isTime: boolean
}

/** Opens the file, and makes sure that it can be written before anything depends on it. */
export const open = Effect.fnUntraced(function*(name: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  if (name === "") return yield* usage("the name of the cursor file is empty")
  const shown = visible(name)
  const cannot = (what: "read" | "write", error: PlatformError.PlatformError) => {
    const isNamedWrongly = /^(?:NotFound|PermissionDenied|BadResource)$/.test(error.reason._tag)
    return (isNamedWrongly ? usage : failed)(`cannot ${what} the cursor file ${shown}: ${explainFile(error)}`)
  }
  // A device or a pipe must not be replaced by a file, or waited for
  const info = yield* Effect.option(fs.stat(name))
  if (Option.isSome(info) && info.value.type !== "File") {
    return yield* usage(`the cursor file ${shown} is no ordinary file; name another one`)
  }
  const read = Effect.gen(function*() {
    const old = yield* fs.readFileString(name).pipe(
      Effect.catch((error) =>
        error.reason._tag === "NotFound" ? Effect.succeed("") : Effect.fail(cannot("read", error))
      )
    )
    // An empty file is a fresh one, such as mktemp makes
    if (old.trim() === "") return new Map<string, Timestamp.Timestamp>()
    const { groups } = yield* Effect.mapError(
      decode(old),
      () => usage(`the cursor file ${shown} is damaged, or is none: remove it to begin anew, or name another one`)
    )
    return new Map(groups.map(({ group, timestamp }) => [group, timestamp]))
  })
  const old = yield* read
  const cursors = new Map<string, Timestamp.Timestamp>() // those that are not what was there
  const moved = new Set<string>() // by a message of this run
  // A link stays a link: what it points to is replaced, or made
  const pointedTo = (name: string): Effect.Effect<string> =>
    Effect.gen(function*() {
      const link = yield* fs.readLink(name)
      return yield* pointedTo(path.resolve(yield* fs.realPath(path.dirname(name)), link))
    }).pipe(Effect.orElseSucceed(() => name))
  const file = yield* pointedTo(name)
  // What a process that was killed leaves in it goes with it
  const lock = path.join(path.dirname(file), `.${path.basename(file)}.lock`)
  const temporary = path.join(lock, `${process.pid}`)

  const mode = Option.match(info, { onNone: () => ({}), onSome: (info) => ({ mode: info.mode & 0o777 }) })

  const replace = Effect.fnUntraced(function*(text: string) {
    yield* Effect.scoped(Effect.gen(function*() {
      const handle = yield* fs.open(temporary, { flag: "w", ...mode })
      yield* handle.writeAll(new TextEncoder().encode(`${text}\n`))
      yield* handle.sync
    }))
    yield* fs.rename(temporary, file)
  })

  /** Others took us for killed, and have removed the lock: one that is there is somebody else's. */
  const isGone = (error: PlatformError.PlatformError | Failure) =>
    error._tag === "PlatformError" && error.reason._tag === "NotFound"

  // Another process may have its places in it too: what is read is not replaced by others meanwhile
  const save = Effect.acquireUseRelease(
    fs.makeDirectory(lock).pipe(
      Effect.retry({ while: ({ reason }) => reason._tag === "AlreadyExists", schedule: Schedule.spaced("5 millis") }),
      Effect.timeoutOption(maxSaving) // whoever has it for longer was killed
    ),
    () =>
      Effect.gen(function*() {
        const groups = Array.from(new Map([...yield* read, ...cursors]), ([group, timestamp]) => ({ group, timestamp }))
        yield* replace(yield* Effect.orDie(encode({ version: 1, groups })))
      }),
    (_, exit) =>
      Option.exists(Exit.findErrorOption(exit), isGone)
        ? Effect.void
        : Effect.ignore(fs.remove(lock, { recursive: true, force: true }))
  ).pipe(
    Effect.retry({ while: isGone, times: 3 }),
    Effect.catchTag("PlatformError", (error) => cannot("write", error))
  )

  yield* save
  return {
    /** Where to go on from; a group that is not in the file begins at `since`, and is in it from now on. */
    begin: Effect.fnUntraced(function*(groups: ReadonlyArray<string>, since: Since) {
      // Until it is known in the server's time (`Passed`): what comes up to a time that its clock has not reached must not
      // be left out by the next run
      const latest = since.isTime ? (yield* Clock.currentTimeMillis) - Duration.toMillis(maxAhead) : since.after
      const start = Timestamp.fromMillis(Math.min(since.after, latest))
      const starts = groups.map((group) => {
        const after = old.get(group)
        if (after !== undefined) return { group, after }
        if (start > 0) cursors.set(group, start)
        return { ...since, group }
      })
      yield* save
      return starts
    }),
    /** Everything up to these has been taken. */
    advance: (reached: ReadonlyMap<string, number>) =>
      Effect.suspend(() => {
        for (const [group, timestamp] of reached) {
          // Where a run began may be ahead of the server's clock; its first message is not
          if (timestamp <= (moved.has(group) ? cursors.get(group) ?? 0 : 0)) continue
          cursors.set(group, Timestamp.fromMillis(timestamp))
          moved.add(group)
        }
        return save
      })
  }
})
