/**
 * Where the bytes of a session go. Writing never waits: what has been written goes out in order, and whoever writes
 * looks at `isFull` first, or waits for `drained` after. A peer that takes nothing for the write deadline is cut off
 * (CPT 5.8), so every wait here ends.
 *
 * Two kinds: straight to the `node:net` socket where there is one, which can tell what the kernel has taken and whether
 * anything moves; and over the writer of any other `Socket` (WebSocket, in memory).
 */
import { Duration, Effect, Fiber, Latch, Schema } from "effect"
import { Socket } from "effect/socket"
import { Buffer } from "node:buffer"
import type { Socket as NetSocket } from "node:net"
import * as Kernel from "./Kernel.ts"

/** The connection is gone: by the peer, the network, or a deadline. There is nobody left to tell. */
export class PeerGone extends Schema.TaggedError<PeerGone>()("PeerGone", {}) {}

export interface Outlet {
  /** What the kernel calls the connection, if it is one of TCP. */
  readonly connection: () => Kernel.Key | undefined
  /** Bytes written so far: the place of the next byte. */
  readonly written: () => number
  /** Hands over bytes, which must not change any more. After the end of the connection they are dropped. */
  readonly write: (bytes: Uint8Array) => void
  /** The peer is behind: what can wait should. */
  readonly isFull: () => boolean
  /** The connection has been cut, or has broken: what is written is dropped. */
  readonly isGone: () => boolean
  /** Whether the kernel has every byte before this place (CPT 4.4). */
  readonly isHandedOver: (place: number) => boolean
  /**
   * To be asked when the peer has just ended its side: whether it was gone before it could read what was written last.
   * Exact on this machine, where a reset comes at once; over a network it may still be under way.
   */
  readonly isAnsweredByReset: Effect.Effect<boolean>
  /** Whether the peer is still there, also where nobody has noticed since nobody reads from it; undefined if not known. */
  readonly presence: Effect.Effect<Kernel.Presence | undefined>
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

/** How often a peer that is behind is looked at in the time of the write deadline. */
const looks = 4

/** Milliseconds in which a peer that was gone already is noticed: the next turn of the event loop, on a busy day. */
const resetWithin = 50

/** To be made before the inlet: what is made first ends last. */
export const fromNet = Effect.fnUntraced(function*(socket: NetSocket, options: Options) {
  const scope = yield* Effect.scope
  const fork = Effect.runForkWith(yield* Effect.context())
  let key: Kernel.Key | undefined
  const connection = () => key ??= Kernel.keyOf(socket)
  void socket.remoteAddress // Node keeps it then, also for when the kernel no longer knows it
  const notFull = Latch.makeUnsafe(true)
  let full = false
  let written = 0
  let writtenAt = 0
  let watching = false
  socket.setNoDelay(true)
  socket.setKeepAlive(true, Duration.toMillis(options.keepAlive))
  socket.on("drain", () => {
    full = false
    notFull.openUnsafe()
  })
  socket.on("close", () => notFull.openUnsafe())
  socket.on("error", () => {}) // "close" follows

  // CPT 5.8: cut only when nothing has moved. The kernel's buffers are large, and it says that it has room only when a
  // third of them is free: a peer that takes a KB a second would look asleep for minutes.
  const place = Effect.promise(async () => {
    const key = connection()
    const unacknowledged = key === undefined ? undefined : await Kernel.unacknowledged(key)
    return `${socket.writableLength} ${unacknowledged}`
  })
  const watch = Effect.gen(function*() {
    const look = Duration.times(options.writeDeadline, 1 / looks)
    let before = "" // not looked up yet: the kernel's table is long, and most are through in no time
    for (let still = 0; still < looks;) {
      yield* Effect.sleep(look)
      if (socket.writableLength === 0 || socket.destroyed) return
      const now = yield* place
      still = now === before ? still + 1 : 0
      before = now
    }
    socket.destroy()
  }).pipe(Effect.ensuring(Effect.sync(() => {
    watching = false
  })))
  const startWatching = () => {
    if (watching) return
    watching = true
    Fiber.runIn(fork(watch), scope)
  }

  const unlessGone = Effect.suspend(() => socket.destroyed ? Effect.fail(new PeerGone({})) : Effect.void)
  const presence = Effect.suspend(() => {
    if (socket.destroyed) return Effect.succeed("gone" as const)
    const key = connection()
    return key === undefined ? Effect.undefined : Effect.promise(() => Kernel.presence(key))
  })
  const outlet: Outlet = {
    connection,
    written: () => written,
    write: (bytes) => {
      if (socket.destroyed || socket.writableEnded) return
      written += bytes.length
      writtenAt = performance.now()
      if (socket.write(bytes) || full) return
      full = true
      notFull.closeUnsafe()
      startWatching()
    },
    isFull: () => full,
    isGone: () => socket.destroyed,
    isHandedOver: (place) => written - socket.writableLength >= place,
    isAnsweredByReset: Effect.suspend(() =>
      performance.now() - writtenAt < resetWithin
        ? Effect.map(presence, (presence) => presence === "gone")
        : Effect.succeed(false)
    ),
    presence,
    drained: Effect.andThen(notFull.await, unlessGone),
    end: Effect.callback<void>((resume) => {
      if (socket.destroyed) return resume(Effect.void) // nothing would ever call back
      const done = () => resume(Effect.void)
      socket.once("close", done)
      socket.end(done)
      if (socket.writableLength > 0) startWatching()
      return Effect.sync(() => socket.off("close", done))
    }).pipe(Effect.andThen(unlessGone)),
    destroy: Effect.sync(() => socket.destroy())
  }
  yield* Effect.addFinalizer(() => outlet.destroy)
  return outlet
})

export const fromWriter = Effect.fnUntraced(function*(socket: Socket.Socket, options: Options) {
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
    connection: () => undefined,
    written: () => written,
    write: (bytes) => {
      if (gone) return
      written += bytes.length
      waiting.push(bytes)
      notFull.closeUnsafe()
      something.openUnsafe()
    },
    isFull: () => written > handedOver,
    isGone: () => gone,
    isAnsweredByReset: Effect.succeed(false),
    presence: Effect.sync(() => gone ? "gone" : undefined),
    isHandedOver: (place) => handedOver >= place,
    drained,
    end: drained, // the writer ends its side when the scope does
    destroy
  }
  return outlet
})
