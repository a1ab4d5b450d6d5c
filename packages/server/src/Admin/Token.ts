/**
 * The token of who looks after a server over TCP: one line, which is shown in a header of HTTP, so it has only what can
 * stand there. Server, client and command line all take it from here.
 */
import { Effect, Redacted, Schema } from "effect"

/** It cannot be a token: the message says why, and does not repeat it. */
export class TokenUnusable extends Schema.TaggedError<TokenUnusable>()("TokenUnusable", { message: Schema.String }) {}

/** Latin-1 without its control characters. */
const printable = /^[\u0020-\u007e\u00a0-\u00ff]+$/

/** What was given as a token, without what is around it: a file ends its line. */
export const parse = (text: string): Effect.Effect<Redacted.Redacted, TokenUnusable> => {
  const token = text.trim()
  if (token === "") return Effect.fail(new TokenUnusable({ message: "there is no token in it" }))
  if (printable.test(token)) return Effect.succeed(Redacted.make(token))
  const message = "a token is one line, of printable characters up to U+00FF, which fit into a header of HTTP"
  return Effect.fail(new TokenUnusable({ message }))
}

/** Characters of a token, made at random, that nobody guesses. */
const longToken = 16

/** For where other machines can show one. */
export const warnIfShort = (token: Redacted.Redacted): Effect.Effect<void> =>
  Redacted.value(token).length >= longToken ? Effect.void : Effect.logWarning(
    `the token of the administration is short enough to be guessed: give it ${longToken} characters or more`
  )
