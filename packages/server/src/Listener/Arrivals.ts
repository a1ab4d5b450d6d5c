/**
 * Connections that have not come as far as their first line, since there is something to pass before (`Entrance`): how
 * many there may be, how long they may take, and what is said of those that do not pass.
 */
import { Duration, Effect } from "effect"
import type * as Net from "node:net"
import type { Address } from "../Addresses.ts"
import { roomOf } from "../Descriptors.ts"
import type { Limit } from "../Metrics.ts"
import { ipOf } from "../NetConnection.ts"
import type { Services } from "../Services.ts"
import { uptime } from "../Uptime.ts"
import type { Arrival, Passage } from "./Entrance.ts"

/** Milliseconds between two warnings of the same: what is odd may happen a thousand times a second. */
const warnEvery = Duration.toMillis(Duration.minutes(1))

type Needs = Pick<Services, "addresses" | "clock" | "config" | "limitHits" | "metrics" | "turns">

/** What is known of a connection by its first line. */
export interface Before {
  /** When it came. */
  readonly startedAt: number
  /** What it is limited by, if that has been looked at. */
  readonly limits: { readonly address: Address | undefined } | undefined
}

export class Arrivals {
  readonly #services: Needs
  #count = 0
  readonly #warnedAt = new Map<string, number>() // by what was said: a few sentences, and a code of OpenSSL in one of them

  constructor(services: Needs) {
    this.#services = services
  }

  /**
   * Has a connection served when it has passed. The time that takes is part of the time for the login; during a handshake
   * it counts as a session of its address.
   */
  letIn(
    socket: Net.Socket,
    passage: Passage,
    serve: (arrival: Arrival, before: Before) => Effect.Effect<void>
  ): Effect.Effect<void> {
    const { addresses, clock, config, limitHits, turns } = this.#services
    if (this.#count >= roomOf(config).arrivals) return this.#cut(socket, "max-sessions")
    this.#count++
    const startedAt = uptime(clock)
    let limits: Before["limits"]
    const isWelcome = (remoteAddress: string | undefined) => {
      const from = addresses.of(remoteAddress)
      const limit = from === undefined ? undefined : this.#limitOf(from)
      if (limit !== undefined) {
        limitHits.hit(limit, from?.name)
        return false
      }
      from?.enters()
      limits = { address: from }
      return true
    }
    return Effect.timeout(passage({ isWelcome, turn: turns.next("handshake") }), config.loginDeadline).pipe(
      Effect.ensuring(Effect.sync(() => {
        this.#count--
        limits?.address?.leaves()
      })),
      Effect.matchEffect({
        onSuccess: (arrival) => serve(arrival, { startedAt, limits }),
        onFailure: (error) => {
          if (error._tag === "TimeoutError") return this.#cut(socket, "login-deadline", limits?.address)
          const warned = error.isOdd
            ? this.#warn(error.message, error.address ?? ipOf(socket.remoteAddress))
            : Effect.void
          return Effect.andThen(warned, this.#cut(socket))
        }
      })
    )
  }

  #limitOf(address: Address): Limit | undefined {
    if (address.sessions >= this.#services.config.maxSessionsPerAddress) return "max-sessions-per-address"
    return address.connects() ? undefined : "max-connects"
  }

  /** Without a word, as there is nobody yet to say one to. */
  #cut(socket: Net.Socket, limit?: Limit, address?: Address): Effect.Effect<void> {
    return Effect.sync(() => {
      const { limitHits, metrics } = this.#services
      const from = address?.name ?? ipOf(socket.remoteAddress)
      if (limit !== undefined) limitHits.hit(limit, limit === "max-sessions" ? undefined : from)
      socket.destroy()
      metrics.connections++
      metrics.cutConnections++
    })
  }

  #warn(why: string, address: string | undefined): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { clock, config } = this.#services
      const now = uptime(clock)
      if (now - (this.#warnedAt.get(why) ?? -Infinity) < warnEvery) return Effect.void
      this.#warnedAt.set(why, now)
      const warning = Effect.logWarning(`a connection is cut: ${why}`)
      return config.logAddresses && address !== undefined ? Effect.annotateLogs(warning, { address }) : warning
    })
  }
}
