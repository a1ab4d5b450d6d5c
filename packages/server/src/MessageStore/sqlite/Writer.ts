/**
 * The writing side of the durable store: commits what has gathered as one transaction with one sync, and gives messages
 * their timestamps, settles what names are and finds re-sends in it.
 *
 * A commit only adds to the end of `recent`; now and then one brings that to its places as well, many messages at a time.
 */
import { statSync, truncateSync } from "node:fs"
import type { DatabaseSync } from "node:sqlite"
import { isResend } from "../../Duplicates.ts"
import { digest, kindCodes, messageOverhead, value } from "./Database.ts"

/**
 * The steps of a transaction, in the order in which they came: one array a field, since that takes a third of the time on
 * its way between threads that an object a step would (0.7 µs a message).
 */
export interface Steps {
  readonly ops: Array<Op>
  /** When the message came, in milliseconds; 0 where there is none. */
  readonly times: Array<number>
  /** The sender of a message, or of the last one, whose ACK it has seen; or the name that is claimed. */
  readonly names: Array<string>
  readonly targets: Array<string>
  readonly messages: Array<string>
}

/** What a step is; a message says with it what its target has become, where that is known. */
export const op = { message: 0, messageToUser: 2, messageToGroup: 3, confirm: 4, claimUser: 5, claimGroup: 6 } as const
export type Op = (typeof op)[keyof typeof op]

/** For each step the timestamp of its message; 0 for a re-send, and where there is none. */
export type Committed = ReadonlyArray<number>

/** What is known of a name: a row of `names`, and what `recent` adds to it. */
export interface Row {
  readonly id: number
  readonly name: string
  kind: number
  head: number
  missing: number
  count: number
  bytes: number
  oldest: number
  /** Its last message, as a sender (CPT 4.4): the target's id (0: none), when, and the digest of the text, or the text. */
  lastTarget: number
  lastAt: number
  lastDigest: string
  lastText: string | undefined
  /** The run in which it was known to have seen the ACK of that. */
  confirmed: number
  /** Something of it is not in the database yet. */
  isDirty: boolean
}

/** Rows that are kept in memory; when there are more, they are read again as they are needed. */
const maxRows = 50_000

/** Messages, and bytes of their texts, that may wait to be folded: some milliseconds of work. */
const foldAt = { messages: 2048, bytes: 1024 * 1024 }

/** Bytes before the log's first frame, and before the page in each. */
const [logHeader, frameHeader] = [32, 24]

const numberOf = (field: unknown): number => Number(field ?? 0)

export class Writer {
  readonly db: DatabaseSync
  readonly #window: number
  readonly #run: number
  readonly #sql
  readonly #rows = new Map<string, Row>()
  readonly #dirty = new Set<Row>()
  /** What rows were before the transaction that is under way; undefined for a row that was not there. */
  readonly #before = new Map<Row, Row | undefined>()
  readonly #waiting = { messages: 0, bytes: 0 } // in `recent`
  readonly #log: string
  readonly #pageSize: number

  /** @param window milliseconds in which an equal, unconfirmed message is a re-send; 0 switches the check off */
  constructor(db: DatabaseSync, window: number) {
    this.db = db
    this.#log = `${db.location()}-wal`
    this.#pageSize = numberOf(value(db, "PRAGMA page_size"))
    this.#window = window
    this.#sql = {
      row: db.prepare("SELECT * FROM names WHERE name = ?"),
      nameOf: db.prepare("SELECT name FROM names WHERE id = ?"),
      addRow: db.prepare("INSERT INTO names (name, kind, head, missing) VALUES (?, 0, 0, 0)"),
      setKind: db.prepare("UPDATE names SET kind = ? WHERE id = ?"),
      setRow: db.prepare(
        `UPDATE names SET head = ?, missing = ?, count = ?, bytes = ?, last_target = ?, last_timestamp = ?,
           last_digest = ?, confirmed = ? WHERE id = ?`
      ),
      setOldest: db.prepare("UPDATE names SET oldest = ? WHERE id = ? AND oldest <> ?"),
      addRecent: db.prepare("INSERT INTO recent (target, timestamp, sender, message) VALUES (?, ?, ?, ?)"),
      recent: db.prepare("SELECT target, timestamp, sender, message FROM recent ORDER BY id"),
      // In the order of their places: each page is looked for and written once
      fold: db.prepare(
        `INSERT INTO messages (target, timestamp, sender, message)
         SELECT target, timestamp, sender, message FROM recent ORDER BY target, timestamp`
      ),
      clearRecent: db.prepare("DELETE FROM recent")
    }
    // After a crash each sender's last message counts as unconfirmed (CPT 4.4): confirmations are of another run then
    const wasClean = value(db, "SELECT is_clean FROM state") === 1
    this.#run = numberOf(value(db, "SELECT run FROM state")) + (wasClean ? 0 : 1)
    this.transact(() => {
      db.exec(`UPDATE state SET run = ${this.#run}, is_clean = 0`)
      this.#recall()
      this.fold()
    })
  }

  /** Runs a transaction: all of it is done, or nothing is, in the database and in what is known of it. */
  transact<A>(body: () => A): A {
    const waiting = { ...this.#waiting }
    this.db.exec("BEGIN IMMEDIATE")
    try {
      const result = body()
      this.db.exec("COMMIT")
      this.#before.clear()
      return result
    } catch (error) {
      if (this.db.isTransaction) this.db.exec("ROLLBACK")
      Object.assign(this.#waiting, waiting)
      for (const [row, before] of this.#before) {
        if (before === undefined) this.#rows.delete(row.name)
        else Object.assign(row, before)
        if (before?.isDirty === true) this.#dirty.add(row)
        else this.#dirty.delete(row)
      }
      this.#before.clear()
      this.#cutLog()
      throw error
    }
  }

  /**
   * Commits steps, and what else is to be done with them, as one transaction with one sync. Throws if it could not: then
   * none of the messages is stored.
   */
  commit<A>(steps: Steps, also: () => A): { readonly committed: Committed; readonly also: A } {
    if (this.#rows.size > maxRows) {
      for (const row of this.#rows.values()) if (!row.isDirty) this.#rows.delete(row.name)
    }
    try {
      return this.transact(() => ({ committed: steps.ops.map((_, index) => this.#step(steps, index)), also: also() }))
    } catch (error) {
      // What peers have seen is true all the same
      steps.ops.forEach((code, index) => code === op.confirm && this.#step(steps, index))
      this.#before.clear()
      throw error
    }
  }

  /** There is enough to be folded. */
  get shouldFold(): boolean {
    return this.#waiting.messages >= foldAt.messages || this.#waiting.bytes >= foldAt.bytes
  }

  /** In a transaction, brings what is `recent` to its places. Gives its bytes, and what has changed of names. */
  fold(): { readonly bytes: number; readonly rows: ReadonlyArray<Row> } {
    const rows = Array.from(this.#dirty)
    const bytes = this.#waiting.bytes + messageOverhead * this.#waiting.messages
    if (this.#waiting.messages > 0) {
      this.#sql.fold.run()
      this.#sql.clearRecent.run()
    }
    for (const row of rows) {
      this.touch(row)
      if (row.lastText !== undefined) {
        row.lastDigest = digest(row.lastText)
        row.lastText = undefined
      }
      this.saveRow(row)
      row.isDirty = false
    }
    this.#dirty.clear()
    this.#waiting.messages = 0
    this.#waiting.bytes = 0
    return { bytes, rows }
  }

  /** Commits the last steps, and remembers that nothing is left open. */
  close(steps: Steps): void {
    this.commit(steps, () => {
      this.fold()
      this.db.exec("UPDATE state SET is_clean = 1")
    })
    this.db.close()
  }

  /** What is known of a name; undefined if it was never used. */
  find(name: string): Row | undefined {
    const known = this.#rows.get(name)
    if (known !== undefined) return known
    const found = this.#sql.row.get(name)
    if (found === undefined) return undefined
    const row: Row = {
      id: numberOf(found["id"]),
      name,
      kind: numberOf(found["kind"]),
      head: numberOf(found["head"]),
      missing: numberOf(found["missing"]),
      count: numberOf(found["count"]),
      bytes: numberOf(found["bytes"]),
      oldest: numberOf(found["oldest"]),
      lastTarget: numberOf(found["last_target"]),
      lastAt: numberOf(found["last_timestamp"]),
      lastDigest: String(found["last_digest"] ?? ""),
      lastText: undefined,
      confirmed: numberOf(found["confirmed"]),
      isDirty: false
    }
    this.#rows.set(name, row)
    return row
  }

  /** To be called before a row is changed in a transaction. */
  touch(row: Row): void {
    if (!this.#before.has(row)) this.#before.set(row, { ...row })
  }

  /** Writes what is known of a name, but for its kind. */
  saveRow(row: Row): void {
    const { bytes, confirmed, count, head, id, lastAt, lastDigest, lastTarget, missing, oldest } = row
    this.#sql.setRow.run(
      head,
      missing,
      count,
      bytes,
      lastTarget || null,
      lastAt || null,
      lastDigest || null,
      confirmed,
      id
    )
    this.#sql.setOldest.run(oldest, id, oldest) // apart, since it has an index
  }

  #step({ messages, names, ops, targets, times }: Steps, index: number): number {
    const name = names[index]!
    const code = ops[index]!
    switch (code) {
      case op.confirm:
        return this.#confirm(name)
      case op.claimUser:
        return this.#claim(name, kindCodes.user)
      case op.claimGroup:
        return this.#claim(name, kindCodes.group)
      default:
        return this.#append(this.#row(name), this.#row(targets[index]!), messages[index]!, times[index]!, code)
    }
  }

  #append(sender: Row, target: Row, message: string, now: number, kind: number): number {
    const isEqual = () =>
      sender.lastText === undefined ? sender.lastDigest === digest(message) : sender.lastText === message
    if (
      sender.confirmed !== this.#run && sender.lastTarget === target.id &&
      isResend(sender.lastAt, now, this.#window) && isEqual()
    ) return 0
    // What a name was ends with its last message, unless somebody bears or follows it
    if (target.count === 0 || kind !== kindCodes.open) this.#settle(target, kind)
    const timestamp = Math.max(now, target.head + 1) // CPT 4.2
    this.#sql.addRecent.run(target.id, timestamp, sender.id, message)
    this.#note(target, sender, timestamp, message)
    sender.lastAt = now
    return timestamp
  }

  /** What a message in `recent` adds to what is known of its names. */
  #note(target: Row, sender: Row, timestamp: number, message: string): void {
    const bytes = Buffer.byteLength(message)
    this.touch(target)
    target.head = timestamp
    target.count++
    target.bytes += bytes + messageOverhead
    if (target.oldest === 0) target.oldest = timestamp
    this.touch(sender)
    sender.lastTarget = target.id
    sender.lastAt = timestamp
    sender.lastText = message
    sender.confirmed = 0
    this.#soil(target)
    this.#soil(sender)
    this.#waiting.messages++
    this.#waiting.bytes += bytes
  }

  /**
   * After a sync that has failed, the log ends with a transaction that was refused, and is complete: a restart would take
   * it for one that was done (CPT 4.8). SQLite knows where the log should end (from 3.51 on, it can be asked without being
   * told to write anything), and nobody reads behind that.
   */
  #cutLog(): void {
    try {
      const { log } = this.db.prepare("PRAGMA wal_checkpoint(NOOP)").get() ?? {}
      const length = logHeader + Number(log) * (frameHeader + this.#pageSize)
      if (typeof log === "number" && log >= 0 && statSync(this.#log).size > length) truncateSync(this.#log, length)
    } catch {
      // The disk is what has failed; the next commit writes over it
    }
  }

  #soil(row: Row): void {
    row.isDirty = true
    this.#dirty.add(row)
  }

  #settle(row: Row, kind: number): void {
    if (row.kind === kind) return
    this.touch(row)
    row.kind = kind
    this.#sql.setKind.run(kind, row.id)
  }

  #claim(name: string, kind: number): number {
    const row = this.#row(name)
    if (row.count === 0 || row.kind === kindCodes.open) this.#settle(row, kind)
    return 0
  }

  #confirm(sender: string): number {
    const row = this.find(sender)
    if (row === undefined || row.lastTarget === 0) return 0
    this.touch(row)
    row.confirmed = this.#run
    this.#soil(row)
    return 0
  }

  /** What is known of a name, which is used from now on. */
  #row(name: string): Row {
    const found = this.find(name)
    if (found !== undefined) return found
    this.#sql.addRow.run(name)
    const row = this.find(name)
    if (row === undefined) throw new Error(`no row for ${name}`)
    this.#before.set(row, undefined)
    return row
  }

  /** After a crash: what is in `recent` is known again. */
  #recall(): void {
    const rowOf = (id: unknown) => this.#row(String(this.#sql.nameOf.get(numberOf(id))?.["name"]))
    for (const { message, sender, target, timestamp } of this.#sql.recent.all()) {
      this.#note(rowOf(target), rowOf(sender), numberOf(timestamp), String(message))
    }
  }
}
