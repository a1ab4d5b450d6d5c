/**
 * The reading side of the durable store: pages of lines that are in their places, and what names are. Each answer is a
 * snapshot of what is committed, whatever the writer does meanwhile.
 */
import { Buffer } from "node:buffer"
import type { DatabaseSync } from "node:sqlite"
import { headOf } from "../Head.ts"
import { blockBytes, LineWalk } from "./Block.ts"
import { kindCodes } from "./Database.ts"
import type { DeclaredName } from "./Steps.ts"

export interface StoredName {
  /** What it was made to be; that lasts only as long as it has messages. */
  readonly kind: "open" | "user" | "group"
  readonly isKept: boolean
  readonly head: number
}

export interface StoredPage {
  /** In memory of its own, which can be given to another thread. */
  readonly lines: Uint8Array<ArrayBuffer>
  /** How many lines that are. */
  readonly count: number
  readonly through: number
  readonly last: boolean
  readonly missingThrough: number
}

export interface StoredNames {
  readonly names: ReadonlyArray<{
    readonly name: string
    readonly kind: StoredName["kind"]
    readonly head: number
    readonly messages: number
  }>
  /** All up to this name have been looked at; undefined if there are no more. */
  readonly through: string | undefined
}

/** Names that one page looks at. */
const pageNames = 1000

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
      declared: db.prepare("SELECT name, kind, rules FROM declared"),
      names: db.prepare("SELECT name, kind, count, head FROM names WHERE name > ? ORDER BY name LIMIT ?"),
      // From the block in which `after` is; put together by SQLite, which is faster than a piece of memory a block
      blocks: db.prepare(
        `SELECT count(*) AS blocks, sum(count) AS count, CAST(group_concat(lines, '') AS BLOB) AS lines FROM (
           SELECT count, lines FROM blocks
           WHERE target = :id AND first >= coalesce(
             (SELECT max(first) FROM blocks WHERE target = :id AND first <= :after), 0
           ) ORDER BY first LIMIT :limit
         )`
      )
    }
  }

  /** What a name is and has, as of the last time that what was recent was brought to its place. */
  name(name: string): StoredName | undefined {
    const row = this.#sql.name.get(name)
    if (row === undefined) return undefined
    return { kind: kindOf(Number(row["kind"])), isKept: row["count"] !== 0, head: Number(row["head"]) }
  }

  /** What an operator has declared. */
  declared(): ReadonlyArray<DeclaredName> {
    return this.#sql.declared.all().map(({ kind, name, rules }) => ({
      name: String(name),
      kind: kind === kindCodes.group ? "group" : "user",
      rules: String(rules)
    }))
  }

  /** A page of names behind one, with what is in its place of them. */
  names(after: string): StoredNames {
    const rows = this.#sql.names.all(after, pageNames)
    return {
      names: rows.map(({ count, head, kind, name }) => ({
        name: String(name),
        kind: kindOf(Number(kind)),
        head: Number(head),
        messages: Number(count)
      })),
      through: rows.length < pageNames ? undefined : String(rows.at(-1)?.["name"])
    }
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
    if (row === undefined) return emptyPage(after, 0)
    const [id, head, missing] = [Number(row["id"]), Number(row["head"]), Number(row["missing"])]
    const missingThrough = missing > after ? missing : 0
    if (head <= after) return emptyPage(after, missingThrough)

    const average = Math.max(blockBytes, Number(row["bytes"]) / Number(row["count"] || 1))
    const limit = 1 + Math.ceil(pageBytes / average)
    const { blocks, count, lines } = this.#sql.blocks.get({ id, after, limit }) ?? {}
    if (!isBytes(lines)) return emptyPage(head, missingThrough)
    const behind = linesBehind({ lines, count: Number(count) }, after)
    const page = behind.lines.length > maxPageBytes ? firstLines(behind.lines, maxPageBytes) : behind
    const last = page === behind && Number(blocks) < limit
    const through = last ? head : Math.max(after, lastTimestamp(page.lines))
    const wanted = except === undefined ? page : linesBut(page.lines, Buffer.from(headOf(target, except)))
    return { ...wanted, through, last, missingThrough }
  }
}

const isBytes = (value: unknown): value is Uint8Array<ArrayBuffer> =>
  value instanceof Uint8Array && value.buffer instanceof ArrayBuffer

const kindOf = (code: number): StoredName["kind"] =>
  code === kindCodes.user ? "user" : code === kindCodes.group ? "group" : "open"

type Lines = Pick<StoredPage, "lines" | "count">

const emptyPage = (through: number, missingThrough: number): StoredPage => ({
  lines: new Uint8Array(0),
  count: 0,
  through,
  last: true,
  missingThrough
})

/** Those that are behind a message. */
const linesBehind = (all: Lines, after: number): Lines => {
  if (after === 0) return all
  const { count, lines } = all
  const walk = new LineWalk(lines)
  for (let before = 0; walk.next(); before++) {
    if (walk.timestamp > after) return { lines: lines.subarray(walk.start), count: count - before }
  }
  return { lines: lines.subarray(lines.length), count: 0 }
}

/** As many as so many bytes hold, or one. */
const firstLines = (all: Uint8Array<ArrayBuffer>, bytes: number): Lines => {
  const end = all.lastIndexOf(10, bytes - 1)
  const lines = all.subarray(0, (end === -1 ? all.indexOf(10) : end) + 1)
  let count = 0
  for (let at = 0; at < lines.length; at = lines.indexOf(10, at) + 1) count++
  return { lines, count }
}

/** Those that do not begin like this, in the same memory: the other would be garbage in a thread that seldom collects any. */
const linesBut = (lines: Uint8Array<ArrayBuffer>, head: Buffer): Lines => {
  const walk = new LineWalk(lines)
  let length = 0
  let count = 0
  while (walk.next()) {
    if (walk.bytes.compare(head, 0, head.length, walk.start, walk.start + head.length) === 0) continue
    lines.copyWithin(length, walk.start, walk.end)
    length += walk.end - walk.start
    count++
  }
  return { lines: lines.subarray(0, length), count }
}

/** Of the last line; 0 without. */
const lastTimestamp = (lines: Uint8Array): number => {
  const walk = new LineWalk(lines.subarray(lines.lastIndexOf(10, lines.length - 2) + 1))
  return walk.next() ? walk.timestamp : 0
}
