/**
 * The writing side of the durable store: commits what has gathered as one transaction with one sync, and gives messages
 * their timestamps, settles what names are and finds re-sends in it.
 *
 * A commit only adds its lines to the end of `recent`, as one row; now and then one brings them to their places as well,
 * many messages at a time.
 */
import { Buffer } from "node:buffer"
import { statSync, truncateSync } from "node:fs"
import type { DatabaseSync } from "node:sqlite"
import { isResend } from "../../Duplicates.ts"
import { Head } from "../Head.ts"
import { blockBytes, LineWalk } from "./Block.ts"
import { digest, kindCodes, messageOverhead, value } from "./Database.ts"
import { type Committed, type DeclaredName, type Moment, op, type Steps } from "./Steps.ts"

/** What is known of a name: a row of `names`, and what `recent` adds to it. */
export interface Row {
  readonly id: number
  readonly name: string
  /** It is in the database. */
  isStored: boolean
  kind: number
  head: number
  missing: number
  count: number
  bytes: number
  oldest: number
  /**
   * Its last message, as a sender (CPT 4.4): the target's id (0: none), when, by the time of day and on the clock that
   * nobody sets, and the digest of the text, or the text.
   */
  lastTarget: number
  lastAt: number
  lastUptime: number
  lastDigest: string
  lastText: Uint8Array | undefined
  /** The run in which it was known to have seen the ACK of that. */
  confirmed: number
  /** Something of it is not in the database yet. */
  isDirty: boolean
  /** Its lines that are not in their places yet. */
  recent: Recent
  recentCount: number
  /** Its last block: the row's id (0: none, undefined: not looked up), and the bytes. */
  tail: number | bigint | undefined
  tailBytes: number
  /** How the lines to it begin. */
  lineHead: Head | undefined
}

/** Lines that are added at the end; there may be more here than count, after a transaction that failed. */
interface Recent {
  readonly bytes: Buffer
  readonly ends: Array<number>
  readonly timestamps: Array<number>
}

const nothing: Recent = { bytes: Buffer.alloc(0), ends: [], timestamps: [] }

/** Rows that are kept in memory; when there are more, they are read again as they are needed. More, if they must be. */
const maxRows = 50_000

/** Messages, bytes of their texts, and names with some of them, that may wait to be folded: some milliseconds of work. */
const foldAt = { messages: 2048, bytes: 1024 * 1024, names: 256 }

/** Bytes for the lines of a transaction, at first and after a large one. */
const firstLines = 64 * 1024

/** Bytes before the log's first frame, and before the page in each. */
const [logHeader, frameHeader] = [32, 24]

const numberOf = (field: unknown): number => Number(field ?? 0)

export class Writer {
  readonly db: DatabaseSync
  readonly #window: number
  readonly #startedAt: Moment
  readonly #run: number
  readonly #sql
  readonly #rows = new Map<string, Row>()
  readonly #dirty = new Set<Row>()
  /** What rows were before the transaction that is under way; undefined for a row that was not there. */
  readonly #before = new Map<Row, Row | undefined>()
  readonly #waiting = { messages: 0, bytes: 0 } // in `recent`
  readonly #log: string
  readonly #pageSize: number
  #lastId: number
  #mostRows = maxRows
  #uptime: number // when the last message came
  #lines = Buffer.allocUnsafeSlow(firstLines) // of the transaction under way
  #length = 0
  #syncMillis = 0 // of the last transaction

  /** @param window milliseconds in which an equal, unconfirmed message is a re-send; 0 switches the check off */
  constructor(db: DatabaseSync, window: number, startedAt: Moment) {
    this.db = db
    this.#startedAt = startedAt
    this.#uptime = startedAt.uptime
    this.#log = `${db.location()}-wal`
    this.#pageSize = numberOf(value(db, "PRAGMA page_size"))
    this.#window = window
    this.#sql = {
      row: db.prepare("SELECT * FROM names WHERE name = ?"),
      addRow: db.prepare(
        `INSERT INTO names (head, missing, count, bytes, last_target, last_timestamp, last_digest, confirmed, id, oldest,
           name, kind) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
      ),
      setKind: db.prepare("UPDATE names SET kind = ? WHERE id = ?"),
      setRow: db.prepare(
        `UPDATE names SET head = ?, missing = ?, count = ?, bytes = ?, last_target = ?, last_timestamp = ?,
           last_digest = ?, confirmed = ? WHERE id = ?`
      ),
      setOldest: db.prepare("UPDATE names SET oldest = ? WHERE id = ? AND oldest <> ?"),
      addRecent: db.prepare("INSERT INTO recent (lines) VALUES (?)"),
      recent: db.prepare("SELECT lines FROM recent ORDER BY id"),
      clearRecent: db.prepare("DELETE FROM recent"),
      tail: db.prepare(
        "SELECT id, length(lines) AS bytes FROM blocks WHERE target = ? ORDER BY first DESC LIMIT 1"
      ),
      extend: db.prepare("UPDATE blocks SET count = count + ?, lines = CAST(lines || ? AS BLOB) WHERE id = ?"),
      addBlock: db.prepare("INSERT INTO blocks (target, first, count, lines) VALUES (?, ?, ?, ?)"),
      declare: db.prepare("INSERT OR REPLACE INTO declared (name, kind, rules) VALUES (?, ?, ?)"),
      undeclare: db.prepare("DELETE FROM declared WHERE name = ?")
    }
    this.#lastId = numberOf(value(db, "SELECT max(id) FROM names"))
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
      const begin = performance.now()
      this.db.exec("COMMIT")
      this.#syncMillis = performance.now() - begin
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
    if (this.#rows.size > this.#mostRows) this.#forgetRows()
    try {
      const done = this.transact(() => {
        const committed = this.#carryOut(steps)
        if (this.#length > 0) this.#sql.addRecent.run(this.#lines.subarray(0, this.#length))
        return { committed, also: also() }
      })
      return { ...done, committed: { ...done.committed, syncMillis: this.#syncMillis } }
    } catch (error) {
      // What peers have seen is true all the same
      this.#carryOut(steps, true)
      this.#before.clear()
      throw error
    } finally {
      if (this.#lines.length > foldAt.bytes) this.#lines = Buffer.allocUnsafeSlow(firstLines)
    }
  }

  /** Those of whom something may be sent again stay: in the database there is only the time of day at which it came. */
  #forgetRows(): void {
    for (const row of this.#rows.values()) {
      if (!row.isDirty && !this.#mayComeAgain(row, this.#uptime)) this.#rows.delete(row.name)
    }
    this.#mostRows = Math.max(maxRows, 2 * this.#rows.size)
  }

  /** Whether an equal message is a re-send of its last one. */
  #mayComeAgain({ confirmed, lastTarget, lastUptime }: Row, uptime: number): boolean {
    return lastTarget !== 0 && confirmed !== this.#run && isResend(lastUptime, uptime, this.#window)
  }

  /** Writes something to the disk, and nothing stays of it. Throws if that cannot be done. */
  probe(): void {
    this.transact(() =>
      this.db.exec("INSERT INTO recent (id, lines) VALUES (-1, x''); DELETE FROM recent WHERE id = -1")
    )
  }

  /** There is enough to be folded. */
  get shouldFold(): boolean {
    const { bytes, messages } = this.#waiting
    return messages >= foldAt.messages || bytes >= foldAt.bytes || this.#dirty.size >= foldAt.names
  }

  /** In a transaction, brings what is `recent` to its places. Gives its bytes, and what has changed of names. */
  fold(): { readonly bytes: number; readonly rows: ReadonlyArray<Row> } {
    const rows = Array.from(this.#dirty)
    const bytes = this.#waiting.bytes + messageOverhead * this.#waiting.messages
    if (this.#waiting.messages > 0) this.#sql.clearRecent.run()
    rows.sort((a, b) => a.id - b.id) // each page is looked for and written once
    for (const row of rows) {
      this.touch(row)
      if (row.recentCount > 0) this.#place(row)
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

  /** In a transaction: what an operator has declared under a name, or nothing any more. */
  declare({ kind, name, rules }: DeclaredName): void {
    if (rules === undefined) this.#sql.undeclare.run(name)
    else this.#sql.declare.run(name, kindCodes[kind], rules)
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
    const lastAt = numberOf(found["last_timestamp"])
    const row: Row = {
      ...this.#fresh(numberOf(found["id"]), name),
      isStored: true,
      kind: numberOf(found["kind"]),
      head: numberOf(found["head"]),
      missing: numberOf(found["missing"]),
      count: numberOf(found["count"]),
      bytes: numberOf(found["bytes"]),
      oldest: numberOf(found["oldest"]),
      lastTarget: numberOf(found["last_target"]),
      lastAt,
      lastUptime: this.#uptimeOf(lastAt),
      lastDigest: String(found["last_digest"] ?? ""),
      confirmed: numberOf(found["confirmed"]),
      tail: undefined
    }
    this.#rows.set(name, row)
    return row
  }

  /**
   * When a message came of which the database has the time of day: as long before the start as it was by the clock then.
   * For one that came since, the start: it is read again only when no re-send of it can come any more (`#forgetRows`).
   */
  #uptimeOf(at: number): number {
    const { time, uptime } = this.#startedAt
    return uptime - Math.max(0, time - at)
  }

  /** To be called before a row is changed in a transaction. */
  touch(row: Row): void {
    if (!this.#before.has(row)) this.#before.set(row, { ...row })
  }

  /** Writes what is known of a name, but for its kind. */
  saveRow(row: Row): void {
    const { bytes, confirmed, count, head, id, kind, lastAt, lastDigest, lastTarget, missing, name, oldest } = row
    const columns = [
      head,
      missing,
      count,
      bytes,
      lastTarget || null,
      lastAt || null,
      lastDigest || null,
      confirmed,
      id
    ]
    if (row.isStored) {
      this.#sql.setRow.run(...columns)
      this.#sql.setOldest.run(oldest, id, oldest) // apart, since it has an index
    } else {
      this.#sql.addRow.run(...columns, oldest, name, kind)
      row.isStored = true
    }
  }

  /** Carries out steps; of what could not be committed, only those that are true all the same. */
  #carryOut(steps: Steps, isRefused = false): Omit<Committed, "syncMillis"> {
    const { ends, ops } = steps
    const [names, targets] = [steps.names.split("\n"), steps.targets.split("\n")]
    const timestamps = new Float64Array(ops.length)
    const lineEnds = new Uint32Array(ops.length)
    const named: Array<number> = []
    this.#length = 0
    let [name, target, start] = ["", "", 0]
    for (let index = 0; index < ops.length; index++) {
      const code = ops[index]!
      const end = ends[index]!
      name = names[index]! || name
      target = targets[index]! || target
      if (code === op.confirm) this.#confirm(name)
      else if (isRefused) continue
      else if (code === op.claimUser) this.#claim(name, kindCodes.user)
      else if (code === op.claimGroup) this.#claim(name, kindCodes.group)
      else {
        const [sender, to] = [this.#row(name), this.#row(target)]
        if (to.count === 0 && code === kindCodes.open) named.push(index)
        timestamps[index] = this.#append(sender, to, steps, index, start, code)
      }
      start = end
      lineEnds[index] = this.#length
    }
    return { timestamps, ends: lineEnds, lines: new Uint8Array(this.#lines.subarray(0, this.#length)), named }
  }

  #append(sender: Row, target: Row, steps: Steps, index: number, start: number, kind: number): number {
    const { texts } = steps
    const [now, uptime, end] = [steps.times[index]!, steps.uptimes[index]!, steps.ends[index]!]
    this.#uptime = uptime
    if (
      sender.lastTarget === target.id && this.#mayComeAgain(sender, uptime) &&
      isLast(sender, texts.subarray(start, end))
    ) return 0
    // What a name was ends with its last message, unless somebody bears or follows it
    if (target.count === 0 || kind !== kindCodes.open) this.#settle(target, kind)
    const timestamp = Math.max(now, target.head + 1) // CPT 4.2
    const lineStart = this.#length
    this.#write(target, sender.name, timestamp, texts, start, end)
    this.#note(target, sender, timestamp, this.#lines, lineStart, this.#length, texts.subarray(start, end))
    sender.lastAt = now
    sender.lastUptime = uptime
    return timestamp
  }

  /** Adds a line to those of the transaction. */
  #write(target: Row, sender: string, timestamp: number, texts: Uint8Array, start: number, end: number): void {
    const head = target.lineHead ??= new Head(target.name)
    head.set(sender, timestamp)
    const size = head.bytes.length + end - start + 1
    if (this.#length + size > this.#lines.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(2 * this.#lines.length, this.#length + size))
      this.#lines.copy(larger, 0, 0, this.#length)
      this.#lines = larger
    }
    this.#lines.set(head.bytes, this.#length)
    this.#lines.set(texts.subarray(start, end), this.#length + head.bytes.length)
    this.#length += size
    this.#lines[this.#length - 1] = 10
  }

  /** What a message in `recent` adds to what is known of its names, but for when it came. Its line is among `lines`. */
  #note(
    target: Row,
    sender: Row,
    timestamp: number,
    lines: Buffer,
    start: number,
    end: number,
    text: Uint8Array
  ): void {
    this.touch(target)
    target.head = timestamp
    target.count++
    target.bytes += text.length + messageOverhead
    if (target.oldest === 0) target.oldest = timestamp
    addRecent(target, timestamp, lines, start, end)
    this.touch(sender)
    sender.lastTarget = target.id
    sender.lastText = text
    sender.confirmed = 0
    this.#soil(target)
    this.#soil(sender)
    this.#waiting.messages++
    this.#waiting.bytes += text.length
  }

  /** Brings the recent lines of a target behind those that are in their places. */
  #place(row: Row): void {
    const { bytes, ends, timestamps } = row.recent
    if (row.tail === undefined) {
      const found = this.#sql.tail.get(row.id)
      row.tail = numberOf(found?.["id"])
      row.tailBytes = numberOf(found?.["bytes"])
    }
    let room = row.tail === 0 ? 0 : blockBytes - row.tailBytes
    let start = 0
    for (let from = 0; from < row.recentCount;) {
      let to = from
      while (to < row.recentCount && ends[to]! - start <= room) to++
      if (room !== blockBytes && to > from) {
        this.#sql.extend.run(to - from, bytes.subarray(start, ends[to - 1]), row.tail)
        row.tailBytes += ends[to - 1]! - start
      } else if (room === blockBytes) {
        to = Math.max(to, from + 1) // a longer line has a block of its own
        const lines = bytes.subarray(start, ends[to - 1])
        row.tail = this.#sql.addBlock.run(row.id, timestamps[from]!, to - from, lines).lastInsertRowid
        row.tailBytes = lines.length
      }
      room = blockBytes
      if (to > from) start = ends[to - 1]!
      from = to
    }
    row.recent = nothing
    row.recentCount = 0
    row.lineHead = undefined
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
    if (row.isStored) this.#sql.setKind.run(kind, row.id)
    // What is recent is added to the rest when it is brought to its place, or known again after a crash
    else this.#sql.addRow.run(0, 0, 0, 0, null, null, null, 0, row.id, 0, row.name, kind)
    row.isStored = true
  }

  #claim(name: string, kind: number): void {
    const row = this.#row(name)
    if (row.count === 0 || row.kind === kindCodes.open) this.#settle(row, kind)
  }

  #confirm(sender: string): void {
    const row = this.find(sender)
    if (row === undefined || row.lastTarget === 0) return
    this.touch(row)
    row.confirmed = this.#run
    this.#soil(row)
  }

  /** What is known of a name, which is used from now on. */
  #row(name: string): Row {
    const found = this.find(name)
    if (found !== undefined) return found
    const row = this.#fresh(++this.#lastId, name)
    this.#rows.set(name, row)
    this.#before.set(row, undefined)
    return row
  }

  #fresh(id: number, name: string): Row {
    return {
      id,
      name,
      isStored: false,
      kind: kindCodes.open,
      head: 0,
      missing: 0,
      count: 0,
      bytes: 0,
      oldest: 0,
      lastTarget: 0,
      lastAt: 0,
      lastUptime: 0,
      lastDigest: "",
      lastText: undefined,
      confirmed: 0,
      isDirty: false,
      recent: nothing,
      recentCount: 0,
      tail: 0,
      tailBytes: 0,
      lineHead: undefined
    }
  }

  /** After a crash: what is in `recent` is known again. */
  #recall(): void {
    for (const { lines } of this.#sql.recent.all()) {
      if (!(lines instanceof Uint8Array)) throw new Error("recent: no lines")
      const walk = new LineWalk(lines)
      while (walk.next()) {
        const { bytes, end, start, textStart, timestamp } = walk
        const text = bytes.subarray(textStart, end - 1)
        const sender = this.#row(walk.sender)
        this.#note(this.#row(walk.target), sender, timestamp, bytes, start, end, text)
        sender.lastAt = Math.min(timestamp, this.#startedAt.time) // a timestamp may be ahead of the clock (CPT 4.2)
        sender.lastUptime = this.#uptimeOf(sender.lastAt)
      }
    }
  }
}

/** Whether this is the text of the last message of a sender. */
const isLast = ({ lastDigest, lastText }: Row, text: Uint8Array): boolean =>
  lastText === undefined ? lastDigest === digest(text) : Buffer.compare(lastText, text) === 0

const addRecent = (row: Row, timestamp: number, lines: Buffer, start: number, end: number): void => {
  if (row.recent === nothing) row.recent = { bytes: nothing.bytes, ends: [], timestamps: [] }
  const { ends, timestamps } = row.recent
  const at = row.recentCount === 0 ? 0 : ends[row.recentCount - 1]!
  const length = at + end - start
  if (length > row.recent.bytes.length) {
    // Most names that are new have one, and 1 KB for each of them would be too much
    const bytes = at === 0 ? Buffer.allocUnsafe(length) : Buffer.allocUnsafeSlow(Math.max(1024, 2 * length))
    row.recent.bytes.copy(bytes, 0, 0, at)
    row.recent = { bytes, ends, timestamps }
  }
  lines.copy(row.recent.bytes, at, start, end)
  ends[row.recentCount] = length
  timestamps[row.recentCount] = timestamp
  row.recentCount++
}
