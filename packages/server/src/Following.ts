/**
 * A session's side of live delivery: the timelines it follows, and how it comes back to their heads after it could not
 * take anything for a while. Whoever writes more than one line that belong together has the turn meanwhile, so that
 * between the first answer to a SYNC and its ENDSYNC nothing else is written (CPT 5.6).
 */
import type { Name } from "@cpt/schema"
import { Effect, Schedule, Semaphore } from "effect"
import { Buffer } from "node:buffer"
import * as AtOnce from "./AtOnce.ts"
import { catchUp, type Reader } from "./commands/Sync.ts"
import { type Connection, type PeerGone, peerGone } from "./Connection.ts"
import type { Counted, Limit } from "./Metrics.ts"
import type { Outbox } from "./Outbox.ts"
import type { Pace } from "./Pace.ts"
import type { Cursor, Timelines } from "./Timeline.ts"

/** Announcements that wait for a slow reader, shared by all who wait; with more, it misses the oldest. */
const maxWaiting = 1024

/** How often a store that cannot be read is asked again for what a follower has missed. */
const retryRead = Schedule.spaced("1 second")

/** What a session brings with it. */
export interface Parts {
  readonly connection: Connection
  readonly outbox: Outbox
  readonly timelines: Timelines["Service"]
  readonly metrics: Counted
  readonly pace: Pace
  /** It has reached a limit. */
  readonly hit: (limit: Limit) => void
  /** Runs what a session does by itself, until it ends. */
  readonly fork: (effect: Effect.Effect<void>) => void
}

/** What a session follows under its name, once it has one. Made bit by bit, since most sessions only listen. */
export class Following implements Reader<PeerGone> {
  readonly username: Name.Username
  /** Messages that the peer has been told. */
  delivered = 0
  readonly #parts: Parts
  #inbox: Cursor | undefined
  #groups: Map<string, Cursor> | undefined
  #turn: Semaphore.Semaphore | undefined
  #behind: Set<Cursor> | undefined
  #announcements: Array<Uint8Array> | undefined
  #state: "new" | "open" | "alone" | "closed" = "new"
  #isCatchingUp = false

  constructor(username: Name.Username, parts: Parts) {
    this.username = username
    this.#parts = parts
  }

  /** From now on the peer may be told of others: it has been told that it is logged in. */
  open(): void {
    if (this.#state === "closed") return
    this.#state = "open"
    this.#start()
  }

  /** From now on the peer is told nothing any more: what is under way ends as if it were gone. */
  close(): void {
    this.#state = "closed"
  }

  /** Milliseconds between the last message of what it follows and the last one that it has been told; 0 if that is none. */
  get lag(): number {
    let lag = 0
    for (const { at, timeline } of this.#behind ?? []) lag = Math.max(lag, timeline.head() - at)
    return lag
  }

  get pace(): Pace {
    return this.#parts.pace
  }

  hit(limit: Limit): void {
    this.#parts.hit(limit)
  }

  get groups(): number {
    return this.#groups?.size ?? 0
  }

  cursor(target: string): Cursor | undefined {
    return target === this.username ? this.#inbox : this.#groups?.get(target)
  }

  follow(cursor: Cursor): void {
    const { target } = cursor.timeline
    if (target === this.username) this.#inbox = cursor
    else (this.#groups ??= new Map()).set(target, cursor)
  }

  /** Those of these groups that it follows; without names, all that it does. */
  followed(names?: ReadonlySet<string>): ReadonlyArray<Name.Name> {
    const groups = this.#groups
    if (groups === undefined) return []
    const cursors = names === undefined || names.size > groups.size
      ? [...groups.values()].filter(({ timeline }) => names?.has(timeline.target) ?? true)
      : Array.from(names, (name) => groups.get(name)).filter((cursor) => cursor !== undefined)
    return cursors.map(({ timeline }) => timeline.target)
  }

  /** Follows a group no longer. */
  leave(group: string): Effect.Effect<void> {
    const cursor = this.#groups?.get(group)
    if (cursor === undefined) return Effect.void
    this.#groups?.delete(group)
    this.#behind?.delete(cursor)
    return this.#parts.timelines.leave(cursor)
  }

  isReady(): boolean {
    return this.#state === "open" && !this.#parts.connection.isFull()
  }

  push(lines: Uint8Array, messages: number): void {
    this.#count(messages)
    this.#parts.outbox.push(lines)
  }

  flush(): void {
    this.#parts.outbox.flush()
  }

  write(lines: Uint8Array, messages: number): Effect.Effect<void, PeerGone> {
    if (this.#state === "closed") return peerGone
    this.#count(messages)
    return this.#parts.outbox.write(lines)
  }

  isTaken(): boolean {
    return this.#parts.connection.untaken() === 0
  }

  #count(messages: number): void {
    this.delivered += messages
    this.#parts.metrics.deliveries += messages
  }

  fallBehind(cursor: Cursor): void {
    this.#behind ??= new Set()
    this.#behind.add(cursor)
    this.#start()
  }

  /** Tells the peer a line in the server's name, when no other lines that belong together are being told. */
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
        if (this.#state === "open") this.#state = "alone"
        return lines
      }).pipe(
        Effect.map(last),
        Effect.ensuring(Effect.sync(() => this.open()))
      )
    )
  }

  /** Leaves all timelines. */
  end(): Effect.Effect<void> {
    this.close()
    const { leave } = this.#parts.timelines
    const left = this.#inbox === undefined ? Effect.void : leave(this.#inbox)
    const groups = this.#groups
    if (groups === undefined) return left
    return AtOnce.flatMap(left, () => Effect.forEach(groups.values(), leave, { discard: true }))
  }

  #inTurn<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    this.#turn ??= Semaphore.makeUnsafe(1)
    return this.#turn.withPermit(effect)
  }

  #isBehind(): boolean {
    return (this.#behind?.size ?? 0) > 0 || (this.#announcements?.length ?? 0) > 0
  }

  #start(): void {
    if (this.#isCatchingUp || this.#state !== "open" || !this.#isBehind()) return
    this.#isCatchingUp = true
    this.#parts.fork(
      Effect.match(Effect.gen(() => this.#catchingUp()), {
        onSuccess: () => {
          this.#isCatchingUp = false
          this.#start() // somebody may have fallen behind since it was looked at
        },
        // Where the peer is gone, whoever reads from it notices that too
        onFailure: () => {
          this.#isCatchingUp = false
        }
      })
    )
  }

  *#catchingUp() {
    const behind = this.#behind ??= new Set()
    while (this.#isBehind()) {
      yield* this.#parts.connection.drained
      const texts = this.#announcements ?? []
      this.#announcements = undefined
      if (texts.length > 0) yield* this.#inTurn(Effect.suspend(() => this.write(Buffer.concat(texts), 0)))
      for (const cursor of behind) {
        yield* this.#inTurn(catchUp(this.#parts.timelines, this, cursor)).pipe(
          Effect.retry({ schedule: retryRead, while: (error) => error._tag === "StorageUnavailable" })
        )
        const isFollowed = this.cursor(cursor.timeline.target) === cursor // not where it could not be claimed
        if (isFollowed && cursor.at < cursor.timeline.head()) continue
        cursor.behind = false
        behind.delete(cursor)
      }
    }
  }
}
