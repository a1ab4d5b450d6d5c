/** What a server counts: exactly what happened, whatever way it went. */
import { Name } from "@cpt/schema"
import { Batch, layerMemory, layerSqlite, Metrics } from "@cpt/server"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Buffer } from "node:buffer"
import { join } from "node:path"
import { newFolder } from "./support/folder.ts"
import { type Connection, end, overTcp } from "./support/World.ts"

const say = (connection: Connection, ...lines: ReadonlyArray<string>) =>
  connection.say(Buffer.from(lines.map((line) => `${line}\n`).join("")))

const hear = (connection: Connection, lines: number) =>
  Effect.forEach(Array.from({ length: lines }), () => connection.hear)

const stores = {
  "in memory": Effect.succeed(layerMemory()),
  "on disk": Effect.map(newFolder, (folder) => layerSqlite({ file: join(folder, "messages.db") }))
}

describe("Metrics", () => {
  for (const [where, store] of Object.entries(stores)) {
    it.live(`count sessions, logins, messages and deliveries, ${where}`, () =>
      Effect.gen(function*() {
        const { connect, metrics } = yield* overTcp({ store: yield* store })
        const [ann, bob, eve] = [yield* connect, yield* connect, yield* connect]
        yield* say(ann, "CONNECT ann", "SYNC red 0")
        yield* hear(ann, 2)
        yield* say(bob, "CONNECT bob", ...Array.from({ length: 100 }, (_, n) => `SEND red ${n}`), "SEND ann psst")
        yield* hear(bob, 102)
        yield* hear(ann, 101) // live
        yield* say(eve, "CONNECT bob", "CONNECT eve", "SYNC red 0", "SYNC ann 0", "NONSENSE")
        yield* hear(eve, 1 + 1 + 101 + 2 + 1) // what is missing in somebody's inbox is no message
        assert.deepStrictEqual([metrics.connections, metrics.sessions(), metrics.users()], [3, 3, 3])
        assert.deepStrictEqual([metrics.logins.of("accepted"), metrics.logins.of("username_taken")], [3, 1])
        assert.deepStrictEqual(
          [metrics.declines.of("username_taken"), metrics.declines.of("invalid_command")],
          [1, 1]
        )
        assert.deepStrictEqual([metrics.messages, metrics.deliveries, metrics.syncs], [101, 201, 3])
        assert.strictEqual(metrics.ackSeconds.count, 101)
        if (where === "on disk") {
          assert.isAbove(metrics.ackSeconds.sum, 0)
          assert.strictEqual(metrics.commitMessages.sum, 101)
          assert.strictEqual(metrics.commitSeconds.count, metrics.commitMessages.count)
        }
        // Somebody who was not there reads from behind a message, and again but for their own
        yield* ann.cut
        yield* say(bob, "SYNC red 0")
        const [, line = ""] = yield* hear(bob, 101)
        const after = line.split(" ")[3]
        yield* say(eve, `SYNC red ${after}`)
        yield* hear(eve, 99)
        assert.strictEqual(metrics.deliveries, 201 + 100 + 98)
        assert.strictEqual(metrics.sessions(), 2)
      }))
  }

  it.live("count a second CONNECT among the logins, which is none that failed", () =>
    Effect.gen(function*() {
      const settings = { exempt: [], maxFailedLogins: 1 }
      const { connect, metrics } = yield* overTcp({ settings })
      const [ann, bob] = [yield* connect, yield* connect]
      yield* say(ann, "CONNECT ann", "CONNECT eve", "CONNECT ann")
      assert.deepStrictEqual(yield* hear(ann, 3), [
        "ACCEPT",
        "DECLINE already_logged_in",
        "DECLINE already_logged_in"
      ])
      yield* say(bob, "CONNECT bob")
      assert.strictEqual(yield* bob.hear, "ACCEPT") // from the same address
      const { logins } = metrics
      assert.deepStrictEqual([logins.of("accepted"), logins.of("already_logged_in")], [2, 2])
    }))

  it.live("leave out transactions without a message: of a watchdog, or of who gets their name for good", () =>
    Effect.gen(function*() {
      const { connect, metrics, store } = yield* overTcp({ store: yield* stores["on disk"] })
      const observed = () => [metrics.commitSeconds.count, metrics.commitMessages.count, metrics.commitMessages.sum]
      yield* store.append(Name.Username.make("watchdog"), new Batch(Buffer.alloc(0)))
      assert.deepStrictEqual(observed(), [0, 0, 0])
      const [ann, bob] = [yield* connect, yield* connect]
      yield* say(bob, "CONNECT bob", "SEND ann psst")
      yield* hear(bob, 2)
      assert.deepStrictEqual(observed(), [1, 1, 1])
      yield* say(ann, "CONNECT ann")
      assert.strictEqual(yield* ann.hear, "ACCEPT")
      assert.deepStrictEqual(observed(), [1, 1, 1])
    }))

  it.live("count every byte, both ways", () =>
    Effect.gen(function*() {
      const { connect, metrics } = yield* overTcp()
      const ann = yield* connect
      yield* say(ann, "CONNECT ann", "SEND red hi")
      yield* hear(ann, 2)
      assert.deepStrictEqual(
        [metrics.receivedBytes, metrics.sentBytes],
        ["CONNECT ann\nSEND red hi\n".length, "ACCEPT\nACK\n".length]
      )
      yield* ann.halfClose
      assert.strictEqual(yield* ann.hear, end)
    }))

  it("say of each value which bound it is within", () => {
    const histogram = new Metrics.Histogram([1, 10])
    histogram.observe(1)
    histogram.observe(1.5, 3)
    histogram.observe(11)
    assert.deepStrictEqual(
      [histogram.counts, histogram.count, histogram.sum, histogram.min, histogram.max],
      [[1, 3, 1], 5, 16.5, 1, 11]
    )
  })
})
