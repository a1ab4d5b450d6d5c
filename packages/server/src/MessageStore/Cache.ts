/**
 * The newest lines of the targets that somebody watches, in memory, for a store whose messages are on a disk. Within a
 * bound over all of them: when it is reached, they lose their oldest lines in turn.
 */
import { Timestamp } from "@cpt/schema"
import type { Page } from "../MessageStore.ts"
import { Lines } from "./Lines.ts"

/** The end of a target: all of its messages behind `start`, up to `head`. */
export class Tail {
  readonly lines = new Lines()
  start: Timestamp.Timestamp
  head: Timestamp.Timestamp
  constructor(head: Timestamp.Timestamp) {
    this.start = head
    this.head = head
  }
}

const later = (a: Timestamp.Timestamp, b: Timestamp.Timestamp) => a > b ? a : b

const nothing = new Uint8Array(0)

export class Cache {
  readonly #limit: number
  readonly #tails = new Set<Tail>() // those with lines; whose turn it is first
  #bytes = 0

  /** @param limit bytes of memory */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** Bytes of memory that it takes. */
  get bytes(): number {
    return this.#bytes
  }

  /** A tail that begins behind this message. */
  open(head: Timestamp.Timestamp): Tail {
    return new Tail(head)
  }

  close(tail: Tail): void {
    this.trim(tail, tail.head)
  }

  /** Adds a line, with its end; gives its bytes. */
  append(tail: Tail, line: Uint8Array, timestamp: Timestamp.Timestamp): Uint8Array {
    const before = tail.lines.capacity
    tail.lines.addLine(line, timestamp)
    const bytes = tail.lines.last()
    tail.head = timestamp
    if (before === 0) this.#tails.add(tail)
    this.#bytes += tail.lines.capacity - before
    while (this.#bytes > this.#limit) {
      const [first] = this.#tails
      if (first === undefined) break
      this.#tails.delete(first)
      this.#lose(first, () => {
        first.start = first.lines.dropSegment()
      })
      if (!first.lines.isEmpty) this.#tails.add(first)
    }
    return bytes
  }

  /** A page of what is behind `after`; undefined if that is not all in memory. */
  read(tail: Tail, after: Timestamp.Timestamp, except: Uint8Array | undefined): Page | undefined {
    if (after < tail.start) return undefined
    const page = tail.lines.page(after, except) ?? { lines: nothing, count: 0, through: later(after, tail.head) }
    return { ...page, last: page.through >= tail.head, missingThrough: Timestamp.epoch }
  }

  /** Messages up to here are no longer kept. */
  trim(tail: Tail, through: Timestamp.Timestamp): void {
    tail.start = later(tail.start, through)
    this.#lose(tail, () => tail.lines.dropThrough(through))
    if (tail.lines.isEmpty) this.#tails.delete(tail)
  }

  #lose(tail: Tail, lose: () => void): void {
    const before = tail.lines.capacity
    lose()
    this.#bytes -= before - tail.lines.capacity
  }
}
