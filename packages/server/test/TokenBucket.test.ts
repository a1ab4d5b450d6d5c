import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { TokenBucket } from "../src/TokenBucket.ts"

const upTo = (from: number, to: number) =>
  Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum: from, maximum: to })))

/** After so many milliseconds, somebody wants so many. */
const Wish = Schema.Struct({ after: upTo(0, 3000), count: upTo(0, 30) })
const Wishes = Schema.Array(Wish)
const Bucket = Schema.Struct({ perSecond: upTo(1, 2000), burst: upTo(1, 50) })

/** What a bucket is, said otherwise: in no span of time are more taken than it holds and fills by in that span. */
class Model {
  readonly #taken: Array<{ readonly at: number; readonly count: number }> = []
  readonly #perSecond: number
  readonly #burst: number
  constructor({ burst, perSecond }: typeof Bucket.Type) {
    this.#burst = burst
    this.#perSecond = perSecond
  }

  has(count: number, now: number): boolean {
    let inSpan = count
    if (inSpan > this.#burst) return false
    for (const { at, count } of this.#taken.toReversed()) {
      inSpan += count
      // A thousandth of a token is rounding
      if (inSpan > this.#burst + (now - at) / 1000 * this.#perSecond + 0.001) return false
    }
    return true
  }

  take(count: number, now: number): void {
    this.#taken.push({ at: now, count })
  }
}

describe("TokenBucket", () => {
  it.prop("gives what it holds, and no more in any span of time", [Bucket, Wishes], ([rate, wishes]) => {
    const { burst, perSecond } = rate
    const model = new Model(rate)
    const bucket = new TokenBucket(burst, 0)
    let now = 0
    for (const { after, count } of wishes) {
      now += after
      bucket.fill(perSecond, burst, now)
      const isTaken = bucket.take(count)
      assert.strictEqual(isTaken, model.has(count, now))
      if (isTaken) model.take(count, now)
    }
  })

  it.prop("says how long to wait, to a millisecond", [Bucket, Wishes, upTo(1, 50)], ([rate, wishes, wanted]) => {
    const { burst, perSecond } = rate
    const count = Math.min(wanted, burst)
    const bucket = new TokenBucket(burst, 0)
    let now = 0
    for (const { after, count } of wishes) {
      now += after
      bucket.fill(perSecond, burst, now)
      bucket.owe(count)
    }
    bucket.fill(perSecond, burst, now)
    const wait = bucket.wait(count, perSecond)
    if (wait > 1) {
      bucket.fill(perSecond, burst, now + wait - 2)
      assert.isFalse(bucket.has(count))
    }
    bucket.fill(perSecond, burst, now + wait + 1)
    assert.isTrue(bucket.has(count))
  })

  it("follows another rate from when it is told of it", () => {
    const bucket = new TokenBucket(10, 0)
    assert.isTrue(bucket.take(10))
    bucket.fill(1, 10, 1000)
    assert.isFalse(bucket.has(2))
    bucket.fill(100, 20, 1150)
    assert.isTrue(bucket.has(16))
    bucket.fill(100, 5, 1150)
    assert.isFalse(bucket.has(6))
  })

  it("without a limit always has enough", () => {
    const bucket = new TokenBucket(Infinity, 0)
    bucket.owe(1e9)
    bucket.fill(Infinity, Infinity, 0)
    assert.isTrue(bucket.take(1e9))
    assert.strictEqual(bucket.wait(1, Infinity), 0)
  })
})
