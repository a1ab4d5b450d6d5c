/**
 * Messages in their places: lines of one target that follow each other, as they go out, some 4 KB in a row of `blocks`. So
 * a page is a few rows, copied, and a message in its place costs a fortieth of a row: with a row each, a history was read
 * at half of the speed, and 50 x 64 messages in flight were stored at two thirds.
 */
import { Buffer } from "node:buffer"

/** Bytes of a block, but for one with a longer line: with its row, a page of the database. */
export const blockBytes = 4000

const [LF, SP, zero] = [10, 32, 48]

/** Goes over lines, `MSG <target> <sender> <timestamp> <text>`, and takes them apart where they stand. */
export class LineWalk {
  readonly bytes: Buffer
  /** The line is from here … */
  start = 0
  /** … to here, with its end. */
  end = 0
  timestamp = 0
  textStart = 0
  #targetEnd = 0
  #senderEnd = 0

  constructor(bytes: Uint8Array) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /** Goes to the next line; false if there is none. Throws at what is no line of a message. */
  next(): boolean {
    const { bytes } = this
    if (this.end === bytes.length) return false
    this.start = this.end
    const lf = bytes.indexOf(LF, this.start)
    this.#targetEnd = bytes.indexOf(SP, this.start + 4)
    this.#senderEnd = bytes.indexOf(SP, this.#targetEnd + 1)
    let at = this.#senderEnd + 1
    let timestamp = 0
    for (let byte = bytes[at]; byte !== undefined && byte >= zero && byte < zero + 10; byte = bytes[++at]) {
      timestamp = 10 * timestamp + byte - zero
    }
    this.end = lf + 1
    this.timestamp = timestamp
    this.textStart = at + 1
    if (
      bytes.toString("latin1", this.start, this.start + 4) !== "MSG " || this.#targetEnd === -1 ||
      this.#senderEnd === -1 || timestamp === 0 || bytes[at] !== SP || lf <= this.textStart
    ) throw new Error(`no line of a message: ${bytes.toString("utf8", this.start, this.start + 80)}`)
    return true
  }

  get target(): string {
    return this.bytes.toString("utf8", this.start + 4, this.#targetEnd)
  }

  get sender(): string {
    return this.bytes.toString("utf8", this.#targetEnd + 1, this.#senderEnd)
  }

  /** Bytes of the text. */
  get textBytes(): number {
    return this.end - 1 - this.textStart
  }
}
