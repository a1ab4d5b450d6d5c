/**
 * The order in which a server may have carried out what was said to it, and the model of the server, which is told in this
 * order. What was answered before something else was said comes before that; what one connection said, in its order; the
 * messages of a target, as they stand in it in the end. That leaves little to choose.
 */
import { Equal } from "effect"
import { lineOf, type Message, Model, Session } from "../../../server/test/model/Model.ts"
import { Violation } from "../crash/Ledger.ts"
import { afterOf, type Conduct, type Deed, isPrivate, shown, type Truth } from "./Conduct.ts"
import { type Queue, queuesOf } from "./Queue.ts"

/** By how much the wall clock may differ from that of `performance.now`, in milliseconds. */
const clockError = 2000

/** … and by how much it does while nobody sets it. */
const clockJitter = 2

/** Something that was done: how many other things could have been; one more, if it may not have been heard at all. */
interface Step {
  readonly others: number
  readonly isMaybe: boolean
}

/** At which steps which of the others comes, or, after the last of them, what seems best is not heard. */
export type Detours = ReadonlyMap<number, number>

export class Order {
  readonly #model = new Model()
  readonly #clockOffset = Date.now() - performance.now()
  readonly #truth: Truth
  readonly #raced: ReadonlySet<string>
  readonly #sessions: ReadonlyArray<Session>
  /** In the order in which the connections were made. */
  readonly #queues: ReadonlyArray<Queue>
  /** Of each target, how many things have to be carried out before it has more messages than so many. */
  readonly #places = new Map<string, Map<number, number>>()
  readonly #detours: Detours
  /** What was done, one after the other, and what could have been done instead. */
  readonly steps: Array<Step> = []

  /**
   * @param raced names that several wanted at the same time: who got them is taken as it was
   * @param detours where it does not do what seems best
   */
  constructor(conducts: ReadonlyArray<Conduct>, truth: Truth, raced: ReadonlySet<string>, detours: Detours) {
    this.#truth = truth
    this.#raced = raced
    this.#detours = detours
    this.#sessions = conducts.map(() => new Session())
    this.#queues = conducts.flatMap((conduct, index) => queuesOf(conduct, this.#sessions[index] ?? new Session()))
    for (const { rest, session } of this.#queues) {
      this.#model.sessions.add(session)
      for (const deed of rest) this.#note(deed, 1)
    }
  }

  /** Fails if the model says something else than what was heard. Gives the sessions, in the order of the connections. */
  replay(): ReadonlyArray<Session> {
    for (;;) {
      const left = this.#queues.filter(({ isOver }) => !isOver)
      if (left.length === 0) break
      const until = left.reduce((until, { heardAt }) => Math.min(until, heardAt), Infinity)
      const next = left.filter((queue) => queue.saidAt <= until && this.#mayBeNext(queue))
      const [first] = next.toSorted((one, other) => rank(one) - rank(other))
      if (first === undefined) this.#giveUp(left, until)
      else this.#go(first, next)
    }
    for (const target of this.#truth.keys()) {
      const unexplained = this.#nextIn(target)
      if (unexplained) throw new Violation(`nobody has sent, or not so often as it is stored: ${lineOf(unexplained)}`)
    }
    return this.#sessions
  }

  /** Does what seems best, or something else of what may be next. */
  #go(first: Queue, next: ReadonlyArray<Queue>): void {
    const others = next.filter((queue) => queue !== first && areOfOneName(queue, first))
    const detour = this.#detours.get(this.steps.length)
    this.steps.push({ others: others.length, isMaybe: first.isMaybe })
    if (detour === undefined) this.#carryOut(first)
    else if (detour < others.length) this.#carryOut(others[detour] ?? first)
    else this.#skip(first)
  }

  #note({ most, target }: Deed, times: 1 | -1): void {
    if (target === undefined || most === Infinity) return
    const places = this.#places.get(target) ?? new Map<number, number>()
    this.#places.set(target, places.set(most, (places.get(most) ?? 0) + times))
  }

  /** The next message of a target. */
  #nextIn(target: string): Message | undefined {
    return this.#truth.get(target)?.[this.#model.count(target)]
  }

  #isNext(sender: string | undefined, target: string, text: string): boolean {
    const next = this.#nextIn(target)
    return next !== undefined && next.sender === sender && next.text === text
  }

  #isLater(sender: string | undefined, target: string, text: string, heardAt = Infinity): boolean {
    const log = this.#truth.get(target) ?? []
    const isIt = (message: Message, index: number) =>
      message.sender === sender && message.text === text &&
      !this.#isAfter(message, log[index - 1]?.timestamp ?? 0, heardAt)
    return log.findLastIndex(isIt) >= this.#model.count(target)
  }

  /**
   * Whether a message was stored when the answer had been heard already: so it is not the one that was answered. Where
   * there is more than one in a millisecond, that is not known.
   */
  #isAfter({ timestamp }: Message, before: number, heardAt: number): boolean {
    return timestamp > before + 1 && timestamp - this.#clockOffset > heardAt + clockJitter
  }

  #mayBeNext(queue: Queue): boolean {
    const { conduct, head, isMaybe, session } = queue
    if (isMaybe && this.#hasSure(conduct)) return false
    if (head === undefined || session.isOver) return isMaybe || this.#hasHeardAll(conduct)
    const { answer, least, meaning, most, target = "" } = head
    if (answer === undefined && !isMaybe) return true
    const isGiven = isMaybe || this.#raced.has(target)
    const model = this.#model
    const count = model.count(target)
    const isInPlace = least <= count && count <= most
    switch (meaning._tag) {
      case "NONE":
        return true
      case "CONNECT":
        if (session.name !== undefined || isGiven) return true
        return answer?.[0] === "ACCEPT" ? isInPlace && !model.isTaken(target) : model.isTaken(target)
      case "SYNC":
      case "SYNC_INBOX":
        if (session.name === undefined || isGiven) return true
        return isInPlace && isPrivate(answer) === model.isPrivate(session, target)
      case "SEND": {
        if (session.name === undefined) return true
        if (this.#hasEarlier(queue)) return false
        // What nobody heard the answer to may have confirmed the ACK before it, or not
        const isDoubtful = isMaybe && session.isAcked
        const isResend = model.isResend(session.name, target, meaning.message) && (isDoubtful ? undefined : true)
        if (isResend === true) return true
        if (this.#mayBeStored(session.name, meaning, head)) return (this.#places.get(target)?.get(count) ?? 0) === 0
        return isResend === undefined && !this.#isLater(session.name, target, meaning.message, head.heardAt)
      }
    }
  }

  /** It is the next one of its target, which is not to be told from an equal one but by its time. */
  #mayBeStored(name: string, { message, target }: { message: string; target: string }, { heardAt }: Deed): boolean {
    const next = this.#nextIn(target)
    if (next === undefined || !this.#isNext(name, target, message)) return false
    return this.#model.isResend(name, target, message) !== undefined ||
      !this.#isAfter(next, this.#model.head(target), heardAt)
  }

  /** All that it was told live has happened. */
  #hasHeardAll({ through }: Conduct): boolean {
    for (const [target, count] of through) if (this.#model.count(target) < count) return false
    return true
  }

  /** There is something of which the answer was heard. */
  #hasSure(conduct: Conduct): boolean {
    return this.#queues.some((queue) => queue.conduct === conduct && !queue.isMaybe && queue.head !== undefined)
  }

  /** What the same user may have sent on a connection before comes first, if at all. */
  #hasEarlier({ conduct, session }: Queue): boolean {
    for (const queue of this.#queues) {
      if (queue.conduct === conduct) return false
      if (queue.isMaybe && !queue.isOver && queue.user === session.name) return true
    }
    return false
  }

  #carryOut(queue: Queue): void {
    const { conduct: { course, isTimedOut }, head, isMaybe, session } = queue
    const isUnheard = head?.answer === undefined && !isMaybe
    if (head === undefined || session.isOver || isUnheard && isTimedOut) return this.#end(queue)
    if (isUnheard) throw new Violation(`${course.label} has heard no answer to ${shown(head.meaning)}`)
    queue.advance()
    this.#note(head, -1)
    if (isMaybe) this.#goOn(queue)
    const due = this.#answer(queue, head)
    const heard = head.answer ?? due
    for (let index = 0; index < Math.max(due.length, heard.length); index++) {
      if (matches(due[index], heard[index])) continue
      const [line, other] = [heard[index] ?? "no more", due[index] ?? "no more"]
      throw new Violation(`${course.label} heard ${line} in answer to ${shown(head.meaning)}, where ${other} was due`)
    }
    if (due[0] === "ACK") queue.ackedAt = head.heardAt
    if (queue.head !== undefined && !isMaybe) this.#goOn(queue, queue.head.saidAt)
  }

  /** CPT 4.4: what the server hears after an ACK confirms it; that it was after it is known if the ACK had been heard. */
  #goOn({ ackedAt, session }: Queue, saidAt?: number): void {
    if (!session.isAcked) return
    if (saidAt !== undefined && saidAt > ackedAt) this.#model.hear(session)
    else this.#model.doubt(session.name)
  }

  #answer({ conduct: { course }, isMaybe, session }: Queue, deed: Deed): ReadonlyArray<string> {
    const { meaning, target = "" } = deed
    const model = this.#model
    if (isMaybe && meaning._tag !== "SEND") {
      if (meaning._tag === "CONNECT") session.name ??= target
      return []
    }
    switch (meaning._tag) {
      case "NONE":
        return model.decline(session, meaning.reason)
      case "CONNECT":
        if (this.#raced.has(target) && session.name === undefined) return this.#given(session, deed)
        return model.connect(session, target)
      case "SYNC":
      case "SYNC_INBOX":
        if (this.#raced.has(target) && session.name !== undefined) return this.#given(session, deed)
        return model.sync(session, target, afterOf(meaning))
      case "SEND": {
        const { name } = session
        const isStored = name !== undefined && model.isResend(name, target, meaning.message) !== true &&
          this.#mayBeStored(name, meaning, deed)
        if (isStored) this.#tell(course.label, deed, target)
        return model.send(session, target, meaning.message, isStored)
      }
    }
  }

  /** What came of a race for a name, if that is what may come of one. */
  #given(session: Session, { answer = [], meaning, target }: Deed): ReadonlyArray<string> {
    if (meaning._tag === "CONNECT" && answer[0] !== "ACCEPT") {
      session.refusedLogins++
      return this.#model.decline(session, "username_taken")
    }
    session.declines = 0
    if (meaning._tag === "CONNECT") session.name = target
    return isPrivate(answer) || answer[0] === "ACCEPT" ? answer : ["ENDSYNC"]
  }

  /** The model learns what time it is when something is stored (CPT 4.2). */
  #tell(label: string, { heardAt, saidAt }: Deed, target: string): void {
    const timestamp = this.#nextIn(target)?.timestamp ?? 0
    const head = this.#model.head(target)
    const at = timestamp - this.#clockOffset
    const isNow = saidAt - clockError < at && at < heardAt + clockError
    if (timestamp <= head || timestamp > head + 1 && !isNow) {
      throw new Violation(`what ${label} said at ${saidAt} came into ${target} at ${at}, behind ${head} (CPT 4.2)`)
    }
    this.#model.now = timestamp
  }

  #end(queue: Queue): void {
    const { conduct: { course, deeds, isCut, isTimedOut }, isMaybe, rest, session } = queue
    queue.isOver = true
    if (isMaybe) return
    if (rest.some(({ answer }) => answer !== undefined)) {
      throw new Violation(`${course.label} was answered though its session was over (CPT 3.5)`)
    }
    if (course.ending === undefined && !session.isOver && !isTimedOut && !isCut) {
      throw new Violation(`${course.label}: the server has ended the connection, without a reason`)
    }
    if (course.ending?.how === "half-close") this.#goOn(queue, course.ending.at)
    else if (course.ending === undefined || deeds.at(-1)?.answer === undefined) this.#goOn(queue)
    this.#model.leave(session)
  }

  /** Nothing can be next: then the server has not heard all of what may have been heard, or it is wrong. */
  #giveUp(left: ReadonlyArray<Queue>, until: number): void {
    const isSend = ({ head }: Queue) => head?.meaning._tag === "SEND"
    const waiting = left.filter((queue) => queue.saidAt <= until && isSend(queue) && this.#hasEarlier(queue))
    const unheard = left.find((queue) =>
      queue.isMaybe && !this.#isNeeded(queue, left) &&
      (left.every(({ isMaybe }) => isMaybe) || waiting.some(({ user }) => user === queue.user))
    )
    if (unheard === undefined) throw new Violation(this.#explain(left, until))
    this.#skip(unheard)
  }

  /** The server has not heard what is left of it. */
  #skip(queue: Queue): void {
    queue.isOver = true
    for (const deed of queue.rest) this.#note(deed, -1)
  }

  /** Without it, something would be stored that nobody else has sent. */
  #isNeeded(queue: Queue, left: ReadonlyArray<Queue>): boolean {
    const others = left.filter((other) => other !== queue).flatMap(({ rest }) => rest)
    return queue.rest.some(({ meaning }) =>
      meaning._tag === "SEND" && this.#isLater(queue.user, meaning.target, meaning.message) &&
      !others.some((other) => Equal.equals(other.meaning, meaning))
    )
  }

  /** Who can go on no more: what was said before anything was answered that is not carried out yet. */
  #explain(left: ReadonlyArray<Queue>, until: number): string {
    const heads = left.flatMap(({ conduct: { course }, head, saidAt, session: { name } }) => {
      if (head === undefined || saidAt > until) return []
      const { answer, least, meaning, most, target = "" } = head
      const why = meaning._tag !== "SEND"
        ? `behind ${least} to ${most} messages, and there are ${this.#model.count(target)}`
        : !this.#isLater(name, target, meaning.message)
        ? "it is lost"
        : this.#isNext(name, target, meaning.message)
        ? "somebody was answered as if it had not come yet"
        : `it came behind ${lineOf(this.#nextIn(target) ?? nothing).slice(0, 100)}`
      return [`  ${course.label} said ${shown(meaning)} and heard ${answer?.at(-1)}: ${why}`]
    })
    return `there is no order in which what was said explains what was heard. One of these should be next:\n${
      heads.join("\n")
    }`
  }
}

/** What is done for one depends on whether it is done for the other before. */
const areOfOneName = (one: Queue, other: Queue): boolean =>
  namesOf(one).some((name) => name !== undefined && namesOf(other).includes(name))

const namesOf = ({ head, session, user }: Queue): ReadonlyArray<string | undefined> =>
  head === undefined ? [user, ...session.follows] : head.target === undefined ? [user] : [user, head.target]

/** Who heard first goes first; but ends come last, since they only make room. */
const rank = ({ head, heardAt, isMaybe }: Queue): number =>
  isMaybe ? 0 : (head === undefined ? 1e12 : 0) + Math.min(heardAt, 1e11)

const nothing: Message = { target: "", sender: "", timestamp: 0, text: "" }

const matches = (due: string | undefined, line: string | undefined): boolean =>
  due?.endsWith("private: …") === true ? line?.startsWith(due.slice(0, -1)) === true : line === due
