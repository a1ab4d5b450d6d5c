/**
 * Sessions that have not logged in yet, in the order in which they came, which is that of their deadlines: one fiber for
 * all of them (CPT 3.9; a timeout for each was a tenth of a login).
 */
import { type Clock, Duration, Effect, Latch } from "effect"
import { Roll } from "./Roll.ts"
import type { Settings } from "./ServerConfig.ts"
import type { Session } from "./Session.ts"
import { uptime } from "./Uptime.ts"

/** Milliseconds after which a deadline is looked at again: a reload may have made it shorter. */
const longestSleep = 1000

export class LoginDeadline {
  readonly #clock: Clock.Clock
  readonly #config: Pick<Settings, "loginDeadline">
  readonly #waiting = new Roll<number, Session>() // by their ids
  readonly #someone = Latch.makeUnsafe(false)
  #latest = 0 // start of one of them

  constructor(clock: Clock.Clock, config: Pick<Settings, "loginDeadline">) {
    this.#clock = clock
    this.#config = config
  }

  add(session: Session): void {
    if (session.startedAt < this.#latest) { // others have been quicker with their handshakes
      return session.fork(Effect.andThen(this.#isOver(session), Effect.sync(() => session.expire())))
    }
    this.#latest = session.startedAt
    this.#waiting.set(session.id, session)
    this.#someone.openUnsafe()
  }

  /** It has logged in, or ended. */
  delete(session: Session): void {
    this.#waiting.delete(session.id)
  }

  #left(session: Session): number {
    return Math.max(0, session.startedAt + Duration.toMillis(this.#config.loginDeadline) - uptime(this.#clock))
  }

  #isOver(session: Session): Effect.Effect<void> {
    return Effect.suspend(() => {
      const left = this.#left(session)
      return left === 0 ? Effect.void : Effect.delay(this.#isOver(session), Math.min(left, longestSleep))
    })
  }

  /** Tells each session when its time is over. */
  get watch(): Effect.Effect<never> {
    return Effect.gen({ self: this }, function*() {
      for (;;) {
        const [first] = this.#waiting
        if (first === undefined) {
          this.#someone.closeUnsafe()
          yield* this.#someone.await
          continue
        }
        const left = this.#left(first)
        if (left > 0) yield* Effect.sleep(Math.min(left, longestSleep))
        else {
          this.#waiting.delete(first.id)
          first.expire()
        }
      }
    })
  }
}
