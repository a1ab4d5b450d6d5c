/**
 * What is kept of one name in memory. Made bit by bit: most names are those of users who only listen, and a crowd can
 * bring hundreds of thousands into use that get one message. Of those each is three objects, itself, its name and its line:
 * V8 marks them all again and again, and with seven it kept everybody waiting for 0.1 s.
 */
import { type Name, Timestamp } from "@cpt/schema"
import { Buffer } from "node:buffer"
import type { Batch } from "../Batch.ts"
import type { Kind, Watcher } from "../MessageStore.ts"
import type { Link } from "./Chain.ts"
import { Head } from "./Head.ts"
import { isAt, Lines, write } from "./Lines.ts"
import { type Member, unnumbered } from "./Order.ts"

/**
 * What a name counts beside its message, if it has one, and if it has more: within the bound of bytes, by itself. With one it
 * takes less, but more of them would be more for the garbage collector to look at.
 */
export const nameBytes = { one: 1024, more: 2048 }

/** Bytes of a line that is a string as long as it is the only one. */
const singleBytes = 256
const scratch = Buffer.allocUnsafeSlow(singleBytes) // in which it is made

const nobody: ReadonlyArray<Watcher> = []

/** What a timestamp is cut by, into two small integers: as one number, V8 would make an object of it. */
const low = 2 ** 28

export class Entry implements Member, Link<Entry> {
  number = unnumbered
  older: Entry | undefined
  newer: Entry | undefined
  readonly name: Name.Name
  kind: Kind
  watchers: ReadonlyArray<Watcher> = nobody
  weight = 0 // bytes that it takes beside its messages
  #highHead = 0
  #lowHead = 0
  #missingThrough: Timestamp.Timestamp | undefined
  #single = "" // the only line, a character a byte
  #lines: Lines | undefined // where it is not the only one
  #lineHead: Head | undefined

  /** @param head up to where messages may have come, and are gone */
  constructor(name: Name.Name, kind: Kind, head: Timestamp.Timestamp) {
    this.name = name
    this.kind = kind
    this.#setHead(head)
  }

  /** The timestamp of the last message, also of one that is gone. */
  get head(): Timestamp.Timestamp {
    return Timestamp.fromMillis(this.#highHead * low + this.#lowHead)
  }

  /** Messages up to here are gone. */
  get missingThrough(): Timestamp.Timestamp {
    return this.isEmpty ? this.head : this.#missingThrough ?? Timestamp.epoch
  }

  /** There is no message. */
  get isEmpty(): boolean {
    return this.#single === "" && this.#lines === undefined
  }

  /** How many messages there are. */
  get count(): number {
    return this.#lines?.count ?? (this.#single === "" ? 0 : 1)
  }

  /** Weighs it again; gives by how much it is heavier. */
  weigh(): number {
    const before = this.weight
    this.weight = this.isEmpty ? 0 : this.#lines === undefined ? nameBytes.one : nameBytes.more
    return this.weight - before
  }

  /** Adds a message of a batch and tells of it; gives its line's size. */
  add(sender: Name.Username, { bytes, ends, starts }: Batch, index: number, timestamp: Timestamp.Timestamp): number {
    const [start, end] = [starts[index]!, ends[index]!]
    const isFirst = this.isEmpty
    const head = this.#lineHead ?? new Head(this.name)
    if (!isFirst) this.#lineHead = head // of a name that gets a single message, none is kept
    else if (this.head > 0) this.#missingThrough = this.head
    head.set(sender, timestamp)
    const size = head.bytes.length + end - start + 1
    let lines: Lines | undefined
    if (isFirst && size <= singleBytes && this.watchers.length === 0) {
      write(scratch, 0, head.bytes, bytes, start, end)
      this.#single = scratch.toString("latin1", 0, size)
    } else {
      lines = this.#unfold()
      lines.add(head.bytes, bytes, start, end, timestamp)
    }
    this.#setHead(timestamp)
    if (lines !== undefined && this.watchers.length > 0) {
      const appended = { sender, timestamp, line: lines.last() }
      for (const watcher of this.watchers) watcher.tell(appended)
    }
    return size
  }

  /** Lines behind `after`, some of them, but for those that begin with `except`; undefined without any. */
  page(after: Timestamp.Timestamp, except: Uint8Array | undefined): ReturnType<Lines["page"]> {
    if (this.#lines !== undefined) return this.#lines.page(after, except)
    if (this.#single === "" || this.head <= after) return undefined
    const lines = Buffer.from(this.#single, "latin1")
    return except !== undefined && isAt(lines, 0, except) ? undefined : { lines, count: 1, through: this.head }
  }

  /** Drops the oldest message; gives its line's size. There must be one. */
  dropFirst(): number {
    const lines = this.#lines
    if (lines === undefined) {
      const size = this.#single.length
      this.#single = ""
      return size
    }
    const { size, timestamp } = lines.dropFirst()
    this.#missingThrough = timestamp
    // If a short line is the only one now, it takes no more than it needs
    this.#single = lines.only(singleBytes) ?? ""
    if (this.#single !== "" || lines.isEmpty) this.#lines = undefined
    return size
  }

  #setHead(timestamp: Timestamp.Timestamp): void {
    this.#highHead = Math.floor(timestamp / low)
    this.#lowHead = timestamp % low
  }

  /** Where lines are that are not the only one. */
  #unfold(): Lines {
    if (this.#lines !== undefined) return this.#lines
    const lines = this.#lines = new Lines()
    if (this.#single !== "") lines.addLine(Buffer.from(this.#single, "latin1"), this.head)
    this.#single = ""
    return lines
  }
}
