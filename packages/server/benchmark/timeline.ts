/**
 * What a delivery costs without sockets: messages into a group that so many follow, until each follower has its bytes.
 *
 *     npx node --conditions=@cpt/source packages/server/benchmark/timeline.ts
 */
import { Message, Name } from "@cpt/schema"
import { Batch, layerMemory, MessageStore } from "@cpt/server"
import { Effect, Layer } from "effect"
import { type Follower, Timelines } from "../src/Timeline.ts"

const seconds = 1
const sender = Name.Username.make("alice")
const target = Name.Target.make("group1")
const text = "x".repeat(64)

const deliveries = (followers: number, messages: number) =>
  Effect.gen(function*() {
    const [store, timelines] = [yield* MessageStore, yield* Timelines]
    let writes = 0
    for (let index = 0; index < followers; index++) {
      const follower: Follower = {
        username: Name.Username.make(`follower${index}`),
        follow: () => {},
        isReady: () => true,
        push: () => {},
        flush: () => {
          writes++
        },
        fallBehind: () => {}
      }
      yield* timelines.follow(target, follower)
    }
    const batches = ["a", "b"].map((mark) =>
      Batch.of(
        ...Array.from({ length: messages }, (_, at) => [target, Message.Message.make(`${mark}${at} ${text}`)] as const)
      )
    )
    const begin = performance.now()
    let ticks = 0
    while (performance.now() - begin < seconds * 1000) {
      yield* store.append(sender, batches[ticks++ % 2] ?? batches[0]!)
      const before = writes
      while (writes === before) yield* Effect.yieldNow
    }
    const nanos = (performance.now() - begin) * 1e6 / (ticks * followers * messages)
    console.log(`to ${followers}, ${messages} a tick: ${nanos.toFixed(0)} ns a delivery`)
  }).pipe(Effect.provide(Layer.provideMerge(Timelines.layer, layerMemory())))

for (const [followers, messages] of [[1, 1], [100, 1], [1000, 1], [100, 64]] as const) {
  await Effect.runPromise(deliveries(followers, messages))
}
