/** What is declared, and where it is kept: in memory, in a file that somebody writes, in the database. */
import { Decline, Message, Name } from "@cpt/schema"
import {
  type Account,
  Accounts,
  Batch,
  Database,
  type Declared,
  layerMemory,
  layerSqlite,
  MessageStore
} from "@cpt/server"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Context, Deferred, Effect, Fiber, Layer, Logger, Result, Schema } from "effect"
import { Buffer } from "node:buffer"
import { renameSync, unlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import * as Certificate from "../src/Certificate.ts"
import * as Group from "../src/Group.ts"
import * as IpRange from "../src/IpRange.ts"
import { Kept } from "../src/Keeper.ts"
import * as Rows from "../src/Keeper/Rows.ts"
import { newFolder } from "./support/folder.ts"
import { patiently } from "./support/patience.ts"

const user = (name: string) => Name.Username.make(name)
const group = (name: string) => Name.GroupName.make(name)

const declare = (declared: Declared, rules: Account) =>
  declared.accounts.change(rules.name, () => Effect.succeed(rules))
const declareGroup = (declared: Declared, rules: Group.Group) =>
  declared.groups.change(rules.name, () => Effect.succeed(rules))

/** Makes a name a group, for good. */
const makeGroup = (store: MessageStore["Service"], name: string) =>
  Effect.gen(function*() {
    const watcher = { tell: () => {} }
    yield* store.append(user("ann"), Batch.of([Name.Target.make(name), Message.Message.make("hi")]))
    yield* store.watch(Name.Target.make(name), watcher)
    yield* store.claim(Name.Target.make(name), "group")
    yield* store.unwatch(Name.Target.make(name), watcher)
  })

/** Account rules of this kind over a store. */
const opened = Effect.fnUntraced(function*<E, E2>(
  accounts: Layer.Layer<Accounts, E, MessageStore>,
  store: Layer.Layer<MessageStore, E2>
) {
  const services = yield* Layer.build(Layer.provideMerge(accounts, store))
  return { declared: Context.get(services, Accounts).declared, store: Context.get(services, MessageStore) }
})

/** Milliseconds of the processor that it takes in all, and at most in one turn of the event loop. */
const busy = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.promise(async () => {
    const now = () => {
      const { system, user } = process.threadCpuUsage()
      return (system + user) / 1000
    }
    let [last, isOver, all, longest] = [now(), false, 0, 0]
    const turn = () => {
      const took = now() - last
      if (took > 0.5) all += took // the others had nothing to do but this
      longest = Math.max(longest, took)
      last = now()
      if (!isOver) setImmediate(turn)
    }
    setImmediate(turn)
    await Effect.runPromise(effect)
    isOver = true
    turn()
    return { all, longest }
  })

describe("what is declared", () => {
  it.effect("is there, in the order of the names, until it is removed", () =>
    Effect.gen(function*() {
      const { declared } = yield* opened(Accounts.layerMemory, layerMemory())
      yield* declare(declared, { name: user("bob"), locked: true })
      yield* declare(declared, { name: user("ann") })
      yield* declared.accounts.change(user("bob"), (before) => {
        assert.deepStrictEqual(before, { name: user("bob"), locked: true })
        return Effect.succeed({ name: user("bob") })
      })
      assert.deepStrictEqual(declared.accounts.all(), [{ name: user("ann") }, { name: user("bob") }])
      yield* declared.accounts.remove(user("bob"))
      assert.deepStrictEqual(declared.accounts.all(), [{ name: user("ann") }])
      const error = yield* Effect.flip(declared.accounts.remove(user("bob")))
      assert.deepStrictEqual([error._tag, error.message], ["NotDeclared", "there is no account bob"])
    }))

  it.effect("changes one after the other, and not at all when the change fails", () =>
    Effect.gen(function*() {
      const { declared } = yield* opened(Accounts.layerMemory, layerMemory())
      const count = (name: string) =>
        declared.groups.change(group(name), (before) =>
          Effect.andThen(
            Effect.yieldNow,
            Effect.succeed({
              name: group(name),
              members: [...before?.members ?? [], user(`u${before?.members?.length ?? 0}`)]
            })
          ))
      yield* Effect.forEach(Array.from({ length: 20 }), () => count("red"), { concurrency: "unbounded" })
      assert.strictEqual(declared.groups.get("red")?.members?.length, 20)
      yield* Effect.flip(declared.groups.change(group("red"), () => Effect.fail("no")))
      yield* Effect.flip(declared.groups.change(group("blue"), () => Effect.fail("no")))
      assert.strictEqual(declared.groups.get("red")?.members?.length, 20)
      assert.deepStrictEqual(declared.groups.all().length, 1)
    }))

  it.effect("cannot be what it is not: an account of a group's name, or a group of a user's", () =>
    Effect.gen(function*() {
      const { declared, store } = yield* opened(Accounts.layerMemory, layerMemory())
      yield* makeGroup(store, "red")
      const error = yield* Effect.flip(declare(declared, { name: user("red"), locked: true }))
      assert.deepStrictEqual([error._tag, error.message], [
        "NameConflict",
        "red cannot be an account: it is a group already"
      ])
      assert.isUndefined(declared.accounts.get("red"))
      yield* declareGroup(declared, { name: group("red") })
      const twice = yield* Effect.flip(declare(declared, { name: user("red") }))
      assert.strictEqual(twice.message, "red cannot be an account: it is a group, and declared as one")
      yield* declare(declared, { name: user("bob") })
      const other = yield* Effect.flip(declareGroup(declared, { name: group("bob") }))
      assert.strictEqual(other.message, "bob cannot be a group: it is a user, and has an account")
    }))

  it.effect("is told to whoever has to act, before it is done", () =>
    Effect.gen(function*() {
      const { declared } = yield* opened(Accounts.layerMemory, layerMemory())
      const told: Array<ReadonlyArray<string>> = []
      yield* Effect.scoped(Effect.gen(function*() {
        yield* declared.onChange((names) => told.push([...names]))
        yield* declare(declared, { name: user("bob") })
        assert.deepStrictEqual(told, [["bob"]])
        yield* declared.accounts.remove(user("bob"))
        assert.deepStrictEqual(told, [["bob"], ["bob"]])
      }))
      yield* declare(declared, { name: user("bob") })
      assert.strictEqual(told.length, 2)
    }))

  it.live("of a large group, lets many go as fast as it lets them come", () =>
    Effect.gen(function*() {
      const members = Array.from({ length: 40_000 }, (_, index) => user(`u${index}`))
      const [name, some] = [group("big"), members.slice(0, 20_000)]
      const coming = yield* busy(Effect.suspend(() => Group.changed(name, { name, members }, { invite: some })))
      const going = yield* busy(Effect.suspend(() => Group.changed(name, { name, members }, { expel: some })))
      assert.isBelow(going.longest, 10 * Math.max(coming.longest, 10))
    }))

  it.effect("is nothing, with rules of one's own", () =>
    Effect.gen(function*() {
      const { declared } = yield* opened(Accounts.layerOpen, layerMemory())
      const error = yield* Effect.flip(declare(declared, { name: user("bob") }))
      assert.strictEqual(error._tag, "DeclaredElsewhere")
    }))
})

describe("what is declared in a file", () => {
  const write = (file: string, contents: unknown) =>
    Effect.sync(() => {
      const isWritten = typeof contents === "string" || Buffer.isBuffer(contents)
      writeFileSync(`${file}.new`, isWritten ? contents : JSON.stringify(contents))
      renameSync(`${file}.new`, file)
    })

  const log = () => {
    const lines: Array<string> = []
    const waiting: Array<() => void> = []
    const logger = Logger.make<unknown, void>(({ message }) => {
      lines.push(String(message))
      for (const look of waiting.splice(0)) look()
    })
    /** Waits for a line. */
    const said = (pattern: RegExp): Effect.Effect<string> =>
      Effect.callback<string>((resume) => {
        const look = () => {
          const line = lines.find((line) => pattern.test(line))
          if (line === undefined) waiting.push(look)
          else resume(Effect.succeed(line))
        }
        look()
      })
    return {
      lines,
      said: (pattern: RegExp) => patiently(said(pattern), () => assert.fail(`in vain: ${lines.join("; ")}`)),
      layer: Logger.layer([logger])
    }
  }

  it.live("holds, also when the file changes, but for what is not right", () =>
    Effect.gen(function*() {
      const file = join(yield* newFolder, "accounts.json")
      const { layer, lines, said } = log()
      yield* write(file, {
        accounts: [{ name: "bob", ranges: ["10.1.2.3/8", "::1"] }, { name: "carol", certificates: ["CN=carol"] }],
        groups: [{ name: "staff", members: ["bob"], writers: [] }]
      })
      yield* Effect.gen(function*() {
        const { declared, store } = yield* opened(Accounts.layerFile(file), layerMemory())
        assert.deepStrictEqual(declared.accounts.get("bob")?.ranges?.map(IpRange.format), ["10.0.0.0/8", "::1"])
        assert.deepStrictEqual(declared.accounts.get("carol")?.certificates?.map(Certificate.format), ["CN=carol"])
        assert.isTrue(declared.rights.get("staff")?.mayRead("bob"))
        assert.isFalse(declared.rights.get("staff")?.maySend("bob"))

        const changes: Array<ReadonlyArray<string>> = []
        yield* declared.onChange((names) => changes.push([...names].toSorted()))
        yield* write(file, { accounts: [{ name: "bob", locked: true }, { name: "carol", certificates: ["CN=carol"] }] })
        assert.strictEqual(yield* said(/changed: /), `${file} is read again; changed: bob, staff`)
        assert.deepStrictEqual(changes, [["bob", "staff"]])
        assert.isTrue(declared.accounts.get("bob")?.locked)
        assert.isUndefined(declared.groups.get("staff"))
        assert.isUndefined(yield* store.kindOf(Name.Target.make("staff")))

        yield* makeGroup(store, "red")
        const wrongs = [
          ["{", /accounts\.json is not right: /],
          [
            { accounts: [{ name: "bob" }, { name: "x", ranges: ["10.0.0.0/33"] }] },
            /accounts\[1\]\.ranges\[0\]: "10\.0\.0\.0\/33" is no range/
          ],
          [{ accounts: [{ name: "bob", lock: true }] }, /accounts\[0\]\.lock: /],
          [{ accounts: [{ name: "bob" }], groups: [{ name: "bob" }] }, /bob is declared twice/],
          [
            { accounts: [{ name: "x" }, { name: "red" }] },
            /accounts\.json: red cannot be an account: it is a group already/
          ]
        ] as const
        for (const [contents, pattern] of wrongs) {
          yield* write(file, contents)
          assert.match(yield* said(pattern), /^what is declared stays as it was: [^\n]*$/)
        }
        yield* Effect.sync(() => unlinkSync(file))
        yield* said(/stays as it was: .*accounts\.json: there is no such file$/)
        assert.isTrue(declared.accounts.get("bob")?.locked)
        assert.isUndefined(yield* store.kindOf(Name.Target.make("x")))
        assert.strictEqual(lines.length, 1 + wrongs.length + 1)

        yield* write(file, {})
        yield* said(/changed: bob, carol$/)
        assert.deepStrictEqual(declared.accounts.all(), [])
      }).pipe(Effect.provide(layer))
    }), 20_000)

  const target = (name: string) => Name.Target.make(name)

  for (
    const [where, store] of [
      ["in memory", () => layerMemory()],
      ["on disk", (folder: string) => layerSqlite({ file: join(folder, "messages.db") })]
    ] as const
  ) {
    it.live(`may make a group of an account, and an account of a group, in one change (${where})`, () =>
      Effect.gen(function*() {
        const folder = yield* newFolder
        const file = join(folder, "accounts.json")
        yield* write(file, { accounts: [{ name: "bob" }, { name: "carol" }], groups: [{ name: "staff" }] })
        const { declared, store: names } = yield* opened(Accounts.layerFile(file), store(folder))
        yield* write(file, {
          accounts: [{ name: "staff" }, { name: "carol", locked: true }],
          groups: [{ name: "bob", members: ["carol"] }]
        })
        assert.deepStrictEqual([...yield* declared.reload].toSorted(), ["bob", "carol", "staff"])
        assert.isTrue(declared.accounts.get("carol")?.locked)
        assert.isUndefined(declared.accounts.get("bob"))
        assert.isFalse(declared.rights.get("bob")?.mayRead("staff"))
        assert.deepStrictEqual([yield* names.kindOf(target("bob")), yield* names.kindOf(target("staff"))], [
          "group",
          "user"
        ])
      }))

    it.live(`is as it was where what is prepared is not taken over in the end (${where})`, () =>
      Effect.gen(function*() {
        const folder = yield* newFolder
        const file = join(folder, "accounts.json")
        yield* write(file, { accounts: [{ name: "bob" }], groups: [{ name: "staff" }] })
        const { declared, store: names } = yield* opened(Accounts.layerFile(file), store(folder))
        yield* write(file, { accounts: [{ name: "new" }, { name: "staff" }], groups: [{ name: "bob" }] })
        const looks = () => Effect.forEach(["bob", "staff", "new"], (name) => names.kindOf(target(name)))
        const prepared = yield* Effect.scoped(declared.prepare)
        assert.deepStrictEqual([...prepared.names].toSorted(), ["bob", "new", "staff"])
        assert.deepStrictEqual(declared.accounts.all(), [{ name: user("bob") }])
        assert.deepStrictEqual(yield* looks(), ["user", "group", undefined])
        yield* Effect.scoped(Effect.map(declared.prepare, ({ commit }) => {
          commit()
          assert.deepStrictEqual(declared.accounts.all(), [{ name: user("new") }, { name: user("staff") }])
        }))
        assert.deepStrictEqual(yield* looks(), ["group", "user", "user"])
      }))

    it.live(`changes all of it or nothing, where a name cannot be what it is to be (${where})`, () =>
      Effect.gen(function*() {
        const folder = yield* newFolder
        const file = join(folder, "accounts.json")
        yield* write(file, { accounts: [{ name: "bob" }, { name: "carol" }], groups: [{ name: "staff" }] })
        const { declared, store: names } = yield* opened(Accounts.layerFile(file), store(folder))
        yield* makeGroup(names, "red")
        yield* names.watch(target("carol"), { tell: () => {} })
        yield* names.claim(target("carol"), "user") // somebody bears it
        const wrongs = [
          [{ accounts: [{ name: "staff" }, { name: "red" }], groups: [{ name: "bob" }] }, "red cannot be an account"],
          [
            { accounts: [{ name: "new" }, { name: "staff" }], groups: [{ name: "bob" }, { name: "carol" }] },
            "carol cannot be a group: it is a user already"
          ]
        ] as const
        for (const [contents, why] of wrongs) {
          yield* write(file, contents)
          assert.include((yield* Effect.flip(declared.reload)).message, why)
          assert.deepStrictEqual(declared.accounts.all().map(({ name }) => name), ["bob", "carol"].map(user))
          const kinds = yield* Effect.forEach(["bob", "carol", "staff", "new"], (name) => names.kindOf(target(name)))
          assert.deepStrictEqual(kinds, ["user", "user", "group", undefined])
        }
      }))
  }

  it.live("is tried again by itself where the store could not take it, which is said once", () =>
    Effect.gen(function*() {
      const folder = yield* newFolder
      const [file, database] = [join(folder, "accounts.json"), join(folder, "messages.db")]
      const { layer, lines, said } = log()
      yield* write(file, { accounts: [{ name: "bob" }] })
      yield* Effect.gen(function*() {
        const { declared, store } = yield* opened(Accounts.layerFile(file), layerSqlite({ file: database }))
        yield* store.append(user("ann"), Batch.of([target("carol"), Message.Message.make("hi")]))
        const other = new DatabaseSync(database)
        other.exec("BEGIN IMMEDIATE")
        yield* write(file, { accounts: [{ name: "bob", locked: true }, { name: "carol" }] })
        const failure = /^what is declared stays as it was for now: the server cannot store/
        yield* said(failure)
        assert.isUndefined(declared.accounts.get("bob")?.locked)
        yield* Effect.sleep("3 seconds")
        other.exec("ROLLBACK")
        other.close()
        yield* said(/changed: bob, carol$/)
        assert.isTrue(declared.accounts.get("bob")?.locked)
        assert.strictEqual(lines.filter((line) => failure.test(line)).length, 1)
      }).pipe(Effect.provide(layer))
    }))

  it.live("may be left halfway, by a server that stops, and then is as before until it is read again", () =>
    Effect.gen(function*() {
      const file = join(yield* newFolder, "accounts.json")
      const { layer, said } = log()
      const [asked, go] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      const slow = Layer.effect(
        MessageStore,
        Effect.map(MessageStore, (store) => ({
          ...store,
          declare: (kind: "user" | "group", names: ReadonlyArray<Name.Name>) =>
            names.includes(user("slow"))
              ? Effect.andThen(Deferred.succeed(asked, undefined), Deferred.await(go)).pipe(
                Effect.andThen(store.declare(kind, names))
              )
              : store.declare(kind, names)
        }))
      ).pipe(Layer.provide(layerMemory()))
      yield* write(file, { accounts: [{ name: "bob" }] })
      yield* Effect.gen(function*() {
        const { declared } = yield* opened(Accounts.layerFile(file), slow)
        yield* write(file, { accounts: [{ name: "bob" }, { name: "slow" }] })
        const reload = yield* Effect.forkChild(declared.reload)
        yield* Deferred.await(asked)
        yield* Fiber.interrupt(reload)
        assert.deepStrictEqual(declared.accounts.all(), [{ name: user("bob") }])
        yield* Deferred.succeed(go, undefined)
        yield* said(/changed: slow$/)
      }).pipe(Effect.provide(layer))
    }))

  it.live(
    "is read in small parts, of which others are served in between, and only what has changed is looked into",
    () =>
      Effect.gen(function*() {
        const file = join(yield* newFolder, "accounts.json")
        const accounts = Array.from({ length: 20_000 }, (_, index) => ({
          name: `user${index}`,
          ranges: ["10.0.0.0/8", "fd00::/8"]
        }))
        yield* write(file, {})
        const { declared } = yield* opened(Accounts.layerFile(file), layerMemory())
        yield* write(file, { accounts })
        const first = yield* busy(declared.reload)
        assert.isBelow(first.longest, first.all / 3)
        yield* write(file, { accounts: [...accounts, { name: "bob" }] })
        const second = yield* busy(declared.reload)
        assert.isBelow(second.all, first.all / 2)
      }),
    20_000
  )

  it.live("keeps a server from starting, if it is not right", () =>
    Effect.gen(function*() {
      const file = join(yield* newFolder, "accounts.json")
      const whyNot = Effect.map(
        Effect.flip(Effect.scoped(opened(Accounts.layerFile(file), layerMemory()))),
        ({ message }) => message
      )
      assert.strictEqual(yield* whyNot, `${file}: there is no such file`)
      yield* write(file, { accounts: [{ name: "system" }] })
      assert.match(yield* whyNot, /accounts\.json is not right: accounts\[0\]\.name: "system" is reserved/)
      yield* write(file, { accounts: [{ name: "bob", ranges: [] }] })
      assert.match(yield* whyNot, /accounts\[0\]\.ranges: expected at least one/)
      yield* write(file, Buffer.from(`{"accounts":[{"name":"b\xffb"}]}`, "latin1"))
      assert.strictEqual(yield* whyNot, `${file} is not right: it is not valid UTF-8`) // CPT 1.2
    }))

  it.live("may begin with a byte order mark", () =>
    Effect.gen(function*() {
      const file = join(yield* newFolder, "accounts.json")
      yield* write(file, `\uFEFF{"accounts":[{"name":"bob"}]}`)
      const { declared } = yield* opened(Accounts.layerFile(file), layerMemory())
      assert.deepStrictEqual(declared.accounts.all(), [{ name: user("bob") }])
    }))

  it.live("has each entry of a list once, also where it is written another way", () =>
    Effect.gen(function*() {
      const file = join(yield* newFolder, "accounts.json")
      const digits = "ab".repeat(32)
      yield* write(file, {
        accounts: [{
          name: "bob",
          ranges: ["10.0.0.0/8", "::1", "10.1.2.3/8", "::1/128"],
          certificates: ["CN=bob", digits.toUpperCase(), "/CN=bob", digits]
        }],
        groups: [{ name: "staff", members: ["bob", "ann", "bob"], writers: ["zed", "zed"] }]
      })
      const { declared } = yield* opened(Accounts.layerFile(file), layerMemory())
      const kept = Schema.encodeSync(Kept)({ accounts: declared.accounts.all(), groups: declared.groups.all() })
      assert.deepStrictEqual(kept, {
        accounts: [{ name: "bob", ranges: ["10.0.0.0/8", "::1"], certificates: ["CN=bob", digits] }],
        groups: [{ name: "staff", members: ["bob", "ann"], writers: ["zed"] }]
      })
    }))

  it.live("is not to be changed elsewhere", () =>
    Effect.gen(function*() {
      const file = join(yield* newFolder, "accounts.json")
      yield* write(file, { accounts: [{ name: "bob" }] })
      const { declared, store } = yield* opened(Accounts.layerFile(file), layerMemory())
      const errors = [
        yield* Effect.flip(declare(declared, { name: user("ann") })),
        yield* Effect.flip(declared.accounts.remove(user("bob")))
      ]
      for (const error of errors) {
        assert.strictEqual(error.message, `accounts and groups are declared in ${file}: change them there`)
      }
      assert.isUndefined(yield* store.kindOf(Name.Target.make("ann")))
      assert.isDefined(declared.accounts.get("bob"))
    }))
})

describe("what is declared in the database", () => {
  const onDisk = (file: string) => layerSqlite({ file })
  const kept = <A, E>(file: string, f: (services: Effect.Success<ReturnType<typeof opened>>) => Effect.Effect<A, E>) =>
    Effect.scoped(Effect.gen(function*() {
      const services = yield* Layer.build(Layer.provideMerge(Accounts.layerDatabase, onDisk(file)))
      return yield* f({
        declared: Context.get(services, Accounts).declared,
        store: Context.get(services, MessageStore)
      })
    }))

  it.live("is there again, with every rule, and what names are", () =>
    Effect.gen(function*() {
      const file = join(yield* newFolder, "messages.db")
      const bob = {
        name: user("bob"),
        locked: true,
        ranges: [Result.getOrThrow(IpRange.parse("10.0.0.0/8"))],
        certificates: [Result.getOrThrow(Certificate.parse("CN=bob"))]
      }
      const staff = { name: group("staff"), members: [user("bob")], writers: [] }
      yield* kept(file, ({ declared }) =>
        Effect.gen(function*() {
          yield* declare(declared, bob)
          yield* declareGroup(declared, staff)
          yield* declare(declared, { name: user("carol") })
          yield* declare(declared, { name: user("dave") })
          yield* declared.accounts.remove(user("dave"))
        }))
      yield* kept(file, ({ declared, store }) =>
        Effect.gen(function*() {
          assert.deepStrictEqual(declared.accounts.all(), [bob, { name: user("carol") }])
          assert.deepStrictEqual(declared.groups.all(), [staff])
          assert.strictEqual(yield* store.kindOf(Name.Target.make("carol")), "user")
          assert.strictEqual(yield* store.kindOf(Name.Target.make("staff")), "group")
          assert.isUndefined(yield* store.kindOf(Name.Target.make("dave")))
        }))
      const { accounts, declaredGroups, problems } = yield* Database.check(file)
      assert.deepStrictEqual({ accounts, declaredGroups, problems }, { accounts: 2, declaredGroups: 1, problems: [] })
    }))

  it.live("makes an inbox private for good, also when it is no longer declared, and whoever decides who logs in", () =>
    Effect.gen(function*() {
      const file = join(yield* newFolder, "messages.db")
      const send = (store: MessageStore["Service"], to: string) =>
        store.append(user("ann"), Batch.of([Name.Target.make(to), Message.Message.make("a word in private")]))
      yield* kept(file, ({ declared, store }) =>
        Effect.gen(function*() {
          yield* send(store, "before")
          yield* declare(declared, { name: user("before") })
          yield* declare(declared, { name: user("after") })
          yield* declare(declared, { name: user("still") })
          yield* send(store, "after")
          yield* declared.accounts.remove(user("before"))
          yield* declared.accounts.remove(user("after"))
        }))
      yield* Effect.scoped(Effect.gen(function*() {
        const { store } = yield* opened(Accounts.layerOpen, onDisk(file))
        const kinds = yield* Effect.forEach(
          ["before", "after", "still"],
          (name) => store.kindOf(Name.Target.make(name))
        )
        assert.deepStrictEqual(kinds, ["user", "user", "user"])
        yield* store.release([Name.Target.make("still")])
        assert.strictEqual(yield* store.kindOf(Name.Target.make("still")), "user")
      }))
    }))

  it.live("is kept with a crash right after, and copied by a backup", () =>
    Effect.gen(function*() {
      const data = yield* newFolder
      const [file, copy] = [join(data, "messages.db"), join(data, "copy.db")]
      yield* kept(file, ({ declared }) =>
        Effect.gen(function*() {
          yield* declare(declared, { name: user("bob"), locked: true })
          yield* Database.backup(file, copy) // reads what a crash would leave
        }))
      yield* kept(copy, ({ declared }) => Effect.sync(() => assert.isTrue(declared.accounts.get("bob")?.locked)))
    }))

  it.live("that cannot be written is not declared, and the change is refused", () =>
    Effect.gen(function*() {
      const file = join(yield* newFolder, "messages.db")
      yield* kept(file, ({ declared, store }) =>
        Effect.gen(function*() {
          const other = new DatabaseSync(file)
          other.exec("BEGIN IMMEDIATE")
          const error = yield* Effect.flip(declare(declared, { name: user("bob") }))
          assert.instanceOf(error, Decline.StorageUnavailable)
          other.exec("ROLLBACK")
          other.close()
          assert.isUndefined(declared.accounts.get("bob"))
          assert.isUndefined(yield* store.kindOf(Name.Target.make("bob")))
          yield* declare(declared, { name: user("bob") })
        }))
      yield* kept(file, ({ declared }) => Effect.sync(() => assert.isDefined(declared.accounts.get("bob"))))
    }))

  it.live("is found wrong where it is", () =>
    Effect.gen(function*() {
      const data = yield* newFolder
      const file = join(data, "messages.db")
      yield* kept(file, ({ declared, store }) =>
        Effect.gen(function*() {
          yield* makeGroup(store, "red")
          yield* declare(declared, { name: user("bob") })
        }))
      const wrongs = [
        ["UPDATE declared SET rules = '{'", /^declared: bob: /],
        ["UPDATE declared SET rules = '{\"name\":\"ann\"}'", /^declared: bob has the rules of ann$/],
        [
          "INSERT INTO declared VALUES ('red', 2, '{\"name\":\"red\"}')",
          /^declared: red is declared as an account, and is a group$/
        ]
      ] as const
      for (const [index, [sql, problem]] of wrongs.entries()) {
        const copy = join(data, `${index}.db`)
        yield* Database.backup(file, copy)
        const db = new DatabaseSync(copy)
        db.exec(sql)
        db.close()
        const { problems } = yield* Database.check(copy)
        assert.match(problems.join("; "), problem)
      }
      const error = yield* Effect.flip(kept(join(data, "0.db"), () => Effect.void))
      assert.match(error.message, /^what is declared in .*0\.db cannot be read: bob: /)
    }))
})

describe("the text of what is declared", () => {
  const Text = {
    name: Schema.Literals(["bob", "Zoë", "語", "a{}\"\\", "@"]),
    range: Schema.Literals(["10.0.0.0/8", "192.0.2.7", "0.0.0.0/0", "::1", "fd00::/8", "2001:db8::/127", "::/0"]),
    certificate: Schema.Literals(["ab".repeat(32), "CN=bob", "O=Example, Inc., CN=Zoë"])
  }
  const some = <S extends Schema.Top>(item: S) =>
    Schema.optionalKey(Schema.Array(item).check(Schema.isNonEmpty(), Schema.isUnique()))
  const written = Schema.Struct({
    accounts: Schema.Array(Schema.Struct({
      name: Text.name,
      locked: Schema.optionalKey(Schema.Boolean),
      ranges: some(Text.range),
      certificates: some(Text.certificate)
    })),
    groups: Schema.Array(Schema.Struct({
      name: Text.name,
      members: Schema.optionalKey(Schema.Array(Text.name).check(Schema.isUnique())),
      writers: Schema.optionalKey(Schema.Array(Text.name).check(Schema.isUnique()))
    }))
  })

  it.prop("is what it was, in a file and in rows", [Arbitrary.schema(written)], ([written]) => {
    const kept = Schema.decodeUnknownSync(Schema.fromJsonString(Kept))(JSON.stringify(written))
    assert.deepStrictEqual(Schema.encodeSync(Kept)(kept), written)
    for (const rules of kept.accounts) {
      const entry = { kind: "user", name: rules.name, rules } as const
      assert.deepStrictEqual(Rows.toEntry(Rows.ofEntry(entry)), Result.succeed(entry))
    }
    for (const rules of kept.groups) {
      const entry = { kind: "group", name: rules.name, rules } as const
      assert.deepStrictEqual(Rows.toEntry(Rows.ofEntry(entry)), Result.succeed(entry))
    }
  })
})
