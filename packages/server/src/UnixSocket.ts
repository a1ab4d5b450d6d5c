/**
 * Where a Unix socket is. A path longer than the kernel takes (107 bytes on Linux) is reached through its directory; one
 * that a killed server has left behind is replaced, and one that somebody listens on is not.
 */
import { Effect, Schema, type Scope } from "effect"
import { Buffer } from "node:buffer"
import { chmodSync, closeSync, lstatSync, mkdtempSync, openSync, renameSync, rmSync } from "node:fs"
import { connect } from "node:net"
import { basename, dirname, join } from "node:path"

/** Bytes of a path that Linux takes. */
const maxPathBytes = 107

const takes = (path: string): boolean => Buffer.byteLength(path) <= maxPathBytes || process.platform !== "linux"

/** Beside its place, the directory in which a socket is made; Node puts six more characters behind it. */
const makingAt = (path: string): string => join(dirname(path), ".cpt-")

/** In that. */
const made = (directory: string): string => join(directory, "s")

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
  // Where it is made is longer than its own path where its file name is short
  if (takes(path) && takes(made(`${makingAt(path)}XXXXXX`))) return Effect.succeed(path)
  return Effect.acquireRelease(
    attempt("the directory cannot be opened", () => openSync(dirname(path), "r")),
    (directory) => Effect.sync(() => closeSync(directory))
  ).pipe(Effect.flatMap((directory) => {
    const short = `/proc/self/fd/${directory}/${basename(path)}`
    if (takes(short)) return Effect.succeed(short)
    const room = maxPathBytes - Buffer.byteLength(`${dirname(short)}/`)
    const message = `in a path of more than ${maxPathBytes} bytes, its file name may have ${room} at the most`
    return Effect.fail(new UnixSocketFailed({ message }))
  }))
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
  if (before !== undefined) yield* refuseTaken(at)
  const { listening, ours } = yield* Effect.acquireUseRelease(
    attempt("it cannot be made beside its place", () => mkdtempSync(makingAt(at))),
    Effect.fnUntraced(function*(directory) {
      const socket = made(directory)
      const listening = yield* listen(socket)
      const ours = yield* attempt("it cannot be put in its place", () => {
        if (mode !== undefined) chmodSync(socket, mode)
        renameSync(socket, at)
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

/** Fails where somebody listens, or may. */
const refuseTaken = (path: string): Effect.Effect<void, UnixSocketFailed> =>
  Effect.callback((resume) => {
    const refuse = (message: string) => resume(Effect.fail(new UnixSocketFailed({ message })))
    const socket = connect(path)
    socket.once("connect", () => {
      socket.destroy()
      refuse("somebody listens there already")
    })
    socket.once("error", ({ code }: NodeJS.ErrnoException) => {
      switch (code) {
        case "ECONNREFUSED":
        case "ENOENT": // it has just gone
          return resume(Effect.void)
        case "EACCES":
          return refuse("a socket of somebody else is there, not open to this user; remove it if nobody listens there")
        default:
          return refuse("somebody listens there already")
      }
    })
    return Effect.sync(() => socket.destroy())
  })
