/** Stores that misbehave, over the one in memory. */
import { Decline } from "@cpt/schema"
import { layerMemory, MessageStore } from "@cpt/server"
import { Effect, Layer } from "effect"

type Store = MessageStore["Service"]

const over = (change: (store: Store) => Partial<Store>): Layer.Layer<MessageStore> =>
  Layer.effect(MessageStore, Effect.map(MessageStore, (store) => MessageStore.of({ ...store, ...change(store) }))).pipe(
    Layer.provide(layerMemory())
  )

const unavailable = Effect.fail(new Decline.StorageUnavailable({}))

/** Cannot store what has a message `fail` in it. */
export const failingAppends = over((store) => ({
  append: (drafts) => drafts.some(({ message }) => message === "fail") ? unavailable : store.append(drafts)
}))

/** Cannot read these targets: `broken` at all, and `half` behind its first page. */
export const failingReads = over((store) => ({
  read: (target, options) =>
    target === "broken" || (target === "half" && options.after > 0) ? unavailable : store.read(target, options)
}))
