/**
 * What one connection has said and heard, put together: which lines are the answer to what, and which came live (CPT 3.6,
 * 5.6), and between which messages of a target something was carried out, as far as what was heard tells.
 */
import { Command, Notice, Timestamp } from "@cpt/schema"
import { Result } from "effect"
import { lineOf, type Message } from "../../../server/test/model/Model.ts"
import { Violation } from "../crash/Ledger.ts"
import type { Course } from "./Peer.ts"
import { type Ask, type Meaning, targetOf } from "./Reading.ts"
import { loginDeadline } from "./Server.ts"

/** What each target holds in the end. */
export type Truth = ReadonlyMap<string, ReadonlyArray<Message>>

/** Something that was said, and the answer, if one was heard. */
export interface Deed extends Ask {
  readonly answer: ReadonlyArray<string> | undefined
  /** Infinite if there is none. */
  readonly heardAt: number
  /** What it is about. */
  readonly target: string | undefined
  /** It was carried out behind so many messages of its target at the least, and at the most. */
  least: number
  most: number
}

/** What was heard, in order. */
type Item = { readonly live: string } | { readonly deed: Deed }

export interface Conduct {
  readonly course: Course
  /** It was cut off, by itself or by the server: what it said last may not have been heard. */
  readonly isCut: boolean
  readonly deeds: ReadonlyArray<Deed>
  readonly items: ReadonlyArray<Item>
  /** It was still there when each of these targets had so many messages. */
  readonly through: ReadonlyMap<string, number>
  /** The server has ended it, since there was no login in time. */
  readonly isTimedOut: boolean
}

const timedOut = "DECLINE login_timeout"
const privateNotice = new RegExp(`^MSG \\S+ ${Notice.sender} 0 ${Notice.privatePrefix}`)

export const isPrivate = (answer: ReadonlyArray<string> | undefined): boolean =>
  answer?.length === 2 && privateNotice.test(answer[0] ?? "")

export const shown = (meaning: Meaning): string => {
  const text = meaning._tag === "NONE" ? `what is ${meaning.reason}` : Command.clientLine(meaning)
  return text.length > 100 ? `${text.slice(0, 100)}…` : text
}

/** What is no `MSG` is an answer, in the order in which was asked (CPT 3.6); with the `MSG`s that came before it. */
export const answersOf = ({ asks, heard }: Course) => {
  const answers: Array<{ ask: Ask | undefined; line: string; at: number; before: Course["heard"] }> = []
  let before: Array<Course["heard"][number]> = []
  let asked = 0
  for (const { at, line } of heard) {
    if (line.startsWith("MSG ")) before.push({ at, line })
    else {
      answers.push({ ask: line === timedOut ? undefined : asks[asked++], line, at, before })
      before = []
    }
  }
  return { answers, after: before }
}

export const conductOf = (course: Course, truth: Truth): Conduct => {
  const fail = (what: string): never => {
    throw new Violation(`${course.label} ${what}`)
  }
  for (const { line } of course.heard) {
    if (Result.isFailure(Command.readServerLine(line))) fail(`heard what is no line of a server: ${line}`)
  }
  const isCut = course.ending === undefined ? course.wasDeaf : course.ending.how === "reset"
  if (course.rest.length > 0 && !isCut) fail("heard a line without an end")
  const { after, answers } = answersOf(course)
  const deeds: Array<Deed> = []
  const items: Array<Item> = []
  const live = (lines: Course["heard"]) => items.push(...lines.map(({ line }) => ({ live: line })))
  let name: string | undefined
  let isTimedOut = false
  for (const { ask, at, before, line } of answers) {
    if (isTimedOut) fail(`heard ${line} after ${timedOut}`)
    if (line === timedOut && name === undefined) {
      if (at - course.openedAt < loginDeadline) fail(`heard ${line} after ${at - course.openedAt} ms`)
      isTimedOut = true
      live(before)
      continue
    }
    if (ask === undefined) return fail(`heard ${line}, and had asked nothing`)
    if (!fits(ask.meaning, line)) fail(`heard ${line} in answer to ${shown(ask.meaning)} (CPT 3.6)`)
    if (at < ask.saidAt) fail(`heard ${line} before it had said ${shown(ask.meaning)}`)
    const target = targetOf(ask.meaning, name)
    const { least, most, told } = line === "ENDSYNC" ? answerIn(course, ask, before, target, truth) : noAnswer
    const deed: Deed = { ...ask, answer: [...told, line], heardAt: at, target, least, most }
    live(before.slice(0, before.length - told.length))
    deeds.push(deed)
    items.push({ deed })
    if (line === "ACCEPT") name = target
  }
  // The beginning of an answer, to somebody who has gone
  const unheard = course.asks[deeds.length]
  const { told } = unheard === undefined || !unheard.meaning._tag.startsWith("SYNC")
    ? noAnswer
    : answerIn(course, unheard, after, targetOf(unheard.meaning, name), truth)
  live(after.slice(0, after.length - told.length))
  for (const ask of course.asks.slice(deeds.length)) {
    const target = targetOf(ask.meaning, name)
    deeds.push({ ...ask, answer: undefined, heardAt: Infinity, target, least: 0, most: Infinity })
  }
  placeFollows(course, items, name, truth)
  const through = new Map<string, number>()
  for (const item of items) {
    if (!("live" in item)) continue
    const [, target = "", , timestamp] = item.live.split(" ", 4)
    through.set(target, countTo(truth.get(target) ?? [], Number(timestamp)))
  }
  return { course, isCut, deeds, items, through, isTimedOut }
}

/** Whether a line can be the answer to it, or the end of one. */
const fits = (meaning: Meaning, line: string): boolean => {
  if (line.startsWith("DECLINE ")) return true
  switch (meaning._tag) {
    case "CONNECT":
      return line === "ACCEPT"
    case "SEND":
      return line === "ACK"
    case "SYNC":
    case "SYNC_INBOX":
      return line === "ENDSYNC"
    case "NONE":
      return false
  }
}

export const afterOf = (meaning: Meaning): number => meaning._tag === "SYNC" ? meaning.after : Timestamp.epoch

const noAnswer = { told: [], least: 0, most: Infinity }

/** Which of the lines that were heard last are the answer: it begins with what is first behind `after`, or says why there is none. */
const answerIn = (
  { label }: Course,
  { meaning, saidAt }: Ask,
  heard: Course["heard"],
  target: string = "",
  truth: Truth
): { readonly told: ReadonlyArray<string>; readonly least: number; readonly most: number } => {
  const lines = heard.filter(({ at }) => at >= saidAt).map(({ line }) => line)
  if (privateNotice.test(lines.at(-1) ?? "")) return { ...noAnswer, told: lines.slice(-1) }
  const log = truth.get(target) ?? []
  const from = countTo(log, afterOf(meaning))
  const first = log[from]
  if (first === undefined) return noAnswer
  const start = lines.lastIndexOf(lineOf(first))
  if (start === -1) return { ...noAnswer, most: from }
  const told = lines.slice(start)
  for (const [index, line] of told.entries()) {
    const due = log[from + index]
    if (due !== undefined && line === lineOf(due)) continue
    throw new Violation(
      `${label} heard ${line} in answer to ${shown(meaning)}, where ${
        due ? lineOf(due) : "ENDSYNC"
      } was due (CPT 5.1, 5.6)`
    )
  }
  return { told, least: from + told.length, most: from + told.length }
}

/** How many messages of a log are not behind a timestamp. */
const countTo = (log: ReadonlyArray<Message>, through: number): number => {
  let [low, high] = [0, log.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((log[middle]?.timestamp ?? Infinity) <= through) low = middle + 1
    else high = middle
  }
  return low
}

/**
 * From when on a session has followed something shows only in what it hears of it next: what it should have heard by then,
 * and has not, came before.
 */
const placeFollows = (course: Course, items: Array<Item>, name: string | undefined, truth: Truth): void => {
  const followed = new Set<string>()
  for (const item of items.slice()) {
    if (!("deed" in item)) continue
    const { deed } = item
    const { answer, target } = deed
    const follows = answer?.[0] === "ACCEPT" || answer?.at(-1) === "ENDSYNC" && !isPrivate(answer)
    if (!follows || target === undefined || followed.has(target)) continue
    followed.add(target)
    const log = truth.get(target) ?? []
    if (deed.least > 0) { // its answer shows it already
      takeOut(course, items, deed, log.filter(({ sender }) => sender !== name))
      continue
    }
    // It may have been told something before its answer, which `after` passes over (CPT 5.12)
    const next = items.find((other) =>
      "live" in other
        ? other.live.startsWith(`MSG ${target} `)
        : other !== item && other.deed.target === target && other.deed.least > 0
    )
    const through = next === undefined
      ? course.isSettled ? Infinity : 0
      : "live" in next
      ? Number(next.live.split(" ")[3]) - 1
      : afterOf(next.deed.meaning)
    const passed = countTo(log, through)
    if (next !== undefined && "live" in next) deed.most = Math.min(deed.most, passed)
    deed.least = passed
    while (deed.least > 0 && log[deed.least - 1]?.sender === name) deed.least-- // CPT 5.5: its own were not to be heard
  }
}

/**
 * CPT 5.12: what came between the beginning of a follow and its answer, and `after` passes over, was told before the answer.
 * The model knows only one moment for both.
 */
const takeOut = (course: Course, items: Array<Item>, { meaning, target }: Deed, log: ReadonlyArray<Message>): void => {
  const answered = items.findIndex((item) => "deed" in item && item.deed.meaning === meaning)
  const early = items.slice(0, answered).filter((item) => "live" in item && item.live.startsWith(`MSG ${target} `))
  const passed = log.slice(0, countTo(log, afterOf(meaning))).slice(-early.length)
  for (const [index, item] of early.entries()) {
    const due = passed[index]
    items.splice(items.indexOf(item), 1)
    if (!("live" in item) || due !== undefined && item.live === lineOf(due)) continue
    throw new Violation(`${course.label} heard ${item.live} before the answer to ${shown(meaning)} (CPT 5.12)`)
  }
}
