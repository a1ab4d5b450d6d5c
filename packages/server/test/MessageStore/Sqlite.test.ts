import { Message, Name, Timestamp } from "@cpt/schema"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Logger } from "effect"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { MessageStore } from "../../src/MessageStore.ts"
import { layerSqlite } from "../../src/MessageStore/Sqlite.ts"
import { messageStoreSuite } from "../../src/testing/index.ts"

/** A file that is not there yet, in a folder that goes with the test. */
const newFile = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "cpt-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
  ),
  (folder) => join(folder, "messages.db")
)

messageStoreSuite(
  "layerSqlite",
  Layer.unwrap(Effect.map(newFile, (file) => layerSqlite({ file }))),
  { programs: 15 }
)

const opened = (file: string) => Effect.map(Layer.build(layerSqlite({ file })), Context.get(MessageStore))

/** Opens the store, uses it, and closes it. */
const use = <A, E>(file: string, f: (store: MessageStore["Service"]) => Effect.Effect<A, E>) =>
  Effect.scoped(Effect.flatMap(opened(file), f))

const ann = Name.Username.make("ann")
const red = Name.Target.make("red")
const draft = (text: string) => ({ sender: ann, target: red, message: Message.Message.make(text) })
const textsIn = (store: MessageStore["Service"]) =>
  Effect.map(
    store.read(red, { after: Timestamp.epoch }),
    ({ lines }) =>
      Buffer.from(lines).toString().split("\n").slice(0, -1).map((line) => line.split(" ").slice(4).join(" "))
  )

describe("layerSqlite, opened again", () => {
  it.live("has what was stored, and goes on behind it (CPT 4.1, 4.2)", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      yield* use(file, (store) => store.append([draft("1"), draft("2")]))
      const before = yield* use(file, (store) => store.read(red, { after: Timestamp.epoch }))
      yield* use(file, (store) => store.append([draft("3")]))
      const after = yield* use(file, (store) => store.read(red, { after: before.through }))
      assert.isAbove(after.through, before.through)
      assert.deepStrictEqual(yield* use(file, textsIn), ["1", "2", "3"])
    }))

  it.live("takes an equal message of the same sender for a re-send, once (CPT 4.4)", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      yield* use(file, (store) => Effect.andThen(store.append([draft("ok")]), store.confirm(ann)))
      yield* use(file, (store) =>
        Effect.gen(function*() {
          yield* store.append([draft("ok")])
          yield* store.confirm(ann)
          yield* store.append([draft("ok")])
        }))
      assert.deepStrictEqual(yield* use(file, textsIn), ["ok", "ok"])
    }))

  it.live("knows what a name with messages is (CPT 2.2)", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      yield* use(file, (store) => Effect.andThen(store.append([draft("1")]), store.claim(red, "user")))
      assert.strictEqual(yield* use(file, (store) => store.claim(red, "group")), "user")
    }))
})

describe("layerSqlite refuses", () => {
  const whyNot = (file: string) => Effect.map(Effect.flip(Effect.scoped(opened(file))), ({ message }) => message)

  it.live("a database that another server has open", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      yield* opened(file)
      assert.include(yield* whyNot(file), "another server has it open")
    }))

  it.live("what is no database, and leaves it as it is", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      writeFileSync(file, "my diary")
      assert.include(yield* whyNot(file), "not a database")
    }))

  it.live("a database of somebody else, or of a newer version", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      const db = new DatabaseSync(file)
      db.exec("CREATE TABLE diary (page TEXT)")
      assert.include(yield* whyNot(file), "not one of cpt")
      db.exec("DROP TABLE diary; VACUUM; PRAGMA application_id = 0x43505431; PRAGMA user_version = 1000")
      db.close()
      assert.include(yield* whyNot(file), "newer cpt")
    }))
})

describe("layerSqlite, while something else writes to the database", () => {
  it.live("declines what it cannot store, goes on reading, and recovers", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      const store = yield* opened(file)
      yield* store.append([draft("before")])
      const other = new DatabaseSync(file)
      other.exec("BEGIN IMMEDIATE")
      const refused = yield* Effect.exit(store.append([draft("meanwhile")]))
      assert.isTrue(Exit.isFailure(refused))
      assert.deepStrictEqual(yield* textsIn(store), ["before"])
      other.exec("ROLLBACK")
      other.close()
      yield* store.append([draft("after")])
      assert.deepStrictEqual(yield* textsIn(store), ["before", "after"])
    }).pipe(Effect.provide(Logger.layer([]))))
})
