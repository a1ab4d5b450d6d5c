import { assert, describe, it, vi } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Buffer } from "node:buffer"
import { LimitHits } from "../src/LimitHits.ts"
import { Metrics } from "../src/Metrics.ts"
import { defaults } from "../src/ServerConfig.ts"
import { Turns } from "../src/Turns.ts"
import { end, overTcp } from "./support/World.ts"

const make = Effect.gen(function*() {
  const metrics = yield* Metrics
  const config = { ...defaults, maxSyncs: 2 }
  return { config, metrics, turns: new Turns(config, new LimitHits(metrics, () => 0, () => {})) }
})

/** One turn of Node's event loop, behind whatever has been asked for before. */
const oneTurn = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

/** In which turn of the event loop from now on each of these is done, all begun at once. */
const turnsOf = <A>(all: ReadonlyArray<Effect.Effect<A>>) =>
  Effect.suspend(() => {
    let turn = 0
    let isCounting = true
    const count = () => {
      turn++
      if (isCounting) setImmediate(count)
    }
    setImmediate(count)
    return Effect.forEach(all, (one) => Effect.map(one, () => turn), { concurrency: "unbounded" }).pipe(
      Effect.ensuring(Effect.sync(() => {
        isCounting = false
      }))
    )
  })

describe("Turns", () => {
  it.live("lets so much be done in a turn of the event loop, and as much again in the next", () =>
    Effect.gen(function*() {
      const { turns } = yield* make
      const free = () => Array.from({ length: 20 }, () => turns.isFree("login")).filter((isFree) => isFree).length
      assert.strictEqual(free(), 8)
      assert.strictEqual(free(), 0)
      yield* oneTurn
      assert.strictEqual(free(), 8)
    }))

  it.live("goes in the order in which they ask, also for who wants little", () =>
    Effect.gen(function*() {
      const { turns } = yield* make
      const done: Array<number> = []
      const fibers = yield* Effect.forEach(
        Array.from({ length: 6 }, (_, index) => index),
        (index) => Effect.forkChild(Effect.map(turns.next(index === 3 ? "login" : "lines"), () => done.push(index)))
      )
      yield* Effect.yieldNow
      assert.isFalse(turns.isFree("login"))
      yield* Effect.forEach(fibers, Fiber.join)
      assert.deepStrictEqual(done, [0, 1, 2, 3, 4, 5])
    }))

  it.live("lets hundreds who want a small page at once read in turns, and who comes alone at once", () =>
    Effect.gen(function*() {
      const { turns } = yield* make
      const read = turns.page(Effect.sync(() => ({ last: true })))
      assert.deepStrictEqual(yield* turnsOf([read]), [0])
      const seen = yield* turnsOf(Array.from({ length: 200 }, () => read))
      const most = Math.max(...Array.from(Map.groupBy(seen, (turn) => turn).values(), ({ length }) => length))
      assert.isAtMost(most, 2 * 16) // of two turns, where one begins behind the other's count
    }))

  it.live("lets other things happen between two turns", () =>
    Effect.gen(function*() {
      const { turns } = yield* make
      const seen = yield* turnsOf(Array.from({ length: 6 }, () => turns.next("lines")))
      assert.strictEqual(new Set(seen).size, 3)
    }))

  /** A crowd that wants so many turns, and how far it has come. */
  const crowd = (turns: Turns, size: number) =>
    Effect.gen(function*() {
      let done = 0
      yield* Effect.forEach(
        Array.from({ length: size }, () => turns.next("lines")),
        (next) => Effect.forkChild(Effect.map(next, () => done++))
      )
      yield* Effect.yieldNow
      return () => done
    })

  /** The same, with a clock and timers that the test moves. */
  const makeTimed = Effect.acquireRelease(
    Effect.sync(() => vi.useFakeTimers({ toFake: ["setTimeout", "performance"] })),
    () => Effect.sync(() => vi.useRealTimers())
  ).pipe(Effect.andThen(make))

  it.live("leaves time to others, while there are any, where more is wanted than fits into a turn", () =>
    Effect.gen(function*() {
      const { turns } = yield* makeTimed
      turns.serves()
      const done = yield* crowd(turns, 6)
      yield* oneTurn
      assert.strictEqual(done(), 2, "it was not known yet how many there are")
      for (let turn = 0; turn < 10; turn++) yield* oneTurn
      assert.strictEqual(done(), 2)
      vi.advanceTimersByTime(1)
      assert.strictEqual(done(), 3, "less at once, too")
      for (let turn = 0; turn < 10; turn++) yield* oneTurn
      assert.strictEqual(done(), 3)
      turns.hurry()
      vi.advanceTimersByTime(1)
      yield* oneTurn
      assert.strictEqual(done(), 6, "no longer when the server stops")
    }))

  it.live("is no crowd any more when what is wanted fits into a turn again", () =>
    Effect.gen(function*() {
      const { turns } = yield* makeTimed
      turns.serves()
      const done = yield* crowd(turns, 5)
      yield* oneTurn
      yield* oneTurn
      vi.advanceTimersByTime(1)
      assert.strictEqual(done(), 3)
      yield* oneTurn
      vi.advanceTimersByTime(1)
      assert.strictEqual(done(), 4, "the last of three")
      const more = yield* crowd(turns, 1)
      yield* oneTurn
      assert.deepStrictEqual([done(), more()], [5, 1])
    }))

  it.live("has no pause for a crowd beside which nobody has said anything lately", () =>
    Effect.gen(function*() {
      const { turns } = yield* makeTimed
      turns.serves()
      const before = yield* crowd(turns, 3)
      yield* oneTurn
      yield* oneTurn
      vi.advanceTimersByTime(1001)
      assert.strictEqual(before(), 3)
      const done = yield* crowd(turns, 6)
      for (let turn = 0; turn < 3; turn++) yield* oneTurn
      assert.strictEqual(done(), 6)
    }))

  it.live("has none for a few either, who each get a turn at once", () =>
    Effect.gen(function*() {
      const { turns } = yield* makeTimed
      for (let round = 0; round < 5; round++) {
        turns.serves()
        const done = yield* crowd(turns, 2)
        yield* oneTurn
        assert.strictEqual(done(), 2)
      }
    }))

  it.live("is not held up by who has given up", () =>
    Effect.gen(function*() {
      const { turns } = yield* make
      const fibers = yield* Effect.forEach([0, 1, 2, 3, 4], () => Effect.forkChild(turns.next("handshake")))
      yield* Effect.yieldNow
      yield* Fiber.interruptAll(fibers)
      yield* turns.next("handshake")
    }))

  it.live("reads so many pages at once, counts who has to wait, and takes another bound at once", () =>
    Effect.gen(function*() {
      const { config, metrics, turns } = yield* make
      const hits = metrics.limitHits.of("max-syncs")
      let [reading, most] = [0, 0]
      const page = turns.page(Effect.gen(function*() {
        most = Math.max(most, ++reading)
        yield* oneTurn
        reading--
        return { last: true }
      }))
      const read = Effect.forEach(Array.from({ length: 10 }, () => page), (page) => page, { concurrency: "unbounded" })
      yield* read
      assert.strictEqual(most, 2)
      assert.strictEqual(metrics.limitHits.of("max-syncs") - hits, 8)
      config.maxSyncs = 5
      yield* read
      assert.strictEqual(most, 5)
    }))
})

describe("a line without end", () => {
  for (const [who, first] of [["who has logged in", "CONNECT ann\n"], ["a stranger", ""]] as const) {
    it.live(`of ${who} is read in turns`, () =>
      Effect.gen(function*() {
        const world = yield* overTcp({ settings: { byteLimit: Infinity } })
        const [crowd, size] = [8, 4_000_000]
        for (let index = 0; index < crowd; index++) {
          const connection = yield* world.connect
          const login = first.replace("ann", `ann${index}`)
          yield* Effect.forkScoped(connection.say(Buffer.from(login + "x".repeat(size))))
        }
        let [most, before] = [0, world.metrics.receivedBytes]
        while (before < crowd * size) {
          yield* oneTurn
          const now = world.metrics.receivedBytes
          most = Math.max(most, now - before)
          before = now
        }
        // Each may be read once, to wait for its turn then, and two have it
        assert.isAtMost(most, (crowd + 2) * 65_536)
      }))
  }

  it.live("of a crowd is read with a pause after each turn, beside somebody who says something", () =>
    Effect.gen(function*() {
      const world = yield* overTcp({ settings: { byteLimit: Infinity } })
      const ann = yield* world.connect
      yield* ann.say(Buffer.from("CONNECT ann\nSEND g hi\n"))
      for (const line of ["ACCEPT", "ACK"]) assert.strictEqual(yield* ann.hear, line)
      const [begin, before] = [performance.now(), world.metrics.receivedBytes]
      const [crowd, size] = [8, 2_000_000]
      for (let index = 0; index < crowd; index++) {
        const connection = yield* world.connect
        yield* Effect.forkScoped(connection.say(Buffer.alloc(size, "x")))
      }
      while (world.metrics.receivedBytes - before < crowd * size) yield* oneTurn
      // A read is 64 KiB at most, each of the crowd may be read once to wait for its turn then, and two go before it is one
      assert.isAtLeast(performance.now() - begin, crowd * size / 65_536 - crowd - 2)
    }))

  it.live("behind the last word is read over, in turns: what is left unread would become a reset", () =>
    Effect.gen(function*() {
      const world = yield* overTcp()
      const words = "BOGUS\n".repeat(50) + "x".repeat(200_000)
      const crowd = Array.from({ length: 8 }, () =>
        Effect.gen(function*() {
          const connection = yield* world.connect
          yield* Effect.forkScoped(connection.say(Buffer.from(words)))
          for (let line = 0; line < 20; line++) {
            assert.strictEqual(yield* connection.hear, "DECLINE invalid_command")
          }
          assert.strictEqual(yield* connection.hear, end)
        }))
      yield* Effect.all(crowd, { concurrency: "unbounded" })
      while (world.metrics.receivedBytes < crowd.length * words.length) yield* oneTurn
    }))
})
