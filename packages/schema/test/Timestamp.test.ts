import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import * as Timestamp from "../src/Timestamp.ts"
import { hostileText, int, many, notTimestamps, timestampNumber } from "./generators.ts"

const decode = Schema.decodeUnknownResult(Timestamp.TimestampField)
const encode = Schema.encodeSync(Timestamp.TimestampField)

describe("Timestamp", () => {
  it.prop("CPT 5.1: every timestamp round-trips through its decimal form", [timestampNumber], ([number]) => {
    const field = encode(Timestamp.Timestamp.make(number))
    assert.match(field, /^[0-9]{1,15}$/)
    assert.strictEqual(field, String(number))
    assert.isTrue(Timestamp.isTimestampField(field))
    assert.strictEqual(Result.getOrThrow(decode(field)), number)
  }, many)

  it("CPT 5.1: nothing but decimal digits, at most 15, without sign or leading zeros, is a timestamp", () => {
    for (const field of notTimestamps) {
      assert.isFalse(Timestamp.isTimestampField(field), JSON.stringify(field))
      assert.isTrue(Result.isFailure(decode(field)), JSON.stringify(field))
    }
    for (const value of [null, undefined, 7, 7n, true, [], {}, ["7"]]) assert.isTrue(Result.isFailure(decode(value)))
  })

  it.prop("CPT 5.1: a field that is read is the one form of its number", [hostileText], ([field]) => {
    const result = decode(field)
    assert.strictEqual(Result.isSuccess(result), Timestamp.isTimestampField(field))
    if (Result.isSuccess(result)) assert.strictEqual(encode(result.success), field)
  }, many)

  it("CPT 4.2: a timestamp is an integer from 0 to 15 digits; nothing else can be made into one", () => {
    assert.strictEqual(Timestamp.epoch, 0)
    assert.strictEqual(Timestamp.max, 999_999_999_999_999)
    assert.strictEqual(Timestamp.Timestamp.make(Timestamp.max), Timestamp.max)
    assert.strictEqual(Timestamp.fromMillis(7), Timestamp.Timestamp.make(7))
    for (const number of [-1, 0.5, 1e15, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      assert.throws(() => Timestamp.Timestamp.make(number))
    }
  })

  it.prop(
    "CPT 4.2: the next timestamp is the clock's, or one more than the last where the clock is not ahead of it",
    [timestampNumber, timestampNumber, int(-2, 2)],
    ([last, now, difference]) => {
      for (const clock of [now, Math.max(0, last + difference)]) {
        const next = Timestamp.next(clock, Timestamp.Timestamp.make(last))
        assert.isAbove(next, last)
        assert.strictEqual(next, clock > last ? clock : last + 1)
      }
    },
    many
  )
})
