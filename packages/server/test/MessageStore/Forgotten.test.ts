/** What is known of names that are forgotten. */
import { Timestamp } from "@cpt/schema"
import { assert, describe, it } from "@effect/vitest"
import { Forgotten } from "../../src/MessageStore/Forgotten.ts"

describe("what is forgotten", () => {
  const bytes = 1024 * 1024
  const noon = 1_700_000_000_000
  const names = (count: number) => Array.from({ length: count }, (_, index) => `group${index}`)
  const ofMany = (count: number) => {
    const forgotten = new Forgotten(bytes)
    for (const [index, name] of names(count).entries()) forgotten.add(name, Timestamp.fromMillis(noon + index))
    return forgotten
  }

  it("is said to the millisecond, and of others nothing, where it is little", () => {
    const forgotten = ofMany(50)
    const throughs = names(50).map((name) => forgotten.through(name))
    assert.deepStrictEqual(throughs, throughs.map((_, index) => Timestamp.fromMillis(noon + index)))
    const wrong = Array.from({ length: 10_000 }, (_, index) => forgotten.through(`user${index}`)).filter((at) => at > 0)
    assert.isBelow(wrong.length, 50)
  })

  it("is never said to be less than it is, however much it is", () => {
    const forgotten = ofMany(100_000)
    for (const [index, name] of names(100_000).entries()) assert.isAtLeast(forgotten.through(name), noon + index)
  })

  it("is what was gone last of a name", () => {
    const forgotten = new Forgotten(bytes)
    for (const millis of [5, 7, 6, 0]) forgotten.add("group", Timestamp.fromMillis(noon + millis))
    assert.strictEqual(forgotten.through("group"), noon + 7)
    assert.strictEqual(new Forgotten(1).through("group"), Timestamp.epoch)
  })
})
