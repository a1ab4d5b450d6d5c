/** Two servers in one graph of Layers: over two stores they know nothing of each other, over one they are one chat. */
import { Name } from "@cpt/schema"
import { Accounts, layerMemory, layerSqlite, type MessageStore, Server } from "@cpt/server"
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

const serverOn = <I, E>(service: Context.Key<I, Chat>, ground: Ground<E>) => {
  const { connect, listener } = makeListener()
  const chat = Effect.map(Effect.all([Accounts, Server]), ([{ declared }]) => ({ connect, declared }))
  return Layer.effect(service, chat).pipe(Layer.provide(Server.layer(listener)), Layer.provide(ground))
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
})
