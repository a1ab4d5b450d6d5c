/** Over WebSocket: how a connection ends there. */
import { Accounts, layerMemory, Server } from "@cpt/server"
import { NodeSocketServer, NodeWS } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { once } from "node:events"
import { setImmediate } from "node:timers/promises"

const started = NodeSocketServer.layerWebSocket({ host: "127.0.0.1", port: 0 }).pipe(
  Server.layer,
  Layer.provide([Accounts.layerOpen, layerMemory()]),
  Layer.build,
  Effect.map(Context.get(Server))
)

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

/** Says a line, and hears all that it is answered. */
const ask = (socket: NodeWS.WebSocket, line: string, end: string) =>
  Effect.callback<string>((resume) => {
    let heard = ""
    const hear = (message: NodeWS.RawData) => {
      heard += String(message)
      if (heard.endsWith(end)) resume(Effect.succeed(heard))
    }
    socket.on("message", hear)
    socket.send(`${line}\n`)
    return Effect.sync(() => socket.off("message", hear))
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
      yield* Effect.promise(async () => {
        while ([...server.sessions(0)].length > 0) await setImmediate()
      })
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

  it.live("does not confirm it where it broke, or says that something went wrong", () =>
    Effect.gen(function*() {
      assert.isFalse(yield* isNewAfter((socket) => socket.terminate()), "1006: no close at all")
      assert.isFalse(yield* isNewAfter((socket) => socket.close(1011)), "1011: an internal error")
    }))
})
