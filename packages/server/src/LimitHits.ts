/**
 * What happens when a limit is reached: it is counted, and said in the log, at most once a minute for each limit and
 * address, since whoever reaches one often reaches it a thousand times a second.
 */
import type { Counted, Limit } from "./Metrics.ts"

/** Milliseconds between two lines about the same. */
const quiet = 60_000

/** Lines that are remembered, so that a flood from many addresses does not become one of lines. */
const maxLines = 1000

export class LimitHits {
  readonly #metrics: Counted
  readonly #now: () => number
  readonly #log: (limit: Limit, address: string | undefined) => void
  readonly #said = new Map<string, number>() // what, and when, longest ago first

  /** @param now milliseconds on a clock that nobody sets */
  constructor(metrics: Counted, now: () => number, log: (limit: Limit, address: string | undefined) => void) {
    this.#metrics = metrics
    this.#now = now
    this.#log = log
  }

  /** @param address of who has reached it, if they have one, and it is not all together who have */
  hit(limit: Limit, address?: string): void {
    this.#metrics.limitHits.add(limit)
    const now = this.#now()
    for (const [what, at] of this.#said) {
      if (now - at < quiet) break
      this.#said.delete(what)
    }
    const what = `${limit} ${address}`
    if (this.#said.has(what) || this.#said.size >= maxLines) return
    this.#said.set(what, now)
    this.#log(limit, address)
  }
}
