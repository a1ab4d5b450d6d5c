/**
 * What happens when a limit is reached: it is counted, and said in the log, at most once a minute for each limit and
 * address, since whoever reaches one often reaches it a thousand times a second.
 */
import { Clock, Effect } from "effect"
import { type Counted, type Limit, Metrics } from "./Metrics.ts"
import type { Settings } from "./ServerConfig.ts"
import { uptime } from "./Uptime.ts"

/** Milliseconds between two lines about the same. */
const quiet = 60_000

/** Lines about one limit that are remembered, so that a flood from many addresses does not become one of lines. */
const maxLines = 100

export class LimitHits {
  /** Those of a server with these settings. */
  static readonly make = Effect.fnUntraced(function*(settings: Pick<Settings, "logAddresses">) {
    const [clock, metrics] = [yield* Clock.Clock, yield* Metrics]
    const fork = Effect.runForkWith(yield* Effect.context())
    return new LimitHits(metrics, () => uptime(clock), (limit, address) => {
      const where = settings.logAddresses && address !== undefined ? { address } : {}
      fork(Effect.annotateLogs(Effect.logWarning("a limit is reached"), { limit, ...where }))
    })
  })

  readonly #metrics: Counted
  readonly #now: () => number
  readonly #log: (limit: Limit, address: string | undefined) => void
  readonly #said = new Map<Limit, Map<string | undefined, number>>() // of whom, and when, longest ago first

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
    let said = this.#said.get(limit)
    if (said === undefined) this.#said.set(limit, said = new Map())
    for (const [whom, at] of said) {
      if (now - at < quiet) break
      said.delete(whom)
    }
    if (said.has(address) || said.size >= maxLines) return
    said.set(address, now)
    this.#log(limit, address)
  }
}
