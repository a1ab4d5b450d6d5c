/** Stores that misbehave, over the one in memory. */
import { Decline, Timestamp } from "@cpt/schema"
import { layerMemory, MessageStore } from "@cpt/server"
import { Clock, Effect, Layer } from "effect"

type Store = MessageStore["Service"]

/** The one in memory, of which some methods are others. */
export const over = (change: (store: Store) => Partial<Store>): Layer.Layer<MessageStore> =>
  Layer.effect(MessageStore, Effect.map(MessageStore, (store) => MessageStore.of({ ...store, ...change(store) }))).pipe(
    Layer.provide(layerMemory())
  )

const unavailable = Effect.fail(new Decline.StorageUnavailable({}))

/** Cannot store what has a message `fail` in it. */
export const failingAppends = over((store) => ({
  append: (sender, batch) =>
    Array.from({ length: batch.count }, (_, at) => batch.bytes.toString("utf8", batch.starts[at], batch.ends[at]))
        .includes("fail")
      ? unavailable
      : store.append(sender, batch)
}))

/** Stores nothing before the gate is open, and says how many messages it is given at a time. */
export const gated = (gate: Effect.Effect<void>, given: (messages: number) => void) =>
  over((store) => ({
    append: (sender, batch) => {
      given(batch.count)
      const copy = batch.copy()
      return Effect.andThen(gate, Effect.suspend(() => store.append(sender, copy)))
    }
  }))

/** Cannot read these targets: `broken` at all, and `half` behind its first page. */
export const failingReads = over((store) => ({
  read: (target, options) =>
    target === "broken" || (target === "half" && options.after > 0) ? unavailable : store.read(target, options)
}))

/** Cannot be read between these two times. */
export const failingReadsBetween = (from: number, to: number) =>
  over((store) => ({
    read: (target, options) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) =>
        now >= from && now < to ? unavailable : store.read(target, options))
  }))

/** As far away as a database can be: what it is asked it does at once, but the answer takes a second. */
export const distant = over((store) => ({
  read: (target, options) => Effect.delay(store.read(target, options), "1 second"),
  kindOf: (name) => Effect.tap(store.kindOf(name), Effect.sleep("1 second")),
  claim: (name, kind) => Effect.tap(store.claim(name, kind), Effect.sleep("1 second")),
  watch: (target, watcher) => Effect.tap(store.watch(target, watcher), Effect.sleep("1 second"))
}))

/** Gives its messages one at a time, a second each. */
export const lineByLine = over((store) => ({
  read: (target, options) =>
    Effect.delay(
      Effect.map(store.read(target, options), (page) => {
        const end = page.lines.indexOf(10) + 1
        const [, , , timestamp] = Buffer.from(page.lines.subarray(0, end)).toString().split(" ")
        return end === page.lines.length || timestamp === undefined ? page : {
          ...page,
          lines: page.lines.subarray(0, end),
          count: 1,
          through: Timestamp.fromMillis(Number(timestamp)),
          last: false
        }
      }),
      "1 second"
    )
}))
