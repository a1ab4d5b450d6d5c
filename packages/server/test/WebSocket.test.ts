/** Over WebSocket: how a connection ends there, who reads nothing, and what is known of the peer, as over TCP. */
import {
  Account,
  Accounts,
  layerMemory,
  layerSqlite,
  type MessageStore,
  Metrics,
  Server,
  ServerConfig
} from "@cpt/server"
import { NodeSocketServer, NodeWS } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Layer, Schema } from "effect"
import { once } from "node:events"
import { join } from "node:path"
import { setImmediate } from "node:timers/promises"
import { newFolder } from "./support/folder.ts"

const serving = (
  settings: Partial<ServerConfig.Settings> = {},
  store: Layer.Layer<MessageStore, unknown> = layerMemory()
) =>
  NodeSocketServer.layerWebSocket({ host: "127.0.0.1", port: 0 }).pipe(
    Server.layer,
    Layer.provideMerge(Accounts.layerMemory),
    Layer.provide(store),
    Layer.provide(ServerConfig.layer(settings)),
    Layer.provideMerge(Metrics.layer),
    Layer.build,
    Effect.orDie
  )

const started = Effect.map(serving(), Context.get(Server))

const dialed = (server: Server["Service"]) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const [address] = server.addresses
      const socket = new NodeWS.WebSocket(
        `ws://127.0.0.1:${address !== undefined && "port" in address ? address.port : assert.fail("no port")}`
      )
      await once(socket, "open")
      return socket
    }),
    (socket) => Effect.sync(() => socket.terminate())
  )

/** Hears all until an answer has come so often. A message is whole lines. */
const hear = (socket: NodeWS.WebSocket, answer: string, times = 1) =>
  Effect.callback<string>((resume) => {
    const heard: Array<string> = []
    let left = times
    const take = (message: NodeWS.RawData) => {
      const text = String(message)
      heard.push(text)
      left -= text.split(answer).length - 1
      if (left > 0) return
      socket.off("message", take)
      resume(Effect.succeed(heard.join("")))
    }
    socket.on("message", take)
    return Effect.sync(() => socket.off("message", take))
  })

/** Says a line, or more, and hears all that it is answered. */
const ask = (socket: NodeWS.WebSocket, line: string, answer: string, times?: number) => {
  socket.send(`${line}\n`)
  return hear(socket, answer, times)
}

const until = (isSo: () => boolean) =>
  Effect.promise(async () => {
    while (!isSo()) await setImmediate()
  })

const logIn = (server: Server["Service"], name: string) =>
  Effect.tap(dialed(server), (socket) => ask(socket, `CONNECT ${name}`, "ACCEPT\n"))

/** Whether a message is new when one equal to it was acknowledged on a connection that then ended in this way. */
const isNewAfter = (leave: (socket: NodeWS.WebSocket) => void) =>
  Effect.gen(function*() {
    const server = yield* started
    for (let time = 0; time < 2; time++) {
      const socket = yield* logIn(server, "ann")
      yield* ask(socket, "SEND red ok", "ACK\n")
      leave(socket)
      yield* until(() => [...server.sessions(0)].length === 0)
    }
    const reader = yield* logIn(server, "bob")
    const counted = yield* ask(reader, "SYNC red 0", "ENDSYNC\n")
    return counted.split("\n").filter((line) => line.startsWith("MSG red ann ")).length === 2
  }).pipe(Effect.scoped)

describe("a WebSocket that is closed (CPT 4.4)", () => {
  it.live("confirms the last ACK, with a code or without one, and as a page that goes away", () =>
    Effect.gen(function*() {
      assert.isTrue(yield* isNewAfter((socket) => socket.close(1000)), "1000")
      assert.isTrue(yield* isNewAfter((socket) => socket.close()), "1005: no code")
      assert.isTrue(yield* isNewAfter((socket) => socket.close(1001)), "1001: going away")
    }))

  it.live("confirms it also where a message for it came after it was closed", () =>
    Effect.gen(function*() {
      const server = yield* started
      const [ann, bob] = [yield* logIn(server, "ann"), yield* logIn(server, "bob")]
      yield* ask(ann, "SYNC blue 0", "ENDSYNC\n")
      yield* ask(ann, "SEND red ok", "ACK\n")
      ann.close(1000)
      ann.pause() // the server's answer to that
      for (let times = 0; times < 20; times++) yield* ask(bob, `SEND blue ${times}`, "ACK\n")
      ann.resume()
      yield* until(() => [...server.sessions(0)].length === 1)
      const again = yield* logIn(server, "ann")
      yield* ask(again, "SEND red ok", "ACK\n")
      assert.strictEqual((yield* ask(bob, "SYNC red 0", "ENDSYNC\n")).split("MSG red ann ").length - 1, 2)
    }))

  it.live("does not confirm it where it broke, or says that something went wrong", () =>
    Effect.gen(function*() {
      assert.isFalse(yield* isNewAfter((socket) => socket.terminate()), "1006: no close at all")
      assert.isFalse(yield* isNewAfter((socket) => socket.close(1011)), "1011: an internal error")
    }))
})

/** 6 MB in 800 messages. */
const history = Array.from({ length: 800 }, (_, index) => `SEND big ${index} ${"x".repeat(8000)}`).join("\n")

const readAccount = Schema.decodeUnknownEffect(Account)

const stores = {
  "in memory": Effect.succeed(layerMemory()),
  "on disk": Effect.map(newFolder, (folder) => layerSqlite({ file: join(folder, "messages.db"), cache: 10_000 }))
}

describe("CPT 5.8: a WebSocket that reads nothing", () => {
  for (const [where, store] of Object.entries(stores)) {
    it.live(`is written no more than the network holds, and gets everything when it reads on, ${where}`, () =>
      Effect.gen(function*() {
        const services = yield* serving({}, yield* store)
        const [server, metrics] = [Context.get(services, Server), Context.get(services, Metrics.Metrics)]
        const writer = yield* logIn(server, "writer")
        yield* ask(writer, history, "ACK\n", 800)
        const slow = yield* logIn(server, "slow")
        slow.pause()
        slow.send("SYNC big 0\n".repeat(16)) // 100 MB
        const sent = () => [...server.sessions(0)].find(({ user }) => user === "slow")?.sent ?? Infinity
        const other = yield* logIn(server, "other")
        for (let before = -1; sent() < 50_000_000 && (before !== sent() || metrics.untakenBytes() === 0);) {
          before = sent()
          for (let turns = 0; turns < 20; turns++) yield* ask(other, "SYNC other 0", "ENDSYNC\n")
        }
        assert.isBelow(sent(), 30_000_000)
        assert.isBelow(metrics.untakenBytes(), 1_000_000)
        const answer = yield* ask(other, "SYNC big 0", "ENDSYNC\n")
        slow.resume()
        assert.isTrue((yield* hear(slow, "ENDSYNC\n")).startsWith(answer))
      }))

    it.live(`is given up after the write deadline, and its name is free, ${where}`, () =>
      Effect.gen(function*() {
        const services = yield* serving({ writeDeadline: Duration.millis(200) }, yield* store)
        const [server, metrics] = [Context.get(services, Server), Context.get(services, Metrics.Metrics)]
        const writer = yield* logIn(server, "writer")
        yield* ask(writer, history, "ACK\n", 800)
        const slow = yield* logIn(server, "slow")
        slow.pause()
        slow.send("SYNC big 0\n".repeat(16))
        yield* until(() => [...server.sessions(0)].every(({ user }) => user !== "slow"))
        assert.strictEqual(metrics.limitHits.of("write-deadline"), 1)
        assert.strictEqual(metrics.untakenBytes(), 0)
        yield* logIn(server, "slow")
      }))
  }
})

describe("the address of a WebSocket", () => {
  it.live("is its peer's, and counts for the limits of an address (CPT 3.14)", () =>
    Effect.gen(function*() {
      const server = Context.get(yield* serving({ exempt: [], maxSessionsPerAddress: 1 }), Server)
      yield* logIn(server, "ann")
      assert.deepStrictEqual([...server.sessions(0)].map(({ address }) => address), ["127.0.0.1"])
      assert.strictEqual(yield* ask(yield* dialed(server), "", "\n"), "DECLINE too_many_connections\n")
    }))

  it.live("is what an account is bound to (CPT 3.2)", () =>
    Effect.gen(function*() {
      const services = yield* serving()
      const { accounts } = Context.get(services, Accounts).declared
      for (const [name, range] of [["near", "127.0.0.0/8"], ["far", "10.0.0.0/8"]]) {
        const account = yield* readAccount({ name, ranges: [range] })
        yield* accounts.change(account.name, () => Effect.succeed(account))
      }
      const socket = yield* dialed(Context.get(services, Server))
      assert.strictEqual(yield* ask(socket, "CONNECT far", "\n"), "DECLINE ip_invalid\n")
      assert.strictEqual(yield* ask(socket, "CONNECT near", "\n"), "ACCEPT\n")
    }))
})
