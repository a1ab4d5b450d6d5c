/**
 * A session's side of live delivery: the timelines it follows, and how it comes back to their heads after it could not
 * take anything for a while. Whoever writes more than one line that belong together has the turn meanwhile, so that
 * between the first answer to a SYNC and its ENDSYNC nothing else is written (CPT 5.6).
 */
import type { Name } from "@cpt/schema"
import { type Context, Effect, Fiber, Schedule, type Scope, Semaphore } from "effect"
import { Buffer } from "node:buffer"
import { catchUp, type Reader } from "./commands/Sync.ts"
import type { MessageStore } from "./MessageStore.ts"
import type { Outbox } from "./Outbox.ts"
import type { Outlet, PeerGone } from "./Outlet.ts"
import { type Cursor, Timelines } from "./Timeline.ts"

/** Announcements that wait for a slow reader, shared by all who wait; with more, it misses the oldest. */
const maxWaiting = 1024

/** How often a store that cannot be read is asked again for what a follower has missed. */
const retryRead = Schedule.spaced("1 second")

/** What a session brings with it. */
export interface Parts {
  readonly outlet: Outlet
  readonly outbox: Outbox
  readonly scope: Scope.Scope
  readonly services: Context.Context<MessageStore | Timelines>
}

/** What a session follows under its name, once it has one. A class, and made bit by bit: most sessions only listen. */
export class Following implements Reader<PeerGone> {
  readonly username: Name.Username
  readonly cursors = new Map<string, Cursor>()
  readonly #parts: Parts
  #turn: Semaphore.Semaphore | undefined
  #behind: Set<Cursor> | undefined
  #announcements: Array<Uint8Array> | undefined
  #state: "closed" | "open" | "alone" = "closed"
  #catchingUp = false

  constructor(username: Name.Username, parts: Parts) {
    this.username = username
    this.#parts = parts
  }

  /** From now on the peer may be told of others: it has been told that it is logged in. */
  open(): void {
    this.#state = "open"
    this.#start()
  }

  isReady(): boolean {
    return this.#state === "open" && !this.#parts.outlet.isFull()
  }

  push(lines: Uint8Array): void {
    this.#parts.outbox.push(lines)
  }

  flush(): void {
    this.#parts.outbox.flush()
  }

  write(lines: Uint8Array): Effect.Effect<void, PeerGone> {
    return this.#parts.outbox.write(lines)
  }

  fallBehind(cursor: Cursor): void {
    this.#behind ??= new Set()
    this.#behind.add(cursor)
    this.#start()
  }

  /** Tells the peer a line in the server's name (CPT 5.9). */
  announce(line: Uint8Array): void {
    this.#announcements ??= []
    this.#announcements.push(line)
    if (this.#announcements.length > maxWaiting) this.#announcements.shift()
    this.#start()
  }

  /** Runs what must not be interrupted by other lines; `last` is its last line, if it succeeds. */
  alone<E, R>(lines: Effect.Effect<void, E, R>, last: () => void): Effect.Effect<void, E, R> {
    return this.#inTurn(
      Effect.suspend(() => {
        this.#state = "alone"
        return lines
      }).pipe(
        Effect.map(last),
        Effect.ensuring(Effect.sync(() => this.open()))
      )
    )
  }

  /** Leaves all timelines. */
  end(): Effect.Effect<void, never, Timelines> {
    this.#state = "closed"
    return Effect.flatMap(Timelines, ({ leave }) => Effect.forEach(this.cursors.values(), leave, { discard: true }))
  }

  #inTurn<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    this.#turn ??= Semaphore.makeUnsafe(1)
    return this.#turn.withPermit(effect)
  }

  #isBehind(): boolean {
    return (this.#behind?.size ?? 0) > 0 || (this.#announcements?.length ?? 0) > 0
  }

  #start(): void {
    if (this.#catchingUp || this.#state !== "open" || !this.#isBehind()) return
    this.#catchingUp = true
    this.#catchUpAll().pipe(
      Effect.ignore, // the peer is gone, and whoever reads from it notices that too
      Effect.ensuring(Effect.sync(() => {
        this.#catchingUp = false
      })),
      Effect.runForkWith(this.#parts.services),
      Fiber.runIn(this.#parts.scope)
    )
  }

  #catchUpAll() {
    return Effect.gen({ self: this }, function*() {
      const behind = this.#behind ??= new Set()
      while (this.#isBehind()) {
        yield* this.#parts.outlet.drained
        const texts = this.#announcements ?? []
        this.#announcements = undefined
        if (texts.length > 0) yield* this.#inTurn(this.write(Buffer.concat(texts)))
        for (const cursor of behind) {
          yield* this.#inTurn(catchUp(this, cursor)).pipe(
            Effect.retry({ schedule: retryRead, while: (error) => error._tag === "StorageUnavailable" })
          )
          if (cursor.at < cursor.timeline.head()) continue
          cursor.behind = false
          behind.delete(cursor)
        }
      }
    })
  }
}
