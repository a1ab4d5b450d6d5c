/** A store that never answers keeps no server from stopping: its sessions are left behind when their time is over. */
import type { MessageStore } from "@cpt/server"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Latch, Logger, References } from "effect"
import { TestClock } from "effect/testing"
import { Buffer } from "node:buffer"
import { patiently } from "./support/patience.ts"
import { over } from "./support/stores.ts"
import { type Connection, end, inMemory, type Options, overTcp, type World } from "./support/World.ts"

type Method = "append" | "read" | "watch" | "unwatch" | "claim" | "kindOf"

/** A store of which one method never answers, and what waits until it is asked. */
const hanging = (method: Method) => {
  const asked = Latch.makeUnsafe(false)
  const never = Effect.andThen(Effect.sync(() => asked.openUnsafe()), Effect.never)
  const change: Partial<MessageStore["Service"]> = { [method]: () => never }
  return { store: over(() => change), asked: asked.await }
}

/** With all that it logs. */
const logged = Effect.fnUntraced(
  function*<E, R>(make: (options: Options) => Effect.Effect<World, E, R>, options: Options) {
    const lines: Array<string> = []
    const ends: Array<Readonly<Record<string, unknown>>> = []
    const logger = Logger.make<unknown, void>(({ fiber, logLevel, message }) => {
      if (logLevel === "Error") lines.push(String(message))
      if (String(message) === "session ended") ends.push(fiber.getRef(References.CurrentLogAnnotations))
    })
    const world = yield* Effect.provide(make(options), Logger.layer([logger]))
    return { world, lines, ends }
  }
)

/** Turns of the event loop, in which all happens that waits for no clock. */
const turns = Effect.repeat(Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve))), { times: 50 })

/** Logs in, and says something; whatever of it is answered has been. */
const asks = Effect.fnUntraced(function*(who: Connection, ...lines: ReadonlyArray<string>) {
  for (const line of ["CONNECT ann", ...lines]) {
    yield* who.say(Buffer.from(`${line}\n`))
    yield* turns
  }
})

const shutdownDeadline = Duration.seconds(1)

const line = "the store does not answer: 1 session is left behind"

const inTime = <A>(event: Effect.Effect<A>) => patiently(event, () => assert.fail("waited in vain"))

describe("a server whose store never answers", () => {
  for (const method of ["append", "read", "watch", "unwatch", "claim", "kindOf"] as const) {
    it.effect(`stops all the same: ${method}`, () =>
      Effect.gen(function*() {
        const { store } = hanging(method)
        const { ends, lines, world } = yield* logged(inMemory, { store, settings: { shutdownDeadline } })
        yield* asks(yield* world.connect, "SEND red hi", "SYNC red 0")
        const stopping = yield* Effect.forkChild(world.stop)
        for (let second = 0; second < 4; second++) {
          yield* turns
          yield* TestClock.adjust("1 second")
        }
        yield* inTime(Fiber.join(stopping))
        assert.deepStrictEqual(lines, [line])
        assert.strictEqual(ends.length, 1)
      }))
  }

  it.live("stops all the same, over TCP, and says of each session that it was cut", () =>
    Effect.gen(function*() {
      const { asked, store } = hanging("append")
      const settings = { shutdownDeadline: Duration.millis(50) }
      const { ends, lines, world } = yield* logged(overTcp, { store, settings })
      const ann = yield* world.connect
      yield* asks(ann, "SEND red hi")
      yield* inTime(asked)
      yield* inTime(world.stop)
      assert.deepStrictEqual(lines, [line])
      assert.deepStrictEqual([yield* ann.hear, yield* ann.hear], ["ACCEPT", end])
      assert.strictEqual(ends.length, 1)
      assert.deepInclude(ends[0], { user: "ann", why: "cut: shutdown deadline" })
    }))
})
