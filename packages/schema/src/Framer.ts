/**
 * Bytes to lines (CPT 1): any cut of the input gives the same lines, and an endless line costs no memory.
 *
 * A line ends with LF; one CR directly before it is dropped. What is not UTF-8 is not repaired, and what is longer
 * than the limit is skipped without being kept: both come out as a fault in the line's place, so that every line is
 * answered once, in order. What a line means is the Command's business.
 */
import { Buffer, isUtf8 } from "node:buffer"
import { isPlain } from "./Plain.ts"

/** A line without its end, or what is wrong with it. */
export type Line = string | Fault

export class Fault {
  readonly reason: "NotUtf8" | "TooLong"
  private constructor(reason: "NotUtf8" | "TooLong") {
    this.reason = reason
  }
  static readonly notUtf8 = new Fault("NotUtf8")
  static readonly tooLong = new Fault("TooLong")
}

const LF = 10
const CR = 13
const nothing = Buffer.alloc(0)

/**
 * A framer for one connection; it holds at most one unfinished line. For lines as texts there is `push`. Who reads them
 * where they stand says `take`, then `next` as long as there is one: most lines then never become a string.
 */
export class Framer {
  /** What the line stands in. Not to be used after the next `take` or `keep`: it may be the socket's again. */
  bytes: Buffer = nothing
  /** The line is from here … */
  start = 0
  /** … to here, without its end. */
  end = 0
  /** It is longer than the limit, and is not there. */
  isTooLong = false
  /** All that was taken is visible ASCII, spaces, tabs and ends of lines: most text, which need not be looked at again. */
  isPlain = false

  /** Of a line, without its end. It may be changed at any time: it holds for every line that is not complete yet. */
  maxLineBytes: number
  #rest: Buffer = nothing // the unfinished line, always a copy: a kept view would keep the socket's whole slab
  #isOurs = false // `bytes` is a copy already
  #isSkipping = false // inside a line that has been reported as too long
  #from = 0

  constructor(maxLineBytes: number) {
    this.maxLineBytes = maxLineBytes
  }

  /**
   * The lines that end in `chunk`, which may be reused after the call. A line that has grown too long is reported as soon
   * as that is certain, once; bytes after the last LF are kept for the next call (CPT 1.5: at the end of input they are
   * no command).
   */
  push(chunk: Uint8Array): ReadonlyArray<Line> {
    const lines: Array<Line> = []
    this.take(chunk)
    while (this.next()) lines.push(this.line())
    return lines
  }

  /** As `push`, for whoever then goes from line to line, to the last one, or says `keep`. */
  take(chunk: Uint8Array): void {
    const bytes = chunk instanceof Buffer ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    this.#isOurs = this.#rest.length > 0
    this.bytes = this.#isOurs ? Buffer.concat([this.#rest, bytes]) : bytes
    this.#from = 0
  }

  /** Goes to the next line; false if there is none any more. */
  next(): boolean {
    const { bytes } = this
    this.start = this.#from
    const lf = this.start < bytes.length ? bytes.indexOf(LF, this.start) : -1
    if (lf === -1) return this.#keepRest()
    if (this.start === 0) this.isPlain = isPlain(bytes)
    this.#from = lf + 1
    if (this.#isSkipping) {
      this.#isSkipping = false
      return this.next()
    }
    this.end = lf > this.start && bytes[lf - 1] === CR ? lf - 1 : lf
    this.isTooLong = this.end - this.start > this.maxLineBytes
    return true
  }

  /** The bytes that were taken may change from now on: copies those from this line on. There must be one. */
  keep(): void {
    const { bytes, start } = this
    if (this.#isOurs || bytes.length === 0) return // where there are none, the line is too long, and not there
    this.#isOurs = true
    this.bytes = Buffer.from(bytes.subarray(start))
    this.start = 0
    this.end -= start
    this.#from -= start
  }

  /** The line as a text. */
  line(): Line {
    const { bytes, end, start } = this
    if (this.isTooLong) return Fault.tooLong
    // A line of ASCII costs half of one that is checked and decoded as UTF-8
    if (this.isPlain) return bytes.toString("latin1", start, end)
    return isUtf8(bytes.subarray(start, end)) ? bytes.toString("utf8", start, end) : Fault.notUtf8
  }

  /** There is no whole line any more; true if what is left is too long already. */
  #keepRest(): boolean {
    const { bytes, start } = this
    const length = bytes.length - start
    this.bytes = nothing
    this.#from = 0
    this.#rest = nothing
    if (length === 0 || this.#isSkipping) return false
    // One more than the limit may be the CR of a line that is just not too long (CPT 1.9)
    const limit = bytes[bytes.length - 1] === CR ? this.maxLineBytes + 1 : this.maxLineBytes
    this.isTooLong = this.#isSkipping = length > limit
    if (this.isTooLong) return true
    this.#rest = Buffer.allocUnsafeSlow(length) // it may stay: not from a pool, which would stay with it
    bytes.copy(this.#rest, 0, start)
    return false
  }
}
