import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { once } from "node:events"
import { connect, createServer, type Socket } from "node:net"
import { next } from "../src/Connection.ts"
import { NetConnection } from "../src/NetConnection.ts"

/** Both ends of a connection: of the server's, with a session's view of it. */
const connected = Effect.acquireRelease(
  Effect.promise(async () => {
    const server = createServer({ allowHalfOpen: true })
    server.listen(0, "127.0.0.1")
    await once(server, "listening")
    const address = server.address()
    const peer = connect(address !== null && typeof address === "object" ? address.port : 0, "127.0.0.1")
    const [socket]: Array<Socket> = await once(server, "connection")
    if (socket === undefined) throw new Error("no socket")
    server.close()
    const options = { writeDeadline: Duration.seconds(30), keepAlive: Duration.seconds(30) }
    return { peer, connection: new NetConnection(socket, options, Effect.runFork) }
  }),
  ({ connection, peer }) => Effect.andThen(Effect.sync(() => peer.destroy()), connection.destroy)
)

const nothing = { hear: () => undefined, unconfirmed: () => undefined }

describe("NetConnection", () => {
  it.live("tells an end in good order from one of our own making (CPT 4.4)", () =>
    Effect.gen(function*() {
      const { connection, peer } = yield* connected
      peer.end()
      assert.strictEqual((yield* Effect.flip(next(connection, nothing)))._tag, "EndOfInput")
      const cut = yield* connected
      yield* Effect.forkChild(Effect.andThen(Effect.yieldNow, cut.connection.cut("shutdown deadline")))
      assert.strictEqual((yield* Effect.flip(next(cut.connection, nothing)))._tag, "PeerGone")
    }))
})
