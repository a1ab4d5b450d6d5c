import { Name } from "@cpt/schema"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import type { Message } from "../src/index.ts"
import * as Place from "../src/Place.ts"

const group = Name.GroupName.make("g")

const message = (timestamp: number, text = `message ${timestamp}`): Message => ({
  _tag: "Message",
  group,
  sender: "bob",
  timestamp,
  message: text
})

/** A place whose consumer has room, and what it was given. */
const make = (after = 0, from = after) => {
  const given: Array<number> = []
  const passed: Array<number> = []
  const place = Place.make(group, { after, from }, {
    emit: ({ timestamp }) => given.push(timestamp) > 0,
    onPass: (timestamp) => passed.push(timestamp),
    onFall: () => assert.fail("there was room")
  })
  return { place, given, passed }
}

/** The answer to a SYNC. */
const answer = (place: Place.Place, ...timestamps: ReadonlyArray<number>) => {
  for (const timestamp of timestamps) place.answer(message(timestamp))
  place.close()
}

describe("Place", () => {
  it("is behind until an answer is complete, and live from then on", () => {
    const { given, place } = make()
    place.live(message(1))
    assert.isTrue(place.isBehind())
    assert.strictEqual(place.open(false), 0)
    answer(place, 1, 2)
    assert.isFalse(place.isBehind())
    place.live(message(3))
    assert.deepStrictEqual(given, [1, 2, 3])
    assert.strictEqual(place.cursor(), 3)
  })

  it("asks for what came after the last message that was handed on", () => {
    const { place } = make(7)
    assert.strictEqual(place.open(false), 7)
    place.answer(message(8))
    place.cut()
    assert.strictEqual(place.open(false), 8)
  })

  it("moves back to a live message from before its start, which is ahead of the server's clock then", () => {
    const { given, place } = make(50)
    place.open(false)
    answer(place)
    place.live(message(0))
    assert.strictEqual(place.cursor(), 50)
    place.live(message(7))
    place.live(message(6))
    place.cut()
    assert.strictEqual(place.open(false), 7)
    answer(place, 8)
    assert.deepStrictEqual(given, [0, 7, 6, 8])
  })

  it("asks from before its start, leaves out what was there, and nothing that comes afterwards", () => {
    for (const there of [[], [41, 42]]) {
      const { given, passed, place } = make(50, 40)
      assert.strictEqual(place.open(false), 40)
      for (const timestamp of there) place.answer(message(timestamp))
      place.cut()
      assert.strictEqual(place.open(false), 40)
      answer(place, ...there)
      assert.deepStrictEqual(passed, there.slice(-1))
      place.cut()
      assert.strictEqual(place.open(false), there.at(-1) ?? 40)
      answer(place, 43, 51)
      assert.deepStrictEqual(given, [43, 51])
      assert.deepStrictEqual(passed, there.slice(-1))
    }
  })

  it("wants to know of a hole behind its start, not of one before it", () => {
    const { place } = make(50, 40)
    place.open(false)
    assert.deepStrictEqual([50, 51, undefined].map(place.isConcerned), [false, true, true])
    answer(place)
    assert.isTrue(place.isConcerned(45))
  })

  it("gives the messages of an answer in their order, whatever order they come in", () => {
    const { given, place } = make()
    place.open(false)
    answer(place, 30, 10, 20, 10)
    assert.deepStrictEqual(given, [10, 20, 30])
  })

  it("hands nothing on from an answer that was cut, if it may be live messages from behind a gap", () => {
    const { given, place } = make()
    place.open(true)
    place.answer(message(9))
    place.cut()
    assert.deepStrictEqual(given, [])
    assert.strictEqual(place.open(true), 0)
  })

  it("hands nothing on from an answer that was cut, if it goes back in time", () => {
    const { given, place } = make()
    place.open(false)
    for (const timestamp of [30, 20]) place.answer(message(timestamp))
    place.cut()
    assert.deepStrictEqual(given, [])
    place.open(false)
    answer(place, 30, 20, 10)
    assert.deepStrictEqual(given, [10, 20, 30])
  })

  it("takes live messages that are late, but not a second time", () => {
    const { given, place } = make()
    place.open(false)
    answer(place, 5)
    for (const timestamp of [7, 6, 7, 6]) place.live(message(timestamp))
    assert.deepStrictEqual(given, [5, 7, 6])
    assert.strictEqual(place.cursor(), 7)
  })

  it("takes messages without a time as often as they come live, and once from answers", () => {
    const { given, place } = make()
    place.open(false)
    answer(place, 0, 5)
    place.live(message(0, "later"))
    place.live(message(0, "later"))
    place.open(false)
    for (const text of ["message 0", "later"]) place.answer(message(0, text))
    place.close()
    assert.deepStrictEqual(given, [0, 5, 0, 0])
  })

  it("falls behind when the answer to somebody else leaves something out", () => {
    let fallen = 0
    const given: Array<number> = []
    const place = Place.make(group, { after: 0, from: 0 }, {
      emit: ({ timestamp }) => given.push(timestamp) > 0,
      onPass: () => assert.fail("everything is wanted"),
      onFall: () => fallen++
    })
    place.open(false)
    answer(place, 5)
    place.jump(5)
    place.overhear(message(5))
    place.overhear(message(6))
    assert.isFalse(place.isBehind())
    place.jump(8)
    assert.isTrue(place.isBehind())
    assert.strictEqual(fallen, 1)
    place.overhear(message(9))
    assert.deepStrictEqual(given, [5, 6])
  })

  it("stays what it was where the server declines", () => {
    const { place } = make()
    place.open(false)
    place.resume()
    assert.isTrue(place.isBehind())
    place.open(false)
    place.close()
    place.open(false)
    place.resume()
    assert.isFalse(place.isBehind())
  })

  // A server of ours, a connection that breaks, and a consumer that has no room now and then; read from the front, one
  // step at a time, in any interleaving: whatever happens, the consumer gets 1, 2, 3, … and at the end all of it
  const steps = ["append", "append", "read", "read", "read", "ask", "serve", "cut", "full", "room"] as const
  for (const isInbox of [false, true]) {
    it.effect.prop(
      `loses nothing and gives nothing twice, of ${isInbox ? "the inbox" : "a group"}`,
      [Arbitrary.array(Arbitrary.schema(Schema.Literals(steps)), { maxLength: 200 })],
      ([program]) =>
        Effect.sync(() => {
          let head = 0 // of the server's log
          let isFollowing = isInbox // on this connection
          let request: number | undefined // on its way to the server
          let isAnswering = false // for the client
          let wire: Array<(place: Place.Place) => void> = [] // on its way to the client
          let isFull = false
          const given: Array<number> = []
          const place = Place.make(group, { after: 0, from: 0 }, {
            emit: ({ timestamp }) => !isFull && given.push(timestamp) > 0,
            onPass: () => assert.fail("everything is wanted"),
            onFall: () => assert.isTrue(place.isBehind())
          })
          const step: { readonly [Step in (typeof steps)[number]]: () => void } = {
            append: () => {
              const next = ++head
              if (isFollowing) {
                wire.push((place) => isAnswering ? place.answer(message(next)) : place.live(message(next)))
              }
            },
            read: () => wire.shift()?.(place),
            ask: () => {
              if (isAnswering) return
              request = place.open(isFollowing)
              isAnswering = true
            },
            serve: () => {
              if (request === undefined) return
              for (let at = request + 1; at <= head; at++) wire.push((place) => place.answer(message(at)))
              wire.push((place) => {
                isAnswering = false
                place.close()
              })
              isFollowing = true
              request = undefined
            },
            cut: () => {
              wire = []
              request = undefined
              isAnswering = false
              isFollowing = isInbox
              place.cut()
            },
            full: () => {
              isFull = true
            },
            room: () => {
              isFull = false
            }
          }
          for (const name of program) step[name]()
          for (const name of ["cut", "room", "ask", "serve"] as const) step[name]()
          while (wire.length > 0) step.read()
          assert.deepStrictEqual(given, Array.from({ length: head }, (_, i) => i + 1))
        }),
      { arbitrary: { runs: 3000 } }
    )
  }
})
