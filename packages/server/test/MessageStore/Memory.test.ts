import { Message, Name, Timestamp } from "@cpt/schema"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Exit, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Buffer } from "node:buffer"
import { Batch } from "../../src/Batch.ts"
import { MessageStore } from "../../src/MessageStore.ts"
import { layerMemory } from "../../src/MessageStore/Memory.ts"
import { messageStoreSuite } from "../../src/testing/index.ts"

messageStoreSuite("layerMemory", layerMemory(), { bounded: { layer: layerMemory({ messages: 20 }), messages: 20 } })

describe("layerMemory", () => {
  const names = ["ann", "red", "blue"] as const
  const messages = Arbitrary.array(
    Arbitrary.schema(Schema.Struct({
      target: Schema.Literals(names),
      sender: Schema.Literals(["ann", "bob"]),
      length: Schema.Literals([1, 10, 1000, 100_000])
    })),
    { maxLength: 60 }
  )

  /** The texts that are left of a target, and whether the store says that some are gone. */
  const left = Effect.fnUntraced(function*(store: MessageStore["Service"], target: string) {
    const lines: Array<string> = []
    let isMissing = false
    for (let after = Timestamp.epoch, last = false; !last;) {
      const page = yield* store.read(Name.Target.make(target), { after })
      lines.push(...Buffer.from(page.lines).toString().split("\n").slice(0, -1))
      if (page.missingThrough > 0) isMissing = true
      after = page.through
      last = page.last
    }
    return { lines, isMissing }
  })

  it.effect.prop(
    "keeps the newest of all messages, as many as it may, and says of each target whether some are gone",
    [messages],
    ([program]) =>
      Effect.gen(function*() {
        const limits = { messages: 15, bytes: 200_000, resendWindow: 0 }
        const context = yield* Layer.build(Layer.fresh(layerMemory(limits)))
        const store = yield* Effect.provide(MessageStore, context)
        const all: Array<{ readonly target: string; readonly text: string; readonly bytes: number }> = []
        for (const [index, { length, sender, target }] of program.entries()) {
          const text = `${index} ${"x".repeat(length)}`
          const batch = Batch.of([Name.Target.make(target), Message.Message.make(text)])
          yield* store.append(Name.Username.make(sender), batch)
          const [, , , timestamp = ""] = (yield* left(store, target)).lines.at(-1)?.split(" ") ?? []
          all.push({ target, text, bytes: `MSG ${target} ${sender} ${timestamp} ${text}\n`.length + 32 })

          let room = limits.bytes
          const isKept = (index: number) =>
            index >= all.length - limits.messages && (room -= all[index]?.bytes ?? 0) >= 0
          let first = all.length
          while (first > 0 && isKept(first - 1)) first--
          for (const name of names) {
            const { isMissing, lines } = yield* left(store, name)
            const texts = all.slice(first).filter(({ target }) => target === name).map(({ text }) => text)
            assert.deepStrictEqual(lines.map((line) => line.split(" ").slice(4).join(" ")), texts)
            assert.strictEqual(isMissing, all.slice(0, first).some(({ target }) => target === name))
          }
        }
      }),
    { arbitrary: { runs: 50, size: 60 } }
  )

  it.effect("refuses bounds that bound nothing, or that nothing can keep", () =>
    Effect.gen(function*() {
      const refused = [{ messages: -1 }, { bytes: -1 }, { messages: NaN }, { bytes: NaN }, { resendWindow: -1 }]
      for (const limits of refused) {
        const exit = yield* Effect.exit(Layer.build(Layer.fresh(layerMemory(limits))))
        assert.isTrue(Exit.hasDies(exit), JSON.stringify(limits))
      }
      for (const limits of [{ messages: 0 }, { bytes: 0 }]) {
        const store = yield* Effect.provide(MessageStore, yield* Layer.build(Layer.fresh(layerMemory(limits))))
        yield* send(store, "red", "one")
        assert.deepStrictEqual((yield* left(store, "red")).lines, [])
      }
      yield* Layer.build(Layer.fresh(layerMemory({ messages: Infinity, bytes: Infinity })))
    }))

  const send = (store: MessageStore["Service"], name: string, text: string) =>
    store.append(Name.Username.make("ann"), Batch.of([Name.Target.make(name), Message.Message.make(text)]))

  it.effect("bounds names too: the oldest lose their messages, then it is forgotten who they were that had some", () =>
    Effect.gen(function*() {
      const context = yield* Layer.build(Layer.fresh(layerMemory({ bytes: 512 * 1024, resendWindow: 0 })))
      const store = yield* Effect.provide(MessageStore, context)
      const states = Effect.fnUntraced(function*() {
        const all = yield* Effect.forEach(Array.from({ length: 5000 }, (_, n) => `n${n}`), (name) => left(store, name))
        return all.map(({ isMissing, lines }) => lines.length > 0 ? `${lines.length}` : isMissing ? "-" : "")
      })
      for (let n = 0; n < 5000; n++) yield* send(store, `n${n}`, "one")
      const once = yield* states()
      const kept = once.filter((state) => state === "1").length
      assert.strictEqual(kept, 512)
      assert.deepStrictEqual(once, [
        ...Array.from({ length: 5000 - kept }, () => "-"),
        ...Array.from({ length: kept }, () => "1")
      ])
      // A second message makes a name twice as heavy; one that had lost all is like new, and still says so
      for (let n = 4990; n < 5000; n++) yield* send(store, `n${n}`, "two")
      yield* send(store, "n4300", "again")
      const twice = yield* states()
      assert.deepStrictEqual(twice.slice(4990), Array.from({ length: 10 }, () => "2"))
      assert.isTrue((yield* left(store, "n4300")).isMissing)
      const withMessages = twice.filter((state) => state !== "-" && state !== "").length
      assert.strictEqual(withMessages, 10 + (512 * 1024 - 10 * 2048) / 1024)
    }))

  describe("leaves no silent hole where there were more names than it remembers (CPT 5.4)", () => {
    const noon = 1_700_000_000_000
    const g = Name.Name.make("g0")
    const watcher = { tell: () => {} }
    const missing = (store: MessageStore["Service"], target: Name.Name, after: number) =>
      Effect.map(store.read(target, { after: Timestamp.fromMillis(after) }), ({ missingThrough }) => missingThrough)

    /** `g0` has had a message at noon. */
    const forgetful = Effect.gen(function*() {
      const context = yield* Layer.build(Layer.fresh(layerMemory({ bytes: 64 * 1024 })))
      const store = yield* Effect.provide(MessageStore, context)
      yield* TestClock.setTime(noon)
      yield* send(store, "g0", "hello")
      return store
    })
    /** Others have one each, a second later than the one before. */
    const forget = (store: MessageStore["Service"]) =>
      Effect.forEach(
        Array.from({ length: 299 }, (_, n) => `other${n}`),
        (name) => Effect.andThen(TestClock.adjust("1 second"), () => send(store, name, "x".repeat(3000)))
      )

    it.effect("and says so also of a name that is used again, and of one that was only followed meanwhile", () =>
      Effect.gen(function*() {
        const store = yield* forgetful
        assert.strictEqual(yield* missing(store, g, 0), Timestamp.epoch)
        yield* forget(store)
        assert.isAtLeast(yield* missing(store, g, 0), noon)
        yield* store.watch(g, watcher)
        assert.isAtLeast(yield* missing(store, g, 0), noon)
        yield* store.unwatch(g, watcher)
        assert.isAtLeast(yield* missing(store, g, 0), noon)
        yield* send(store, "g0", "again")
        const { isMissing, lines } = yield* left(store, "g0")
        assert.deepStrictEqual([isMissing, lines.length], [true, 1])
      }))

    it.effect("also where somebody followed it until all that was forgotten", () =>
      Effect.gen(function*() {
        const store = yield* forgetful
        yield* store.watch(g, watcher)
        yield* forget(store)
        yield* store.unwatch(g, watcher)
        assert.isAtLeast(yield* missing(store, g, 0), noon)
      }))

    it.effect("but not to who asks from behind it, and not before anything was forgotten", () =>
      Effect.gen(function*() {
        const store = yield* forgetful
        assert.strictEqual(yield* missing(store, Name.Name.make("new"), 0), Timestamp.epoch)
        yield* forget(store)
        const through = yield* missing(store, g, 0)
        assert.strictEqual(yield* missing(store, g, through), Timestamp.epoch)
        assert.isBelow(through, noon + 290_000, "no later than what is forgotten")
      }))

    it.effect("and goes on behind it where the clock was set back (CPT 4.2)", () =>
      Effect.gen(function*() {
        const store = yield* forgetful
        yield* forget(store)
        yield* TestClock.setTime(noon - 3_600_000)
        yield* send(store, "g0", "again")
        const page = yield* store.read(g, { after: Timestamp.fromMillis(noon) })
        assert.strictEqual(page.count, 1)
      }))
  })
})
