/**
 * Turns of the event loop, for what takes long, so that it keeps nobody waiting who wants little. Who has sent a lot in one
 * go, reads a long history, or comes or goes together with a thousand others, does a part of it in each turn that they
 * get, in the order in which they ask; and between two turns of the event loop everybody else is served. So a flood slows
 * down those who make it, together; and as long as somebody else says something, it does not have all the time there is.
 */
import { Effect, Semaphore } from "effect"
import type { LimitHits } from "./LimitHits.ts"
import type { Settings } from "./ServerConfig.ts"

/** What there is to share in one turn of the event loop: a third of a millisecond of work, if these were SENDs. */
const shares = 512

/** What is done in one turn, in shares. */
export const parts = { lines: 256, page: 128, read: 32, login: 64, end: 64, handshake: shares } as const
type Part = keyof typeof parts

/**
 * What a crowd gets beside others: milliseconds between two turns, and what there is in one. So it has about a third of the
 * processor, and not all that there is: a message that comes finds it idle, and so does the thread that commits it where
 * there is no other core.
 */
const beside = { pause: 1, shares: 256 }

/** Milliseconds for which somebody counts as here who has said something, or as one of a crowd who has said a lot. */
export const lately = 1000

interface Waiting {
  readonly part: Part
  readonly go: () => void
}

export class Turns {
  readonly #config: Pick<Settings, "maxSyncs">
  readonly #hits: LimitHits
  #left: number = shares
  #isOver = true // the next turn begins with the first who wants something
  #waiting: Array<Waiting> = []
  readonly #pages = Semaphore.makeUnsafe(0)
  #permits = 0
  #readers = 0
  #isCrowd = false // more is wanted than fits into one turn
  #hasServed = false // since the last look, without a time: a clock would be one more for each message
  #servedAt = -Infinity
  #isInAHurry = false

  constructor(config: Pick<Settings, "maxSyncs">, hits: LimitHits) {
    this.#config = config
    this.#hits = hits
  }

  /** Whether something may be done in this turn; it counts. */
  isFree(part: Part): boolean {
    if (this.#waiting.length > 0 || this.#left < parts[part]) return false
    this.#left -= parts[part]
    this.#begin()
    return true
  }

  /** Waits for a turn in which it may be done. */
  next(part: Part): Effect.Effect<void> {
    return Effect.callback((resume) => {
      const waiting = { part, go: () => resume(Effect.void) }
      this.#waiting.push(waiting)
      this.#begin()
      return Effect.sync(() => {
        this.#waiting = this.#waiting.filter((other) => other !== waiting)
      })
    })
  }

  /**
   * Reads a page from the store. A few readers do so at the same time (`--max-syncs`); the others wait, but not for anybody
   * who is slow to take a page. Reading has its turn too: when 500 who were a little behind did so at once, others waited for
   * 80 ms. What has been read is written at once where it was the last page, or the reader would be behind again.
   */
  page<A extends { readonly last: boolean }, E>(read: Effect.Effect<A, E>): Effect.Effect<A, E> {
    const begin = Effect.suspend(() => this.isFree("read") ? Effect.void : this.next("read"))
    const turn = Effect.andThen(begin, read).pipe(
      Effect.flatMap((page) => page.last ? Effect.succeed(page) : Effect.as(this.next("page"), page))
    )
    return Effect.suspend(() => {
      const { maxSyncs } = this.#config
      if (++this.#readers > maxSyncs) this.#hits.hit("max-syncs")
      const taken = this.#pages.withPermit(turn)
      if (this.#permits === maxSyncs) return taken
      this.#permits = maxSyncs
      return Effect.andThen(this.#pages.resize(maxSyncs), taken)
    }).pipe(Effect.ensuring(Effect.sync(() => this.#readers--)))
  }

  /** Somebody is served who says little. */
  serves(): void {
    this.#hasServed = true
  }

  /** The server stops: nobody new comes, and who is there has little time. */
  hurry(): void {
    this.#isInAHurry = true
  }

  #begin(): void {
    if (!this.#isOver) return
    this.#isOver = false
    setImmediate(() => {
      // The pause begins here, behind the work of the turn before
      if (this.#isCrowd && this.#areOthers()) setTimeout(() => this.#go(beside.shares), beside.pause)
      else this.#go(shares)
    })
  }

  #areOthers(): boolean {
    const now = performance.now()
    if (this.#hasServed) this.#servedAt = now
    this.#hasServed = false
    return !this.#isInAHurry && now - this.#servedAt < lately
  }

  #go(left: number): void {
    this.#isOver = true
    this.#left = left
    let [index, wanted] = [0, 0]
    for (const { part } of this.#waiting) {
      wanted += parts[part]
      if (index === 0 || wanted <= left) {
        index++
        this.#left = left - wanted
      }
      if (wanted > shares) break // thousands may wait, and it is known that they are a crowd
    }
    this.#isCrowd = wanted > shares || this.#readers > this.#config.maxSyncs
    const now = this.#waiting.splice(0, index)
    if (this.#waiting.length > 0 || now.length > 0) this.#begin()
    for (const { go } of now) go()
  }
}
