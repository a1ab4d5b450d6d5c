/** What a re-send is over a server that stops and starts again, and over a disk that takes its time (CPT 3.2, 4.4). */
import { layerMemory, layerSqlite, MessageStore } from "@cpt/server"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Latch, Layer } from "effect"
import { join } from "node:path"
import { newFolder } from "./support/folder.ts"
import { type Connection, end, overTcp, type World } from "./support/World.ts"

const say = (connection: Connection, lines: string) => connection.say(Buffer.from(lines))

/** Hears these lines, one after the other. */
const hears = Effect.fnUntraced(function*(connection: Connection, ...lines: ReadonlyArray<string>) {
  for (const line of lines) assert.strictEqual((yield* connection.hear).replace(/\d{13}/, "<t>"), line)
})

/** Logs in and sends, and hears the ACK. */
const sent = Effect.fnUntraced(function*(world: World, ...texts: ReadonlyArray<string>) {
  const alice = yield* world.connect
  yield* say(alice, "CONNECT alice\n")
  yield* hears(alice, "ACCEPT")
  for (const text of texts) {
    yield* say(alice, `SEND g ${text}\n`)
    yield* hears(alice, "ACK")
  }
  return alice
})

const synced = Effect.fnUntraced(function*(world: World, count: number) {
  const bob = yield* world.connect
  yield* say(bob, "CONNECT bob\nSYNC g 0\n")
  yield* hears(bob, "ACCEPT", ...Array.from({ length: count }, () => "MSG g alice <t> ok"), "ENDSYNC")
})

const file = Effect.map(
  newFolder,
  (folder) => join(folder, "messages.db")
)

describe("CPT 4.4: a server that has stopped and started again", () => {
  it.live("knows whose ACK was seen: of whoever ended in good order when it stopped", () =>
    Effect.gen(function*() {
      const store = layerSqlite({ file: yield* file })
      yield* Effect.scoped(Effect.gen(function*() {
        const world = yield* overTcp({ store })
        const alice = yield* sent(world, "ok")
        yield* Effect.all([
          world.stop,
          Effect.andThen(hears(alice, "DECLINE shutting_down", end), alice.halfClose)
        ], { concurrency: 2 })
      }))
      const world = yield* overTcp({ store })
      yield* sent(world, "ok")
      yield* synced(world, 2)
    }))

  it.live("takes an equal message for a re-send where the connection had broken", () =>
    Effect.gen(function*() {
      const store = layerSqlite({ file: yield* file })
      yield* Effect.scoped(Effect.gen(function*() {
        const world = yield* overTcp({ store })
        const alice = yield* sent(world, "ok")
        yield* alice.cut
        yield* world.stop
      }))
      const world = yield* overTcp({ store })
      const alice = yield* sent(world, "ok")
      yield* synced(world, 1)
      yield* say(alice, "SEND g ok\n") // the ACK of that one was seen
      yield* hears(alice, "ACK")
      yield* say(alice, "SYNC g 0\n")
      yield* hears(alice, "MSG g alice <t> ok", "MSG g alice <t> ok", "ENDSYNC")
    }))
})

describe("CPT 3.2: a name whose bearer is gone while its last message is being stored", () => {
  it.live("is free at once, and the message, sent again, is stored once", () =>
    Effect.gen(function*() {
      const disk = yield* Latch.make(false)
      const slow = Layer.effect(
        MessageStore,
        Effect.map(MessageStore, (store) =>
          MessageStore.of({
            ...store,
            append: (sender, batch) => {
              const kept = batch.copy()
              return Effect.andThen(disk.await, Effect.suspend(() => store.append(sender, kept)))
            }
          }))
      ).pipe(Layer.provide(layerMemory()))
      const world = yield* overTcp({ store: slow })
      const gone = yield* sent(world)
      yield* say(gone, "SEND g ok\n")
      const bob = yield* world.connect
      yield* say(bob, "CONNECT alice\n")
      yield* hears(bob, "DECLINE username_taken") // while it is there
      yield* Effect.forkScoped(gone.cut)
      const again = yield* sent(world)
      yield* say(again, "SEND g ok\n")
      yield* disk.open
      yield* hears(again, "ACK")
      yield* synced(world, 1)
    }))
})

describe("CPT 4.4: a session whose name has gone to the next connection of its user", () => {
  it.live("carries out nothing more: what was said again there would be stored twice", () =>
    Effect.gen(function*() {
      const disk = yield* Latch.make(false)
      let claims = 0
      const slow = Layer.effect(
        MessageStore,
        Effect.map(MessageStore, (store) =>
          MessageStore.of({
            ...store,
            claim: (name, kind) => {
              const claimed = store.claim(name, kind)
              return claims++ === 0 ? Effect.andThen(disk.await, claimed) : claimed
            }
          }))
      ).pipe(Layer.provide(layerMemory()))
      const world = yield* overTcp({ store: slow })
      const gone = yield* world.connect
      yield* say(gone, "CONNECT alice\nSEND g ok\n")
      const bob = yield* world.connect
      yield* say(bob, "CONNECT alice\n")
      yield* hears(bob, "DECLINE username_taken") // so the first one is being logged in
      const cutting = yield* Effect.forkScoped(gone.cut)
      const again = yield* sent(world, "ok", "ok")
      yield* say(again, "SYNC\n") // so the last ACK was seen
      yield* hears(again, "ENDSYNC")
      yield* disk.open
      yield* Fiber.join(cutting)
      yield* synced(world, 2)
    }))
})
