/**
 * Pages are read from the store a few at a time, for whoever is answered a SYNC or has to be brought back to the head, in
 * the order in which they ask. Between a page and the next one of the same reader everybody else has a turn, so a storm of
 * SYNCs does not slow those who only send. Who is slow to take a page keeps nobody waiting.
 */
import { Effect, Semaphore } from "effect"
import type { LimitHits } from "./LimitHits.ts"
import type { Settings } from "./ServerConfig.ts"

export class ReadingTurns {
  readonly #config: Pick<Settings, "maxSyncs">
  readonly #hits: LimitHits
  readonly #semaphore = Semaphore.makeUnsafe(0)
  #permits = 0
  #readers = 0

  constructor(config: Pick<Settings, "maxSyncs">, hits: LimitHits) {
    this.#config = config
    this.#hits = hits
  }

  /** Reads a page when it is its turn. */
  take<A extends { readonly last: boolean }, E>(read: Effect.Effect<A, E>): Effect.Effect<A, E> {
    const turn = Effect.flatMap(read, (page) => page.last ? Effect.succeed(page) : Effect.as(Effect.yieldNow, page))
    return Effect.suspend(() => {
      const { maxSyncs } = this.#config
      if (++this.#readers > maxSyncs) this.#hits.hit("max-syncs")
      const taken = this.#semaphore.withPermit(turn)
      if (this.#permits === maxSyncs) return taken
      this.#permits = maxSyncs
      return Effect.andThen(this.#semaphore.resize(maxSyncs), taken)
    }).pipe(Effect.ensuring(Effect.sync(() => this.#readers--)))
  }
}
