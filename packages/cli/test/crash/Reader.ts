/**
 * What one client gets of the targets that it follows, over all its connections: a place in each, moved by what was
 * received, and what was received, to be held against the whole history.
 */
import type { Client, Told } from "./Client.ts"
import { type Hole, type Run, Violation } from "./Ledger.ts"
import type { World } from "./World.ts"

interface Item extends Told {
  readonly hole?: Hole | undefined
}

/** A SYNC that is being answered. */
interface Asked {
  readonly after: number
  readonly askedAt: number
  readonly items: Array<Item>
  /** How many items had come when something of another target came. */
  others: number
}

class Place {
  /** The newest message that was received. */
  cursor = 0
  missingThrough = 0
  /** Whether this connection has been told everything up to the cursor, so that what comes live goes on from there. */
  isLive = false
  /** Came live before the first answer of this connection: only inboxes are followed without being asked for. */
  early: Array<Item> = []
  asked: Asked | undefined
  /** What was received, in order, since it was last checked. */
  from = 0
  received: Array<number | Hole> = []
}

/** `MSG <target> system 0 missing: messages up to … (<timestamp>) are no longer kept` (CPT 5.4, 5.10). */
export const holeOf = ({ sender, target, text, timestamp }: Told): Hole | undefined => {
  if (sender !== "system") return undefined
  const missing = timestamp === 0 ? /^missing: .*\((\d+)\) are no longer kept$/.exec(text)?.[1] : undefined
  if (missing === undefined) throw new Violation(`system said of ${target}, at ${timestamp}: ${text}`)
  return { missingThrough: Number(missing) }
}

export class Reader {
  readonly #world: World
  readonly #name: string
  readonly #places: ReadonlyMap<string, Place>
  #answers: Array<Run> = []

  constructor(world: World, name: string, targets: ReadonlyArray<string>) {
    this.#world = world
    this.#name = name
    this.#places = new Map(targets.map((target) => [target, new Place()]))
  }

  /** Asks for what is behind the place in a target, or behind an earlier one. Whether there was an answer. */
  async sync(client: Client, target: string, from: "place" | "before" | "start" | "bare" = "place"): Promise<boolean> {
    const place = this.#of(target)
    const after = from === "place" ? place.cursor : from === "before" ? Math.max(0, place.cursor - 1000) : 0
    const line = from === "bare" ? "SYNC" : `SYNC ${target} ${after}`
    place.asked = { after, askedAt: this.#world.ledger.tick(), items: place.early, others: 0 }
    place.early = []
    return await client.ask(line, (answer) => {
      if (answer === "ENDSYNC") this.#answered(target, place)
      else this.#unanswered(target, place)
    }) === "ENDSYNC"
  }

  /** A message has come. */
  told(message: Told): void {
    this.#world.counts.received++
    const hole = holeOf(message)
    if (hole !== undefined) this.#world.note(this.#name, `< ${message.target}: ${message.text}`)
    if (hole === undefined) this.#world.ledger.saw(message)
    else this.#world.ledger.sawHole(message.target, hole)
    const place = this.#of(message.target)
    const item = { ...message, hole }
    if (place.asked !== undefined) place.asked.items.push(item)
    else if (place.isLive) this.#live(place, item)
    else if (message.target === this.#name) place.early.push(item)
    else throw new Violation(`${this.#name} got ${message.target} ${message.timestamp}, and did not ask for it`)
    for (const { asked } of this.#places.values()) {
      if (asked !== undefined && asked !== place.asked) asked.others = asked.items.length
    }
  }

  /** The connection is gone, and with it what the server knew of the places. */
  lost(): void {
    for (const [target, place] of this.#places) {
      if (place.asked !== undefined) this.#unanswered(target, place)
      place.isLive = false
      place.early = []
    }
  }

  /** Up to where it has been told of a target, messages or that they are missing. */
  reached(target: string): number {
    const { cursor, missingThrough } = this.#of(target)
    return Math.max(cursor, missingThrough)
  }

  /** Holds everything received of these targets against their histories, which must be known up to there. */
  check(targets: ReadonlyArray<string>): void {
    const answers = this.#answers
    this.#answers = answers.filter(({ target }) => !targets.includes(target))
    for (const answer of answers) if (targets.includes(answer.target)) this.#world.ledger.run(answer)
    for (const [target, place] of this.#places) {
      if (!targets.includes(target)) continue
      const { from: after, received: items } = place
      this.#world.ledger.run({ reader: this.#name, target, after, items, except: this.#name })
      place.from = this.reached(target)
      place.received = []
    }
  }

  /** Nothing but the answer may come between its first line and its end (CPT 5.6), so what came live is before it. */
  #answered(target: string, place: Place): void {
    const { asked } = place
    if (asked === undefined) return
    place.asked = undefined
    const begin = beginOfAnswer(asked.items)
    if (asked.others > begin) {
      throw new Violation(`${this.#name} got something else between the answer to SYNC ${target} and its end`)
    }
    if (place.isLive) { for (const item of asked.items.slice(0, begin)) this.#live(place, item) }
    const answer = asked.items.slice(begin)
    const items = answer.map(({ hole, timestamp }) => hole ?? timestamp)
    const { after, askedAt } = asked
    this.#answers.push({ reader: this.#name, target, after, items, askedAt })
    for (const item of answer) this.#receive(place, item)
    place.isLive = true
  }

  /** Of half an answer, what goes on from the place counts, and the rest will come again. */
  #unanswered(target: string, place: Place): void {
    const { asked } = place
    if (asked === undefined) return
    place.asked = undefined
    const begin = beginOfAnswer(asked.items)
    if (place.isLive) { for (const item of asked.items.slice(0, begin)) this.#live(place, item) }
    // Of an inbox, what came live from the beginning of the connection on may look like a part of the answer
    if (begin === 0 && !place.isLive && target === this.#name) return
    for (const item of asked.items.slice(begin)) this.#receive(place, item)
  }

  #live(place: Place, item: Item): void {
    if (item.sender === this.#name) {
      throw new Violation(`${this.#name} was told live what it said itself: ${item.target} ${item.timestamp}`)
    }
    if (item.hole === undefined && item.timestamp <= place.cursor) {
      throw new Violation(
        `${this.#name} got ${item.target} ${item.timestamp} live, and was at ${place.cursor} already: twice or out of order`
      )
    }
    this.#receive(place, item)
  }

  #receive(place: Place, { hole, sender, timestamp }: Item): void {
    if (hole !== undefined) {
      place.missingThrough = Math.max(place.missingThrough, hole.missingThrough)
      if (hole.missingThrough > place.cursor) place.received.push(hole)
      return
    }
    if (timestamp <= place.cursor) return // asked for again
    place.cursor = timestamp
    if (sender !== this.#name) place.received.push(timestamp)
  }

  #of(target: string): Place {
    const place = this.#places.get(target)
    if (place === undefined) throw new Violation(`${this.#name} got something of ${target}, which it does not follow`)
    return place
  }
}

/** Where the answer begins in what came between the question and the end of the answer. */
const beginOfAnswer = (items: ReadonlyArray<Item>): number => {
  // An answer has all that came live after it was asked for, and tells it again: there the timestamps go back
  let last = 0
  let begin = 0
  items.forEach(({ hole, timestamp }, index) => {
    if (hole !== undefined) return
    if (timestamp <= last) begin = index
    last = timestamp
  })
  // It may begin with a notice (CPT 5.4); and where messages went before they were told again, with that alone
  while (begin > 0 && items[begin - 1]?.hole !== undefined) begin--
  if (begin > 0) return begin
  const notice = items.findIndex(({ hole }) => hole !== undefined)
  const through = items[notice]?.hole?.missingThrough ?? 0
  return notice > 0 && items.slice(0, notice).every(({ timestamp }) => timestamp <= through) ? notice : 0
}
