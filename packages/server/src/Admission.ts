/**
 * Admission: who may become a session, and how the others are told that they may not. That costs little: there are
 * connect storms, and those who are in must not feel them.
 */
import { Decline } from "@cpt/schema"
import { Duration, Effect, Exit } from "effect"
import { holdOff } from "./Addresses.ts"
import type { Connection } from "./Connection.ts"
import { roomOf } from "./Descriptors.ts"
import type { Before } from "./Listener/Arrivals.ts"
import type { Limit } from "./Metrics.ts"
import { Roll } from "./Roll.ts"
import type { Services } from "./Services.ts"
import { Session } from "./Session.ts"

/** How long a connection waits for room before it is refused: a session that has just ended may not have been noticed. */
const patience = Duration.millis(50)

const admitted = Exit.succeed("admitted" as const)
const refusedAtTheEnd = (session: Session) =>
  Effect.as(session.refuse(new Decline.ShuttingDown({}), true), "refused" as const)

export class Admission {
  readonly sessions = new Roll<number, Session>() // by their ids
  readonly #services: Services
  #refused = 0

  constructor(services: Services) {
    this.#services = services
  }

  /** A session for a connection. */
  session(connection: Connection, before?: Before): Session {
    const { address } = before?.limits ?? { address: this.#services.addresses.of(connection.remoteAddress) }
    return new Session(this.#services, connection, address, before?.startedAt)
  }

  /** Lets it in, or refuses it. Whether it has come too fast may have been looked at. */
  admit(session: Session, isKnown: boolean): Effect.Effect<"admitted" | "refused"> {
    if (this.#services.isClosed) return refusedAtTheEnd(session)
    if (!isKnown && session.address?.connects() === false) return this.#refuse(session, "max-connects")
    const limit = this.#limitOf(session)
    if (limit === undefined) return this.#enter(session)
    if (this.#refused >= roomOf(this.#services.config).refused) return this.#refuse(session, limit)
    return Effect.andThen(this.#counted(Effect.sleep(patience)), () => {
      if (this.#services.isClosed) return refusedAtTheEnd(session)
      const limit = this.#limitOf(session)
      return limit === undefined ? this.#enter(session) : this.#refuse(session, limit)
    })
  }

  /** It has ended. */
  leave(session: Session): void {
    if (this.sessions.delete(session.id)) session.address?.leaves()
  }

  #enter(session: Session): typeof admitted {
    this.sessions.set(session.id, session)
    session.address?.enters()
    return admitted
  }

  /** The limit that has been reached; undefined if there is room. */
  #limitOf({ address }: Session): Limit | undefined {
    const { config } = this.#services
    if (this.sessions.size >= roomOf(config).sessions) return "max-sessions"
    return address !== undefined && address.sessions >= config.maxSessionsPerAddress
      ? "max-sessions-per-address"
      : undefined
  }

  #refuse(session: Session, limit: Limit): Effect.Effect<"refused"> {
    this.#services.limitHits.hit(limit, limit === "max-sessions" ? undefined : session.address?.name)
    const error = limit === "max-sessions" ? new Decline.ServerFull({}) : new Decline.TooManyConnections({})
    const told = (hasTime: boolean) =>
      Effect.suspend(() => session.refuse(this.#services.isClosed ? new Decline.ShuttingDown({}) : error, hasTime))
    const held = Effect.andThen(Effect.onInterrupt(Effect.sleep(holdOff), () => told(false)), told(true))
    const hasRoom = this.#refused < roomOf(this.#services.config).refused
    return Effect.as(this.#counted(hasRoom ? held : told(false)), "refused")
  }

  #counted(effect: Effect.Effect<void>): Effect.Effect<void> {
    this.#refused++
    return Effect.ensuring(effect, Effect.sync(() => this.#refused--))
  }
}
