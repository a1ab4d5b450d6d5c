/**
 * Bytes to lines (CPT 1): any cut of the input gives the same lines, and an endless line costs no memory.
 *
 * A line ends with LF; one CR directly before it is dropped. What is not UTF-8 is not repaired, and what is longer
 * than the limit is skipped without being kept: both come out as a fault in the line's place, so that every line is
 * answered once, in order. What a line means is the Command's business.
 */
import { Buffer, isAscii, isUtf8 } from "node:buffer"

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

export interface Framer {
  /**
   * The lines that end in `chunk`. The chunk may be reused after the call. A line that has grown too long is reported
   * as soon as that is certain, once; bytes after the last LF are kept for the next call (CPT 1.5: at the end of
   * input they are no command).
   */
  readonly push: (chunk: Uint8Array) => ReadonlyArray<Line>
}

const LF = 10
const CR = 13
const nothing = Buffer.alloc(0)

/** A framer for one connection. `maxLineBytes` is without the line's end. It holds at most one unfinished line. */
export const make = (maxLineBytes: number): Framer => {
  let rest = nothing // the unfinished line, always a copy: a kept view would keep the socket's whole slab
  let skipping = false // inside a line that has been reported as too long

  const lineOf = (bytes: Buffer, from: number, lf: number, ascii: boolean): Line => {
    const end = lf > from && bytes[lf - 1] === CR ? lf - 1 : lf
    if (end - from > maxLineBytes) return Fault.tooLong
    if (ascii) return bytes.toString("latin1", from, end)
    return isUtf8(bytes.subarray(from, end)) ? bytes.toString("utf8", from, end) : Fault.notUtf8
  }

  const push = (chunk: Uint8Array): ReadonlyArray<Line> => {
    const lines: Array<Line> = []
    const bytes = chunk instanceof Buffer ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    // Asked once a chunk: a line of ASCII then costs half of one that is checked and decoded as UTF-8
    const ascii = isAscii(bytes)
    let from = 0
    while (from < bytes.length) {
      const lf = bytes.indexOf(LF, from)
      if (lf === -1) break
      if (skipping) skipping = false
      else if (rest.length === 0) lines.push(lineOf(bytes, from, lf, ascii))
      else {
        const line = Buffer.concat([rest, bytes.subarray(from, lf)])
        lines.push(lineOf(line, 0, line.length, false))
        rest = nothing
      }
      from = lf + 1
    }
    if (from === bytes.length || skipping) return lines
    // One more than the limit may be the CR of a line that is just not too long (CPT 1.9)
    const limit = bytes[bytes.length - 1] === CR ? maxLineBytes + 1 : maxLineBytes
    if (rest.length + bytes.length - from > limit) {
      lines.push(Fault.tooLong)
      skipping = true
      rest = nothing
    } else {
      rest = Buffer.concat([rest, bytes.subarray(from)])
    }
    return lines
  }
  return { push }
}
