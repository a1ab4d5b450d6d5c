import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { TestClock } from "effect/testing"
import * as When from "../src/When.ts"

const parse = (text: string) => Effect.map(When.parse(text), Option.getOrUndefined)

describe("When", () => {
  it.effect("takes durations back from now", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_000_000_000)
      assert.strictEqual(yield* parse("0s"), 1_000_000_000)
      assert.strictEqual(yield* parse("10m"), 1_000_000_000 - 600_000)
      assert.strictEqual(yield* parse("2h30m"), 1_000_000_000 - 9_000_000)
      assert.strictEqual(yield* parse("1d"), 1_000_000_000 - 86_400_000)
      assert.strictEqual(yield* parse("1500ms"), 1_000_000_000 - 1500)
      assert.strictEqual(yield* parse("999d"), 0)
    }))

  it.effect("takes timestamps, RFC 3339 times and all", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* parse("all"), 0)
      assert.strictEqual(yield* parse("0"), 0)
      assert.strictEqual(yield* parse("1700000000000"), 1_700_000_000_000)
      assert.strictEqual(yield* parse("999999999999999"), 999_999_999_999_999)
      const time = Date.parse("2024-02-29T12:00:00Z")
      for (
        const text of [
          "2024-02-29T12:00:00Z",
          "2024-02-29t12:00:00z",
          "2024-02-29 12:00:00Z",
          "2024-02-29T14:00:00+02:00",
          "2024-02-29T12:00:00.000Z"
        ]
      ) assert.strictEqual(yield* parse(text), time, text)
      assert.strictEqual(yield* parse("2024-02-29T12:00:00.5Z"), time + 500)
      for (const text of ["1969-12-31T23:59:59Z", "0000-02-29T00:00:00Z", "0099-12-31T23:59:59+01:00"]) {
        assert.strictEqual(yield* parse(text), 0, text)
      }
    }))

  // RFC 3339, 5.7 and appendix D
  it.effect("takes a leap second for the second that follows, as POSIX does", () =>
    Effect.gen(function*() {
      const time = Date.parse("2017-01-01T00:00:00Z")
      for (const text of ["2016-12-31T23:59:60Z", "2016-12-31 15:59:60-08:00", "2017-01-01t05:29:60+05:30"]) {
        assert.strictEqual(yield* parse(text), time, text)
      }
      assert.strictEqual(yield* parse("2016-12-31T23:59:60.25Z"), time + 250)
      for (
        const text of [
          "2016-12-31T23:58:60Z",
          "2016-12-30T23:59:60Z",
          "2016-12-31T23:59:60+01:00",
          "2016-12-31T23:59:61Z",
          "2016-12-31T23:60:00Z",
          "2016-12-31T23:59:60-08:60"
        ]
      ) assert.isUndefined(yield* parse(text), text)
    }))

  it.effect("takes nothing else", () =>
    Effect.gen(function*() {
      for (
        const text of [
          "",
          " ",
          "now",
          "yesterday",
          "10 m",
          "-10m",
          "1.5h",
          "10x",
          "m",
          "1000000000000000",
          "1e3",
          "2024-02-29",
          "2024-02-29T12:00:00",
          "2023-02-29T12:00:00Z",
          "2024-13-01T12:00:00Z",
          "2024-01-01T25:00:00Z",
          "2024-01-01T24:00:00Z"
        ]
      ) assert.isUndefined(yield* parse(text), text)
    }))
})
