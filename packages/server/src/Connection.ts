/**
 * A connection, as a session sees it. What arrives is given to the session at once, where it arrives; a fiber is made only
 * for what that leaves to do (with SENDs read by hand, this halved the CPU of an ACK). While that is not done, little more
 * is read, to be heard in one go then: backpressure is TCP's. Writing never waits: what has been written goes out in order,
 * and whoever writes looks at `isFull` first, or waits for `drained` after. A peer that takes nothing for the write
 * deadline is cut off (CPT 5.8), so every wait here ends.
 *
 * Two kinds: `NetConnection` is a `node:net` socket, which can tell what the kernel has taken and whether anything moves;
 * `OtherConnection` is any other `Socket` (WebSocket, in memory), and asks the `node:net` socket below a WebSocket.
 */
import { Effect, Exit, Schema } from "effect"
import type { Certificate } from "./Certificate.ts"
import type * as Kernel from "./Kernel.ts"

/** The connection is gone: by the peer, the network, or a deadline. There is nobody left to tell. */
export class PeerGone extends Schema.TaggedError<PeerGone>()("PeerGone", {}) {}

/** The peer has ended its side in good order, maybe only to say that it has no more to ask (CPT 1.7). */
export class EndOfInput extends Schema.TaggedError<EndOfInput>()("EndOfInput", {}) {}

/** What a session has to do that cannot be done at once. */
export type Left = Effect.Effect<void, PeerGone>

/** Who hears what arrives. */
export interface Ear {
  /**
   * Does what can be done at once, and gives what is left; undefined if that is nothing. The bytes may change after the
   * call.
   *
   * @param isOlder they came before the last ACK had left, and so do not tell that it was seen (CPT 4.4)
   */
  readonly hear: (bytes: Uint8Array, isOlder: boolean) => Left | undefined
  /** The place behind the last ACK, as long as nothing tells that it was seen. */
  readonly unconfirmed: () => number | undefined
  /** Something is left to do, or nothing more will come. From now on it hears nothing. */
  readonly heard: (left: Heard) => void
}

/** What a connection is cut for that has taken nothing of what it was written for too long. */
export const writeDeadline = "write deadline"

/** What is left to do of what was heard, or why nothing more will be. */
export type Heard = Effect.Effect<Left, EndOfInput | PeerGone>

export interface Connection {
  /** Where the peer is; undefined if that is not on a network. */
  readonly remoteAddress: string | undefined
  /** What the peer has shown for a certificate, and TLS has verified. */
  readonly certificate: Certificate | undefined
  /** What the kernel calls the connection, if it is one of TCP. */
  readonly key: () => Kernel.Key | undefined

  /** Lets somebody hear what arrives, until there is something left to do. One at a time. */
  readonly listen: (ear: Ear) => void
  /** Who listens is to do so no longer. */
  readonly mute: () => void
  /** Whoever listens has nothing to do, and looks again; so does who waits for `drained`. Nothing if nobody does. */
  readonly wake: () => void
  /**
   * From now on the peer's host is asked whether it still lives, when it is silent. To be called when a connection has
   * lasted for a while: four calls of the system, and most connections are short.
   */
  readonly keepAlive: () => void

  /** Nothing more can come. */
  readonly hasEnded: () => boolean

  /** Bytes written so far: the place of the next byte. */
  readonly written: () => number
  /** Hands over bytes, which must not change any more. After the end of the connection they are dropped. */
  readonly write: (bytes: Uint8Array) => void
  /** Bytes written that the kernel has not taken yet. */
  readonly untaken: () => number
  /** The peer is behind: what can wait should. */
  readonly isFull: () => boolean
  /** The connection has been cut, or has broken: what is written is dropped. */
  readonly isGone: () => boolean
  /** Whether the kernel has every byte before this place (CPT 4.4). */
  readonly isHandedOver: (place: number) => boolean
  /** Waits until the peer is no longer behind. */
  readonly drained: Effect.Effect<void, PeerGone>

  /**
   * To be asked when the peer has just ended its side: whether it was gone before it could read what was written last.
   * Exact on this machine, where a reset comes at once; over a network it may still be under way.
   */
  readonly isAnsweredByReset: Effect.Effect<boolean>
  /** Whether the peer is still there, also where nobody has noticed since nobody reads from it; undefined if not known. */
  readonly presence: Effect.Effect<Kernel.Presence | undefined>
  /** Writes all there is and then the end of our side. */
  readonly end: Effect.Effect<void, PeerGone>
  /** Has done with the connection now, whatever is still on its way. */
  readonly destroy: Effect.Effect<void>
  /** The same, for a reason of ours, in a few words. */
  readonly cut: (why: string) => Effect.Effect<void>
  /** What it was cut for, if it was; the first reason stays. */
  readonly cutFor: () => string | undefined
}

/** Listens, and waits for what is left to do. */
export const next = (connection: Connection, ear: Omit<Ear, "heard">): Heard =>
  Effect.callback((resume) => {
    connection.listen({
      hear: (...bytes) => ear.hear(...bytes),
      unconfirmed: () => ear.unconfirmed(),
      heard: resume
    })
    return Effect.sync(() => connection.mute())
  })

// Made once: an error costs its stack, and these say no more than their names
export const endOfInput: Exit.Exit<never, EndOfInput> = Exit.fail(new EndOfInput({}))
export const peerGone: Exit.Exit<never, PeerGone> = Exit.fail(new PeerGone({}))
