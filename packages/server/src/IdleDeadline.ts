/**
 * Sessions that say nothing, where a deployment does not want to keep them: `idle_timeout` (CPT 3.15). Nothing is noted when
 * somebody speaks: now and then it is looked at what each has said, so a silence is up to a tenth longer than it may be.
 */
import { Decline } from "@cpt/schema"
import { type Clock, Duration, Effect } from "effect"
import type { Settings } from "./ServerConfig.ts"
import type { Session } from "./Session.ts"
import { uptime } from "./Uptime.ts"

/** Milliseconds between two looks at most: the deadline may be another one meanwhile. */
const longestPause = 1000

/** What somebody has said, in bytes, and when that was seen first. */
interface Silence {
  readonly received: number
  readonly since: number
}

export class IdleDeadline {
  readonly #clock: Clock.Clock
  readonly #config: Pick<Settings, "idleDeadline">
  #silences = new Map<Session, Silence>()

  constructor(clock: Clock.Clock, config: Pick<Settings, "idleDeadline">) {
    this.#clock = clock
    this.#config = config
  }

  /** Ends each session when its time is over. */
  watch(sessions: Iterable<Session>): Effect.Effect<never> {
    return Effect.suspend(() => {
      const deadline = Duration.toMillis(this.#config.idleDeadline)
      if (deadline === Infinity) this.#silences.clear()
      else this.#look(sessions, deadline)
      return Effect.sleep(Math.min(longestPause, deadline / 10))
    }).pipe(Effect.forever)
  }

  #look(sessions: Iterable<Session>, deadline: number): void {
    const now = uptime(this.#clock)
    const silences = new Map<Session, Silence>()
    for (const session of sessions) {
      const { received } = session
      const before = this.#silences.get(session)
      const isSilent = before?.received === received && !session.isAnswering
      const silence = isSilent ? before : { received, since: now }
      silences.set(session, silence)
      if (now - silence.since >= deadline) session.expel(new Decline.IdleTimeout({}))
    }
    this.#silences = silences
  }
}
