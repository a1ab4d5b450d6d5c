/**
 * What was sent and what was seen, and whether the two can be true together. It does no I/O and knows no time but the
 * order of what it is told, so its checks can themselves be checked (`Crash.test.ts`).
 *
 * What anybody has seen once, live or in an answer, must be there for ever after, as if it had been ACKed: the server
 * tells nobody of what is not on disk (CPT 4.1).
 */

/** The promise is broken. The message says what was expected and what came. */
export class Violation extends Error {}

/** One message that a client meant to send, however often it said it. */
export interface Sent {
  readonly sender: string
  readonly target: string
  readonly text: string
  /** `acked`: stored once. `unknown`: stored once or not at all. `refused`: not stored (CPT 4.8). */
  state: "acked" | "unknown" | "refused"
  /** When its ACK came, in the ledger's own time. */
  ackedAt: number
}

/** A message as the server tells it. */
export interface Message {
  readonly target: string
  readonly sender: string
  readonly timestamp: number
  readonly text: string
}

/** That messages up to a timestamp are no longer kept (CPT 5.4), at the place where the server said so. */
export interface Hole {
  readonly missingThrough: number
}

/** What one reader got of one target, in order of receipt: timestamps, and the holes that were announced. */
export interface Run {
  readonly reader: string
  readonly target: string
  /** Nothing up to here was asked for. */
  readonly after: number
  readonly items: ReadonlyArray<number | Hole>
  /** Whose messages are left out, since they are not pushed back (CPT 5.5). */
  readonly except?: string | undefined
  /** When a complete answer was asked for: all that was ACKed before must be in it (CPT 5.1). */
  readonly askedAt?: number | undefined
  /** Up to here messages may be missing without a notice in this run; for readers that show none. */
  readonly holeThrough?: number | undefined
}

interface Entry extends Message {
  readonly seenAt: number
}

const short = (text: string): string => JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text)
const shown = ({ sender, target, text, timestamp }: Message): string =>
  `${target} ${sender} ${timestamp} ${short(text)} (${text.length} characters)`

/**
 * Whether what is stored of one sender in one target can have come from what it sent: each ACKed message once, each
 * unknown one at most once, nothing else, in order. Where messages up to `missingThrough` are gone, any of those may
 * be missing. Gives what is wrong.
 */
export const explain = (
  sent: ReadonlyArray<Sent>,
  stored: ReadonlyArray<Pick<Message, "text" | "timestamp">>,
  missingThrough = 0
): string | undefined => {
  // Equal texts can be told apart by order only, and not always: all ways to read what is stored are followed at once
  let states = new Set([0]) // places in `sent`, before which all is explained
  let last = 0
  for (const { text, timestamp } of stored) {
    const next = new Set<number>()
    for (const state of states) {
      for (let at = state; at < sent.length; at++) {
        const candidate = sent[at]
        if (candidate === undefined) break
        if (candidate.text === text && candidate.state !== "refused") next.add(at + 1)
        const mayBeGone = last < missingThrough && last + 1 < timestamp
        if (candidate.state === "acked" && !mayBeGone) break
      }
    }
    if (next.size === 0) return whyNot(sent, stored, { text, timestamp }, Math.min(...states))
    states = next
    last = timestamp
  }
  const isDone = (state: number) => sent.slice(state).every(({ state }) => state !== "acked")
  if (last < missingThrough || [...states].some(isDone)) return undefined
  const lost = sent.slice(Math.max(...states)).find(({ state }) => state === "acked")
  return `lost: ${short(lost?.text ?? "")} was ACKed, and is not there; the last one there is of ${last}`
}

const whyNot = (
  sent: ReadonlyArray<Sent>,
  stored: ReadonlyArray<Pick<Message, "text" | "timestamp">>,
  { text, timestamp }: Pick<Message, "text" | "timestamp">,
  state: number
): string => {
  const times = stored.filter((message) => message.text === text)
  const meant = sent.filter((message) => message.text === text && message.state !== "refused")
  const what = `${short(text)} of ${timestamp}`
  if (meant.length === 0) return `foreign: ${what} was not sent, or was declined`
  if (times.length > meant.length) {
    return `doubled: ${what} was sent ${meant.length} times, and is there ${times.length} times: ${
      times.map(({ timestamp }) => timestamp).join(", ")
    }`
  }
  const expected = sent.slice(state).find(({ state }) => state === "acked")
  if (expected === undefined || stored.some((message) => message.text === expected.text)) {
    return `reordered: ${what} came, where ${short(expected?.text ?? "nothing")} was to come`
  }
  return `lost: ${short(expected.text)} was ACKed and is not there, before ${what}`
}

/** What is known of one target. */
class Target {
  /** All that anybody has seen, by timestamp. */
  readonly entries: Array<Entry> = []
  readonly sent = new Map<string, Array<Sent>>() // by sender
  readonly meant = new Map<string, Map<string, Array<Sent>>>() // by sender and text
  /** The newest message of a whole history: nothing may come up behind it. */
  closed = 0
  missingThrough = 0

  /** The place of the first entry behind a timestamp. */
  behind(timestamp: number): number {
    let [low, high] = [0, this.entries.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.entries[middle]?.timestamp ?? 0) > timestamp) high = middle
      else low = middle + 1
    }
    return low
  }
}

export class Ledger {
  readonly #targets = new Map<string, Target>()
  readonly #mayForget: boolean
  #time = 0

  /** @param mayForget whether the server has been told to keep only so much: else there must be no hole at all */
  constructor(mayForget: boolean) {
    this.#mayForget = mayForget
  }

  /** A moment in the order of what happens. */
  tick(): number {
    return ++this.#time
  }

  /** A new message: to be told before it is on its way. */
  sending(sender: string, target: string, text: string): Sent {
    const sent: Sent = { sender, target, text, state: "unknown", ackedAt: Infinity }
    const known = this.#of(target)
    push(known.sent, sender, sent)
    let texts = known.meant.get(sender)
    if (texts === undefined) known.meant.set(sender, texts = new Map())
    push(texts, text, sent)
    return sent
  }

  acked(sent: Sent): void {
    sent.state = "acked"
    sent.ackedAt = this.tick()
  }

  refused(sent: Sent): void {
    sent.state = "refused"
  }

  /** Somebody got a message, in whatever way. */
  saw(message: Message): void {
    const { sender, target, text, timestamp } = message
    const known = this.#of(target)
    if (!(Number.isSafeInteger(timestamp) && timestamp > 0)) throw new Violation(`no timestamp: ${shown(message)}`)
    const place = known.behind(timestamp)
    const before = known.entries[place - 1]
    if (before?.timestamp === timestamp) {
      if (before.sender === sender && before.text === text) return
      throw new Violation(`two messages of one timestamp: ${shown(before)} before, ${shown(message)} now`)
    }
    const meant = known.meant.get(sender)?.get(text)?.[0]
    if (meant === undefined) throw new Violation(`foreign: nobody sent ${shown(message)}`)
    // What was announced as missing may still be there after all: that it is removed need not be on disk
    if (timestamp <= known.closed && timestamp > known.missingThrough) {
      throw new Violation(`${shown(message)} was not in the history when that went up to ${known.closed} already`)
    }
    // One copy of each text is enough
    known.entries.splice(place, 0, { target, sender, timestamp, text: meant.text, seenAt: this.tick() })
  }

  /** That messages are no longer kept was said. */
  sawHole(target: string, { missingThrough }: Hole): void {
    if (!this.#mayForget) {
      throw new Violation(`${target}: up to ${missingThrough} nothing is kept, though everything is to be kept`)
    }
    const known = this.#of(target)
    known.missingThrough = Math.max(known.missingThrough, missingThrough)
  }

  /** The whole history of a target, read when nothing else was under way; checked against all that is known. */
  history(target: string, items: ReadonlyArray<Message | Hole>): void {
    const known = this.#of(target)
    let last = 0
    for (const item of items) {
      if ("missingThrough" in item) {
        this.sawHole(target, item)
        last = Math.max(last, item.missingThrough)
        continue
      }
      if (item.timestamp <= last) throw new Violation(`${shown(item)} came behind ${last} in the whole history`)
      last = item.timestamp
      this.saw(item)
    }
    known.closed = Math.max(known.closed, last)
    const run = items.map((item) => "missingThrough" in item ? item : item.timestamp)
    this.run({ reader: "the whole history", target, after: 0, items: run, askedAt: this.tick() })
    for (const [sender, sent] of known.sent) {
      const wrong = explain(sent, known.entries.filter((entry) => entry.sender === sender), known.missingThrough)
      if (wrong !== undefined) throw new Violation(`messages of ${sender} in ${target}: ${wrong}`)
    }
  }

  /** What a reader got, once the whole history is known up to there: the same, without a hole, once, in order. */
  run({ after, askedAt, except, holeThrough = 0, items, reader, target }: Run): void {
    const known = this.#of(target)
    const wrong = (what: string) => new Violation(`${reader} read ${target} after ${after}: ${what}`)
    let place = known.behind(after)
    let last = after
    const mayMiss = (entry: Entry) =>
      entry.sender === except || (entry.timestamp <= holeThrough && !items.includes(entry.timestamp))
    const expected = () => {
      let entry = known.entries[place]
      while (entry !== undefined && mayMiss(entry)) entry = known.entries[++place]
      return entry
    }
    for (const item of items) {
      if (typeof item !== "number") {
        if (item.missingThrough > last) place = known.behind(last = item.missingThrough)
        continue
      }
      if (item <= last) throw wrong(`${item} came behind ${last}, twice or out of order`)
      const entry = expected()
      if (entry === undefined) throw wrong(`${item} came, which is not in the history`)
      if (entry.timestamp < item) throw wrong(`a hole: ${item} came behind ${last}, and not ${shown(entry)}`)
      if (entry.timestamp > item) throw wrong(`${item} came, which is not in the history, before ${shown(entry)}`)
      last = item
      place++
    }
    if (askedAt === undefined) return
    for (let entry = expected(); entry !== undefined; place++, entry = expected()) {
      const meant = known.meant.get(entry.sender)?.get(entry.text) ?? []
      if (entry.seenAt < askedAt || meant.every(({ ackedAt }) => ackedAt < askedAt)) {
        throw wrong(`it ended with ${last}, and had been ACKed or seen before that was asked for: ${shown(entry)}`)
      }
    }
  }

  /** The timestamp of the newest message that is there; 0 if there is none. */
  head(target: string): number {
    const { entries, missingThrough } = this.#of(target)
    const head = entries.at(-1)?.timestamp ?? 0
    return head > missingThrough ? head : 0
  }

  /** Up to here a hole has been announced. */
  missingThrough(target: string): number {
    return this.#of(target).missingThrough
  }

  /** How many messages anybody has seen. */
  seen(target: string): number {
    return this.#of(target).entries.length
  }

  isEmpty(target: string): boolean {
    return this.head(target) === 0
  }

  #of(target: string): Target {
    let known = this.#targets.get(target)
    if (known === undefined) this.#targets.set(target, known = new Target())
    return known
  }
}

const push = <A>(lists: Map<string, Array<A>>, key: string, value: A): void => {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [value])
  else list.push(value)
}
