/**
 * The reading side of the durable store: pages of lines that are in their places, and what names are. Each answer is a
 * snapshot of what is committed, whatever the writer does meanwhile.
 */
import { Buffer } from "node:buffer"
import type { DatabaseSync } from "node:sqlite"
import { headOf } from "../Head.ts"
import { blockBytes, LineWalk } from "./Block.ts"
import { kindCodes } from "./Database.ts"

export interface StoredName {
  /** What it was made to be; that lasts only as long as it has messages. */
  readonly kind: "open" | "user" | "group"
  readonly isKept: boolean
  readonly head: number
}

export interface StoredPage {
  /** In memory of its own, which can be given to another thread. */
  readonly lines: Uint8Array<ArrayBuffer>
  readonly through: number
  readonly last: boolean
  readonly missingThrough: number
}

/**
 * Of one page, and what the block takes in which that is reached. A peer that sleeps holds a page in memory, so they are
 * small; with four times as much a SYNC is not noticeably faster.
 */
const pageBytes = 64 * 1024

/** A page with a line that is longer has just that. */
const maxPageBytes = 256 * 1024

export class Reader {
  readonly #db: DatabaseSync
  readonly #sql

  constructor(db: DatabaseSync) {
    this.#db = db
    this.#sql = {
      name: db.prepare("SELECT id, kind, head, missing, count, bytes FROM names WHERE name = ?"),
      // From the block in which `after` is
      blocks: db.prepare(
        `SELECT lines FROM blocks
         WHERE target = :id AND first >= coalesce(
           (SELECT max(first) FROM blocks WHERE target = :id AND first <= :after), 0
         ) ORDER BY first LIMIT :limit`
      )
    }
  }

  /** What a name is and has, as of the last time that what was recent was brought to its place. */
  name(name: string): StoredName | undefined {
    const row = this.#sql.name.get(name)
    if (row === undefined) return undefined
    return { kind: kindOf(Number(row["kind"])), isKept: row["count"] !== 0, head: Number(row["head"]) }
  }

  /** A page of the messages of a target behind `after`, but for those of the sender `except`. */
  read(target: string, after: number, except: string | undefined): StoredPage {
    this.#db.exec("BEGIN")
    try {
      return this.#read(target, after, except)
    } finally {
      this.#db.exec("ROLLBACK") // also where a statement has been left in the middle, as by an error
    }
  }

  #read(target: string, after: number, except: string | undefined): StoredPage {
    const row = this.#sql.name.get(target)
    if (row === undefined) return { lines: new Uint8Array(0), through: after, last: true, missingThrough: 0 }
    const [id, head, missing] = [Number(row["id"]), Number(row["head"]), Number(row["missing"])]
    const missingThrough = missing > after ? missing : 0
    if (head <= after) return { lines: new Uint8Array(0), through: after, last: true, missingThrough }

    const average = Math.max(blockBytes, Number(row["bytes"]) / Number(row["count"] || 1))
    const limit = 1 + Math.ceil(pageBytes / average)
    // Not one by one: Node reports what such a statement has failed with once more, when it is used again
    const blocks = this.#sql.blocks.all({ id, after, limit })
    const parts: Array<Uint8Array> = []
    let [size, through, isFull] = [0, after, blocks.length === limit]
    for (const { lines } of blocks) {
      if (!(lines instanceof Uint8Array)) throw new Error(`no block of lines for ${target}`)
      const behind = parts.length === 0 ? linesBehind(lines, after) : lines
      const wanted = except === undefined ? behind : linesBut(behind, Buffer.from(headOf(target, except)))
      if (size >= pageBytes || size > 0 && size + wanted.length > maxPageBytes) {
        isFull = true
        break
      }
      if (behind.length > 0) through = lastTimestamp(behind)
      parts.push(wanted)
      size += wanted.length
    }
    return { lines: joined(parts, size), through: isFull ? through : head, last: !isFull, missingThrough }
  }
}

const kindOf = (code: number): StoredName["kind"] =>
  code === kindCodes.user ? "user" : code === kindCodes.group ? "group" : "open"

/** Those of a block that are behind a message. */
const linesBehind = (lines: Uint8Array, after: number): Uint8Array => {
  const walk = new LineWalk(lines)
  while (walk.next()) if (walk.timestamp > after) return lines.subarray(walk.start)
  return lines.subarray(lines.length)
}

/** Those that do not begin like this. */
const linesBut = (lines: Uint8Array, head: Buffer): Uint8Array => {
  const walk = new LineWalk(lines)
  const parts: Array<Uint8Array> = []
  while (walk.next()) {
    if (walk.bytes.compare(head, 0, head.length, walk.start, walk.start + head.length) !== 0) {
      parts.push(lines.subarray(walk.start, walk.end))
    }
  }
  return Buffer.concat(parts)
}

const lastTimestamp = (lines: Uint8Array): number => {
  const walk = new LineWalk(lines.subarray(lines.lastIndexOf(10, lines.length - 2) + 1))
  walk.next()
  return walk.timestamp
}

const joined = (parts: ReadonlyArray<Uint8Array>, size: number): Uint8Array<ArrayBuffer> => {
  const lines = new Uint8Array(size)
  let at = 0
  for (const part of parts) {
    lines.set(part, at)
    at += part.length
  }
  return lines
}
