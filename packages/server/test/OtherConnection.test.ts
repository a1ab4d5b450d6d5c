import { NodeSocketServer, NodeWS } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Option } from "effect"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import type { Socket } from "node:net"
import type { Connection } from "../src/Connection.ts"
import { keyOf } from "../src/Kernel.ts"
import * as OtherConnection from "../src/OtherConnection.ts"

const options = { writeDeadline: Duration.seconds(30), keepAlive: Duration.seconds(20) }

/** Both ends of a WebSocket: of the server's, with a session's view of it. */
const connected = Effect.gen(function*() {
  const server = yield* NodeSocketServer.makeWebSocket({ host: "127.0.0.1", port: 0 })
  const made = yield* Deferred.make<{ readonly connection: Connection; readonly socket: Socket }>()
  yield* Effect.forkScoped(server.run((socket) =>
    Effect.gen(function*() {
      const request = Option.getOrThrow(yield* Effect.serviceOption(NodeSocketServer.IncomingMessage))
      const connection = yield* OtherConnection.make(socket, options)
      yield* Deferred.succeed(made, { connection, socket: request.socket })
      return yield* Effect.never
    }).pipe(Effect.scoped)
  ))
  const peer = yield* Effect.acquireRelease(
    Effect.sync(() =>
      new NodeWS.WebSocket(`ws://127.0.0.1:${"port" in server.address ? server.address.port : assert.fail("no port")}`)
    ),
    (socket) => Effect.sync(() => socket.terminate())
  )
  yield* Effect.promise(() => once(peer, "open"))
  return { ...yield* Deferred.await(made), peer }
})

/** Which timer of the kernel's runs for a connection: 02 is that of keepalive. */
const timerOf = (key: string | undefined) => {
  const row = readFileSync("/proc/net/tcp", "latin1").split("\n").find((row) => key !== undefined && row.includes(key))
  return row?.split(key ?? "")[1]?.split(" ")[2]?.slice(0, 2)
}

describe.runIf(process.platform === "linux")("a WebSocket, whose peer's host may die (CPT 3.2)", () => {
  it.live("is known to the kernel under its key, which asks whether the host still lives", () =>
    Effect.gen(function*() {
      const { connection, socket } = yield* connected
      assert.strictEqual(connection.key(), keyOf(socket))
      assert.strictEqual(timerOf(connection.key()), "00")
      connection.keepAlive()
      assert.strictEqual(timerOf(connection.key()), "02")
    }))

  it.live("is known to be gone, though nobody listens to it", () =>
    Effect.gen(function*() {
      const { connection, peer, socket } = yield* connected
      assert.strictEqual(yield* connection.presence, "here")
      const closed = once(socket, "close")
      peer.terminate()
      yield* Effect.promise(() => closed)
      assert.strictEqual(yield* connection.presence, "gone")
    }))
})
