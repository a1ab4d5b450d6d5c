/**
 * What a session has to say, put together so that it goes out in one write: first the answers, then what others said
 * (a `cork` and many writes was measured at three quarters of that). It also knows whether the last ACK has left.
 */
import { Command } from "@cpt/schema"
import { Effect } from "effect"
import { Buffer } from "node:buffer"
import type { Outlet, PeerGone } from "./Outlet.ts"

const ack = `${Command.serverLine(new Command.Ack({}))}\n`
/** Characters of answers that are gathered at most, but for those of one command. */
const largeAnswers = 64 * 1024

const oneAck = Buffer.from(ack)

export class Outbox {
  readonly #outlet: Outlet
  #answers = ""
  #chunks: Array<Uint8Array> = []
  #acks = false // among the answers
  #unconfirmed: number | undefined // the place behind the last ACK

  constructor(outlet: Outlet) {
    this.#outlet = outlet
  }

  /** Adds an answer, a line without its end. */
  answer(line: string): void {
    this.#answers += `${line}\n`
  }

  /** Adds the answers to so many SENDs. */
  ack(count: number): void {
    this.#answers += count === 1 ? ack : ack.repeat(count)
    this.#acks = true
  }

  /** Whether the answers are enough for a write of their own: what comes in one go need not go out in one. */
  isLarge(): boolean {
    return this.#answers.length >= largeAnswers
  }

  /** Adds whole lines, which must not change any more. */
  push(lines: Uint8Array): void {
    this.#takeAnswers()
    if (lines.length > 0) this.#chunks.push(lines)
  }

  /** Writes all there is, at once. Whoever can wait looks at the outlet first. */
  flush(): void {
    this.#takeAnswers()
    const chunks = this.#chunks
    if (chunks.length === 0) return
    this.#chunks = []
    this.#outlet.write(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks))
    if (!this.#acks) return
    this.#acks = false
    this.#unconfirmed = this.#outlet.written()
  }

  /** Writes all there is and these lines, and waits while the peer is behind. */
  write(lines: Uint8Array): Effect.Effect<void, PeerGone> {
    return Effect.suspend(() => {
      this.push(lines)
      this.flush()
      return this.#outlet.isFull() || this.#outlet.isGone() ? this.#outlet.drained : Effect.void
    })
  }

  /** Whether it is not known yet that the peer has seen the last ACK. */
  awaitsConfirmation(): boolean {
    return this.#unconfirmed !== undefined
  }

  /**
   * To be asked when the peer goes on in good order: true, once, if the last ACK was with the kernel by then. The peer
   * is then taken to know of it (CPT 4.4).
   */
  confirmsAck(): boolean {
    if (this.#unconfirmed === undefined || !this.#outlet.isHandedOver(this.#unconfirmed)) return false
    this.#unconfirmed = undefined
    return true
  }

  #takeAnswers(): void {
    if (this.#answers === "") return
    this.#chunks.push(this.#answers === ack ? oneAck : Buffer.from(this.#answers))
    this.#answers = ""
  }
}
