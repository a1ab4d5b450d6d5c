/** What a session needs of its server: looked up once, and not at every login. */
import type { Clock, Effect, Fiber, LogLevel } from "effect"
import type { Accounts } from "./Accounts.ts"
import type { Addresses } from "./Addresses.ts"
import type { Directory } from "./Directory.ts"
import type { LimitHits } from "./LimitHits.ts"
import type { LoginDeadline } from "./LoginDeadline.ts"
import type { MessageStore } from "./MessageStore.ts"
import type { Counted } from "./Metrics.ts"
import type { Settings } from "./ServerConfig.ts"
import type { Timelines } from "./Timeline.ts"
import type { Turns } from "./Turns.ts"

export interface Services {
  readonly config: Settings
  readonly clock: Clock.Clock
  readonly accounts: Accounts["Service"]
  readonly directory: Directory["Service"]
  readonly store: MessageStore["Service"]
  readonly timelines: Timelines["Service"]
  readonly loginDeadline: LoginDeadline
  readonly metrics: Counted
  readonly limitHits: LimitHits
  readonly turns: Turns
  readonly addresses: Addresses
  readonly isLogged: (level: LogLevel.LogLevel) => boolean
  /** Nobody new is let in any more: the server is about to end. */
  isClosed: boolean
  /** How often sessions have been reviewed, since other things were declared. */
  reviews: number
  /** Runs what a session does by itself; whoever calls it owns the fiber. */
  readonly fork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
}
