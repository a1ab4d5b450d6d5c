/** Who gets a name that several want, when its bearer has gone (CPT 3.2). */
import { Decline, Name } from "@cpt/schema"
import { layerMemory, Metrics } from "@cpt/server"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Latch, Layer } from "effect"
import { TestClock } from "effect/testing"
import { type Bearer, Directory } from "../src/Directory.ts"
import { Timelines } from "../src/Timeline.ts"

const layer = Directory.layer.pipe(
  Layer.provide(Timelines.layer),
  Layer.provide([layerMemory(), Metrics.layer])
)

const name = Name.Username.make("alice")

/** Somebody of whom it takes a while to find out whether they are there. */
const bearer = (presence: "here" | "leaving" | "gone", found: Latch.Latch, deadline?: Duration.Duration) => {
  const cut = { times: 0 }
  const asked = { times: 0 }
  const bearer: Bearer = {
    presence: Effect.suspend(() => {
      asked.times++
      return Effect.as(found.await, presence)
    }),
    cut: Effect.sync(() => {
      cut.times++
    }),
    beforeDeadline: (wait) =>
      deadline === undefined ? wait : Effect.timeoutOrElse(wait, {
        duration: deadline,
        orElse: () => Effect.fail(new Decline.LoginTimeout({}))
      })
  }
  return { bearer, cut, asked }
}

describe("a name whose bearer has gone, and that two others want", () => {
  for (const presence of ["here", "gone"] as const) {
    it.effect(`is the second one's only if the first has gone as well: it is ${presence}`, () =>
      Effect.gen(function*() {
        const directory = yield* Directory
        const found = yield* Latch.make(false)
        const [old, first, second] = [bearer("gone", found), bearer(presence, found), bearer("here", found)]
        yield* directory.enter(name, old.bearer, Exit.void)
        const entering = yield* Effect.forEach(
          [first, second],
          ({ bearer }) => Effect.forkChild(directory.enter(name, bearer, Exit.void), { startImmediately: true })
        )
        yield* found.open
        const [one, two] = yield* Effect.forEach(entering, Fiber.await)
        assert.isTrue(one !== undefined && Exit.isSuccess(one))
        assert.strictEqual(two !== undefined && Exit.isSuccess(two), presence === "gone")
        assert.deepStrictEqual([old.cut.times, first.cut.times], [1, presence === "gone" ? 1 : 0])
      }).pipe(Effect.provide(layer)))
  }
})

describe("a name that several wait for", () => {
  it.effect("is had in the order in which they ask, also when it is free meanwhile", () =>
    Effect.gen(function*() {
      const directory = yield* Directory
      const found = yield* Latch.make(false)
      const [old, first, second] = [bearer("gone", found), bearer("here", found), bearer("here", found)]
      const enters = ({ bearer }: typeof first) =>
        Effect.forkChild(directory.enter(name, bearer, Exit.void), { startImmediately: true })
      yield* directory.enter(name, old.bearer, Exit.void)
      const one = yield* enters(first)
      yield* directory.exit(name, old.bearer)
      const two = yield* enters(second)
      yield* found.open
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(one)))
      assert.isTrue(Exit.isFailure(yield* Fiber.await(two)))
      yield* directory.exit(name, first.bearer)
      yield* directory.enter(name, second.bearer, Exit.void)
    }).pipe(Effect.provide(layer)))

  for (const presence of ["here", "leaving"] as const) {
    it.effect(`is refused to all of them at once: its bearer is ${presence}`, () =>
      Effect.gen(function*() {
        const directory = yield* Directory
        const found = yield* Latch.make(false)
        const old = bearer(presence, found)
        const enters = (count: number) =>
          Effect.forEach(
            Array.from({ length: count }, () => bearer("here", found)),
            ({ bearer }) => Effect.forkChild(directory.enter(name, bearer, Exit.void), { startImmediately: true })
          )
        yield* directory.enter(name, old.bearer, Exit.void)
        const first = yield* enters(1)
        const others = yield* enters(500) // while it is being asked about the bearer, who may have ended since
        yield* found.open
        for (const entering of [...first, ...others]) {
          yield* TestClock.adjust("100 millis")
          assert.deepStrictEqual(yield* Fiber.await(entering), Exit.fail(new Decline.UsernameTaken({})))
        }
        assert.strictEqual(old.asked.times, 2)
        yield* directory.exit(name, old.bearer)
        yield* directory.enter(name, bearer("here", found).bearer, Exit.void)
      }).pipe(Effect.provide(layer)))
  }

  it.effect("is the next one's when its bearer ends, whatever is asked about that one meanwhile", () =>
    Effect.gen(function*() {
      const directory = yield* Directory
      const never = yield* Latch.make(false)
      const [old, first] = [bearer("here", never), bearer("here", never)]
      yield* directory.enter(name, old.bearer, Exit.void)
      const entering = yield* Effect.forkChild(directory.enter(name, first.bearer, Exit.void), {
        startImmediately: true
      })
      assert.strictEqual(old.asked.times, 1)
      yield* directory.exit(name, old.bearer)
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(entering)))
      assert.strictEqual(old.cut.times, 0)
    }).pipe(Effect.provide(layer)))

  it.effect("is waited for no longer than there is for the login (CPT 3.9), and those behind go on", () =>
    Effect.gen(function*() {
      const directory = yield* Directory
      const found = yield* Latch.make(false)
      const [old, first, second] = [bearer("gone", found), bearer("gone", found), bearer("here", found)]
      const late = bearer("here", found, Duration.seconds(10))
      const enters = ({ bearer }: typeof first) =>
        Effect.forkChild(directory.enter(name, bearer, Exit.void), { startImmediately: true })
      yield* directory.enter(name, old.bearer, Exit.void)
      const entering = [yield* enters(first), yield* enters(late), yield* enters(second)]
      yield* TestClock.adjust("10 seconds")
      yield* found.open
      const [one, two, three] = yield* Effect.forEach(entering, Fiber.await)
      assert.isTrue(one !== undefined && Exit.isSuccess(one))
      assert.deepStrictEqual(two, Exit.fail(new Decline.LoginTimeout({})))
      assert.isTrue(three !== undefined && Exit.isSuccess(three))
      assert.deepStrictEqual([first.cut.times, late.cut.times], [1, 0])
    }).pipe(Effect.provide(layer)))

  it.effect("is the next one's as soon as a rule has refused who asked before, and not earlier", () =>
    Effect.gen(function*() {
      const directory = yield* Directory
      const [asked, found] = [yield* Latch.make(false), yield* Latch.make(true)]
      const refused = Effect.andThen(asked.await, Effect.fail("no" as const))
      const [first, second, third] = [bearer("here", found), bearer("here", found), bearer("here", found)]
      const enters = ({ bearer }: typeof first, rule: Effect.Effect<void, "no">) =>
        Effect.forkChild(directory.enter(name, bearer, rule), { startImmediately: true })
      const one = yield* enters(first, refused)
      const two = yield* enters(second, Exit.fail("no" as const))
      const three = yield* enters(third, Exit.void)
      assert.deepStrictEqual(yield* Fiber.await(two), Exit.fail("no" as const))
      assert.isUndefined(three.pollUnsafe())
      yield* asked.open
      assert.deepStrictEqual(yield* Fiber.await(one), Exit.fail("no" as const))
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(three)))
    }).pipe(Effect.provide(layer)))
})
