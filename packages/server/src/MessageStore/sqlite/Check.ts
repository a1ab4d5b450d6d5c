/**
 * Whether a database is what it should be: its structure, the order of messages, and that what is written of names is
 * true. It reads a snapshot, so a server may be at work meanwhile.
 */
import { Result } from "effect"
import type { DatabaseSync } from "node:sqlite"
import * as Rows from "../../Keeper/Rows.ts"
import { LineWalk } from "./Block.ts"
import { codeOf, isCurrent, kindCodes, messageOverhead, openToLook, placeOf } from "./Database.ts"

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
  /** What the operator has declared. */
  readonly accounts: number
  readonly declaredGroups: number
  /** What is wrong, in a sentence each; of very many the first. */
  readonly problems: ReadonlyArray<string>
}

/** While it is being made. */
type Draft = { -readonly [Field in keyof Report]: Report[Field] }

/** How far it has come: messages looked at, of how many. 0 while the structure is looked at, which is one piece. */
export interface CheckProgress {
  readonly done: number
  readonly total: number
}

export const nothing: Report = {
  messages: 0,
  bytes: 0,
  groups: 0,
  users: 0,
  open: 0,
  first: 0,
  last: 0,
  accounts: 0,
  declaredGroups: 0,
  problems: []
}

const maxProblems = 100

/** Steps of so many messages, so that progress can be shown between them. */
const stepMessages = 50_000

/** Checks a database, step by step. Throws if it cannot be read at all, or is none of cpt. */
export function* check(file: string): Generator<CheckProgress, Report> {
  const { db, verify } = openToLook(placeOf(file))
  try {
    db.exec("BEGIN")
    const report = yield* checkSnapshot(db)
    verify()
    return report
  } finally {
    db.close()
  }
}

function* checkSnapshot(db: DatabaseSync): Generator<CheckProgress, Report> {
  const problems: Array<string> = []
  const found = (problem: string) => {
    if (problems.length < maxProblems) problems.push(problem)
  }
  const report: Draft = { ...nothing, problems }
  try {
    yield* lookThrough(db, report, found)
  } catch (error) {
    // Of what is damaged, whatever can be said of it is worth more than that it cannot be read to its end
    if (!(error instanceof Error) || codeOf(error) === undefined) throw error
    problems.push(`structure: what comes then cannot be read (${error.message})`)
  }
  return report
}

function* lookThrough(
  db: DatabaseSync,
  report: Draft,
  found: (problem: string) => void
): Generator<CheckProgress, void> {
  yield { done: 0, total: 0 }
  for (const row of db.prepare(`PRAGMA integrity_check(${maxProblems})`).all()) {
    const text = String(Object.values(row)[0]).replaceAll(/\s+/g, " ")
    if (text !== "ok") found(`structure: ${text}`)
  }
  if (!isCurrent(db)) {
    found("version: it is of an older cpt; the next start of a server on it brings it up to date")
    return
  }

  /** Of each target: what there is in its place, by one walk over all blocks in their order. */
  const blocks = db.prepare("SELECT target, first, count, lines FROM blocks ORDER BY target, first")
  const nameOf = db.prepare("SELECT * FROM names WHERE id = ?")
  const total = Number(db.prepare("SELECT sum(count) AS total FROM names").get()?.["total"] ?? 0)
  const heads = new Map<string, number>() // of what is recent
  let targets = 0
  let at = { target: 0, name: "", count: 0, bytes: 0, first: 0, last: 0 }

  const countKind = (kind: unknown) => {
    if (kind === kindCodes.group) report.groups++
    else if (kind === kindCodes.user) report.users++
    else report.open++
  }
  const beginTarget = (target: number, first: number) => {
    const name = nameOf.get(target)?.["name"]
    if (name === undefined) found(`names: messages for a name that is not there (${target})`)
    at = { target, name: String(name), count: 0, bytes: 0, first, last: 0 }
  }
  const endTarget = () => {
    if (at.count === 0) return
    targets++
    const row = nameOf.get(at.target)
    if (row === undefined) return
    const { name } = at
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

  for (const { count, first, lines, target } of blocks.iterate()) {
    if (Number(target) !== at.target) {
      endTarget()
      beginTarget(Number(target), Number(first))
    }
    const before = at.count
    const walk = walkOver(lines)
    for (let isFirst = true; isLine(walk, found); isFirst = false) {
      const { timestamp } = walk
      if (isFirst && timestamp !== first) found(`order: a block of ${at.name} begins with ${timestamp}, not ${first}`)
      if (walk.target !== at.name) found(`messages: ${at.name} has one for ${walk.target}`)
      if (timestamp <= at.last) found(`order: ${at.name} goes from ${at.last} to ${timestamp}`)
      at.count++
      at.bytes += walk.textBytes
      at.last = timestamp
      add(timestamp, walk.textBytes)
      if (report.messages % stepMessages === 0) yield { done: report.messages, total }
    }
    if (at.count - before !== count) found(`counts: a block of ${at.name} has ${at.count - before}, not ${count}`)
  }
  endTarget()

  const written = db.prepare("SELECT count(*) AS targets FROM names WHERE count > 0").get()?.["targets"]
  if (written !== targets) found(`counts: ${targets} names have messages, and ${written} are written to`)
  const named = db.prepare("SELECT kind, count, head FROM names WHERE name = ?")
  for (const { lines } of db.prepare("SELECT lines FROM recent ORDER BY id").iterate()) {
    const walk = walkOver(lines)
    while (isLine(walk, found)) {
      const { target, timestamp } = walk
      const row = heads.has(target) ? undefined : named.get(target)
      const last = heads.get(target) ?? Number(row?.["head"] ?? 0)
      if (!heads.has(target) && Number(row?.["count"] ?? 0) === 0) countKind(row?.["kind"]) // none is in its place yet
      if (timestamp <= last) found(`order: ${target} goes from ${last} to ${timestamp}`)
      heads.set(target, timestamp)
      add(timestamp, walk.textBytes)
    }
  }

  for (const row of db.prepare("SELECT name, kind, rules FROM declared").iterate()) {
    const [name, isGroup] = [String(row["name"]), row["kind"] === kindCodes.group]
    report[isGroup ? "declaredGroups" : "accounts"]++
    const entry = Rows.toEntry({ name, kind: isGroup ? "group" : "user", rules: String(row["rules"]) })
    if (Result.isFailure(entry)) found(`declared: ${entry.failure}`)
    const { count = 0, kind } = named.get(name) ?? {}
    if (count !== 0 && kind === kindCodes[isGroup ? "user" : "group"]) {
      found(`declared: ${name} is declared as ${isGroup ? "a group, and is a user" : "an account, and is a group"}`)
    }
  }
}

const walkOver = (lines: unknown): LineWalk => new LineWalk(lines instanceof Uint8Array ? lines : new Uint8Array(0))

/** Goes to the next line; false at the end, and at what is none. */
const isLine = (walk: LineWalk, found: (problem: string) => void): boolean => {
  try {
    return walk.next()
  } catch (error) {
    found(`messages: ${error instanceof Error ? error.message : String(error)}`)
    return false
  }
}
