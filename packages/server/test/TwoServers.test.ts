/** Two servers in one graph of Layers: over two stores they know nothing of each other, over one they are one chat. */
import { Name } from "@cpt/schema"
import { Accounts, Admin, layerMemory, layerSqlite, type MessageStore, Metrics, Program, Server } from "@cpt/server"
import { AdminClient } from "@cpt/server/admin"
import { makeListener, type Peer } from "@cpt/server/testing"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, type Scope } from "effect"
import { join } from "node:path"
import { newFolder } from "./support/folder.ts"

interface Chat {
  readonly connect: Effect.Effect<Peer, never, Scope.Scope>
  readonly declared: Accounts["Service"]["declared"]
}

class One extends Context.Service<One, Chat>()("One") {}
class Two extends Context.Service<Two, Chat>()("Two") {}

/** What a server stands on. */
type Ground<E> = Layer.Layer<MessageStore | Accounts, E>

const chat = (connect: Chat["connect"]) =>
  Effect.map(Effect.all([Accounts, Server]), ([{ declared }]): Chat => ({ connect, declared }))

const serverOn = <I, E>(service: Context.Key<I, Chat>, ground: Ground<E>) => {
  const { connect, listener } = makeListener()
  return Layer.effect(service, chat(connect)).pipe(Layer.provide(Server.layer(listener)), Layer.provide(ground))
}

/** Both, in one graph. */
const both = <E, E2>(one: Ground<E>, two: Ground<E2>) =>
  Effect.map(
    Layer.build(Layer.mergeAll(serverOn(One, one), serverOn(Two, two))),
    (built) => [Context.get(built, One), Context.get(built, Two)] as const
  )

/** Says something, and gives so many lines of what is answered. */
const asks = (peer: Peer, said: string, lines = 1) =>
  Effect.andThen(peer.say(`${said}\n`), Effect.forEach(Array.from({ length: lines }), () => peer.line))

const login = Effect.fnUntraced(function*({ connect }: Chat, name: string) {
  const peer = yield* connect
  return [peer, (yield* asks(peer, `CONNECT ${name}`))[0]] as const
})

const open = <E>(store: Layer.Layer<MessageStore, E>) => Layer.merge(store, Accounts.layerOpen)

const bob = Name.Username.make("bob")

describe("two servers in one graph of Layers", () => {
  it.live("share neither names nor messages over two stores", () =>
    Effect.gen(function*() {
      const onDisk = layerSqlite({ file: join(yield* newFolder, "messages.db") })
      const [one, two] = yield* both(open(layerMemory()), open(onDisk))
      const [ann] = yield* login(one, "ann")
      const [other, answer] = yield* login(two, "ann")
      assert.strictEqual(answer, "ACCEPT")
      for (const [peer, text] of [[ann, "on one"], [other, "on two"]] as const) {
        assert.deepStrictEqual(yield* asks(peer, `SEND red ${text}`), ["ACK"])
      }
      for (const [peer, text] of [[ann, "on one"], [other, "on two"]] as const) {
        const [line, last] = yield* asks(peer, "SYNC red 0", 2)
        assert.match(line ?? "", new RegExp(`^MSG red ann \\d+ ${text}$`))
        assert.strictEqual(last, "ENDSYNC")
      }
    }))

  it.live("are one chat over one store", () =>
    Effect.gen(function*() {
      const store = layerMemory()
      const [one, two] = yield* both(open(store), open(store))
      const [ann] = yield* login(one, "ann")
      assert.strictEqual((yield* login(two, "ann"))[1], "DECLINE username_taken")
      const [peer] = yield* login(two, "bob")
      assert.deepStrictEqual(yield* asks(ann, "SEND bob hi"), ["ACK"])
      assert.match(yield* peer.line, /^MSG bob ann \d+ hi$/)
    }))

  const declared = {
    layerMemory: () => Layer.provideMerge(Accounts.layerMemory, layerMemory()),
    layerDatabase: (file: string) => Layer.provideMerge(Accounts.layerDatabase, layerSqlite({ file }))
  }
  for (const [name, ground] of Object.entries(declared)) {
    it.live(`have accounts of their own over two stores: Accounts.${name}`, () =>
      Effect.gen(function*() {
        const folder = yield* newFolder
        const [one, two] = yield* both(ground(join(folder, "one.db")), ground(join(folder, "two.db")))
        yield* one.declared.accounts.change(bob, () => Effect.succeed({ name: bob, locked: true }))
        assert.deepStrictEqual(two.declared.accounts.all(), [])
        assert.strictEqual((yield* login(one, "bob"))[1], "DECLINE account_locked")
        assert.strictEqual((yield* login(two, "bob"))[1], "ACCEPT")
      }))
  }

  it.live("have the same accounts over one store", () =>
    Effect.gen(function*() {
      const ground = () => Layer.provideMerge(Accounts.layerMemory, store)
      const store = layerMemory()
      const [one, two] = yield* both(ground(), ground())
      yield* one.declared.accounts.change(bob, () => Effect.succeed({ name: bob, locked: true }))
      assert.strictEqual((yield* login(two, "bob"))[1], "DECLINE account_locked")
    }))

  it.live("each have their own counts, if each has its own record of them", () =>
    Effect.gen(function*() {
      const folder = yield* newFolder
      const administered = <I>(service: Context.Key<I, Chat>, path: string) => {
        const { connect, listener } = makeListener()
        return Layer.effect(service, Effect.andThen(Admin, chat(connect))).pipe(
          Layer.provide(Admin.layerUnix(path)),
          Layer.provide(Server.layer(listener)),
          Layer.provide([open(layerMemory()), Program.layerNone]),
          Layer.provide(Metrics.layer)
        )
      }
      const paths = [join(folder, "one.sock"), join(folder, "two.sock")] as const
      const built = yield* Layer.build(Layer.mergeAll(administered(One, paths[0]), administered(Two, paths[1])))
      const [ann] = yield* login(Context.get(built, One), "ann")
      yield* asks(ann, "SEND red hi")
      for (const [path, count] of [[paths[0], 1], [paths[1], 0]] as const) {
        const admin = yield* AdminClient.make({ path })
        const { messages, sessions, users } = yield* admin.server.status()
        assert.deepStrictEqual([messages, sessions, users], [count, count, count])
        const metrics = (yield* admin.probes.metrics()).split("\n")
        for (const name of ["cpt_messages_total", "cpt_sessions", "cpt_users"]) {
          assert.deepStrictEqual(metrics.filter((line) => line.startsWith(`${name} `)), [`${name} ${count}`])
        }
      }
    }))
})
