import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber } from "effect"
import { Buffer } from "node:buffer"
import { once } from "node:events"
import { connect, createServer, type Socket } from "node:net"
import { join } from "node:path"
import { Duplex, duplexPair } from "node:stream"
import { connect as connectTls, createSecureContext, TLSSocket } from "node:tls"
import { next } from "../src/Connection.ts"
import { NetConnection } from "../src/NetConnection.ts"
import { cert, key } from "./support/certificate.ts"
import { newFolder } from "./support/folder.ts"

const connectionOf = (socket: Socket, writeDeadline: Duration.Duration = Duration.seconds(30)) =>
  new NetConnection(socket, { writeDeadline, keepAlive: Duration.seconds(30) }, Effect.runFork)

/** Both ends of a connection: of the server's, with a session's view of it. Over TCP, or the Unix socket at a path. */
const connected = (path?: string, writeDeadline?: Duration.Duration) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const server = createServer({ allowHalfOpen: true })
      server.listen(path ?? { port: 0, host: "127.0.0.1" })
      await once(server, "listening")
      const address = server.address()
      const place = address !== null && typeof address === "object" ? { port: address.port } : { path: path ?? "" }
      const peer = connect(place)
      const [socket]: Array<Socket> = await once(server, "connection")
      if (socket === undefined) throw new Error("no socket")
      server.close()
      return { peer, connection: connectionOf(socket, writeDeadline) }
    }),
    ({ connection, peer }) => Effect.andThen(Effect.sync(() => peer.destroy()), connection.destroy)
  )

const nothing = { hear: () => undefined, unconfirmed: () => undefined }

const page = Buffer.alloc(64 * 1024)

const fill = Effect.fnUntraced(function*(connection: NetConnection) {
  while (!connection.isFull()) {
    connection.write(page)
    yield* Effect.yieldNow
  }
})

describe("NetConnection", () => {
  it.live("tells an end in good order from one of our own making (CPT 4.4)", () =>
    Effect.gen(function*() {
      const { connection, peer } = yield* connected()
      peer.end()
      assert.strictEqual((yield* Effect.flip(next(connection, nothing)))._tag, "EndOfInput")
      const cut = yield* connected()
      yield* Effect.forkChild(Effect.andThen(Effect.yieldNow, cut.connection.cut("shutdown deadline")))
      assert.strictEqual((yield* Effect.flip(next(cut.connection, nothing)))._tag, "PeerGone")
    }))

  it.live("knows that its peer had gone before it was answered, also if it is asked late (CPT 4.4)", () =>
    Effect.gen(function*() {
      const { connection, peer } = yield* connected()
      peer.destroy()
      assert.strictEqual((yield* Effect.flip(next(connection, nothing)))._tag, "EndOfInput")
      connection.write(Buffer.from("ACK\n"))
      yield* Effect.sleep("100 millis") // as on a machine that is busy
      assert.isTrue(yield* connection.isAnsweredByReset)
    }))

  it.live("that is woken has no more room than before: who waited looks again, and may wait on (CPT 5.8)", () =>
    Effect.gen(function*() {
      const { connection, peer } = yield* connected()
      peer.pause()
      yield* fill(connection)
      const first = yield* Effect.forkChild(connection.drained, { startImmediately: true })
      connection.wake()
      yield* Fiber.join(first)
      const second = yield* Effect.forkChild(connection.drained, { startImmediately: true })
      yield* Effect.yieldNow
      assert.isUndefined(second.pollUnsafe())
      peer.resume()
      yield* Fiber.join(second)
      assert.isFalse(connection.isFull())
    }))

  it.live.skipIf(process.platform === "win32")(
    "whose peer takes something all the time is not cut, though as much waits each time (CPT 5.8)",
    () =>
      Effect.gen(function*() {
        const deadline = Duration.millis(200)
        const { connection, peer } = yield* connected(join(yield* newFolder, "socket"), deadline)
        const taken = Effect.callback<Buffer>((resume) => {
          const take = () => {
            const bytes: Buffer | null = peer.read(page.length)
            if (bytes === null) return void peer.once("readable", take)
            resume(Effect.succeed(bytes))
          }
          take()
        })
        // What waits is a page whenever somebody looks
        const writing = yield* Effect.forkChild(Effect.forever(Effect.andThen(fill(connection), connection.drained)))
        for (let time = 0; time < 100; time++) yield* Effect.delay(taken, "10 millis")
        assert.isUndefined(connection.cutFor())
        assert.strictEqual((yield* Effect.flip(Fiber.join(writing)))._tag, "PeerGone") // as it takes nothing any more
        assert.strictEqual(connection.cutFor(), "write deadline")
      })
  )

  it.live("over TLS, ends though nobody takes the last word of TLS (CPT 5.8)", () =>
    Effect.gen(function*() {
      const [ours, theirs] = duplexPair()
      let isHeld = false
      const held = new Duplex({
        read: () => {},
        write: (chunk, encoding, done) => {
          if (!isHeld) ours.write(chunk, encoding, done)
        }
      })
      ours.on("data", (chunk) => held.push(chunk))
      const socket = new TLSSocket(held, { isServer: true, secureContext: createSecureContext({ key, cert }) })
      const peer = connectTls({ socket: theirs, servername: "localhost", ca: cert }).on("error", () => {})
      yield* Effect.promise(() => once(peer, "secureConnect"))
      const connection = connectionOf(socket, Duration.millis(100))
      isHeld = true
      assert.strictEqual((yield* Effect.flip(connection.end))._tag, "PeerGone")
      assert.strictEqual(connection.cutFor(), "write deadline")
      peer.destroy()
    }))
})
