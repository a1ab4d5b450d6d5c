/** Live delivery to many, without sockets. */
import { Message, Name } from "@cpt/schema"
import { layerMemory, MessageStore, Metrics } from "@cpt/server"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Batch } from "../src/Batch.ts"
import { type Cursor, type Follower, Timelines } from "../src/Timeline.ts"

const [red, ann] = [Name.Target.make("red"), Name.Username.make("ann")]

describe("500 who fall behind in the same moment", () => {
  it.live("do so in turns, in which others are served, and each once", () =>
    Effect.gen(function*() {
      const [store, timelines] = [yield* MessageStore, yield* Timelines]
      let turn = 0
      const fallen = new Map<Cursor, number>()
      const next = () => {
        turn++
        if (fallen.size < 500) setImmediate(next)
      }
      const follower = (index: number): Follower => ({
        username: Name.Username.make(`user${index}`),
        follow: () => {},
        isReady: () => false,
        push: () => assert.fail("it can take nothing"),
        flush: () => assert.fail("it was given nothing"),
        fallBehind: (cursor) => {
          assert.isFalse(fallen.has(cursor))
          fallen.set(cursor, turn)
        }
      })
      for (let index = 0; index < 500; index++) yield* timelines.follow(red, follower(index))
      next()
      for (const text of ["one", "two"]) yield* store.append(ann, Batch.of([red, Message.Message.make(text)]))
      yield* Effect.repeat(Effect.yieldNow, { until: () => fallen.size === 500 })
      const each = Map.groupBy(fallen.values(), (turn) => turn)
      assert.isAtMost(Math.max(...Array.from(each.values(), ({ length }) => length)), 16)
    }).pipe(Effect.provide(Timelines.layer.pipe(Layer.provideMerge([layerMemory(), Metrics.layer])))))
})
