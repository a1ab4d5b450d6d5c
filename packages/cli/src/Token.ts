/**
 * The token of who looks after a server over TCP: one line, which is shown in a header of HTTP, so it has only what can
 * stand there.
 */
import { Effect, FileSystem, Redacted } from "effect"
import { explainFile, type Failure, usage } from "./Failure.ts"
import { visible } from "./Visible.ts"

/** Latin-1 without its control characters. */
const printable = /^[\u0020-\u007e\u00a0-\u00ff]+$/

/** What was given as a token; it is not repeated where it cannot be one. */
export const parse = (text: string, refuse: (why: string) => Failure): Effect.Effect<Redacted.Redacted, Failure> => {
  const token = text.trim()
  if (token === "") return Effect.fail(refuse("there is no token in it"))
  return printable.test(token)
    ? Effect.succeed(Redacted.make(token))
    : Effect.fail(refuse("a token is one line, of printable characters up to U+00FF, which fit into a header of HTTP"))
}

/** The token that is all of a file. */
export const read = Effect.fnUntraced(function*(file: string, from: string) {
  const refuse = (why: string) => usage(`${from} "${visible(file)}": ${why}`)
  const fs = yield* FileSystem.FileSystem
  const text = yield* Effect.mapError(fs.readFileString(file), (error) => refuse(explainFile(error)))
  return yield* parse(text, refuse)
})
