/**
 * What a session takes, without a network: from the bytes that Node gives for a SEND to those of its ACK, with the store
 * in memory. Nothing of it waits, so the fastest slices say the same on a busy machine too, which what goes through the
 * kernel does not.
 *
 *     npx node --conditions=@cpt/source packages/server/benchmark/session.ts
 */
import { Accounts, layerMemory, type Listener, Server, ServerConfig } from "@cpt/server"
import { Effect, Layer, Logger } from "effect"
import { NetAddress } from "effect/net"
import { SocketServer } from "effect/socket"
import { Buffer } from "node:buffer"
import { Socket } from "node:net"

const seconds = 5

/** A peer that takes everything at once, and says what it is told to. */
class Peer extends Socket {
  bytes = 0
  override write(chunk: Uint8Array | string): boolean {
    this.bytes += chunk.length
    return true
  }
  says(bytes: Buffer): void {
    this.emit("data", bytes)
  }
}

let connect: (peer: Peer) => void = () => {}

const accept: Listener.NetServer["accept"] = (handler) =>
  Effect.flatMap(Effect.context<Effect.Services<ReturnType<typeof handler>>>(), (context) => {
    const fork = Effect.runForkWith(context)
    connect = (peer) => void fork(handler(peer, undefined))
    return Effect.never
  })

const server: Listener.NetServer = { address: NetAddress.unixPathAddress("nowhere"), run: () => Effect.never, accept }

/** Runs slices of work for some seconds, and says what one piece of it takes. */
const measure = (what: string, pieces: number, slice: () => () => void) =>
  Effect.gen(function*() {
    const nanos: Array<number> = []
    for (const until = performance.now() + seconds * 1000; performance.now() < until;) {
      const work = slice()
      const begin = process.hrtime.bigint()
      work()
      nanos.push(Number(process.hrtime.bigint() - begin) / pieces)
      yield* Effect.yieldNow
    }
    nanos.sort((a, b) => a - b)
    const at = (part: number) => nanos[Math.floor(nanos.length * part)]?.toFixed(0)
    console.log(`${what}: ${at(0)} ns, a tenth of the slices within ${at(0.1)}, half of them within ${at(0.5)}`)
  })

const sends = Effect.fnUntraced(function*(window: number) {
  const peer = new Peer()
  connect(peer)
  peer.says(Buffer.from(`CONNECT user${window}\n`))
  yield* Effect.sleep("10 millis")
  const goes = Math.ceil(2048 / window)
  let n = 0
  yield* measure(`SEND, ${window} in a go`, goes * window, () => {
    const all = Array.from(
      { length: goes },
      () => Buffer.from(Array.from({ length: window }, () => `SEND red ${"x".repeat(40)} ${n++}\n`).join(""))
    )
    const before = peer.bytes
    return () => {
      for (const bytes of all) peer.says(bytes)
      if (peer.bytes - before !== "ACK\n".length * goes * window) throw new Error("there is an ACK missing")
    }
  })
})

await Effect.runPromise(
  Effect.andThen(sends(1), sends(64)).pipe(
    Effect.delay("50 millis"), // until it listens
    Effect.provide(
      Server.layer(Layer.succeed(SocketServer.SocketServer, server)).pipe(
        Layer.provide([Accounts.layerOpen, layerMemory({ messages: 100_000 })]),
        Layer.provide(layerMemory({ messages: 100_000 })),
        Layer.provide(ServerConfig.layer({ rateLimit: Infinity, byteLimit: Infinity })),
        Layer.provide(Logger.layer([Logger.make(() => {})]))
      )
    )
  )
)
process.exit(0)
