/**
 * The reading side of the durable store: pages of lines, and what names are. Each answer is a snapshot of what is
 * committed, whatever the writer does meanwhile.
 */
import { Buffer } from "node:buffer"
import type { DatabaseSync } from "node:sqlite"
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
 * Of one page. A peer that sleeps holds a page in memory, so they are small; with four times as much a SYNC is not
 * noticeably faster.
 */
const pageBytes = 64 * 1024

/** Bytes of a line beside its text, at a guess: only how many lines are asked for depends on it. */
const lineOverhead = 40

export class Reader {
  readonly #db: DatabaseSync
  readonly #sql

  constructor(db: DatabaseSync) {
    this.#db = db
    // The lines are put together by SQLite: three times as fast as a row at a time
    const page = (table: "messages" | "recent", except: string) =>
      db.prepare(
        `SELECT CAST(group_concat('MSG ' || :target || ' ' || n.name || ' ' || timestamp || ' ' || message || char(10), '')
                AS BLOB) AS lines, count(*) AS count, max(timestamp) AS through
         FROM (SELECT timestamp, sender, message FROM ${table}
               WHERE target = :id AND timestamp > :after ${except} ORDER BY timestamp LIMIT :limit) m
         JOIN names n ON n.id = m.sender`
      )
    const pages = (except: string) => ({ messages: page("messages", except), recent: page("recent", except) })
    this.#sql = {
      name: db.prepare("SELECT id, kind, head, missing, count, bytes FROM names WHERE name = ?"),
      head: db.prepare("SELECT max(timestamp) AS head FROM recent WHERE target = ?"),
      all: pages(""),
      except: pages("AND sender <> :except")
    }
  }

  /** What a name is and has, as of the last time that what was recent was brought to its place. */
  name(name: string): StoredName | undefined {
    const row = this.#sql.name.get(name)
    if (row === undefined) return undefined
    return { kind: kindOf(Number(row["kind"])), isKept: row["count"] !== 0, head: Number(row["head"]) }
  }

  /** A page of the messages of a target behind `after`; with `hasRecent` also of those that are not in place yet. */
  read(target: string, after: number, except: string | undefined, hasRecent: boolean): StoredPage {
    this.#db.exec("BEGIN")
    try {
      return this.#read(target, after, except, hasRecent)
    } finally {
      this.#db.exec("COMMIT")
    }
  }

  #read(target: string, after: number, except: string | undefined, hasRecent: boolean): StoredPage {
    const row = this.#sql.name.get(target)
    if (row === undefined) return { lines: new Uint8Array(0), through: after, last: true, missingThrough: 0 }
    const [id, bytes, count] = [Number(row["id"]), Number(row["bytes"]), Number(row["count"])]
    const missing = Number(row["missing"])
    const missingThrough = missing > after ? missing : 0
    const head = Math.max(Number(row["head"]), hasRecent ? Number(this.#sql.head.get(id)?.["head"] ?? 0) : 0)
    if (head <= after) return { lines: new Uint8Array(0), through: after, last: true, missingThrough }

    const limit = Math.max(1, Math.floor(pageBytes / (count === 0 ? lineOverhead : bytes / count + lineOverhead)))
    const exceptId = except === undefined ? undefined : this.#sql.name.get(except)?.["id"]
    const { messages, recent } = exceptId === undefined ? this.#sql.all : this.#sql.except
    const asked = { target, id, after, limit, ...exceptId === undefined ? {} : { except: exceptId } }
    const parts: Array<Uint8Array<ArrayBuffer>> = []
    let found = 0
    let through = after
    for (const statement of hasRecent ? [messages, recent] : [messages]) {
      if (found === limit) break
      const { count, lines, through: last } = statement.get({ ...asked, limit: limit - found }) ?? {}
      if (!isBytes(lines)) continue
      parts.push(lines)
      found += Number(count)
      through = Number(last)
    }
    const [first, second] = parts
    const lines = first === undefined ? new Uint8Array(0) : second === undefined ? first : joined(first, second)
    if (lines.length > pageBytes && found > 1) return firstPart(lines, missingThrough)
    const last = found < limit
    return { lines, through: last ? head : through, last, missingThrough }
  }
}

const kindOf = (code: number): StoredName["kind"] =>
  code === kindCodes.user ? "user" : code === kindCodes.group ? "group" : "open"

const isBytes = (value: unknown): value is Uint8Array<ArrayBuffer> =>
  value instanceof Uint8Array && value.buffer instanceof ArrayBuffer

const joined = (first: Uint8Array, second: Uint8Array): Uint8Array<ArrayBuffer> => {
  const both = new Uint8Array(first.length + second.length)
  both.set(first)
  both.set(second, first.length)
  return both
}

/** As many whole lines as a page may have, or one. */
const firstPart = (lines: Uint8Array<ArrayBuffer>, missingThrough: number): StoredPage => {
  const cut = lines.lastIndexOf(10, pageBytes - 1)
  const end = (cut === -1 ? lines.indexOf(10) : cut) + 1
  const lastLine = Buffer.from(lines.subarray(lines.lastIndexOf(10, end - 2) + 1, end)).toString()
  return { lines: lines.slice(0, end), through: Number(lastLine.split(" ", 4)[3]), last: false, missingThrough }
}
