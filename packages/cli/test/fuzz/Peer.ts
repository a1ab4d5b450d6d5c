/** One connection of the fuzzer: says bytes, hears lines, and keeps both, with the times. Nothing of our code is between. */
import { Buffer } from "node:buffer"
import { once } from "node:events"
import { connect, type Socket } from "node:net"
import { setImmediate } from "node:timers/promises"
import { Violation } from "../crash/Ledger.ts"
import { within } from "../crash/World.ts"
import { someTime } from "./Grammar.ts"
import { type Ask, Reading } from "./Reading.ts"
import { writeDeadline } from "./Server.ts"

/** Milliseconds in which whoever asks is answered, and whoever ends is let go, on a busy machine. */
const patience = 20_000

/** All that happened on one connection. Times are those of `performance.now`. */
export interface Course {
  readonly label: string
  readonly openedAt: number
  readonly said: ReadonlyArray<{ readonly bytes: Buffer; readonly at: number }>
  /** What the bytes mean. */
  readonly asks: ReadonlyArray<Ask>
  readonly heard: ReadonlyArray<{ readonly line: string; readonly at: number }>
  /** Heard without the end of a line. */
  readonly rest: Buffer
  /** What this side did to end it, if it did. */
  readonly ending: { readonly how: "half-close" | "reset"; readonly at: number } | undefined
  /** There has been no more to hear from then on. */
  readonly closedAt: number | undefined
  /** It did not read for so long that the server may have cut it (CPT 5.8). */
  readonly wasDeaf: boolean
  /** It was there in the end, and had time to hear everything. */
  readonly isSettled: boolean
}

const LF = 10
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

export class Peer implements Course {
  readonly label: string
  readonly openedAt = performance.now()
  readonly said: Array<{ readonly bytes: Buffer; readonly at: number }> = []
  readonly heard: Array<{ readonly line: string; readonly at: number }> = []
  rest: Buffer = Buffer.alloc(0)
  ending: Course["ending"]
  closedAt: number | undefined
  wasDeaf = false
  isSettled = false
  readonly #socket: Socket
  readonly #reading = new Reading()
  #answers = 0
  #lastTimestamp = "0"
  #deafSince: number | undefined
  #changed = () => {}
  #fault: Violation | undefined

  constructor(label: string, port: number) {
    this.label = label
    this.#socket = connect({ port, host: "127.0.0.1", noDelay: true })
    this.#socket.on("error", () => {}) // "close" follows
    this.#socket.on("data", (bytes: Buffer) => {
      if (this.ending?.how === "reset") return
      try {
        this.#hear(bytes)
      } catch (error) {
        this.#fault ??= error instanceof Violation ? error : new Violation(`${this.label}: ${String(error)}`)
      }
      this.#changed()
    })
    this.#socket.on("close", () => {
      this.closedAt ??= performance.now()
      this.#changed()
    })
  }

  async opened(): Promise<void> {
    await within(patience, `connection for ${this.label}`, once(this.#socket, "connect"))
  }

  get asks(): ReadonlyArray<Ask> {
    return this.#reading.asks
  }

  get isOpen(): boolean {
    return this.ending === undefined && this.closedAt === undefined
  }

  /** Says bytes in pieces, which are parted by these places. */
  async say(bytes: Buffer, cuts: ReadonlyArray<number> = []): Promise<void> {
    const all = Buffer.from(bytes.toString("latin1").replaceAll(someTime, this.#lastTimestamp), "latin1")
    let from = 0
    for (const cut of [...cuts, all.length]) {
      const piece = all.subarray(from, cut)
      from = Math.max(from, cut)
      if (piece.length === 0 || !this.isOpen) continue
      const at = performance.now()
      this.said.push({ bytes: piece, at })
      this.#reading.take(piece, at)
      this.#socket.write(piece)
      await setImmediate()
    }
  }

  stopReading(): void {
    this.#deafSince ??= performance.now()
    this.#socket.pause()
  }

  readOn(): void {
    this.wasDeaf ||= performance.now() - (this.#deafSince ?? Infinity) > writeDeadline / 2
    this.#deafSince = undefined
    this.#socket.resume()
  }

  /** Waits until all that was asked is answered, or nothing will be any more. Not for who does not read. */
  async answered(): Promise<void> {
    if (this.#deafSince !== undefined) return
    await this.#until("answer", () => this.closedAt !== undefined || this.#answers >= this.asks.length)
  }

  /** Ends this side, and hears the rest. */
  async halfClose(): Promise<void> {
    if (this.ending !== undefined) return
    this.readOn()
    if (this.closedAt === undefined) this.ending = { how: "half-close", at: performance.now() }
    this.#socket.end()
    await this.#until("end", () => this.closedAt !== undefined)
  }

  /** Goes without a word. */
  reset(): void {
    if (!this.isOpen) return
    this.ending = { how: "reset", at: performance.now() }
    this.#socket.resetAndDestroy()
  }

  /** Of who is left over when something has gone wrong. */
  destroy(): void {
    this.#socket.destroy()
  }

  async #until(what: string, isThere: () => boolean): Promise<void> {
    const awaited = new Promise<void>((resolve) => {
      this.#changed = () => {
        if (isThere() || this.#fault !== undefined) resolve()
      }
      this.#changed()
    })
    await within(patience, `${what} for ${this.label}, which has asked ${this.asks.length} times`, awaited)
    if (this.#fault !== undefined) throw this.#fault
  }

  #hear(bytes: Buffer): void {
    const at = performance.now()
    let all = this.rest.length === 0 ? bytes : Buffer.concat([this.rest, bytes])
    for (let end = all.indexOf(LF); end !== -1; end = all.indexOf(LF)) {
      const line = utf8.decode(all.subarray(0, end))
      this.heard.push({ line, at })
      if (line.startsWith("MSG ")) this.#lastTimestamp = /^MSG \S+ \S+ (\d+) /.exec(line)?.[1] ?? "0"
      else this.#answers++
      all = all.subarray(end + 1)
    }
    this.rest = all
  }
}
