/**
 * Where a Unix socket is. A path longer than the kernel takes (107 bytes on Linux) is reached through its directory; one
 * that a killed server has left behind is replaced, and one that somebody listens on is not.
 */
import { Effect, Schema, type Scope } from "effect"
import { Buffer } from "node:buffer"
import { chmodSync, closeSync, lstatSync, mkdtempSync, openSync, renameSync, rmSync } from "node:fs"
import { connect } from "node:net"
import { basename, dirname, join } from "node:path"

/** Bytes of a path that Linux takes, also with the directory in which the socket is made. */
const maxPathBytes = 98

/** There can be no such socket: the message says why. */
export class UnixSocketFailed extends Schema.TaggedError<UnixSocketFailed>()("UnixSocketFailed", {
  message: Schema.String,
  /** What the system calls it, if it was its to say. */
  code: Schema.optionalKey(Schema.String)
}) {}

const attempt = <A>(what: string, act: () => A): Effect.Effect<A, UnixSocketFailed> =>
  Effect.try({
    try: act,
    catch: (error) => {
      const message = `${what}: ${error instanceof Error ? error.message : String(error)}`
      const code = error instanceof Error && "code" in error ? error.code : undefined
      return new UnixSocketFailed({ message, ...typeof code === "string" && { code } })
    }
  })

/** A path that the kernel takes, for as long as the scope lasts. */
export const shortPath = (path: string): Effect.Effect<string, UnixSocketFailed, Scope.Scope> => {
  if (Buffer.byteLength(path) <= maxPathBytes || process.platform !== "linux") return Effect.succeed(path)
  return Effect.acquireRelease(
    attempt("the directory cannot be opened", () => openSync(dirname(path), "r")),
    (directory) => Effect.sync(() => closeSync(directory))
  ).pipe(Effect.map((directory) => `/proc/self/fd/${directory}/${basename(path)}`))
}

/**
 * Has somebody listen at a path, for whom `mode` lets, or else the umask; when the scope ends, the socket is gone. It is
 * made in a directory of its own, into which nobody else comes, and moved to its place: so nobody can ever find it open to
 * others, and what a killed server has left is replaced in one step.
 */
export const place = Effect.fnUntraced(function*<A, E, R>(
  path: string,
  listen: (path: string) => Effect.Effect<A, E, R>,
  mode?: number
) {
  const at = yield* shortPath(path)
  const before = yield* attempt("it cannot be looked at", () => lstatSync(at, { throwIfNoEntry: false }))
  if (before?.isSocket() === false) return yield* new UnixSocketFailed({ message: "something else is there already" })
  if (before !== undefined && (yield* isTaken(at))) {
    return yield* new UnixSocketFailed({ message: "somebody listens there already" })
  }
  const { listening, ours } = yield* Effect.acquireUseRelease(
    attempt("it cannot be made beside its place", () => mkdtempSync(`${at}.`)),
    Effect.fnUntraced(function*(directory) {
      const made = join(directory, "s")
      const listening = yield* listen(made)
      const ours = yield* attempt("it cannot be put in its place", () => {
        if (mode !== undefined) chmodSync(made, mode)
        renameSync(made, at)
        return lstatSync(at).ino
      })
      return { listening, ours }
    }),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
  )
  yield* Effect.addFinalizer(() =>
    Effect.ignore(attempt("it cannot be removed", () => {
      if (lstatSync(at, { throwIfNoEntry: false })?.ino === ours) rmSync(at)
    }))
  )
  return listening
})

/** Whether somebody listens there. */
const isTaken = (path: string): Effect.Effect<boolean> =>
  Effect.callback((resume) => {
    const socket = connect(path)
    socket.once("connect", () => {
      socket.destroy()
      resume(Effect.succeed(true))
    })
    socket.once("error", (error: NodeJS.ErrnoException) => resume(Effect.succeed(error.code !== "ECONNREFUSED")))
    return Effect.sync(() => socket.destroy())
  })
