/**
 * The database as a file: who may open it, what must be true of it, and how it becomes what this version expects. What
 * is refused is left as it is, to the byte. Plain `node:sqlite`: it runs in the store's threads, and in `cpt check`.
 */
import { Buffer } from "node:buffer"
import { hash } from "node:crypto"
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  lstatSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync
} from "node:fs"
import { dirname, resolve } from "node:path"
import type { DatabaseSync } from "node:sqlite"
import { pathToFileURL } from "node:url"
import { blockBytes } from "./Block.ts"

/** Bytes that count for a message beside its text: names, timestamp, index, and what a page has free. */
export const messageOverhead = 32

/** Loaded when it is needed: Node 22 warns of it as an experiment, also who keeps messages in memory. */
export const sqlite = () => process.getBuiltinModule("node:sqlite")

/**
 * Where a file is, whatever it is called: SQLite would take `:memory:`, `file:…` and no name at all for something else.
 * Throws if it has no name.
 */
export const placeOf = (file: string): string => {
  if (file === "") throw new Error("it has no name: expected that of a file")
  return resolve(file)
}

/** Kinds of names, as stored. A kind says something only as long as the name has messages (CPT 2.2). */
export const kindCodes = { open: 0, user: 2, group: 3 } as const

/** Each brings a database of its version to the next one. */
const migrations: ReadonlyArray<string | ((db: DatabaseSync) => void)> = [
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
   ) WITHOUT ROWID, STRICT;`,

  // Messages are committed to the end of `recent`, some few pages however many targets there are, and brought to their
  // places in `messages` later, many at a time: a commit of 50 messages for 50 targets takes 0.35 ms instead of 2.
  // The other columns of `names` are as of then, but for `kind`.
  `CREATE TABLE recent (
     id INTEGER PRIMARY KEY,
     target INTEGER NOT NULL,
     timestamp INTEGER NOT NULL,
     sender INTEGER NOT NULL,
     message TEXT NOT NULL
   ) STRICT;
   CREATE TABLE state (
     run INTEGER NOT NULL,           -- counts the starts that were not preceded by a clean stop
     is_clean INTEGER NOT NULL
   ) STRICT;
   INSERT INTO state VALUES (1, 0);
   ALTER TABLE names ADD COLUMN count INTEGER NOT NULL DEFAULT 0;     -- messages
   ALTER TABLE names ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;     -- of their texts, and 32 for each
   ALTER TABLE names ADD COLUMN oldest INTEGER NOT NULL DEFAULT 0;    -- timestamp of the first one, 0 without
   ALTER TABLE names ADD COLUMN last_digest TEXT;                     -- of the text of its last message, as a sender
   ALTER TABLE names ADD COLUMN confirmed INTEGER NOT NULL DEFAULT 0; -- the run in which that one's ACK was seen
   UPDATE names SET kind = 0 WHERE kind = 1;
   UPDATE names SET last_digest = digest(
     (SELECT message FROM messages WHERE target = last_target AND timestamp = last_timestamp)
   ) WHERE last_target IS NOT NULL;
   UPDATE names SET count = m.count, bytes = m.bytes, oldest = m.oldest FROM (
     SELECT target, count(*) AS count, sum(octet_length(message)) + ${messageOverhead} * count(*) AS bytes,
            min(timestamp) AS oldest
     FROM messages GROUP BY target
   ) AS m WHERE m.target = names.id;
   CREATE INDEX names_oldest ON names (oldest) WHERE oldest > 0;`,

  // A row a message was half of the speed: messages stand in blocks of lines, as they go out (`Block.ts`), and `recent`
  // has a row of lines a commit. The columns of `names` are as of when those were brought to their places.
  (db) => {
    db.exec(
      `CREATE TABLE blocks (
         id INTEGER PRIMARY KEY,
         target INTEGER NOT NULL,
         first INTEGER NOT NULL,         -- timestamp of the first message
         count INTEGER NOT NULL,
         lines BLOB NOT NULL
       ) STRICT;
       CREATE UNIQUE INDEX blocks_place ON blocks (target, first);
       ALTER TABLE recent RENAME TO old_recent;
       CREATE TABLE recent (id INTEGER PRIMARY KEY, lines BLOB NOT NULL) STRICT;`
    )
    toBlocks(db)
    db.exec("DROP TABLE messages; DROP TABLE old_recent")
  },

  // What the operator has declared, kinds as in `names`
  `CREATE TABLE declared (
     name TEXT PRIMARY KEY,
     kind INTEGER NOT NULL,
     rules TEXT NOT NULL              -- JSON, as in a file of accounts and groups
   ) STRICT, WITHOUT ROWID;`
]

/** What is kept of the text of each sender's last message, to know it again (CPT 4.4). */
export const digest = (text: string | Uint8Array): string => hash("sha256", text, "base64")

/** From a row a message to blocks of lines. */
const toBlocks = (db: DatabaseSync): void => {
  const line = "'MSG ' || t.name || ' ' || s.name || ' ' || m.timestamp || ' ' || m.message || char(10)"
  const from = (table: string) =>
    `SELECT m.target, m.timestamp, ${line} AS line FROM ${table} m JOIN names t ON t.id = m.target
     JOIN names s ON s.id = m.sender`
  const add = db.prepare("INSERT INTO blocks (target, first, count, lines) VALUES (?, ?, ?, ?)")
  let block = { target: 0, first: 0, bytes: 0, lines: Array<Buffer>() }
  const end = () => {
    if (block.lines.length > 0) add.run(block.target, block.first, block.lines.length, Buffer.concat(block.lines))
  }
  for (const row of db.prepare(`${from("messages")} ORDER BY m.target, m.timestamp`).iterate()) {
    const [target, bytes] = [Number(row["target"]), Buffer.from(String(row["line"]))]
    if (target !== block.target || block.bytes + bytes.length > blockBytes) {
      end()
      block = { target, first: Number(row["timestamp"]), bytes: 0, lines: [] }
    }
    block.lines.push(bytes)
    block.bytes += bytes.length
  }
  end()
  const recent = db.prepare("INSERT INTO recent (lines) VALUES (?)")
  for (const { line } of db.prepare(`${from("old_recent")} ORDER BY m.id`).iterate()) {
    recent.run(Buffer.from(String(line)))
  }
}

const applicationId = 0x43_50_54_31 // "CPT1"

/** Bytes up to which a whole database is looked through when it is opened: a tenth of a second. */
const quicklyChecked = 32 * 1024 * 1024

/** Milliseconds to wait for another program that writes to the database; then it is `storage_unavailable`. */
export const busyTimeout = 1000

const newer = "it was written by a newer cpt; update this one"

/** The one value of a query. */
export const value = (db: DatabaseSync, sql: string): unknown => Object.values(db.prepare(sql).get() ?? {})[0]

/**
 * Where a database is, or is to be made: a link is followed, since its log and its lock lie beside the file itself. Throws
 * where there can be none. A link to what is not there is a volume that is not mounted, and no reason to begin anew.
 */
export const locate = (file: string): string => {
  if (lstatSync(file, { throwIfNoEntry: false }) === undefined) return file
  const found = statSync(file, { throwIfNoEntry: false })
  if (found === undefined) throw new Error("it is a link to what is not there: bring that back, or remove the link")
  if (!found.isFile()) throw new Error(found.isDirectory() ? "it is a directory" : "it is no regular file")
  return realpathSync(file)
}

/** What SQLite has beside a database. */
const companions = ["-wal", "-shm", "-journal"]

/**
 * One server a database. The lock is the kernel's, on a file beside it, and ends with the process however that ends.
 * Throws if another has it.
 */
export const lock = (file: string): DatabaseSync => {
  // SQLite would not say why, nor which file; and beside a database that it may only read, it would leave files of this user
  accessSync(dirname(file), constants.R_OK | constants.W_OK | constants.X_OK)
  for (const name of ["", ".lock", ...companions].map((suffix) => `${file}${suffix}`)) {
    if (existsSync(name)) accessSync(name, constants.R_OK | constants.W_OK)
  }
  let db: DatabaseSync | undefined
  try {
    db = new (sqlite().DatabaseSync)(`${file}.lock`, { timeout: 0 })
    db.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE") // nothing is ever written to it
    return db
  } catch (error) {
    db?.close()
    switch (codeOf(error)) {
      case busy:
        throw new Error("another server has it open: stop that one, or give this one a directory of its own", {
          cause: error
        })
      case notADatabase:
        throw new Error(`${file}.lock should be empty, and something else is in it: move that away`, { cause: error })
      default: {
        const why = error instanceof Error ? error.message : String(error)
        throw new Error(`it cannot be locked with ${file}.lock: ${why}`, { cause: error })
      }
    }
  }
}

/** Some of them. */
const [busy, corrupt, cannotOpen, notADatabase] = [5, 11, 14, 26]

/** SQLite's code of an error, without its details; undefined for what is none of its errors. */
export const codeOf = (error: unknown): number | undefined =>
  error instanceof Error && "errcode" in error && typeof error.errcode === "number" ? error.errcode & 0xff : undefined

/** A file, as SQLite is told of it when there is more to say. */
const locator = (file: string, parameter: "mode" | "immutable", value: string): URL => {
  const url = pathToFileURL(file)
  url.searchParams.set(parameter, value)
  return url
}

/** So that not even a file beside it is made; for a database that nobody writes to. */
const immutable = (file: string): URL => locator(file, "immutable", "1")

/**
 * Opens a database only to read it, beside a server or, under its lock, alone. Throws if it is none of ours; never
 * changes it. The file is nowhere opened but by SQLite: to close it would give up the locks of the whole process on it.
 */
export const openReadOnly = (file: string, isAlone = false): DatabaseSync => {
  const place = locate(file)
  return openOurs(isAlone ? immutable(place) : place, true)
}

const openOurs = (place: string | URL, readOnly: boolean): DatabaseSync => {
  const db = new (sqlite().DatabaseSync)(place, { readOnly, timeout: busyTimeout })
  try {
    if (Number(value(db, "PRAGMA application_id")) !== applicationId) {
      throw new Error("it is a database, but not one of cpt")
    }
    if (versionOf(db) > migrations.length) throw new Error(newer)
    return db
  } catch (error) {
    db.close()
    switch (codeOf(error)) {
      case notADatabase:
        throw new Error("it is not a database", { cause: error })
      case corrupt:
        throw new Error("it is damaged: its structure makes no sense", { cause: error })
      default:
        throw error
    }
  }
}

export interface Look {
  readonly db: DatabaseSync
  /** Throws if what has been read may not be of one moment. */
  readonly verify: () => void
}

/** Whether it is there, but not for this user to write. */
const mayOnlyBeRead = (file: string): boolean => {
  try {
    accessSync(file, constants.W_OK)
    return false
  } catch {
    return existsSync(file)
  }
}

/**
 * The same, whether a server is at work on it or not, with nothing left beside it. The files that SQLite makes there to read,
 * it takes away where it might write too, when nobody else has them. Where it cannot make them, as on a medium that is
 * read-only, or could not take them away, nobody is at work if there is no log; somebody else may begin to be, and then it
 * is told at the end.
 */
export const openToLook = (file: string): Look => {
  const place = locate(file)
  const log = `${place}-wal`
  const isLeft = [log, `${place}-journal`].some((name) => (statSync(name, { throwIfNoEntry: false })?.size ?? 0) > 0)
  if (isLeft || existsSync(log) || !mayOnlyBeRead(place)) {
    try {
      const db = isLeft ? openOurs(place, true) : openOurs(locator(place, "mode", "rw"), false)
      return { db, verify: () => {} }
    } catch (error) {
      if (codeOf(error) !== cannotOpen || existsSync(log)) throw error
    }
  }
  const before = statSync(place, { bigint: true })
  const verify = () => {
    const now = statSync(place, { bigint: true })
    if (existsSync(log) || now.mtimeNs !== before.mtimeNs || now.size !== before.size) {
      throw new Error("somebody has begun to write to it meanwhile: try again")
    }
  }
  return { db: openOurs(immutable(place), true), verify }
}

const versionOf = (db: DatabaseSync): number => Number(value(db, "PRAGMA user_version"))

/** Whether a database is of this version; an older one is migrated when a server starts on it. */
export const isCurrent = (db: DatabaseSync): boolean => versionOf(db) === migrations.length

/** Throws the first thing that is wrong with the structure of a database: of all of it (`1`), or of a table. */
export const refuseDamaged = (db: DatabaseSync, what: "1" | "'names'"): void => {
  const found = value(db, `PRAGMA quick_check(${what})`)
  if (found !== "ok") throw new Error(`it is damaged: ${String(found).replaceAll(/\s+/g, " ")}`)
}

/** Looks before anything is changed: throws if the file is damaged, as far as can be seen in a moment. */
const inspect = (file: string): void => {
  // What its log holds belongs to it, and cannot be read without the file that SQLite makes for that
  const [log, index] = [existsSync(`${file}-wal`), existsSync(`${file}-shm`)]
  try {
    const db = openReadOnly(file, !log)
    try {
      refuseDamaged(db, statSync(file).size <= quicklyChecked ? "1" : "'names'")
    } finally {
      db.close()
    }
  } finally {
    if (log && !index) rmSync(`${file}-shm`, { force: true })
  }
}

/** What is written in a directory's own file, such as the names in it, is safe after this. */
export const syncDirectory = (directory: string): void => {
  if (process.platform === "win32") return // has no such thing
  const descriptor = openSync(directory, "r")
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/** Made beside its place, and moved there when it is complete: a start that is cut short leaves nothing half done. */
const create = (file: string): void => {
  const orphan = companions.map((suffix) => `${file}${suffix}`).find((name) => existsSync(name))
  if (orphan !== undefined) {
    throw new Error(`it is missing or empty, but ${orphan} is there: bring it back, or move that away`)
  }
  const unfinished = `${file}.new`
  for (const suffix of ["", ...companions]) rmSync(`${unfinished}${suffix}`, { force: true })
  closeSync(openSync(unfinished, "wx", 0o600)) // its companions are as private as it is
  const db = new (sqlite().DatabaseSync)(unfinished)
  // So that what retention frees can be given back in steps; it must be said before anything else. It has no log yet: to
  // bring that into the file when it is closed could fail, as where the disk is almost full, and nobody would be told
  db.exec("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = MEMORY")
  migrate(db)
  db.close()
  renameSync(unfinished, file)
  syncDirectory(dirname(file))
}

const migrate = (db: DatabaseSync): void => {
  if (isCurrent(db)) return
  db.function("digest", { deterministic: true }, (text) => digest(String(text)))
  db.exec("BEGIN IMMEDIATE")
  for (const migration of migrations.slice(versionOf(db))) {
    if (typeof migration === "string") db.exec(migration)
    else migration(db)
  }
  db.exec(`PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${migrations.length}; COMMIT`)
}

/** A connection that may write, to a database that is there. */
export const connect = (file: string): DatabaseSync => {
  const db = new (sqlite().DatabaseSync)(file, { timeout: busyTimeout })
  // FULL: a commit is on disk before it is done. Without it an ACKed message would be lost with the power, also where only
  // some commits go without: if the next sync fails, the system drops what they wrote, and the log has a hole there.
  // macOS syncs only when it is told so twice
  db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA temp_store = MEMORY")
  return db
}

/**
 * Gives who looks whether files that are open still stand in their places, and throws if one does not: what is written to it
 * then, no later start would find. To look takes some microseconds.
 */
export const placesOf = (files: ReadonlyArray<string>): () => void => {
  const look = (file: string) => statSync(file, { bigint: true, throwIfNoEntry: false }) // numbers would be rounded
  const places = files.map((file) => ({ file, before: look(file) }))
  return () => {
    for (const { before, file } of places) {
      const now = look(file)
      if (now?.ino !== before?.ino || now?.dev !== before?.dev) {
        throw new Error(`${file} was removed or replaced while it was open: bring it back, or start the server again`)
      }
    }
  }
}

/** Opens the database for writing; makes it, or brings it to this version. Call it under the lock. Throws why not. */
export const open = (file: string): DatabaseSync => {
  if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) > 0) inspect(file)
  else create(file)
  const db = connect(file)
  migrate(db)
  if (Number(value(db, "PRAGMA auto_vacuum")) !== 2) db.exec("PRAGMA auto_vacuum = INCREMENTAL; VACUUM")
  return db
}
