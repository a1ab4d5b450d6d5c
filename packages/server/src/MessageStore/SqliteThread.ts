/**
 * The database's side of the durable store, in threads of their own, so that a slow disk stops nobody who does not need
 * it: the writer commits, and the reader reads meanwhile. It knows `node:sqlite` and plain values; what they are for is
 * in `Sqlite.ts`.
 */
import { Buffer } from "node:buffer"
import { DatabaseSync } from "node:sqlite"
import { type MessagePort, parentPort, workerData } from "node:worker_threads"
import { Duplicates } from "../Duplicates.ts"

export interface Settings {
  readonly file: string
  readonly role: "writer" | "reader"
  readonly resendWindow: number
}

/** Codes of what a name is, as stored: `none` is a sender's that nobody has sent to. */
const kinds = ["none", "open", "user", "group"] as const
type StoredKind = (typeof kinds)[number]

/** A step of a transaction, in the order in which they came. */
export type Step =
  | {
    readonly _tag: "append"
    readonly now: number
    readonly drafts: ReadonlyArray<{ readonly sender: string; readonly target: string; readonly message: string }>
    /** What the targets have become since they were last stored, where that is known. */
    readonly kinds: ReadonlyArray<readonly [name: string, kind: "user" | "group"]>
  }
  | { readonly _tag: "confirm"; readonly sender: string }
  | { readonly _tag: "claim"; readonly name: string; readonly kind: "user" | "group" }

export type Question =
  | { readonly op: "commit"; readonly steps: ReadonlyArray<Step> }
  | { readonly op: "name"; readonly name: string }
  | { readonly op: "read"; readonly target: string; readonly after: number; readonly except: string | undefined }
export type Request = Question & { readonly id: number }

export interface StoredName {
  readonly kind: StoredKind
  readonly head: number
}

interface StoredPage {
  readonly lines: Uint8Array
  readonly through: number
  readonly last: boolean
  readonly missingThrough: number
}

/** To each request its result: of a commit, for each `append` the timestamps of its drafts, 0 for a re-send. */
export type Reply =
  | { readonly id: number; readonly error: string }
  | { readonly id: number; readonly committed: ReadonlyArray<ReadonlyArray<number>> }
  | { readonly id: number; readonly name: StoredName | undefined }
  | { readonly id: number; readonly page: StoredPage }
  | { readonly id: 0; readonly opened: true }

const migrations = [
  `CREATE TABLE names (
     id INTEGER PRIMARY KEY,
     name TEXT NOT NULL UNIQUE,
     kind INTEGER NOT NULL,          -- 0 none, 1 open, 2 user, 3 group (CPT 2.2)
     head INTEGER NOT NULL,          -- timestamp of the last message
     missing INTEGER NOT NULL,       -- messages up to here are no longer kept (CPT 5.4)
     last_target INTEGER,            -- where this name's last message is, as a sender (CPT 4.4)
     last_timestamp INTEGER
   ) STRICT;
   CREATE TABLE messages (
     target INTEGER NOT NULL,
     timestamp INTEGER NOT NULL,
     sender INTEGER NOT NULL,
     message TEXT NOT NULL,
     PRIMARY KEY (target, timestamp)
   ) WITHOUT ROWID, STRICT;`
]

const applicationId = 0x43_50_54_31 // "CPT1"
const pageBytes = 256 * 1024
const cachedNames = 100_000

/** Milliseconds to wait for another program that writes to the database; then it is `storage_unavailable`. */
const busyTimeout = 1000

interface NameRow {
  readonly id: number
  kind: number
  head: number
}

/** One server a database: the lock is the kernel's, and ends with the process however that ends. */
const lock = (file: string): DatabaseSync => {
  const db = new DatabaseSync(`${file}.lock`, { timeout: 0 })
  try {
    db.exec("BEGIN EXCLUSIVE")
  } catch {
    throw new Error("another server has it open")
  }
  return db
}

const open = (file: string): DatabaseSync => {
  const db = new DatabaseSync(file, { timeout: busyTimeout })
  const number = (sql: string) => Number(Object.values(db.prepare(sql).get() ?? {})[0])
  const version = number("PRAGMA user_version")
  const isOurs = number("PRAGMA application_id") === applicationId
  if (!isOurs && number("SELECT count(*) FROM sqlite_schema") > 0) {
    throw new Error("it is a database, but not one of cpt")
  }
  if (version > migrations.length) throw new Error("it was written by a newer cpt; update this one")
  // FULL syncs at each commit: without it, an ACKed message would be lost with the power
  db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; BEGIN IMMEDIATE")
  for (const migration of migrations.slice(version)) db.exec(migration)
  db.exec(`PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${migrations.length}; COMMIT`)
  return db
}

/** Commits what has gathered as one transaction, with one sync. */
const writer = (db: DatabaseSync, settings: Settings) => {
  const sql = {
    name: db.prepare("SELECT id, kind, head, last_target, last_timestamp FROM names WHERE name = ?"),
    addName: db.prepare("INSERT INTO names (name, kind, head, missing) VALUES (?, ?, 0, 0)"),
    setName: db.prepare("UPDATE names SET kind = ?, head = ? WHERE id = ?"),
    setLast: db.prepare("UPDATE names SET last_target = ?, last_timestamp = ? WHERE id = ?"),
    addMessage: db.prepare("INSERT INTO messages (target, timestamp, sender, message) VALUES (?, ?, ?, ?)"),
    lastMessage: db.prepare(
      `SELECT t.name AS target, m.message, m.timestamp FROM names s
       JOIN messages m ON m.target = s.last_target AND m.timestamp = s.last_timestamp
       JOIN names t ON t.id = s.last_target
       WHERE s.name = ?`
    )
  }
  let recallUntil = Date.now() + settings.resendWindow
  const known = new Set<string>() // senders whose last message before this process has been looked at
  const names = new Map<string, NameRow>()
  let duplicates = new Duplicates(settings.resendWindow)

  const nameOf = (name: string): NameRow => {
    const cached = names.get(name)
    if (cached !== undefined) return cached
    if (names.size >= cachedNames) names.clear()
    const row = sql.name.get(name)
    const found = row === undefined
      ? { id: Number(sql.addName.run(name, 0).lastInsertRowid), kind: 0, head: 0 }
      : { id: Number(row["id"]), kind: Number(row["kind"]), head: Number(row["head"]) }
    names.set(name, found)
    return found
  }

  /** After a crash each sender's last message counts as unconfirmed (CPT 4.4). */
  const recall = (sender: string, now: number) => {
    if (now > recallUntil || known.has(sender)) return
    known.add(sender)
    const last = sql.lastMessage.get(sender)
    if (last === undefined) return
    duplicates.recall(sender, {
      target: String(last["target"]),
      message: String(last["message"]),
      at: Number(last["timestamp"])
    })
  }

  const append = ({ drafts, kinds: became, now }: Extract<Step, { _tag: "append" }>, touched: Set<NameRow>) => {
    for (const [name, kind] of became) {
      const row = nameOf(name)
      row.kind = kinds.indexOf(kind)
      touched.add(row)
    }
    return drafts.map((draft) => {
      recall(draft.sender, now)
      if (duplicates.isResend(draft, now)) return 0
      const target = nameOf(draft.target)
      const sender = nameOf(draft.sender)
      const timestamp = Math.max(now, target.head + 1)
      sql.addMessage.run(target.id, timestamp, sender.id, draft.message)
      sql.setLast.run(target.id, timestamp, sender.id)
      target.head = timestamp
      if (target.kind === 0) target.kind = 1
      touched.add(target)
      return timestamp
    })
  }

  const commit = (steps: ReadonlyArray<Step>): ReadonlyArray<ReadonlyArray<number>> => {
    const committed: Array<ReadonlyArray<number>> = []
    const touched = new Set<NameRow>()
    db.exec("BEGIN IMMEDIATE")
    try {
      for (const step of steps) {
        switch (step._tag) {
          case "append":
            committed.push(append(step, touched))
            break
          case "confirm":
            known.add(step.sender)
            duplicates.confirm(step.sender)
            break
          case "claim": {
            const row = nameOf(step.name)
            if (row.kind > 1) break
            row.kind = kinds.indexOf(step.kind)
            touched.add(row)
          }
        }
      }
      for (const { head, id, kind } of touched) sql.setName.run(kind, head, id)
      db.exec("COMMIT")
      return committed
    } catch (error) {
      // What is remembered here may be of messages that are not stored: it is read again
      if (db.isTransaction) db.exec("ROLLBACK")
      names.clear()
      known.clear()
      recallUntil = Date.now() + settings.resendWindow
      duplicates = new Duplicates(settings.resendWindow)
      throw error
    }
  }
  return commit
}

/** Reads beside the writer: each answer is a snapshot of what is committed. */
const reader = (db: DatabaseSync) => {
  const sqlName = db.prepare("SELECT id, kind, head, missing FROM names WHERE name = ?")
  // The lines are put together by SQLite: three times as fast as a row at a time
  const page = (except: string) =>
    db.prepare(
      `SELECT CAST(group_concat('MSG ' || :target || ' ' || n.name || ' ' || timestamp || ' ' || message || char(10), '')
              AS BLOB) AS lines, count(*) AS count, max(timestamp) AS through
       FROM (SELECT timestamp, sender, message FROM messages
             WHERE target = :id AND timestamp > :after ${except} ORDER BY timestamp LIMIT :limit) m
       JOIN names n ON n.id = m.sender`
    )
  const sqlPage = page("")
  const sqlPageExcept = page("AND sender <> :except")
  let lineBytes = 256 // of a recent page, on average: how many lines to ask for

  const read = (target: string, after: number, except: string | undefined): StoredPage => {
    db.exec("BEGIN")
    try {
      const row = sqlName.get(target)
      if (row === undefined) return { lines: new Uint8Array(0), through: after, last: true, missingThrough: 0 }
      const [id, head, missing] = [Number(row["id"]), Number(row["head"]), Number(row["missing"])]
      const missingThrough = missing > after ? missing : 0
      const limit = Math.max(1, Math.floor(pageBytes * 0.75 / lineBytes))
      const exceptId = except === undefined ? undefined : sqlName.get(except)?.["id"]
      const found = exceptId === undefined
        ? sqlPage.get({ target, id, after, limit })
        : sqlPageExcept.get({ target, id, after, limit, except: exceptId })
      const count = Number(found?.["count"])
      const lines = found?.["lines"]
      if (count === 0 || !(lines instanceof Uint8Array)) {
        return { lines: new Uint8Array(0), through: Math.max(after, head), last: true, missingThrough }
      }
      lineBytes = Math.max(32, lines.length / count)
      if (lines.length > pageBytes && count > 1) return firstPart(lines, missingThrough)
      const last = count < limit
      return { lines, through: last ? Math.max(after, head) : Number(found?.["through"]), last, missingThrough }
    } finally {
      db.exec("COMMIT")
    }
  }

  const name = (name: string): StoredName | undefined => {
    const row = sqlName.get(name)
    return row === undefined ? undefined : { kind: kinds[Number(row["kind"])] ?? "none", head: Number(row["head"]) }
  }
  return { read, name }
}

/** As many whole lines as a page may have, or one. */
const firstPart = (lines: Uint8Array, missingThrough: number): StoredPage => {
  const cut = lines.lastIndexOf(10, pageBytes - 1)
  const end = (cut === -1 ? lines.indexOf(10) : cut) + 1
  const lastLine = Buffer.from(lines.subarray(lines.lastIndexOf(10, end - 2) + 1, end)).toString()
  return { lines: lines.slice(0, end), through: Number(lastLine.split(" ", 4)[3]), last: false, missingThrough }
}

const serve = (port: MessagePort, settings: Settings): void => {
  const { file, role } = settings
  const locked = role === "writer" ? lock(file) : undefined
  const db = role === "writer" ? open(file) : new DatabaseSync(file, { readOnly: true, timeout: busyTimeout })
  const commit = role === "writer" ? writer(db, settings) : undefined
  const { name, read } = reader(db)
  const answer = (request: Request): Reply => {
    try {
      switch (request.op) {
        case "commit":
          return { id: request.id, committed: commit?.(request.steps) ?? [] }
        case "name":
          return { id: request.id, name: name(request.name) }
        case "read":
          return { id: request.id, page: read(request.target, request.after, request.except) }
      }
    } catch (error) {
      return { id: request.id, error: error instanceof Error ? error.message : String(error) }
    }
  }
  port.on("message", (request: Request | "close") => {
    if (request === "close") {
      db.close()
      locked?.close()
      port.close()
    } else port.postMessage(answer(request))
  })
  port.postMessage({ id: 0, opened: true } satisfies Reply)
}

if (parentPort !== null) serve(parentPort, workerData)
