/**
 * What need not be kept any longer, removed in small steps of a few milliseconds, where there is a transaction anyway or
 * nothing else to do. How far messages are missing is kept with their target's name, so that a reader is told (CPT 5.4).
 */
import { LineWalk } from "./Block.ts"
import { messageOverhead, value } from "./Database.ts"
import type { Row, Writer } from "./Writer.ts"

/** How much is kept; what is not given does not limit it. */
export interface Keep {
  /** Milliseconds that a message is kept. */
  readonly age?: number | undefined
  /** Messages of each target. */
  readonly messages?: number | undefined
  /** Bytes of all messages: of their texts, and 32 for each. The oldest go first, over all targets. */
  readonly bytes?: number | undefined
}

/** Messages that one step removes at most, and targets that it removes them from. */
const [stepMessages, stepTargets] = [256, 64]

/** Pages of the file that are given back at once. */
const stepPages = 128

/** Up to where messages of a target are gone. */
export interface Trimmed {
  readonly target: string
  readonly through: number
}

/** What a target is to lose: up to a time, but no more than so much. */
interface Excess {
  readonly row: Row
  readonly until?: number
  readonly messages?: number
  readonly bytes?: number
}

export class Retention {
  readonly #writer: Writer
  readonly #keep: Keep
  readonly #sql
  readonly #grown = new Set<string>() // names that may have too many messages
  readonly #looked: Array<string> = [] // names that are no longer among those
  #bytes = 0

  constructor(writer: Writer, keep: Keep) {
    const { db } = writer
    this.#writer = writer
    this.#keep = keep
    this.#sql = {
      oldest: db.prepare("SELECT name, oldest FROM names WHERE oldest > 0 ORDER BY oldest LIMIT 2"),
      block: db.prepare("SELECT id, count, lines FROM blocks WHERE target = ? ORDER BY first LIMIT 1"),
      remove: db.prepare("DELETE FROM blocks WHERE id = ?"),
      shorten: db.prepare("UPDATE blocks SET first = ?, count = ?, lines = ? WHERE id = ?")
    }
    if (keep.bytes !== undefined) this.#bytes = Number(value(db, "SELECT sum(bytes) FROM names") ?? 0)
    if (keep.messages !== undefined) {
      for (const { name } of db.prepare("SELECT name FROM names WHERE count > ?").all(keep.messages)) {
        this.#grown.add(String(name))
      }
    }
  }

  /** To be told of what has come: bytes, and the names that have changed. */
  note(bytes: number, rows: Iterable<Row>): void {
    this.#bytes += bytes
    const { messages } = this.#keep
    if (messages === undefined) return
    for (const { count, name } of rows) if (count > messages) this.#grown.add(name)
  }

  /** Runs a transaction that takes part in this. When it fails, nothing has come, and nothing is gone. */
  guard<A>(transaction: () => A): A {
    const bytes = this.#bytes
    this.#looked.length = 0
    try {
      return transaction()
    } catch (error) {
      this.#bytes = bytes
      for (const name of this.#looked) this.#grown.add(name)
      throw error
    }
  }

  /** One step, in a transaction, when everything is in its place. Gives what is gone by it; nothing if there is no more. */
  step(now: number): ReadonlyArray<Trimmed> {
    const trimmed: Array<Trimmed> = []
    for (let left = stepMessages; left > 0 && trimmed.length < stepTargets;) {
      const excess = this.#tooOld(now) ?? this.#tooLarge() ?? this.#tooMany()
      if (excess === undefined) break
      const { messages, through } = this.#trim(excess, left)
      trimmed.push({ target: excess.row.name, through })
      left -= messages
    }
    return trimmed
  }

  /** Gives some free pages back to the file system, and says how many; 0 if there are no more than are to be left. */
  giveBack(spare: number): number {
    const { db } = this.#writer
    if (Number(value(db, "PRAGMA freelist_count")) <= spare) return 0
    this.#writer.transact(() => db.exec(`PRAGMA incremental_vacuum(${stepPages})`))
    return stepPages
  }

  #tooOld(now: number): Excess | undefined {
    if (this.#keep.age === undefined) return undefined
    const [oldest] = this.#oldest()
    const until = now - this.#keep.age
    return oldest === undefined || oldest.at > until ? undefined : { row: oldest.row, until }
  }

  #tooLarge(): Excess | undefined {
    const bytes = this.#bytes - (this.#keep.bytes ?? Infinity)
    if (bytes <= 0) return undefined
    const [oldest, next] = this.#oldest()
    // As long as this target has the oldest messages of all
    return oldest === undefined
      ? undefined
      : { row: oldest.row, bytes, ...next === undefined ? {} : { until: next.at } }
  }

  #tooMany(): Excess | undefined {
    for (const name of this.#grown) {
      const row = this.#writer.find(name)
      const messages = (row?.count ?? 0) - (this.#keep.messages ?? Infinity)
      if (row !== undefined && messages > 0) return { row, messages }
      this.#grown.delete(name)
      this.#looked.push(name)
    }
    return undefined
  }

  /** The targets with the oldest messages. */
  #oldest(): ReadonlyArray<{ readonly row: Row; readonly at: number }> {
    return this.#sql.oldest.all().flatMap(({ name, oldest }) => {
      const row = this.#writer.find(String(name))
      return row === undefined ? [] : [{ row, at: Number(oldest) }]
    })
  }

  /** Removes one message, and more as far as they are too many. */
  #trim(
    { bytes = Infinity, messages = Infinity, row, until = Number.MAX_SAFE_INTEGER }: Excess,
    limit: number
  ): { readonly messages: number; readonly through: number } {
    let through = 0
    let first = 0 // of what is left
    let [goneMessages, goneBytes] = [0, 0]
    while (first === 0) {
      const { count, id, lines } = this.#sql.block.get(row.id) ?? {}
      if (!(lines instanceof Uint8Array) || id === undefined) break
      const walk = new LineWalk(lines)
      let gone = 0
      while (first === 0 && walk.next()) {
        const isLeft = walk.timestamp > until || goneBytes >= bytes || goneMessages >= Math.min(limit, messages)
        if (isLeft) first = walk.timestamp
        else {
          through = walk.timestamp
          goneBytes += walk.textBytes + messageOverhead
          goneMessages++
          gone++
        }
      }
      if (first === 0) this.#sql.remove.run(id)
      else if (gone > 0) this.#sql.shorten.run(first, Number(count) - gone, lines.subarray(walk.start), id)
    }
    this.#writer.touch(row)
    row.missing = through
    row.count -= goneMessages
    row.bytes -= goneBytes
    row.oldest = first
    row.tail = undefined
    this.#writer.saveRow(row)
    this.#bytes -= goneBytes
    return { messages: goneMessages, through }
  }
}
