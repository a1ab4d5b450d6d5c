/** How descriptors are shared out among connections. */
import { assert, describe, it } from "@effect/vitest"
import { roomOf } from "../src/Descriptors.ts"

describe("the room for connections", () => {
  it("is what the settings want where there are enough descriptors, or it is not known how many", () => {
    for (const maxDescriptors of [Infinity, 1_048_576]) {
      const room = roomOf({ maxDescriptors, maxSessions: 10_000 })
      assert.deepStrictEqual(room, { sessions: 10_000, arrivals: 10_000, refused: 1000 })
    }
    assert.deepStrictEqual(roomOf({ maxDescriptors: Infinity, maxSessions: Infinity }), {
      sessions: Infinity,
      arrivals: Infinity,
      refused: 1000
    })
    assert.strictEqual(roomOf({ maxDescriptors: 13_526, maxSessions: 10_000 }).sessions, 10_000)
    assert.strictEqual(roomOf({ maxDescriptors: 13_525, maxSessions: 10_000 }).sessions, 9999)
  })

  it("leaves descriptors for everything else, however many there are", () => {
    for (let maxDescriptors = 64; maxDescriptors < 30_000; maxDescriptors += 7) {
      const { arrivals, refused, sessions } = roomOf({ maxDescriptors, maxSessions: 10_000 })
      const left = maxDescriptors - sessions - arrivals - refused
      const isRight = Math.min(arrivals, refused, sessions) >= 1 && left >= Math.min(192, maxDescriptors * 3 / 4)
      assert.isTrue(isRight, `${maxDescriptors} descriptors`)
    }
  })
})
