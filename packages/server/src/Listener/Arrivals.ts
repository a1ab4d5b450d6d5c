/**
 * Connections that have not come as far as their first line, since there is something to pass before (`Entrance`): how
 * many there may be, how long they may take, and what is said of those that do not pass.
 */
import { Duration, Effect } from "effect"
import type * as Net from "node:net"
import { ipOf } from "../NetConnection.ts"
import type { Services } from "../Services.ts"
import { uptime } from "../Session.ts"
import type { Arrival, Passage } from "./Entrance.ts"

/** Milliseconds between two warnings: what is odd may happen a thousand times a second. */
const warnEvery = Duration.toMillis(Duration.minutes(1))

export class Arrivals {
  readonly #services: Pick<Services, "clock" | "config" | "metrics">
  #count = 0
  #warnedAt = -warnEvery

  constructor(services: Pick<Services, "clock" | "config" | "metrics">) {
    this.#services = services
  }

  /** Has a connection served when it has passed. The time that takes is part of the time for the login. */
  letIn(
    socket: Net.Socket,
    passage: Passage,
    serve: (arrival: Arrival, startedAt: number) => Effect.Effect<void>
  ): Effect.Effect<void> {
    const { clock, config } = this.#services
    if (this.#count >= config.maxSessions) return this.#cut(socket, "sessions")
    this.#count++
    const startedAt = uptime(clock)
    return Effect.timeout(passage, config.loginDeadline).pipe(
      Effect.ensuring(Effect.sync(() => this.#count--)),
      Effect.matchEffect({
        onSuccess: (arrival) => serve(arrival, startedAt),
        onFailure: (error) => {
          if (error._tag === "TimeoutError") return this.#cut(socket, "login_deadline")
          const warned = error.isOdd
            ? this.#warn(error.message, error.address ?? ipOf(socket.remoteAddress))
            : Effect.void
          return Effect.andThen(warned, this.#cut(socket))
        }
      })
    )
  }

  /** Without a word, as there is nobody yet to say one to. */
  #cut(socket: Net.Socket, limit?: "login_deadline" | "sessions"): Effect.Effect<void> {
    return Effect.sync(() => {
      const { metrics } = this.#services
      socket.destroy()
      metrics.connections++
      metrics.cutConnections++
      if (limit !== undefined) metrics.limitHits.add(limit)
    })
  }

  #warn(why: string, address: string | undefined): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { clock, config } = this.#services
      const now = uptime(clock)
      if (now - this.#warnedAt < warnEvery) return Effect.void
      this.#warnedAt = now
      const warning = Effect.logWarning(`a connection is cut: ${why}`)
      return config.logAddresses && address !== undefined ? Effect.annotateLogs(warning, { address }) : warning
    })
  }
}
