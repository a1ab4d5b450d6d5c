import { Message, Name, Timestamp } from "@cpt/schema"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Effect, Exit, Fiber, Layer, Logger, Schedule } from "effect"
import { TestClock } from "effect/testing"
import { execFileSync } from "node:child_process"
import { hash } from "node:crypto"
import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync
} from "node:fs"
import { dirname, join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { Batch } from "../../src/Batch.ts"
import * as Database from "../../src/Database.ts"
import { type Appended, MessageStore } from "../../src/MessageStore.ts"
import { layerSqlite, type Options } from "../../src/MessageStore/Sqlite.ts"
import { messageStoreSuite } from "../../src/testing/index.ts"
import { jumpingClock } from "../../src/testing/JumpingClock.ts"
import { newFolder } from "../support/folder.ts"

/** A file that is not there yet, in a folder that goes with the test. */
const newFile = Effect.map(
  newFolder,
  (folder) => join(folder, "messages.db")
)

messageStoreSuite(
  "layerSqlite",
  Layer.unwrap(Effect.map(newFile, (file) => layerSqlite({ file }))),
  { programs: 15 }
)

type Settings = Omit<Options, "file">

const opened = (file: string, settings: Settings = {}) =>
  Effect.map(Layer.build(layerSqlite({ file, ...settings })), Context.get(MessageStore))

/** Opens the store, uses it, and closes it. */
const use = <A, E>(file: string, f: (store: MessageStore["Service"]) => Effect.Effect<A, E>, settings: Settings = {}) =>
  Effect.scoped(Effect.flatMap(opened(file, settings), f))

const [ann, bob] = [Name.Username.make("ann"), Name.Username.make("bob")]
const [red, blue] = [Name.Target.make("red"), Name.Target.make("blue")]
const draft = (text: string, target = red, sender = ann) => ({ sender, target, message: Message.Message.make(text) })
/** One after the other, those of each sender in one go. */
const append = (store: MessageStore["Service"], drafts: ReadonlyArray<ReturnType<typeof draft>>) =>
  Effect.forEach(
    [...Map.groupBy(drafts, ({ sender }) => sender)],
    ([sender, drafts]) =>
      store.append(sender, Batch.of(...drafts.map(({ message, target }) => [target, message] as const))),
    {
      discard: true
    }
  )
const drafts = (count: number, from = 0) =>
  Array.from({ length: count }, (_, index) => draft(`message ${from + index}`))

const textsOf = (lines: Uint8Array) =>
  Buffer.from(lines).toString().split("\n").slice(0, -1).map((line) => line.split(" ").slice(4).join(" "))

/** All that a store has of a target, and up to where something is missing. */
const all = Effect.fnUntraced(function*(store: MessageStore["Service"], target = red) {
  const texts: Array<string> = []
  let missing = 0
  for (let after = Timestamp.epoch, last = false; !last;) {
    const page = yield* store.read(target, { after })
    texts.push(...textsOf(page.lines))
    missing = Math.max(missing, page.missingThrough)
    after = page.through
    last = page.last
  }
  return { texts, missing }
})
const textsIn = (store: MessageStore["Service"]) => Effect.map(all(store), ({ texts }) => texts)

/** What the store does by itself, when there is time for it. */
const eventually = <A, E>(look: Effect.Effect<A, E>, isThere: (found: A) => boolean) =>
  Effect.repeat(look, { until: isThere, schedule: Schedule.spaced("20 millis") })

/** The database and its log, as they are now: what is left when the process is killed. */
const copyOf = Effect.fnUntraced(function*(file: string) {
  const copy = yield* newFile
  copyFileSync(file, copy)
  copyFileSync(`${file}-wal`, `${copy}-wal`)
  return copy
})

/** Opens the database beside the store. */
const beside = <A>(file: string, f: (db: DatabaseSync) => A): A => {
  const db = new DatabaseSync(file)
  try {
    return f(db)
  } finally {
    db.close()
  }
}

/** Nothing is wrong with the database. */
const isRight = (file: string) =>
  Effect.map(Database.check(file), (report) => {
    assert.deepStrictEqual(report.problems, [])
    return report
  })

describe("layerSqlite, opened again", () => {
  it.live("has what was stored, and goes on behind it (CPT 4.1, 4.2)", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      yield* use(file, (store) => append(store, [draft("1"), draft("2")]))
      const before = yield* use(file, (store) => store.read(red, { after: Timestamp.epoch }))
      yield* use(file, (store) => append(store, [draft("3")]))
      const after = yield* use(file, (store) => store.read(red, { after: before.through }))
      assert.isAbove(after.through, before.through)
      assert.deepStrictEqual(yield* use(file, textsIn), ["1", "2", "3"])
      yield* isRight(file)
    }))

  it.live("knows a re-send whose ACK was not seen, also after it was stopped in good order (CPT 4.4)", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      yield* use(file, (store) => append(store, [draft("ok")]))
      yield* use(file, (store) =>
        Effect.gen(function*() {
          yield* append(store, [draft("ok")])
          yield* store.confirm(ann)
          yield* append(store, [draft("ok")])
        }))
      assert.deepStrictEqual(yield* use(file, textsIn), ["ok", "ok"])
    }))

  it.live("stopped in good order, takes an equal message for a new one where the ACK was seen (CPT 4.4)", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      const sayOk = (store: MessageStore["Service"]) => Effect.andThen(append(store, [draft("ok")]), store.confirm(ann))
      yield* use(file, sayOk)
      yield* use(file, sayOk)
      assert.deepStrictEqual(yield* use(file, textsIn), ["ok", "ok"])
    }))

  it.live("after a crash, takes each sender's last message for unconfirmed, and no other (CPT 4.4)", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      const store = yield* opened(file)
      yield* append(store, [draft("no"), draft("ok"), draft("hi", blue, bob)])
      yield* store.confirm(ann)
      yield* store.confirm(bob)
      yield* append(store, [draft("to let the confirmations through", blue, Name.Username.make("carol"))])
      // Before and after what is recent has been brought to its place
      const isInPlace = eventually(
        Effect.sync(() => beside(file, (db) => db.prepare("SELECT count(*) AS count FROM recent").get()?.["count"])),
        (count) => count === 0
      )
      for (const wait of [Effect.void, isInPlace]) {
        yield* wait
        const copy = yield* copyOf(file)
        yield* use(copy, (store) =>
          Effect.gen(function*() {
            yield* append(store, [draft("ok"), draft("hi", blue, bob)])
            yield* append(store, [draft("no")])
            assert.deepStrictEqual(yield* textsIn(store), ["no", "ok", "no"])
            assert.strictEqual((yield* all(store, blue)).texts.length, 2)
          }))
        yield* isRight(copy)
      }
    }))

  it.live("knows what a name with messages is (CPT 2.2)", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      yield* use(file, (store) =>
        Effect.gen(function*() {
          yield* append(store, [draft("1"), draft("2", blue)])
          yield* store.claim(red, "user")
          yield* store.claim(blue, "group")
          // Whoever follows does not wait for the disk; what comes next carries it there
          yield* append(store, [draft("3", blue)])
        }))
      yield* use(file, (store) =>
        Effect.gen(function*() {
          assert.strictEqual(yield* store.claim(red, "group"), "user")
          assert.strictEqual(yield* store.claim(blue, "user"), "group")
        }))
    }))

  it.live("has all that was committed, whatever had become of it by then", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      const store = yield* opened(file)
      const copies: Array<readonly [file: string, count: number]> = []
      for (let count = 0; count < 5000; count += 500) {
        yield* append(store, drafts(500, count))
        copies.push([yield* copyOf(file), count + 500])
      }
      yield* Effect.forEach(
        copies,
        Effect.fnUntraced(function*([copy, count]) {
          assert.deepStrictEqual(yield* use(copy, textsIn), drafts(count).map(({ message }) => message))
          assert.strictEqual((yield* isRight(copy)).messages, count)
        })
      )
    }), 60_000)
})

describe("layerSqlite, of the re-sends of who sent something before it was started (CPT 4.4)", () => {
  const noon = 1_700_000_000_000
  const resendWindow = 1000
  const ok = draft("ok")
  const oks = (store: MessageStore["Service"]) => Effect.map(textsIn(store), ({ length }) => length)

  /** A message is a re-send for so long, to the millisecond, and one that comes then is not. */
  const knowsFor = (store: MessageStore["Service"], millis: number) =>
    Effect.gen(function*() {
      const before = yield* oks(store)
      yield* TestClock.adjust(millis)
      yield* append(store, [ok])
      assert.strictEqual(yield* oks(store), before, "a re-send")
      yield* TestClock.adjust(1)
      yield* append(store, [ok])
      assert.strictEqual(yield* oks(store), before + 1, "a new message")
    })

  it.effect("after a crash knows them for no longer than the window, also where its timestamps were ahead of the clock", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      yield* TestClock.setTime(noon)
      yield* use(file, (store) => append(store, [draft("hi", blue, bob)]))
      beside(file, (db) =>
        db.exec(`
          INSERT INTO recent (lines) VALUES (CAST('MSG red ann ${noon + 56_000} ok' || char(10) AS BLOB));
          UPDATE state SET is_clean = 0`))
      yield* use(file, (store) => knowsFor(store, resendWindow), { resendWindow })
    }))

  it.effect("knows them for no longer than the window where they are from a time that is yet to come", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      yield* TestClock.setTime(noon)
      yield* use(file, (store) => append(store, [ok]))
      yield* TestClock.setTime(noon - 3_600_000)
      yield* use(file, (store) => knowsFor(store, resendWindow), { resendWindow })
    }))

  it.effect("knows them for the rest of the window, whatever the clock is set to once it runs", () =>
    Effect.gen(function*() {
      for (const millis of [-3_600_000, 7_200_000]) {
        const file = yield* newFile
        yield* TestClock.setTime(noon)
        yield* use(file, (store) => append(store, [ok]))
        yield* TestClock.setTime(noon + 300)
        const { clock, jump } = yield* jumpingClock
        yield* use(
          file,
          (store) => Effect.andThen(jump(millis), knowsFor(store, resendWindow - 300)),
          { resendWindow }
        ).pipe(Effect.provideService(Clock.Clock, clock))
      }
    }))

  it.effect("writes the time of day, so that the next one knows how long ago it was", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      yield* TestClock.setTime(noon)
      const { clock, jump } = yield* jumpingClock
      yield* Effect.gen(function*() {
        yield* use(file, (store) => Effect.andThen(jump(7_200_000), append(store, [ok])))
        yield* TestClock.adjust(300)
        yield* use(file, (store) => knowsFor(store, resendWindow - 300), { resendWindow })
      }).pipe(Effect.provideService(Clock.Clock, clock))
    }))

  it.effect("and of who sent something since, however many names are in use, and whatever the clock is set to", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      yield* TestClock.setTime(noon)
      const { clock, jump } = yield* jumpingClock
      yield* Effect.gen(function*() {
        const store = yield* opened(file, { resendWindow })
        yield* TestClock.adjust(2 * resendWindow)
        yield* append(store, [ok])
        for (let from = 0; from < 52_000; from += 4000) {
          yield* append(
            store,
            Array.from({ length: 4000 }, (_, index) => draft("hi", Name.Target.make(`red${from + index}`), bob))
          )
        }
        yield* jump(7_200_000)
        yield* append(store, [draft("ho", blue, bob)])
        yield* knowsFor(store, resendWindow)
      }).pipe(Effect.provideService(Clock.Clock, clock))
    }))
})

describe("layerSqlite, with a database of version 1", () => {
  it.live("brings it up to date, with all that is in it", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      const now = Date.now()
      beside(file, (db) =>
        db.exec(`
          PRAGMA journal_mode = WAL;
          CREATE TABLE names (
            id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, kind INTEGER NOT NULL, head INTEGER NOT NULL,
            missing INTEGER NOT NULL, last_target INTEGER, last_timestamp INTEGER
          ) STRICT;
          CREATE TABLE messages (
            target INTEGER NOT NULL, timestamp INTEGER NOT NULL, sender INTEGER NOT NULL, message TEXT NOT NULL,
            PRIMARY KEY (target, timestamp)
          ) WITHOUT ROWID, STRICT;
          INSERT INTO names VALUES (1, 'red', 3, ${now}, 0, NULL, NULL), (2, 'ann', 0, 0, 0, 1, ${now}),
            (3, 'blue', 1, 5, 0, NULL, NULL);
          INSERT INTO messages VALUES (1, 7, 2, 'first'), (1, ${now}, 2, 'é'), (3, 5, 2, 'to blue');
          PRAGMA application_id = 0x43505431;
          PRAGMA user_version = 1`))
      yield* use(file, (store) =>
        Effect.gen(function*() {
          assert.deepStrictEqual(yield* textsIn(store), ["first", "é"])
          assert.strictEqual(yield* store.kindOf(red), "group")
          assert.strictEqual(yield* store.kindOf(blue), "open")
          yield* append(store, [draft("é")]) // a re-send
          yield* append(store, [draft("next")])
          assert.deepStrictEqual(yield* textsIn(store), ["first", "é", "next"])
        }))
      const { bytes, groups, messages, open } = yield* isRight(file)
      assert.deepStrictEqual({ bytes, groups, messages, open }, { bytes: 18, groups: 1, messages: 4, open: 1 })
      assert.strictEqual(beside(file, (db) => db.prepare("PRAGMA auto_vacuum").get()?.["auto_vacuum"]), 2)
    }))
})

describe("layerSqlite, with a database of version 3", () => {
  it.live("brings it up to date, with nothing declared in it", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      yield* use(file, (store) => append(store, drafts(3)))
      beside(file, (db) => db.exec("DROP TABLE declared; PRAGMA user_version = 3"))
      assert.match((yield* Database.check(file)).problems.join(), /^version: it is of an older cpt/)
      yield* use(file, (store) =>
        Effect.gen(function*() {
          assert.deepStrictEqual(yield* textsIn(store), drafts(3).map(({ message }) => message))
        }))
      const { accounts, declaredGroups, messages } = yield* isRight(file)
      assert.deepStrictEqual({ accounts, declaredGroups, messages }, { accounts: 0, declaredGroups: 0, messages: 3 })
    }))
})

describe("a name that SQLite would take for something else", () => {
  /** The folder in which relative names are, until the test is over. */
  const within = Effect.gen(function*() {
    const folder = yield* newFolder
    const before = process.cwd()
    yield* Effect.acquireRelease(
      Effect.sync(() => process.chdir(folder)),
      () => Effect.sync(() => process.chdir(before))
    )
    return folder
  })

  for (const file of [":memory:", "file:x.db", "file:x.db?mode=memory", "a%20b", "a#b"]) {
    it.live(`is that of a file: ${file}`, () =>
      Effect.gen(function*() {
        const folder = yield* within
        yield* use(file, (store) => append(store, drafts(3)))
        assert.deepStrictEqual(yield* use(file, textsIn), drafts(3).map(({ message }) => message))
        yield* Database.backup(file, `file:copy of ${file}`)
        for (const name of [file, `file:copy of ${file}`]) {
          assert.deepInclude(yield* Database.check(name), { messages: 3, problems: [] })
        }
        const names = readdirSync(folder).filter((name) => !/-(wal|shm)$/.test(name))
        assert.deepStrictEqual(names.toSorted(), [file, `${file}.lock`, `file:copy of ${file}`].toSorted())
      }))
  }

  it.live("is refused where it is none", () =>
    Effect.gen(function*() {
      const folder = yield* within
      const failures = yield* Effect.all([
        Effect.flip(Effect.scoped(opened(""))),
        Effect.flip(Database.check("")),
        Effect.flip(Database.backup("", "copy")),
        Effect.flip(Database.backup("x.db", ""))
      ])
      for (const { message } of failures) assert.include(message, "it has no name: expected that of a file")
      assert.deepStrictEqual(readdirSync(folder), [])
    }))
})

describe("layerSqlite refuses", () => {
  const whyNot = (file: string) => Effect.map(Effect.flip(Effect.scoped(opened(file))), ({ message }) => message)

  /** All files beside a database, but for the lock. */
  const files = (file: string) =>
    readdirSync(dirname(file)).filter((name) => !name.endsWith(".lock")).map((name) =>
      [name, name.endsWith("-shm") ? "" : hash("sha1", readFileSync(join(dirname(file), name)))] as const
    )

  const refuses = Effect.fnUntraced(function*(file: string, why: string) {
    const before = files(file)
    assert.include(yield* whyNot(file), why)
    assert.deepStrictEqual(files(file), before, "it is left as it was")
  })

  it.live("a database that another server has open", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      yield* opened(file)
      assert.include(yield* whyNot(file), "another server has it open")
    }))

  it.effect("bounds that nothing can keep", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      const refused: ReadonlyArray<readonly [string, Settings]> = [
        ["cache", { cache: -1 }],
        ["resendWindow", { resendWindow: NaN }],
        ["keep.messages", { keep: { messages: -1 } }],
        ["keep.bytes", { keep: { bytes: NaN } }],
        ["keep.age", { keep: { age: -1 } }]
      ]
      for (const [name, settings] of refused) {
        const { message } = yield* Effect.flip(Effect.scoped(opened(file, settings)))
        assert.match(message, new RegExp(`: ${name} is (-1|NaN): expected 0 or more$`))
      }
      assert.isFalse(existsSync(file))
    }))

  it.live("what is no database", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      writeFileSync(file, "my diary")
      yield* refuses(file, "not a database")
      writeFileSync(file, "my diary ".repeat(10_000))
      yield* refuses(file, "not a database")
    }))

  it.live("a database of somebody else, or of a newer version, also with a log that nobody has closed", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      const db = new DatabaseSync(file)
      db.exec("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE diary (page TEXT)")
      yield* refuses(yield* copyOf(file), "not one of cpt")
      db.exec("DROP TABLE diary; PRAGMA application_id = 0x43505431; PRAGMA user_version = 1000")
      yield* refuses(yield* copyOf(file), "newer cpt")
      db.close()
      yield* refuses(file, "newer cpt")
    }))

  it.live("a database that is damaged", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      yield* use(file, (store) => append(store, drafts(2000)))
      const size = statSync(file).size
      const leaf = "SELECT pageno FROM dbstat WHERE name = 'blocks' AND pagetype = 'leaf' LIMIT 1 OFFSET 3"
      const page = Number(beside(file, (db) => db.prepare(leaf).get()?.["pageno"]))
      for (const damage of ["cut off", "overwritten", "without its end"] as const) {
        const copy = yield* newFile
        copyFileSync(file, copy)
        if (damage === "cut off") truncateSync(copy, 4096 * 3)
        else if (damage === "without its end") truncateSync(copy, size - 4096)
        else {
          const bytes = readFileSync(copy)
          bytes.fill(0x55, 4096 * (page - 1), 4096 * page)
          writeFileSync(copy, bytes)
        }
        yield* refuses(copy, "damaged")
      }
    }))

  it.live("to begin anew where only the log of a database is left", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      writeFileSync(`${file}-wal`, "all that is left")
      yield* refuses(file, "messages.db-wal is there")
    }))

  it.live.skipIf(process.platform === "win32")(
    "a link to what is not there, as on a volume that is not mounted",
    () =>
      Effect.gen(function*() {
        const [link, file] = [yield* newFile, yield* newFile]
        symlinkSync(file, link)
        assert.include(yield* whyNot(link), "a link to what is not there")
        assert.include((yield* Effect.flip(Database.check(link))).message, "a link to what is not there")
        assert.strictEqual(readlinkSync(link), file)
        assert.deepStrictEqual(readdirSync(dirname(file)), [])
      })
  )

  it.live.skipIf(process.platform === "win32")(
    "what is no regular file; check and backup too",
    () =>
      Effect.gen(function*() {
        const [directory, pipe] = [yield* newFile, yield* newFile]
        mkdirSync(directory)
        execFileSync("sh", ["-c", "mkfifo \"$0\"", pipe])
        for (const [file, why] of [[directory, "it is a directory"], [pipe, "it is no regular file"]] as const) {
          assert.include(yield* whyNot(file), why)
          assert.include((yield* Effect.flip(Database.check(file))).message, why)
          assert.include((yield* Effect.flip(Database.backup(file, `${file}.copy`))).message, why)
        }
        assert.isTrue(lstatSync(directory).isDirectory())
        assert.isTrue(lstatSync(pipe).isFIFO())
      })
  )

  it.live("a lock that is something else, and names it", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      yield* use(file, (store) => append(store, drafts(3)))
      writeFileSync(`${file}.lock`, "my diary ".repeat(1000))
      assert.include(yield* whyNot(file), `${file}.lock should be empty, and something else is in it`)
      rmSync(`${file}.lock`)
      mkdirSync(`${file}.lock`)
      assert.include(yield* whyNot(file), `it cannot be locked with ${file}.lock`)
    }))
})

describe.skipIf(process.platform === "win32")("layerSqlite, on a link", () => {
  it.live("works with what it leads to, as one server of it", () =>
    Effect.gen(function*() {
      const [link, file] = [yield* newFile, yield* newFile]
      yield* use(file, (store) => append(store, drafts(3)))
      symlinkSync(file, link)
      const store = yield* opened(link)
      yield* append(store, drafts(1, 3))
      const second = yield* Effect.flip(Effect.scoped(opened(file)))
      assert.include(second.message, "another server has it open")
      assert.deepStrictEqual(yield* textsIn(store), drafts(4).map(({ message }) => message))
      assert.strictEqual(readlinkSync(link), file)
    }))

  it.live("makes the database where it leads, if there is an empty file", () =>
    Effect.gen(function*() {
      const [link, file] = [yield* newFile, yield* newFile]
      writeFileSync(file, "")
      symlinkSync(file, link)
      yield* use(link, (store) => append(store, drafts(3)))
      assert.strictEqual(readlinkSync(link), file)
      assert.strictEqual((yield* isRight(file)).messages, 3)
    }))
})

// On Windows a file that is open cannot be moved
describe.skipIf(process.platform === "win32")("layerSqlite, when its files are taken away", () => {
  for (const what of ["", "-wal"]) {
    it.live(`declines what nobody would find again, until messages.db${what} is back (CPT 4.1)`, () =>
      Effect.gen(function*() {
        const errors: Array<string> = []
        const logger = Logger.make(({ logLevel, message }) => {
          if (logLevel === "Error") errors.push(String(message))
        })
        const file = yield* newFile
        const taken = `${file}${what}`
        yield* Effect.gen(function*() {
          const store = yield* opened(file)
          yield* append(store, [draft("before")])
          renameSync(taken, `${file}.moved`)
          assert.isTrue(Exit.isFailure(yield* Effect.exit(append(store, [draft("gone")]))))
          assert.include(store.failure() ?? "", `${taken} was removed or replaced`)
          if (what === "") {
            copyFileSync(`${file}.moved`, file) // another file, with the same in it
            assert.isTrue(Exit.isFailure(yield* Effect.exit(append(store, [draft("gone")]))))
          }
          assert.deepStrictEqual(yield* textsIn(store), ["before"])
          renameSync(`${file}.moved`, taken)
          yield* append(store, [draft("after")])
          assert.isUndefined(store.failure())
          assert.deepStrictEqual(yield* textsIn(store), ["before", "after"])
        }).pipe(Effect.scoped, Effect.provide(Logger.layer([logger])))
        assert.lengthOf(errors, 1)
        assert.include(errors[0], `${taken} was removed or replaced`)
        assert.deepStrictEqual(yield* use(file, textsIn), ["before", "after"])
        yield* isRight(file)
      }))
  }

  it.live("is not well, also while nobody sends", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      const store = yield* opened(file)
      yield* append(store, [draft("before")])
      renameSync(file, `${file}.moved`)
      const failure = yield* eventually(Effect.sync(() => store.failure()), (failure) => failure !== undefined)
      assert.include(failure ?? "", `${file} was removed or replaced`)
      renameSync(`${file}.moved`, file)
      yield* eventually(Effect.sync(() => store.failure()), (failure) => failure === undefined)
    }).pipe(Effect.provide(Logger.layer([]))))
})

/** Nothing is committed meanwhile: within the second for which the store waits for whoever writes to its database. */
const whileDiskIsBusy = <A, E>(file: string, f: Effect.Effect<A, E>) => {
  const other = new DatabaseSync(file)
  other.exec("BEGIN IMMEDIATE")
  return Effect.ensuring(
    f,
    Effect.sync(() => {
      other.exec("ROLLBACK")
      other.close()
    })
  )
}
const turns = Effect.repeat(Effect.promise(() => new Promise((resolve) => void setImmediate(resolve))), { times: 20 })

describe("layerSqlite, of names that are claimed while the disk is busy (CPT 2.2)", () => {
  const watcher = { tell: () => {} }
  const toAnn = draft("secret", Name.Target.make("ann"), bob)

  it.live("a message on its way to a user stays theirs, also if they leave meanwhile", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      const store = yield* opened(file)
      yield* store.watch(ann, watcher)
      assert.strictEqual(yield* store.claim(ann, "user"), "user")
      const sending = yield* whileDiskIsBusy(
        file,
        Effect.gen(function*() {
          const sending = yield* Effect.forkChild(append(store, [toAnn]))
          yield* turns
          yield* store.unwatch(ann, watcher)
          const another = { tell: () => {} }
          yield* store.watch(ann, another)
          assert.strictEqual(yield* store.claim(ann, "group"), "user")
          yield* store.unwatch(ann, another)
          return sending
        })
      )
      yield* Fiber.join(sending)
      assert.strictEqual(yield* store.kindOf(ann), "user")
    }))

  it.live("and a second one who claims the name has it no sooner than the first", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      const store = yield* opened(file)
      yield* append(store, [toAnn])
      const claims = yield* whileDiskIsBusy(
        file,
        Effect.gen(function*() {
          const claims = [yield* Effect.forkChild(store.claim(ann, "user"))]
          yield* turns
          claims.push(yield* Effect.forkChild(store.claim(ann, "user")))
          yield* turns
          for (const claim of claims) assert.isUndefined(claim.pollUnsafe())
          return claims
        })
      )
      for (const claim of claims) assert.strictEqual(yield* Fiber.join(claim), "user")
    }))

  it.live("and what is sent in the same moment is theirs", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      const names = Array.from({ length: 200 }, (_, index) => Name.Username.make(`user${index}`))
      yield* use(file, (store) =>
        Effect.forEach(names, (name) =>
          Effect.gen(function*() {
            yield* store.watch(name, watcher)
            const to = draft("secret", Name.Target.make(name), bob)
            yield* Effect.all([append(store, [to]), store.claim(name, "user")], { concurrency: 2 })
            yield* store.unwatch(name, watcher)
          })))
      yield* use(file, (store) =>
        Effect.gen(function*() {
          const kinds = yield* Effect.forEach(names, store.kindOf)
          assert.deepStrictEqual(new Set(kinds), new Set(["user"] as const))
        }))
    }))
})

describe("layerSqlite, while something else writes to the database", () => {
  it.live("declines what it cannot store, goes on reading, and recovers", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      const store = yield* opened(file)
      yield* append(store, [draft("before")])
      yield* store.confirm(ann)
      const other = new DatabaseSync(file)
      other.exec("BEGIN IMMEDIATE")
      // An equal message, which must not be taken for a re-send of the one before when it comes again
      const refused = yield* Effect.exit(append(store, [draft("before")]))
      assert.isTrue(Exit.isFailure(refused))
      assert.deepStrictEqual(yield* textsIn(store), ["before"])
      other.exec("ROLLBACK")
      other.close()
      yield* append(store, [draft("before")])
      yield* append(store, [draft("after")])
      assert.deepStrictEqual(yield* textsIn(store), ["before", "before", "after"])
    }).pipe(Effect.provide(Logger.layer([]))))
})

describe("layerSqlite, of groups whose messages cannot be brought to their places, as on a full disk", () => {
  it.live("lists them with all their messages, and no inboxes", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      const store = yield* opened(file)
      const inbox = Name.Target.make("bob")
      yield* append(store, [draft("1"), draft("psst", inbox)])
      yield* store.claim(bob, "user")

      const other = yield* Effect.acquireRelease(
        Effect.sync(() => new DatabaseSync(file, { timeout: 5000 })),
        (db) => Effect.sync(() => db.close())
      )
      const placed = other.prepare("SELECT count FROM names WHERE name = ?")
      const made: Array<Name.Target> = []
      /** Sends to a new group, and locks the database; false if it was in its place by then. */
      const isHeld = Effect.gen(function*() {
        const name = Name.Target.make(`g${made.length + 1}`)
        made.push(name)
        yield* append(store, [draft("more"), draft("more", inbox), draft("x", name)])
        other.exec("BEGIN IMMEDIATE")
        if (placed.get(name) === undefined) return true
        other.exec("ROLLBACK")
        return false
      })
      yield* Effect.repeat(isHeld, { until: (isHeld) => isHeld })

      const expectedRed = { name: red, messages: 1 + made.length }
      const expected = [...made.map((name) => ({ name, messages: 1 })), expectedRed]
        .toSorted((a, b) => Name.compare(a.name, b.name))
      const listed = (after: string): Effect.Effect<ReadonlyArray<unknown>, unknown> =>
        Effect.map(store.groups(after), ({ groups }) => groups)
      assert.deepStrictEqual(yield* listed(""), expected)
      assert.deepStrictEqual(yield* listed("r"), [expectedRed])
      other.exec("ROLLBACK")
      const isPlaced = Effect.sync(() => placed.get("red")?.["count"] === expectedRed.messages)
      yield* eventually(isPlaced, (isPlaced) => isPlaced)
      assert.deepStrictEqual(yield* listed(""), expected)
    }))
})

describe("layerSqlite, while more is committed than its log should hold", () => {
  it.live("has it brought into the database meanwhile, and leaves nothing of it", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      const long = (index: number) => `${index} ${"x".repeat(8000)}`
      const texts = Array.from({ length: 6000 }, (_, index) => long(index))
      const sizes = yield* use(file, (store) =>
        Effect.gen(function*() {
          const sizes: Array<number> = []
          for (let count = 0; count < texts.length; count += 50) {
            yield* append(store, texts.slice(count, count + 50).map((text) => draft(text)))
            sizes.push(statSync(`${file}-wal`).size)
          }
          assert.deepStrictEqual(yield* textsIn(store), texts)
          return sizes
        }))
      assert.isBelow(Math.max(...sizes), 48_000_000, "whoever commits would have to wait from 64 MB on")
      assert.isAbove(statSync(file).size, 48_000_000)
      assert.isFalse(existsSync(`${file}-wal`))
      yield* isRight(file)
      assert.deepStrictEqual(yield* use(file, textsIn), texts)
    }))

  it.live("goes on where a backup keeps what is in it", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      const texts = Array.from({ length: 3000 }, (_, index) => `${index} ${"x".repeat(8000)}`)
      yield* use(file, (store) =>
        Effect.gen(function*() {
          yield* append(store, [draft("first")])
          const reader = new DatabaseSync(file, { readOnly: true })
          reader.exec("BEGIN; SELECT count(*) FROM names")
          for (let count = 0; count < texts.length; count += 50) {
            yield* append(store, texts.slice(count, count + 50).map((text) => draft(text)))
          }
          const log = statSync(`${file}-wal`).size
          reader.close()
          assert.deepStrictEqual(yield* textsIn(store), ["first", ...texts])
          yield* eventually(Effect.sync(() => statSync(`${file}-wal`).size), (size) => size < log / 4)
        }))
      yield* isRight(file)
    }))
})

describe("layerSqlite, of what need not be kept (CPT 5.4)", () => {
  it.live("keeps so many messages of each target, the newest, and says up to where the others are gone", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      yield* use(file, (store) =>
        Effect.gen(function*() {
          for (let count = 0; count < 3000; count += 300) {
            yield* append(store, [...drafts(300, count), draft(`${count}`, blue, bob)])
          }
          const { missing, texts } = yield* eventually(all(store), ({ texts }) => texts.length <= 10)
          assert.deepStrictEqual(texts, drafts(10, 2990).map(({ message }) => message))
          const [first] = (yield* store.read(red, { after: Timestamp.fromMillis(missing) })).lines.length === 0
            ? assert.fail("nothing is left")
            : textsOf((yield* store.read(red, { after: Timestamp.fromMillis(missing) })).lines)
          assert.strictEqual(first, "message 2990", "what is missing ends where what is left begins")
          const other = yield* all(store, blue)
          assert.deepStrictEqual([other.texts.length, other.missing], [10, 0])
        }), { keep: { messages: 10 } })
      yield* isRight(file)
    }))

  it.live("does so too with what was there before it was asked to, and while more comes", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      yield* use(file, (store) => append(store, drafts(4000)))
      yield* use(file, (store) =>
        Effect.gen(function*() {
          const rounds = yield* eventually(
            Effect.andThen(append(store, [draft(`${Math.random()}`)]), all(store)),
            ({ texts }) => texts.length <= 20
          )
          assert.isAbove(rounds.missing, 0)
        }), { keep: { messages: 10 } })
      yield* isRight(file)
    }))

  it.live("keeps messages for so long", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      yield* use(file, (store) =>
        Effect.gen(function*() {
          yield* append(store, [draft("old"), draft("old too", blue)])
          const { missing } = yield* eventually(all(store), ({ texts }) => texts.length === 0)
          assert.isAbove(missing, 0)
          yield* append(store, [draft("new")])
          assert.deepStrictEqual(yield* all(store), { texts: ["new"], missing })
          assert.isAbove((yield* eventually(all(store, blue), ({ texts }) => texts.length === 0)).missing, 0)
        }), { keep: { age: 300 } })
    }))

  it.live("keeps so many bytes in all, the newest, and gives back the space", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      const long = (index: number) => `${index} ${"x".repeat(1000)}`
      yield* use(file, (store) =>
        Effect.gen(function*() {
          for (let count = 0; count < 8000; count += 200) {
            yield* append(
              store,
              Array.from({ length: 200 }, (_, index) => draft(long(count + index), index % 2 === 0 ? red : blue))
            )
          }
        }))
      const before = statSync(file).size
      assert.isAbove(before, 8_000_000)
      const bytes = 500_000
      yield* use(file, (store) =>
        Effect.gen(function*() {
          const size = (texts: ReadonlyArray<string>) => texts.reduce((sum, text) => sum + text.length + 32, 0)
          const left = yield* eventually(
            Effect.all([all(store), all(store, blue)]),
            ([red, blue]) => size(red.texts) + size(blue.texts) <= bytes
          )
          const texts = left.flatMap(({ texts }) => texts)
          assert.isAbove(size(texts), bytes * 0.9, "no more is gone than must be")
          const newest = Array.from({ length: texts.length }, (_, index) => long(8000 - texts.length + index))
          assert.deepStrictEqual(new Set(texts), new Set(newest))
          for (const { missing } of left) assert.isAbove(missing, 0)
          yield* eventually(Effect.sync(() => statSync(file).size), (size) => size < before / 4)
        }), { keep: { bytes } })
      yield* isRight(file)
    }), 60_000)

  it.live("lets a name go with its last message, unless somebody bears or follows it (CPT 2.2)", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      const store = yield* opened(file, { keep: { age: 200 } })
      const watcher = { tell: () => {} }
      yield* store.watch(blue, watcher)
      yield* store.watch(red, watcher)
      yield* append(store, [draft("x"), draft("x", blue)])
      yield* store.claim(red, "user")
      yield* store.claim(blue, "user")
      yield* store.unwatch(red, watcher) // its bearer has gone, and it has messages
      assert.strictEqual(yield* store.kindOf(red), "user")
      yield* eventually(all(store), ({ texts }) => texts.length === 0)
      yield* eventually(all(store, blue), ({ texts }) => texts.length === 0)
      assert.strictEqual(yield* store.claim(red, "group"), "group")
      assert.strictEqual(yield* store.claim(blue, "group"), "user")
    }))

  it.live("does not give from memory what it no longer keeps", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      const store = yield* opened(file, { keep: { messages: 3 } })
      yield* store.watch(red, { tell: () => {} })
      yield* append(store, drafts(10))
      const { missing, texts } = yield* eventually(all(store), ({ texts }) => texts.length <= 3)
      assert.deepStrictEqual(texts, ["message 7", "message 8", "message 9"])
      assert.isAbove(missing, 0)
    }))
})

describe("layerSqlite, asked by many at once", () => {
  it.live("lets other things happen between its answers", () =>
    Effect.gen(function*() {
      const store = yield* opened(yield* newFile)
      const answers = new Map<number, number>() // in each turn of the event loop
      let turn = 0
      const count = Effect.sync(() => {
        answers.set(turn, (answers.get(turn) ?? 0) + 1)
        const until = performance.now() + 0.1 // as long as a login takes, in which the thread goes on
        while (performance.now() < until);
      })
      let isOver = false
      const next = () => {
        turn++
        if (!isOver) setImmediate(next)
      }
      next()
      const asked = Array.from({ length: 500 }, (_, index) => store.kindOf(Name.Target.make(`name${index}`)))
      yield* Effect.forEach(asked, (ask) => Effect.andThen(ask, count), { concurrency: 500 })
      isOver = true
      const each = [...answers.values()]
      assert.strictEqual(each.reduce((sum, count) => sum + count), 500)
      assert.isAtMost(Math.max(...each), 16)
    }))
})

describe("layerSqlite, of what is watched", () => {
  it.live("has the newest in memory within its bound, and gives the same as the disk", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      const store = yield* opened(file, { cache: 20_000 })
      const told: Array<Appended> = []
      yield* append(store, drafts(100))
      yield* store.watch(red, { tell: (message) => told.push(message) })
      for (let count = 100; count < 1500; count += 100) {
        yield* append(store, [...drafts(100, count), draft(`${count}`, red, bob), draft(`${count}`, blue)])
        const { texts } = yield* all(store)
        assert.strictEqual(texts.length, 100 + (count / 100) * 101)
        const some = yield* store.read(red, { after: told.at(-50)?.timestamp ?? Timestamp.epoch, except: bob })
        assert.deepStrictEqual(textsOf(some.lines), texts.slice(-49).filter((text) => text.startsWith("message")))
      }
    }))
})

describe("Database", () => {
  it.live("copies a database at work, as it is at one moment", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      const store = yield* opened(file)
      yield* append(store, drafts(3000))
      const copy = join(dirname(file), "copy.db")
      const steps: Array<Database.BackupProgress> = []
      yield* Effect.all([
        Database.backup(file, copy, (progress) => steps.push(progress)),
        Effect.forEach(drafts(200, 3000), (draft) => append(store, [draft]), { discard: true })
      ], { concurrency: 2 })
      assert.strictEqual(statSync(copy).mode & 0o777, 0o600)
      const { messages } = yield* isRight(copy)
      assert.isAtLeast(messages, 3000)
      assert.deepStrictEqual(yield* use(copy, textsIn), drafts(messages).map(({ message }) => message))
    }))

  it.live("does not copy over what is there, and leaves nothing of what it could not finish", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      yield* use(file, (store) => append(store, drafts(3)))
      const before = readdirSync(dirname(file))
      const { message } = yield* Effect.flip(Database.backup(file, file))
      assert.include(message, "is there already")
      yield* Effect.flip(Database.backup(file, join(dirname(file), "no", "such", "folder.db")))
      const names = readdirSync(dirname(file)).filter((name) => !/-(wal|shm)$/.test(name))
      assert.deepStrictEqual(names, before)
    }))

  it.live("counts what is not in its place yet", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      yield* use(file, (store) =>
        Effect.gen(function*() {
          yield* append(store, [...drafts(3), draft("hi", blue)])
          yield* store.claim(red, "user")
        }))
      const inPlace = yield* isRight(file)
      beside(file, (db) =>
        db.exec(`
          INSERT INTO recent (lines) SELECT lines FROM blocks;
          DELETE FROM blocks;
          UPDATE names SET count = 0, bytes = 0, oldest = 0, head = 0`))
      assert.deepStrictEqual(yield* isRight(file), inPlace)
      assert.deepInclude(inPlace, { messages: 4, users: 1, groups: 0, open: 1 })
    }))

  it.live("finds what is wrong", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      yield* use(file, (store) => append(store, [...drafts(3), draft("hi", blue)]))
      const wrongs = [
        [
          "UPDATE blocks SET lines = substr(lines, instr(lines, x'0a') + 1), count = 2",
          "counts: red has count 2, and 3 is"
        ],
        ["UPDATE blocks SET count = 2", "counts: a block of red has 3, not 2"],
        ["UPDATE blocks SET first = first - 1", "order: a block of red begins with"],
        [
          "UPDATE blocks SET target = (SELECT id FROM names WHERE name = 'ann') WHERE lines LIKE 'MSG blue%'",
          "messages: ann has one for blue"
        ],
        ["UPDATE names SET head = head + 1 WHERE name = 'red'", "counts: red has head"],
        ["UPDATE names SET missing = head WHERE name = 'red'", "order: red has messages that are written to be gone"],
        ["DELETE FROM names WHERE name = 'blue'", "names: messages for a name that is not there"],
        [
          "UPDATE blocks SET lines = CAST(replace(CAST(lines AS TEXT), 'message 1', '') AS BLOB)",
          "no line of a message"
        ],
        ["INSERT INTO recent VALUES (1, CAST('MSG red ann 5 late' || char(10) AS BLOB))", "order: red goes from"],
        ["UPDATE names SET count = 1 WHERE name = 'ann'", "counts: 2 names have messages, and 3 are written to"]
      ] as const
      for (const [sql, problem] of wrongs) {
        const copy = yield* newFile
        copyFileSync(file, copy)
        beside(copy, (db) => db.exec(sql))
        const { problems } = yield* Database.check(copy)
        assert.isTrue(problems.some((found) => found.includes(problem)), `${sql}: ${problems.join("; ")}`)
      }
    }))

  it.live("says what it has found of a database that cannot be read to its end", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      yield* use(file, (store) => append(store, drafts(2000)))
      const pages = beside(file, (db) =>
        db.prepare("SELECT max(pageno) AS page FROM dbstat WHERE name IN ('names', 'blocks') GROUP BY name").all())
      for (const { page } of pages) {
        const copy = yield* newFile
        const bytes = readFileSync(file)
        bytes.fill(0xff, 4096 * (Number(page) - 1), 4096 * Number(page))
        writeFileSync(copy, bytes)
        const { problems } = yield* Database.check(copy)
        assert.isTrue(
          problems.some((found) =>
            found.startsWith("structure: ")
          ),
          problems.join("; ")
        )
        assert.match(problems.at(-1) ?? "", /^structure: what comes then cannot be read \(.+\)$/)
      }
    }))

  it.live("leaves nothing beside what it has read, and changes nothing", () =>
    Effect.gen(function*() {
      const file = yield* newFile
      yield* use(file, (store) => append(store, drafts(3)))
      const [names, bytes] = [readdirSync(dirname(file)), readFileSync(file)]
      yield* Effect.all([isRight(file), isRight(file)], { concurrency: 2 })
      const copy = yield* newFile
      yield* Database.backup(file, copy)
      yield* isRight(copy)
      assert.deepStrictEqual(readdirSync(dirname(file)), names)
      assert.deepStrictEqual(readdirSync(dirname(copy)), ["messages.db"])
      assert.deepStrictEqual(readFileSync(file), bytes)
    }))
})
