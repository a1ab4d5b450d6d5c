/** The examples are run here as their readers would, over real sockets. */
import { CptClient } from "@cpt/client"
import { Accounts, Admin, layerMemory, Listener, Probes, Server } from "@cpt/server"
import { AdminClient } from "@cpt/server/admin"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Queue, Redacted, Stream } from "effect"
import { invitedOnly } from "../account-rule.ts"
import { administered } from "../administered.ts"
import { bot } from "../bot.ts"
import { chat } from "../websocket.ts"

/** The port that a server of ours got. */
const portOf = (server: Server["Service"], index = 0): number => {
  const address = server.addresses[index]
  return address !== undefined && "port" in address ? address.port : assert.fail("not on a port")
}

const started = <E>(server: Layer.Layer<Server, E>) => Effect.map(Layer.build(server), Context.get(Server))

describe("account-rule", () => {
  it.live("refuses with its own word who is not invited", () =>
    Effect.gen(function*() {
      const port = portOf(yield* started(invitedOnly(0)))
      yield* CptClient.connect({ username: "alice", port })
      const error = yield* Effect.flip(CptClient.connect({ username: "mallory", port }))
      assert.strictEqual(error._tag, "Declined")
      assert.strictEqual(error._tag === "Declined" && error.reason, "not_invited")
    }))
})

describe("administered", () => {
  it.live("tells who has the token how it is, and everybody that it is well", () =>
    Effect.gen(function*() {
      const services = yield* Layer.build(administered({ chat: 0, admin: 0, probes: 0 }, "secret"))
      const port = portOf(Context.get(services, Server))
      yield* CptClient.connect({ username: "alice", port })
      const url = new URL(Context.get(services, Admin).uri)
      const admin = yield* AdminClient.make({ url, token: Redacted.make("secret") })
      assert.strictEqual((yield* admin.server.status()).users, 1)
      const stranger = yield* AdminClient.make({ url, token: Redacted.make("guess") })
      assert.strictEqual((yield* Effect.flip(stranger.server.status()))._tag, "Unauthorized")
      const { uri } = Context.get(services, Probes)
      const health = yield* Effect.promise(() => fetch(`${uri}/healthz`).then((response) => response.json()))
      assert.deepStrictEqual(health, { status: "ready" })
    }))
})

describe("websocket", () => {
  it.live("is the same chat for both listeners", () =>
    Effect.gen(function*() {
      const server = yield* started(chat({ tcp: 0, webSocket: 0 }))
      const alice = yield* CptClient.connect({ username: "alice", port: portOf(server, 0) })
      const browser = yield* Effect.acquireRelease(
        Effect.sync(() => new WebSocket(`ws://127.0.0.1:${portOf(server, 1)}`)),
        (socket) => Effect.sync(() => socket.close())
      )
      const said = Stream.callback<string>((queue) =>
        Effect.sync(() => {
          browser.addEventListener("message", async (event) => {
            const text = event.data instanceof Blob ? await event.data.text() : String(event.data)
            for (const line of text.split("\n")) if (line !== "") Queue.offerUnsafe(queue, line)
          })
          browser.addEventListener("open", () => browser.send("CONNECT bob\nSYNC group1 0\n"))
        })
      )
      const lines = yield* said.pipe(
        Stream.tap((line) => line === "ENDSYNC" ? alice.send("group1", "hello browser") : Effect.void),
        Stream.take(3),
        Stream.runCollect
      )
      assert.deepStrictEqual(lines.map((line) => line.replace(/\d{13}/, "<t>")), [
        "ACCEPT",
        "ENDSYNC",
        "MSG group1 alice <t> hello browser"
      ])
    }))
})

describe("bot", () => {
  it.live("answers what it is asked", () =>
    Effect.gen(function*() {
      const server = yield* started(
        Server.layer(Listener.tcp({ port: 0 })).pipe(Layer.provide([Accounts.layerOpen, layerMemory()]))
      )
      const port = portOf(server)
      yield* Layer.build(Layer.provide(bot("group1"), CptClient.layer({ username: "bot", port })))
      const alice = yield* CptClient.connect({ username: "alice", port })
      yield* alice.send("group1", "!ping")
      const answer = yield* alice.follow(["group1"]).pipe(
        Stream.filter((event) => event._tag === "Message" && event.sender === "bot"),
        Stream.runHead,
        Effect.flatMap(Effect.fromOption)
      )
      assert.strictEqual(answer._tag === "Message" && answer.message, "pong")
    }))
})
