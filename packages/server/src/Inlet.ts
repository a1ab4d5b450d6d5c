/**
 * Where the bytes of a session come from. What arrives is given to `hear` at once, where it arrives; whoever waits for
 * `next` is woken only by what `hear` leaves to do, so that a fiber is no part of what need not wait (a fiber woken for
 * every batch was measured at a fifth of an ACK). Nobody is read while what was left is not done: backpressure is TCP's.
 *
 * Two kinds, as with the `Outlet`: straight from the `node:net` socket where there is one ("data" takes two turns of
 * Node's queues less than "readable", and no scope), and over the reader of any other `Socket`.
 */
import { NodeSocket } from "@effect/platform-node"
import { Effect, Exit, Option, Schema, type Scope } from "effect"
import { Socket } from "effect/socket"
import { Buffer } from "node:buffer"
import type { Socket as NetSocket } from "node:net"
import { PeerGone } from "./Outlet.ts"

/** The peer has ended its side in good order, maybe only to say that it has no more to ask (CPT 1.7). */
class EndOfInput extends Schema.TaggedError<EndOfInput>()("EndOfInput", {}) {}

export interface Inlet<A> {
  /** Waits for what `hear` leaves to do. One at a time. */
  readonly next: Effect.Effect<A, EndOfInput | PeerGone>
}

/** Does what can be done at once, and gives what is left; undefined if that is nothing. */
export type Hear<A> = (bytes: Uint8Array) => A | undefined

export const make = <A>(
  socket: Socket.Socket,
  hear: Hear<A>
): Effect.Effect<Inlet<A>, Socket.SocketError, Scope.Scope> =>
  Effect.flatMap(Effect.serviceOption(NodeSocket.NetSocket), (net) =>
    Option.isSome(net)
      ? Effect.sync(() => fromNet(net.value, hear))
      : Effect.map(Socket.readerBytes(socket), (pull) => fromReader(pull, hear)))

const fromNet = <A>(socket: NetSocket, hear: Hear<A>): Inlet<A> => {
  let early: Array<Uint8Array> = [] // nobody has waited for it yet
  let end: EndOfInput | PeerGone | undefined
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
  const finish = (error: EndOfInput | PeerGone) => {
    end ??= error
    tell(Exit.fail(end))
  }
  socket.on("end", () => finish(new EndOfInput({})))
  socket.on("close", (hadError) => {
    if (hadError) early = []
    finish(hadError ? new PeerGone({}) : new EndOfInput({}))
  })
  return {
    next: Effect.callback((continueWith) => {
      resume = continueWith
      for (let bytes; resume === continueWith && (bytes = early.shift()) !== undefined;) take(bytes)
      if (resume !== continueWith) return
      if (end !== undefined) return tell(Exit.fail(end))
      if (socket.isPaused()) socket.resume()
      return Effect.sync(() => {
        if (resume === continueWith) resume = undefined
      })
    })
  }
}

const fromReader = <A>(
  pull: Effect.Effect<ReadonlyArray<Uint8Array>, Socket.SocketError>,
  hear: Hear<A>
): Inlet<A> => {
  const next: Effect.Effect<A, EndOfInput | PeerGone> = Effect.matchEffect(pull, {
    onFailure: ({ reason }) =>
      Effect.fail(reason._tag === "SocketCloseError" && reason.code === 1000 ? new EndOfInput({}) : new PeerGone({})),
    onSuccess: (chunks) => {
      const left = hear(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks))
      return left === undefined ? next : Effect.succeed(left)
    }
  })
  return { next }
}
