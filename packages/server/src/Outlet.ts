/**
 * Where the bytes of a session go. Writing never waits: what has been written goes out in order, and whoever writes
 * looks at `isFull` first, or waits for `drained` after. A peer that takes nothing for the write deadline is cut off
 * (CPT 5.8), so every wait here ends.
 *
 * Two kinds: straight to the `node:net` socket where there is one, which can tell what the kernel has taken and whether
 * anything moves; and over the writer of any other `Socket` (WebSocket, in memory).
 */
import { NodeSocket } from "@effect/platform-node"
import { Duration, Effect, Latch, Option, Schema, type Scope } from "effect"
import { Socket } from "effect/socket"
import { Buffer } from "node:buffer"
import type { Socket as NetSocket } from "node:net"

/** The connection is gone: by the peer, the network, or a deadline. There is nobody left to tell. */
export class PeerGone extends Schema.TaggedError<PeerGone>()("PeerGone", {}) {}

export interface Outlet {
  /** Bytes written so far: the place of the next byte. */
  readonly written: () => number
  /** Hands over bytes, which must not change any more. After the end of the connection they are dropped. */
  readonly write: (bytes: Uint8Array) => void
  /** The peer is behind: what can wait should. */
  readonly isFull: () => boolean
  /** Whether the kernel has every byte before this place (CPT 4.4). */
  readonly isHandedOver: (place: number) => boolean
  /** Waits until the peer is no longer behind. */
  readonly drained: Effect.Effect<void, PeerGone>
  /** Writes all there is and then the end of our side. */
  readonly end: Effect.Effect<void, PeerGone>
  /** Cuts the connection now. */
  readonly destroy: Effect.Effect<void>
}

export interface Options {
  readonly writeDeadline: Duration.Duration
  readonly keepAlive: Duration.Duration
}

/** To be made before the reader of the socket is acquired: what is made first ends last. */
export const make = (socket: Socket.Socket, options: Options): Effect.Effect<Outlet, never, Scope.Scope> =>
  Effect.flatMap(Effect.serviceOption(NodeSocket.NetSocket), (net) =>
    Option.isSome(net)
      ? Effect.acquireRelease(Effect.sync(() => fromNet(net.value, options)), (outlet) => outlet.destroy)
      : fromWriter(socket, options))

const fromNet = (socket: NetSocket, options: Options): Outlet => {
  const writeDeadline = Duration.toMillis(options.writeDeadline)
  const notFull = Latch.makeUnsafe(true)
  let full = false
  let written = 0
  socket.setNoDelay(true)
  socket.setKeepAlive(true, Duration.toMillis(options.keepAlive))
  socket.on("drain", () => {
    full = false
    socket.setTimeout(0)
    notFull.openUnsafe()
  })
  socket.on("close", () => notFull.openUnsafe())
  socket.on("error", () => {}) // "close" follows
  // Only set while the peer is behind. Node looks at what libuv could write before it calls that idle.
  socket.on("timeout", () => socket.destroy())

  const unlessGone = Effect.suspend(() => socket.destroyed ? Effect.fail(new PeerGone({})) : Effect.void)
  return {
    written: () => written,
    write: (bytes) => {
      if (socket.destroyed || socket.writableEnded) return
      written += bytes.length
      if (socket.write(bytes) || full) return
      full = true
      notFull.closeUnsafe()
      socket.setTimeout(writeDeadline)
    },
    isFull: () => full,
    isHandedOver: (place) => written - socket.writableLength >= place,
    drained: Effect.andThen(notFull.await, unlessGone),
    end: Effect.callback<void>((resume) => {
      if (socket.destroyed) return resume(Effect.void) // nothing would ever call back
      const done = () => resume(Effect.void)
      socket.setTimeout(writeDeadline)
      socket.once("close", done)
      socket.end(done)
      return Effect.sync(() => socket.off("close", done))
    }).pipe(Effect.andThen(unlessGone)),
    destroy: Effect.sync(() => socket.destroy())
  }
}

const fromWriter = Effect.fnUntraced(function*(socket: Socket.Socket, options: Options) {
  const writer = yield* socket.writer
  const something = Latch.makeUnsafe(false)
  const notFull = Latch.makeUnsafe(true)
  let waiting: Array<Uint8Array> = []
  let written = 0
  let handedOver = 0
  let gone = false
  const destroy = Effect.suspend(() => {
    gone = true
    notFull.openUnsafe()
    return Effect.ignore(writer.write(new Socket.CloseEvent(1001)))
  })
  const writeWhatWaits = Effect.gen(function*() {
    yield* something.await
    something.closeUnsafe()
    const bytes = Buffer.concat(waiting)
    waiting = []
    yield* Effect.timeout(writer.write(bytes), options.writeDeadline)
    handedOver += bytes.length
    if (waiting.length === 0) notFull.openUnsafe()
  })
  yield* Effect.forever(writeWhatWaits).pipe(Effect.catch(() => destroy), Effect.forkScoped)
  const drained = Effect.andThen(
    notFull.await,
    Effect.suspend(() => gone ? Effect.fail(new PeerGone({})) : Effect.void)
  )
  const outlet: Outlet = {
    written: () => written,
    write: (bytes) => {
      if (gone) return
      written += bytes.length
      waiting.push(bytes)
      notFull.closeUnsafe()
      something.openUnsafe()
    },
    isFull: () => written > handedOver,
    isHandedOver: (place) => handedOver >= place,
    drained,
    end: drained, // the writer ends its side when the scope does
    destroy
  }
  return outlet
})
