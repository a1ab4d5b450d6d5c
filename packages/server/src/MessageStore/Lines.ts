/**
 * A run of messages of one target as the lines that go out, in memory: oldest first, appended at the end, dropped at the
 * beginning. They stand in segments of preformatted bytes with an index in typed arrays, so a page is a view and a
 * message costs no object that the garbage collector would have to look at.
 */
import { Timestamp } from "@cpt/schema"
import { Buffer } from "node:buffer"
import type { Page } from "../MessageStore.ts"

const firstSegment = { bytes: 1024, lines: 8 } // the index is in V8's heap, as it is for so few
const segmentBytes = 256 * 1024 // also the bound of a page

/**
 * Memory for first segments, cut from larger pieces in which there is nothing else that could stay for longer. For a piece of
 * its own each, V8 would collect garbage: a million names that get a second message kept everybody waiting for 0.3 s.
 */
let piece = Buffer.alloc(0)
let cutFrom = 0

const firstBytes = (): Buffer => {
  if (cutFrom === piece.length) {
    piece = Buffer.allocUnsafeSlow(segmentBytes)
    cutFrom = 0
  }
  return piece.subarray(cutFrom, cutFrom += firstSegment.bytes)
}

/** Lines in one piece of memory, growing until it is full. What has been written never changes: sockets hold views into it. */
class Segment {
  bytes: Buffer
  ends: Uint32Array
  timestamps: Float64Array
  length = 0
  first = 0 // lines before this one have been dropped
  count = 0

  /**
   * @param size bytes that there must be room for
   * @param lines how many there will be: the index grows if there are more
   */
  constructor(size: number, lines: number) {
    this.bytes = size <= firstSegment.bytes ? firstBytes() : Buffer.allocUnsafeSlow(size)
    this.ends = new Uint32Array(lines)
    this.timestamps = new Float64Array(lines)
  }

  /** Bytes of memory: of lines, and of the index. */
  get capacity(): number {
    return this.bytes.length + this.ends.length * (4 + 8)
  }

  /** Whether a line of this size fits as it is. */
  fits(size: number): boolean {
    return this.length + size <= this.bytes.length && this.count < this.ends.length
  }

  /** Makes room for a line, mostly by doubling. False if that would make the segment too large. */
  reserve(size: number): boolean {
    const needed = this.length + size
    if (needed > this.bytes.length) {
      if (needed > segmentBytes && this.length > 0) return false
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, Math.min(this.bytes.length * 2, segmentBytes)))
      this.bytes.copy(grown, 0, 0, this.length)
      this.bytes = grown
    }
    if (this.count === this.ends.length) {
      const [ends, timestamps] = [this.ends, this.timestamps]
      this.ends = new Uint32Array(this.count * 2)
      this.timestamps = new Float64Array(this.ends.length)
      this.ends.set(ends)
      this.timestamps.set(timestamps)
    }
    return true
  }

  /** A line of this size has been written at the end. */
  close(size: number, timestamp: number): void {
    this.length += size
    this.ends[this.count] = this.length
    this.timestamps[this.count] = timestamp
    this.count++
  }

  startOf(index: number): number {
    return index === 0 ? 0 : this.ends[index - 1]!
  }

  beginsWith(index: number, head: Uint8Array): boolean {
    return isAt(this.bytes, this.startOf(index), head)
  }

  /** The first line behind `after`; `count` if there is none. */
  indexAfter(after: number): number {
    let [low, high] = [this.first, this.count]
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.timestamps[middle]! > after) high = middle
      else low = middle + 1
    }
    return low
  }
}

/** Whether these bytes stand there. */
export const isAt = (bytes: Uint8Array, start: number, head: Uint8Array): boolean => {
  let at = 0
  while (at < head.length && bytes[start + at] === head[at]) at++
  return at === head.length
}

/** Writes a line, of its head and its text. */
export const write = (to: Buffer, at: number, head: Uint8Array, bytes: Buffer, start: number, end: number): void => {
  for (let index = 0; index < head.length; index++) to[at + index] = head[index]! // so short, a loop is faster
  const textAt = at + head.length
  bytes.copy(to, textAt, start, end)
  to[textAt + end - start] = LF
}

const LF = 10
const none: Array<Segment> = []

export class Lines {
  #segments: Array<Segment> = none
  #capacity = 0

  /** Bytes of memory that it takes. */
  get capacity(): number {
    return this.#capacity
  }

  get isEmpty(): boolean {
    return this.#segments.length === 0
  }

  /** How many there are. */
  get count(): number {
    return this.#segments.reduce((sum, { count, first }) => sum + count - first, 0)
  }

  /** The bytes of the line that was added last. There must be one. */
  last(): Uint8Array {
    const segment = this.#segments.at(-1)!
    return segment.bytes.subarray(segment.startOf(segment.count - 1), segment.length)
  }

  /** The only line, a character a byte; undefined if there are others, or none, or if it has more bytes than these. */
  only(most: number): string | undefined {
    const [segment] = this.#segments
    if (segment === undefined || segment.first < segment.count - 1 || this.#segments.length > 1) return undefined
    const start = segment.startOf(segment.first)
    return segment.length - start > most ? undefined : segment.bytes.toString("latin1", start, segment.length)
  }

  /** Adds a line at the end, of its head and its text, which is in `bytes`. */
  add(head: Uint8Array, bytes: Buffer, start: number, end: number, timestamp: Timestamp.Timestamp): void {
    const size = head.length + end - start + 1
    const segment = this.#segmentFor(size)
    write(segment.bytes, segment.length, head, bytes, start, end)
    segment.close(size, timestamp)
  }

  /** Adds a line that there is already, with its end. */
  addLine(line: Uint8Array, timestamp: Timestamp.Timestamp): void {
    const segment = this.#segmentFor(line.length)
    segment.bytes.set(line, segment.length)
    segment.close(line.length, timestamp)
  }

  #segmentFor(size: number): Segment {
    const last = this.#segments.at(-1)
    return last?.fits(size) === true ? last : this.#room(size)
  }

  /** A segment with room for a line at the end. */
  #room(size: number): Segment {
    const last = this.#segments.at(-1)
    if (last === undefined) return this.#begin(size)
    const before = last.capacity
    if (last.reserve(size)) {
      this.#capacity += last.capacity - before
      return last
    }
    const segment = new Segment(Math.max(size, segmentBytes), last.count + (last.count >> 3) + firstSegment.lines)
    this.#segments.push(segment)
    this.#capacity += segment.capacity
    return segment
  }

  #begin(size: number): Segment {
    const segment = new Segment(size, firstSegment.lines)
    this.#segments = [segment] // of just this size: mostly it is the only one
    this.#capacity = segment.capacity
    return segment
  }

  /** Lines behind `after`, at most a segment of them, but for those that begin with `except`; undefined without any. */
  page(
    after: Timestamp.Timestamp,
    except: Uint8Array | undefined
  ): Pick<Page, "lines" | "count" | "through"> | undefined {
    for (const segment of this.#segments) {
      let from = segment.indexAfter(after)
      if (except !== undefined) { while (from < segment.count && segment.beginsWith(from, except)) from++ }
      if (from === segment.count) continue
      let to = segment.count
      if (except !== undefined) {
        to = from + 1
        while (to < segment.count && !segment.beginsWith(to, except)) to++
      }
      return {
        lines: segment.bytes.subarray(segment.startOf(from), segment.ends[to - 1]!),
        count: to - from,
        through: Timestamp.fromMillis(segment.timestamps[to - 1]!)
      }
    }
    return undefined
  }

  /** Drops the oldest line; gives its bytes and its timestamp. There must be one. */
  dropFirst(): { readonly size: number; readonly timestamp: Timestamp.Timestamp } {
    const segment = this.#segments[0]!
    const index = segment.first++
    if (segment.first === segment.count) this.dropSegment()
    return {
      size: segment.ends[index]! - segment.startOf(index),
      timestamp: Timestamp.fromMillis(segment.timestamps[index]!)
    }
  }

  /** Drops the oldest lines, a segment of them; gives the timestamp of the last one. There must be some. */
  dropSegment(): Timestamp.Timestamp {
    const segment = this.#segments.shift()!
    this.#capacity -= segment.capacity
    return Timestamp.fromMillis(segment.timestamps[segment.count - 1]!)
  }

  /** Drops all lines up to this timestamp. */
  dropThrough(timestamp: Timestamp.Timestamp): void {
    for (let segment; (segment = this.#segments[0]) !== undefined;) {
      segment.first = segment.indexAfter(timestamp)
      if (segment.first < segment.count) return
      this.dropSegment()
    }
  }
}
