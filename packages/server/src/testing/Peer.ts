/**
 * A peer in memory: the other end of a `Socket` without a port, so that a session or a whole server runs under
 * TestClock. What the peer says reaches the server chunk by chunk as it was said; how fast the peer takes what the
 * server writes, down to not at all, is the test's to choose.
 *
 *     const memory = makeListener()
 *     const server = Server.layer(memory.listener).pipe(Layer.provide([Accounts.layerOpen, layerMemory()]))
 *
 *     it.effect("lets alice in", () =>
 *       Effect.gen(function*() {
 *         const alice = yield* memory.connect
 *         yield* alice.say("CONNECT alice\n")
 *         assert.strictEqual(yield* alice.line, "ACCEPT")
 *       }).pipe(Effect.provide(server)))
 */
import { Framer } from "@cpt/schema"
import { Cause, Deferred, Effect, Exit, Latch, Layer, Option, Queue, Scope } from "effect"
import { NetAddress } from "effect/net"
import { Socket, SocketServer } from "effect/socket"
import { Buffer } from "node:buffer"
import type { Listener } from "../Listener.ts"

export interface Peer {
  /** The server's end. */
  readonly socket: Socket.Socket
  /** Says these bytes, as one chunk; of a string, its UTF-8. */
  readonly say: (bytes: string | Uint8Array) => Effect.Effect<void>
  /** Ends the peer's side in good order: it has no more to say, and still listens. */
  readonly end: Effect.Effect<void>
  /** Breaks the connection off, in both directions. */
  readonly cut: Effect.Effect<void>
  /** Waits until the server has done with the connection; only for a peer that came by a listener. */
  readonly hasEnded: Effect.Effect<void>
  /**
   * The next line of the server, without its end; waits for it. Fails with a `SocketCloseError` when there is none: with
   * code 1000 if the server ended with everything taken, 1001 if it would not wait for that, 1006 after `cut`.
   */
  readonly line: Effect.Effect<string, Socket.SocketError>
  /** The writes that were taken, each as it was written; a write that was taken in parts is parts. */
  readonly writes: ReadonlyArray<Uint8Array>
  /** Takes nothing from now on: a write of the server waits. */
  readonly stopReading: Effect.Effect<void>
  /** Takes so many more bytes; without a number, all there will be. */
  readonly read: (bytes?: number) => Effect.Effect<void>
}

const closeError = (code: number) => new Socket.SocketError({ reason: new Socket.SocketCloseError({ code }) })

const broken = (Reason: typeof Socket.SocketReadError | typeof Socket.SocketWriteError) =>
  new Socket.SocketError({ reason: new Reason({ cause: new Error("the connection was cut") }) })

const bytesOf = (text: string | Uint8Array): Uint8Array => typeof text === "string" ? Buffer.from(text) : text

/** A peer by itself, for whoever runs a session and not a server. */
export const makePeer: Effect.Effect<Peer> = Effect.suspend(() => make(Deferred.makeUnsafe()))

const make = Effect.fnUntraced(function*(ended: Deferred.Deferred<void>) {
  const said = yield* Queue.unbounded<Uint8Array, Socket.SocketError>()
  const lines = yield* Queue.unbounded<string, Socket.SocketError>()
  const framer = new Framer.Framer(Number.MAX_SAFE_INTEGER)
  const writes: Array<Uint8Array> = []
  const moving = Latch.makeUnsafe(true)
  let room = Number.POSITIVE_INFINITY
  let writing = false
  let isOpen = true

  /** The connection is over. The server's end is told so with `toServer`. */
  const close = (code: number, toServer: Socket.SocketError) => {
    if (!isOpen) return
    isOpen = false
    moving.openUnsafe()
    Queue.failCauseUnsafe(said, Cause.fail(toServer))
    Queue.failCauseUnsafe(lines, Cause.fail(closeError(code)))
  }

  const take = (bytes: Uint8Array) => {
    writes.push(bytes)
    for (const line of framer.push(bytes)) Queue.offerUnsafe(lines, typeof line === "string" ? line : "(not UTF-8)")
  }

  const writeBytes = Effect.fnUntraced(function*(bytes: Uint8Array) {
    let rest: Uint8Array = bytes.slice() // the array is the writer's again
    writing = true
    while (rest.length > 0) {
      if (!isOpen) return yield* Effect.fail(broken(Socket.SocketWriteError))
      if (room === 0) {
        moving.closeUnsafe()
        yield* moving.await
        continue
      }
      const count = Math.min(room, rest.length)
      room -= count
      take(rest.subarray(0, count))
      rest = rest.subarray(count)
    }
    writing = false
  })

  // The end of the reader is the end of the connection, in good order if nothing is left to be written
  const end = Effect.sync(() => close(writing ? 1001 : 1000, closeError(1006)))
  const socket = Socket.make({
    reader: Effect.as(
      Effect.acquireRelease(Effect.void, () => end),
      { pull: Queue.takeAll(said), upgrade: Socket.SocketUpgradeError.unsupported }
    ),
    writer: Effect.succeed({
      write: (chunk) =>
        Socket.isCloseEvent(chunk)
          ? Effect.sync(() => close(chunk.code, closeError(1006)))
          : writeBytes(bytesOf(chunk)),
      writeAll: (chunks) => writeBytes(Buffer.concat(chunks.map(bytesOf)))
    })
  })

  const peer: Peer = {
    socket,
    hasEnded: Deferred.await(ended),
    say: (bytes) => Effect.asVoid(Queue.offer(said, bytesOf(bytes))),
    end: Effect.asVoid(Queue.fail(said, closeError(1000))),
    cut: Effect.sync(() => close(1006, broken(Socket.SocketReadError))),
    line: Queue.take(lines),
    writes,
    stopReading: Effect.sync(() => {
      room = 0
    }),
    read: (bytes = Number.POSITIVE_INFINITY) =>
      Effect.sync(() => {
        room += bytes
        moving.openUnsafe()
      })
  }
  return peer
})

export interface Memory {
  readonly listener: Listener
  /** A peer that comes to the server, and is cut when the scope is closed, if it is still there. */
  readonly connect: Effect.Effect<Peer, never, Scope.Scope>
}

/**
 * A listener without a port, and how to connect to it. To be given to one server; when that stops, it takes no more.
 *
 * @param peersStay whether peers are still there where the server stops, for tests of what it does with those: it waits
 *   for them then, by the clock. If not, they hear what it has to say, and end their side, as clients do
 */
export const makeListener = ({ peersStay = false }: { readonly peersStay?: boolean } = {}): Memory => {
  const calls: Array<Call> = []
  const called = Latch.makeUnsafe(false)
  const present = new Set<Peer>()
  let hasStopped = false
  const stop = Effect.suspend(() => {
    hasStopped = true
    return Effect.forEach(calls.splice(0), refuse)
  })
  const refuse = ({ ended, peer }: Call) => Effect.andThen(peer.cut, Deferred.done(ended, Exit.void))
  const leave = Effect.suspend(() => Effect.forEach(present, (peer) => Effect.andThen(peer.read(), peer.end)))
  const answered = Effect.suspend(() => {
    called.closeUnsafe()
    return Effect.succeed(calls.splice(0))
  })
  const server = SocketServer.SocketServer.of({
    address: NetAddress.unixPathAddress("memory"),
    run: Effect.fnUntraced(function*(handler) {
      // That of the server, which runs its listeners in it. When it closes, this comes before the server waits; a turn
      // later they have been told why
      const servers = yield* Effect.serviceOption(Scope.Scope)
      if (!peersStay && Option.isSome(servers)) yield* Scope.addFinalizer(servers.value, Effect.forkDetach(leave))
      const serve = ({ ended, peer }: Call) =>
        Effect.suspend(() => {
          present.add(peer)
          return handler(peer.socket)
        }).pipe(
          Effect.ignoreCause,
          Effect.ensuring(Effect.suspend(() => {
            present.delete(peer)
            return Deferred.done(ended, Exit.void)
          }))
        )
      return yield* Effect.acquireUseRelease(
        Scope.make("parallel"),
        (scope) =>
          called.await.pipe(
            Effect.andThen(answered),
            Effect.flatMap((calls) => Effect.forEach(calls, (call) => Effect.forkIn(serve(call), scope))),
            Effect.forever
          ),
        (scope) => Effect.andThen(stop, Scope.close(scope, Exit.void))
      )
    })
  })
  const call = Effect.gen(function*() {
    const ended = yield* Deferred.make<void>()
    const peer = yield* make(ended)
    if (hasStopped) yield* refuse({ ended, peer })
    else {
      calls.push({ ended, peer })
      called.openUnsafe()
    }
    return peer
  })
  return {
    listener: Layer.succeed(SocketServer.SocketServer, server),
    connect: Effect.acquireRelease(call, (peer) => peer.cut)
  }
}

interface Call {
  readonly peer: Peer
  readonly ended: Deferred.Deferred<void>
}
