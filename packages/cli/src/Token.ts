/** The token of who looks after a server over TCP, as it is given to a command. */
import { parseToken } from "@cpt/server/admin"
import { Effect, FileSystem, type Redacted } from "effect"
import { explainFile, type Failure, usage } from "./Failure.ts"
import { visible } from "./Visible.ts"

/** What was given as a token; it is not repeated where it cannot be one. */
export const parse = (text: string, refuse: (why: string) => Failure): Effect.Effect<Redacted.Redacted, Failure> =>
  Effect.mapError(parseToken(text), ({ message }) => refuse(message))

/** The token that is all of a file. */
export const read = Effect.fnUntraced(function*(file: string, from: string) {
  const refuse = (why: string) => usage(`${from} "${visible(file)}": ${why}`)
  const fs = yield* FileSystem.FileSystem
  const text = yield* Effect.mapError(fs.readFileString(file), (error) => refuse(explainFile(error)))
  return yield* parse(text, refuse)
})
