/**
 * What a session has to say, put together so that it goes out in one write: first the answers, then what others said
 * (a `cork` and many writes was measured at three quarters of that). It also knows whether the last ACK has left.
 */
import { Command } from "@cpt/schema"
import { type Effect, Exit } from "effect"
import { Buffer } from "node:buffer"
import type { Connection, PeerGone } from "./Connection.ts"
import type { Counted } from "./Metrics.ts"

/** Bytes of answers that are gathered at most, but for those of one command. */
const largeAnswers = 64 * 1024

/** The bytes of a line, for those that are said again and again. */
export const bytesOf = (line: string): Buffer => Buffer.from(`${line}\n`)

const ack = bytesOf(Command.serverLine(new Command.Ack({})))
const keptAcks = 1024
const acks: Array<Buffer | undefined> = []

/** So many ACKs; they are made once. */
const acksOf = (count: number): Buffer => {
  if (count > keptAcks) return Buffer.alloc(count * ack.length, ack)
  return acks[count] ??= Buffer.alloc(count * ack.length, ack)
}

export class Outbox {
  readonly #connection: Connection
  readonly #metrics: Counted
  #acks = 0 // behind the chunks
  #hasAcked = false // among what is not written yet
  #chunks: Array<Uint8Array> | undefined
  #size = 0
  #unconfirmed: number | undefined // the place behind the last ACK

  constructor(connection: Connection, metrics: Counted) {
    this.#connection = connection
    this.#metrics = metrics
  }

  /** Adds the answers to so many SENDs. */
  ack(count: number): void {
    this.#acks += count
    this.#hasAcked = true
  }

  /** Adds whole lines, which must not change any more. */
  push(lines: Uint8Array): void {
    const chunks = this.#chunks ??= []
    if (this.#acks > 0) this.#takeAcks(chunks)
    if (lines.length === 0) return
    chunks.push(lines)
    this.#size += lines.length
  }

  /** Whether there is enough for a write of its own: what comes in one go need not go out in one. */
  isLarge(): boolean {
    return this.#size + ack.length * this.#acks >= largeAnswers
  }

  /** Writes all there is, at once. Whoever can wait looks at the connection first. */
  flush(): void {
    const chunks = this.#chunks
    if (chunks === undefined) {
      if (this.#acks === 0) return
      this.#write(acksOf(this.#acks))
      this.#acks = 0
    } else {
      this.#takeAcks(chunks)
      this.#chunks = undefined
      this.#size = 0
      if (chunks.length > 0) this.#write(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks))
    }
    if (!this.#hasAcked) return
    this.#hasAcked = false
    this.#unconfirmed = this.#connection.written()
  }

  #write(bytes: Uint8Array): void {
    this.#metrics.sentBytes += bytes.length
    this.#connection.write(bytes)
  }

  /** Writes all there is and these lines, and waits while the peer is behind. */
  write(lines: Uint8Array): Effect.Effect<void, PeerGone> {
    this.push(lines)
    return this.writeAll() ?? Exit.void
  }

  /** Writes all there is, and gives what to wait for while the peer is behind; undefined if it is not. */
  writeAll(): Effect.Effect<void, PeerGone> | undefined {
    this.flush()
    return this.#connection.isFull() || this.#connection.isGone() ? this.#connection.drained : undefined
  }

  /** The place behind the last ACK, as long as it is not known whether the peer has seen that. */
  get unconfirmed(): number | undefined {
    return this.#unconfirmed
  }

  /**
   * To be asked when the peer goes on in good order: true, once, if the last ACK was with the kernel by then. The peer
   * is then taken to know of it (CPT 4.4).
   */
  confirmsAck(): boolean {
    if (this.#unconfirmed === undefined || !this.#connection.isHandedOver(this.#unconfirmed)) return false
    this.#unconfirmed = undefined
    return true
  }

  #takeAcks(chunks: Array<Uint8Array>): void {
    if (this.#acks === 0) return
    const bytes = acksOf(this.#acks)
    this.#acks = 0
    chunks.push(bytes)
    this.#size += bytes.length
  }
}
