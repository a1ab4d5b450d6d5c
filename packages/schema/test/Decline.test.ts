import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Result } from "effect"
import * as Command from "../src/Command.ts"
import * as Decline from "../src/Decline.ts"
import { Message } from "../src/Message.ts"
import { badMessageText, hostileText, many, messageText, oneOf, pick } from "./generators.ts"

// CPT 3.8: each word with its error. A word that is missing here does not compile.
const table = {
  username_taken: Decline.UsernameTaken,
  account_locked: Decline.AccountLocked,
  ip_invalid: Decline.IpInvalid,
  already_logged_in: Decline.AlreadyLoggedIn,
  unsupported_command: Decline.UnsupportedCommand,
  invalid_command: Decline.InvalidCommand,
  not_logged_in: Decline.NotLoggedIn,
  line_too_long: Decline.LineTooLong,
  rate_limited: Decline.RateLimited,
  unknown_target: Decline.UnknownTarget,
  forbidden: Decline.Forbidden,
  storage_unavailable: Decline.StorageUnavailable,
  server_full: Decline.ServerFull,
  too_many_connections: Decline.TooManyConnections,
  login_timeout: Decline.LoginTimeout,
  idle_timeout: Decline.IdleTimeout,
  shutting_down: Decline.ShuttingDown
} satisfies { readonly [K in Decline.KnownReason]: new(props: {}) => Extract<Decline.DeclineError, { reason: K }> }

const words = Object.keys(table) as ReadonlyArray<Decline.KnownReason>

/** Words that no table has, also those that every object has. */
const unknownText = oneOf(
  pick([
    "banned",
    "too_old",
    "USERNAME_TAKEN",
    "username_taken ",
    " username_taken",
    "username taken",
    "0",
    "Declined"
  ]),
  pick(["constructor", "toString", "hasOwnProperty", "__proto__", "prototype", "valueOf"]),
  messageText
).pipe(Arbitrary.filter((text) => !words.some((word) => word === text)))

const throughTheWire = (error: Decline.DeclineError): Decline.DeclineError => {
  const line = Command.serverLine(new Command.Decline({ reason: Message.make(error.reason) }))
  assert.strictEqual(line, `DECLINE ${error.reason}`)
  const command = Result.getOrThrow(Command.readServerLine(line))
  assert.strictEqual(command._tag, "DECLINE")
  return Decline.fromReason((command as Command.Decline).reason)
}

describe("Decline", () => {
  it("CPT 3.4: these are the known words, the specification's six first", () => {
    assert.deepStrictEqual(Decline.knownReasons, words)
  })

  it("CPT 3.4: every known word is one bare word", () => {
    for (const word of words) assert.match(word, /^[a-z]+(?:_[a-z]+)*$/)
  })

  it("CPT 6.1: every known word is an error of its own, and goes out as the same word", () => {
    for (const word of words) {
      const error = Decline.fromReason(word)
      assert.strictEqual<unknown>(error.constructor, table[word])
      assert.strictEqual(error._tag.toLowerCase(), word.replaceAll("_", ""))
      assert.strictEqual(error.reason, word)
      assert.strictEqual(new table[word]({}).reason, word)
      assert.deepStrictEqual(throughTheWire(error), error)
      assert.isTrue(Decline.isDeclineError(error))
    }
    assert.strictEqual(new Set(words.map((word) => Decline.fromReason(word)._tag)).size, words.length)
  })

  it("CPT 6.1: every error says in words what it means", () => {
    for (const error of [...words.map(Decline.fromReason), new Decline.Declined({ reason: "banned" })]) {
      assert.isAbove(error.message.length, 10)
      assert.include(String(error), error.message)
      assert.instanceOf(error, Error)
    }
    assert.strictEqual(new Set(words.map((word) => Decline.fromReason(word).message)).size, words.length)
  })

  it.prop(
    "CPT 3.4: a client accepts any word: an unknown one is kept and goes out again as it was",
    [unknownText],
    ([word]) => {
      const error = Decline.fromReason(word)
      assert.instanceOf(error, Decline.Declined)
      assert.strictEqual(error._tag, "Declined")
      assert.strictEqual(error.reason, word)
      assert.deepStrictEqual(throughTheWire(error), error)
      assert.isTrue(Decline.isDeclineError(error))
    },
    many
  )

  it("CPT 3.4: a known word cannot pass for an unknown one", () => {
    for (const word of words) assert.throws(() => new Decline.Declined({ reason: word }))
  })

  it.prop("CPT 3.4: what cannot stand behind DECLINE cannot be a reason", [badMessageText], ([text]) => {
    assert.throws(() => new Decline.Declined({ reason: text }))
  }, many)

  it.prop("CPT 3.4: whatever a DECLINE line holds is an error", [hostileText], ([text]) => {
    const result = Command.readServerLine(`DECLINE ${text}`)
    if (Result.isSuccess(result) && result.success._tag === "DECLINE") {
      assert.strictEqual(Decline.fromReason(result.success.reason).reason, text)
    }
  }, many)

  it("CPT 6.1: other errors are not taken for a DECLINE", () => {
    class UsernameTaken extends Error {
      readonly _tag = "UsernameTaken"
      readonly reason = "username_taken"
    }
    for (
      const other of [new UsernameTaken(), new Error("x"), { _tag: "UsernameTaken" }, "username_taken", null, undefined]
    ) {
      assert.isFalse(Decline.isDeclineError(other))
    }
  })
})
