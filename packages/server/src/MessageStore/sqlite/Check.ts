/**
 * Whether a database is what it should be: its structure, the order of messages, and that what is written of names is
 * true. It reads a snapshot, so a server may be at work meanwhile.
 */
import type { DatabaseSync } from "node:sqlite"
import { isCurrent, kindCodes, messageOverhead, openReadOnly } from "./Database.ts"

export interface Report {
  readonly messages: number
  /** Bytes of their texts. */
  readonly bytes: number
  /** Groups, inboxes, and names that have only been sent to, with messages. */
  readonly groups: number
  readonly users: number
  readonly open: number
  /** Timestamps of the first and the last message; 0 without. */
  readonly first: number
  readonly last: number
  /** What is wrong, in a sentence each; of very many the first. */
  readonly problems: ReadonlyArray<string>
}

/** How far it has come: messages looked at, of how many. 0 while the structure is looked at, which is one piece. */
export interface CheckProgress {
  readonly done: number
  readonly total: number
}

export const nothing: Report = { messages: 0, bytes: 0, groups: 0, users: 0, open: 0, first: 0, last: 0, problems: [] }

const maxProblems = 100

/** Steps of so many messages, so that progress can be shown between them. */
const stepMessages = 50_000

/** Checks a database, step by step. Throws if it cannot be read at all, or is none of cpt. */
export function* check(file: string): Generator<CheckProgress, Report> {
  const db = openReadOnly(file)
  try {
    db.exec("BEGIN")
    return yield* checkSnapshot(db)
  } finally {
    db.close()
  }
}

function* checkSnapshot(db: DatabaseSync): Generator<CheckProgress, Report> {
  const problems: Array<string> = []
  const found = (problem: string) => {
    if (problems.length < maxProblems) problems.push(problem)
  }
  const report = { ...nothing, problems }
  yield { done: 0, total: 0 }
  for (const row of db.prepare(`PRAGMA integrity_check(${maxProblems})`).all()) {
    const text = String(Object.values(row)[0]).replaceAll(/\s+/g, " ")
    if (text !== "ok") found(`structure: ${text}`)
  }
  if (!isCurrent(db)) {
    found("version: it is of an older cpt; the next start of a server on it brings it up to date")
    return report
  }

  /** Of each target: what there is in its place, by one walk over all messages in their order. */
  const walk = db.prepare(
    `SELECT m.target, m.timestamp, octet_length(m.message) AS bytes, n.id IS NULL AS is_orphan,
            m.message = '' OR instr(m.message, char(10)) > 0 AS is_torn
     FROM messages m LEFT JOIN names n ON n.id = m.sender ORDER BY m.target, m.timestamp`
  )
  const nameOf = db.prepare("SELECT * FROM names WHERE id = ?")
  const total = Number(db.prepare("SELECT sum(count) AS total FROM names").get()?.["total"] ?? 0)
  const heads = new Map<number, number>() // of what is in its place, for what is recent
  let targets = 0
  let at = { target: 0, count: 0, bytes: 0, first: 0, last: 0 }

  const countKind = (kind: unknown) => {
    if (kind === kindCodes.group) report.groups++
    else if (kind === kindCodes.user) report.users++
    else report.open++
  }
  const endTarget = () => {
    if (at.count === 0) return
    targets++
    const row = nameOf.get(at.target)
    if (row === undefined) return found(`names: messages for a name that is not there (${at.target})`)
    const name = String(row["name"])
    const expected = { count: at.count, bytes: at.bytes + messageOverhead * at.count, oldest: at.first, head: at.last }
    for (const [column, value] of Object.entries(expected)) {
      if (row[column] !== value) found(`counts: ${name} has ${column} ${value}, and ${row[column]} is written`)
    }
    if (Number(row["missing"]) >= at.first) found(`order: ${name} has messages that are written to be gone`)
    countKind(row["kind"])
  }
  const add = (timestamp: number, bytes: number) => {
    report.messages++
    report.bytes += bytes
    if (report.first === 0 || timestamp < report.first) report.first = timestamp
    report.last = Math.max(report.last, timestamp)
  }

  for (const { bytes, is_orphan, is_torn, target, timestamp } of walk.iterate()) {
    const [time, size] = [Number(timestamp), Number(bytes)]
    if (Number(target) !== at.target) {
      endTarget()
      at = { target: Number(target), count: 0, bytes: 0, first: time, last: 0 }
    }
    if (time <= at.last) found(`order: ${at.target} goes from ${at.last} to ${time}`)
    if (is_orphan === 1) found(`names: the sender of ${at.target} ${time} is not there`)
    if (is_torn === 1) found(`messages: ${at.target} ${time} is no line`)
    at.count++
    at.bytes += size
    at.last = time
    add(time, size)
    if (report.messages % stepMessages === 0) yield { done: report.messages, total }
  }
  endTarget()

  const written = db.prepare("SELECT count(*) AS targets FROM names WHERE count > 0").get()?.["targets"]
  if (written !== targets) found(`counts: ${targets} names have messages, and ${written} are written to`)
  const recent = db.prepare(
    `SELECT r.target, r.timestamp, octet_length(r.message) AS bytes, t.name, t.kind, t.count, t.head, s.id AS sender
     FROM recent r LEFT JOIN names t ON t.id = r.target LEFT JOIN names s ON s.id = r.sender ORDER BY r.id`
  )
  for (const { bytes, count, head, kind, name, sender, target, timestamp } of recent.iterate()) {
    const [id, time] = [Number(target), Number(timestamp)]
    const last = heads.get(id) ?? Number(head ?? 0)
    if (count === 0 && !heads.has(id)) countKind(kind) // none of its messages is in its place yet
    if (name === null || sender === null) found(`names: a recent message of ${id} has no name`)
    if (time <= last) found(`order: ${String(name)} goes from ${last} to ${time}`)
    heads.set(id, time)
    add(time, Number(bytes))
  }
  return report
}
