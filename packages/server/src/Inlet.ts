/**
 * Where the bytes of a session come from. What arrives is given to `hear` at once, where it arrives; whoever waits for
 * `next` is woken only by what `hear` leaves to do, so that a fiber is no part of what need not wait (with SENDs read by
 * hand, this halved the CPU of an ACK). Nobody is read while what was left is not done: backpressure is TCP's.
 *
 * Two kinds, as with the `Outlet`: straight from the `node:net` socket where there is one, and over the reader of any
 * other `Socket`.
 */
import { Effect, Exit, Schema, type Scope } from "effect"
import { Socket } from "effect/socket"
import { Buffer } from "node:buffer"
import type { Socket as NetSocket } from "node:net"
import { PeerGone } from "./Outlet.ts"

/** The peer has ended its side in good order, maybe only to say that it has no more to ask (CPT 1.7). */
class EndOfInput extends Schema.TaggedError<EndOfInput>()("EndOfInput", {}) {}

export interface Inlet<A> {
  /** Waits for what `hear` leaves to do. One at a time. */
  readonly next: Effect.Effect<A, EndOfInput | PeerGone>
  /** Nothing more can come. */
  readonly hasEnded: () => boolean
}

type End = Exit.Exit<never, EndOfInput | PeerGone>

// Made once: an error costs its stack, and these say no more than their names
const ended: End = Exit.fail(new EndOfInput({}))
const broken: End = Exit.fail(new PeerGone({}))

/** Does what can be done at once, and gives what is left; undefined if that is nothing. */
export type Hear<A> = (bytes: Uint8Array) => A | undefined

export const fromNet = <A>(socket: NetSocket, hear: Hear<A>): Inlet<A> => {
  let early: Array<Uint8Array> = [] // nobody has waited for it yet
  let end: End | undefined
  let resume: ((result: Effect.Effect<A, EndOfInput | PeerGone>) => void) | undefined

  const tell = (result: Effect.Effect<A, EndOfInput | PeerGone>) => {
    const waiting = resume
    resume = undefined
    waiting?.(result)
  }
  const take = (bytes: Uint8Array) => {
    try {
      const left = hear(bytes)
      if (left !== undefined) tell(Exit.succeed(left))
    } catch (defect) {
      tell(Exit.die(defect)) // ends the session, and not the server
    }
  }
  socket.on("data", (bytes: Uint8Array) => {
    if (resume !== undefined) return take(bytes)
    early.push(bytes)
    socket.pause()
  })
  socket.on("end", () => tell(end ??= ended))
  socket.on("close", (hadError) => {
    if (hadError) early = []
    tell(end ??= hadError ? broken : ended)
  })
  return {
    hasEnded: () => end !== undefined,
    next: Effect.callback((continueWith) => {
      resume = continueWith
      for (let bytes; resume === continueWith && (bytes = early.shift()) !== undefined;) take(bytes)
      if (resume !== continueWith) return
      if (end !== undefined) return tell(end)
      if (socket.isPaused()) socket.resume()
      return Effect.sync(() => {
        if (resume === continueWith) resume = undefined
      })
    })
  }
}

export const fromReader = <A>(
  socket: Socket.Socket,
  hear: Hear<A>
): Effect.Effect<Inlet<A>, Socket.SocketError, Scope.Scope> =>
  Effect.map(Socket.readerBytes(socket), (pull) => {
    let hasEnded = false
    const next: Effect.Effect<A, EndOfInput | PeerGone> = Effect.matchEffect(pull, {
      onFailure: ({ reason }) => {
        hasEnded = true
        return reason._tag === "SocketCloseError" && reason.code === 1000 ? ended : broken
      },
      onSuccess: (chunks) => {
        const left = hear(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks))
        return left === undefined ? next : Effect.succeed(left)
      }
    })
    return { next, hasEnded: () => hasEnded }
  })
