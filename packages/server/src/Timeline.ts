/**
 * Live delivery. A timeline is one target that somebody follows; a follower is a cursor into it, and a timeline that
 * nobody follows does not exist. There is no queue a follower: what was stored in this tick is kept for this tick, and
 * whoever is at its beginning gets it in one write, the same bytes for all. Whoever is not (a slow reader, a session in
 * the middle of a SYNC) is somewhere in the log, and reads on from the store when it can. So a slow reader costs no
 * memory, loses nothing, and slows nobody (CPT 5.8).
 *
 * This file knows no sockets: a `Follower` is somebody who can take bytes.
 */
import { Command, type Decline, type Message, type Name, Notice, Timestamp } from "@cpt/schema"
import { Context, Deferred, Effect, Exit, Latch, Layer } from "effect"
import { Buffer } from "node:buffer"
import * as AtOnce from "./AtOnce.ts"
import { layerFor } from "./LayerFor.ts"
import { type Appended, MessageStore, type Page, type Watcher } from "./MessageStore.ts"
import { Roll } from "./Roll.ts"
import { ServerConfig } from "./ServerConfig.ts"

/** A session, as a timeline sees it. None of it may wait. */
export interface Follower {
  readonly username: Name.Username
  /** From now on it follows a timeline, its inbox or a group. */
  readonly follow: (cursor: Cursor) => void
  /** Whether it can be told something now. */
  readonly isReady: () => boolean
  /** Hands over so many messages; they are written when the tick's last timeline has spoken. */
  readonly push: (lines: Uint8Array, messages: number) => void
  /** Writes what was pushed. */
  readonly flush: () => void
  /** The cursor is `behind` from now on: to be brought to the head when the follower can take something again. */
  readonly fallBehind: (cursor: Cursor) => void
}

/** How far a follower has come in a timeline. */
export interface Cursor {
  readonly timeline: Timeline
  readonly follower: Follower
  /** Everything up to here has been handed over. */
  at: Timestamp.Timestamp
  /** It is being brought to the head from the store: nothing live until it is there. */
  behind: boolean
  /** Where it is among the cursors of its timeline. */
  index: number
}

interface Timeline {
  readonly target: Name.Name
  /** The last message that the timeline has been told of. */
  readonly head: () => Timestamp.Timestamp
}

export class Timelines extends Context.Service<Timelines, {
  /** Follows a target from its head on. */
  readonly follow: (target: Name.Name, follower: Follower) => Effect.Effect<Cursor, Decline.StorageUnavailable>
  /** Ends that. A name without messages that nobody else follows is forgotten (CPT 2.2). */
  readonly leave: (cursor: Cursor) => Effect.Effect<void>
  /** Reads on from the store, a page at a time, with the notice of a hole where there is one (CPT 5.4). */
  readonly read: (
    target: Name.Name,
    after: Timestamp.Timestamp,
    except?: Name.Username
  ) => Effect.Effect<Omit<Page, "missingThrough">, Decline.StorageUnavailable>
  /** What is followed, and by how many; but for inboxes. */
  readonly groups: () => Iterable<{ readonly name: Name.Name; readonly followers: number }>
  /** How many targets are followed, inboxes too. */
  readonly followed: () => number
}>()("@cpt/server/Timelines") {
  /** One for each store. */
  static readonly layer: Layer.Layer<Timelines, never, MessageStore> = layerFor(
    MessageStore,
    () => Layer.effect(this, make)
  )
}

const none: Array<Cursor> = []

/** Followers that are written to in one turn of the event loop: a third of a millisecond of work. */
const writesInTurn = 64

/** Those who fall behind in one: each begins to wait until it can take something. When 500 did at once, it took 40 ms. */
const fallsInTurn = 8

/** What all timelines share. */
interface Shared {
  readonly live: boolean
  /** Something has been stored in this tick. */
  readonly touched: (timeline: Live) => void
}

/** A timeline from the inside. Made bit by bit: most are the inboxes of users whom nobody writes to. */
class Live implements Timeline, Watcher {
  readonly target: Name.Name
  cursors: Array<Cursor> = none
  /** Done when the store has been asked where the timeline is; undefined from then on. */
  starting: Deferred.Deferred<void, Decline.StorageUnavailable> | undefined
  /** What was stored in this tick, and the last message before it. */
  #fresh: Array<Appended> | undefined
  #before: Timestamp.Timestamp = Timestamp.epoch
  readonly #shared: Shared

  constructor(target: Name.Name, shared: Shared) {
    this.target = target
    this.#shared = shared
  }

  head(): Timestamp.Timestamp {
    return this.#fresh?.at(-1)?.timestamp ?? this.#before
  }

  /** Up to here is there to be read. What was told while the store was being asked may have gone by already. */
  begin(head: Timestamp.Timestamp): void {
    if (this.#before < head) this.#before = head
  }

  tell(message: Appended): void {
    if (!this.#shared.live) { // CPT 5.7
      this.#before = message.timestamp
      return
    }
    if (this.#fresh !== undefined) {
      this.#fresh.push(message)
      return
    }
    this.#fresh = [message]
    this.#shared.touched(this)
  }

  add(follower: Follower): Cursor {
    const cursor = { timeline: this, follower, at: this.head(), behind: false, index: this.cursors.length }
    if (this.cursors.length > 0) this.cursors.push(cursor)
    else this.cursors = [cursor] // of just this size: mostly it is the only one
    return cursor
  }

  /** False if it is not one of this timeline, or no longer. */
  remove(cursor: Cursor): boolean {
    const { cursors } = this
    if (cursors[cursor.index] !== cursor) return false
    const last = cursors.pop()
    if (last === undefined || last === cursor) return true
    last.index = cursor.index
    cursors[cursor.index] = last
    return true
  }

  /**
   * Gives what is fresh to whoever is where it begins. Work is per follower one comparison and one push. Adds those who
   * have been reached, and those who are behind from now on and have to be told so.
   */
  deliver(reached: Set<Follower>, late: Array<Cursor>): void {
    const before = this.#before
    const fresh = this.#fresh ?? []
    const head = this.head()
    this.#fresh = undefined
    this.#before = head
    const senders = new Set<string>(fresh.map(({ sender }) => sender))
    let all: Uint8Array | undefined
    for (const cursor of this.cursors) {
      // On its way to the head already, as whoever sleeps is; or a SYNC in this tick has been faster
      if (cursor.behind || cursor.at >= head) continue
      const { follower } = cursor
      if (cursor.at !== before || !follower.isReady()) {
        cursor.behind = true
        late.push(cursor)
        continue
      }
      cursor.at = head
      // CPT 5.5: nobody is told what it said itself
      if (!senders.has(follower.username)) follower.push(all ??= linesOf(fresh), fresh.length)
      else {
        const others = fresh.filter(({ sender }) => sender !== follower.username)
        if (others.length === 0) continue
        follower.push(linesOf(others), others.length)
      }
      reached.add(follower)
    }
  }
}

/** What the server says about a target in its own name, with the line's end. */
export const noticeLine = (target: Name.Name, text: Message.Message): Buffer =>
  Buffer.from(`${Command.msgLine(target, Notice.sender, Timestamp.epoch, text)}\n`)

const linesOf = (messages: ReadonlyArray<Appended>): Uint8Array =>
  messages.length === 1 ? messages[0]!.line : Buffer.concat(messages.map(({ line }) => line))

const make = Effect.gen(function*() {
  const store = yield* MessageStore
  const { live } = yield* ServerConfig
  const timelines = new Roll<string, Live>()
  let touched: Array<Live> = []
  const somethingFresh = Latch.makeUnsafe(false)
  const shared: Shared = {
    live,
    touched: (timeline) => {
      touched.push(timeline)
      somethingFresh.openUnsafe()
    }
  }

  // A name whose last follower leaves while another comes is watched by the other's timeline, and so not forgotten
  const stop = (timeline: Live): Effect.Effect<void> => {
    if (timelines.get(timeline.target) === timeline) timelines.delete(timeline.target)
    return store.unwatch(timeline.target, timeline)
  }

  /** The first follower of a target has the store asked where that is. */
  const start = (target: Name.Name, follower: Follower): Effect.Effect<Cursor, Decline.StorageUnavailable> => {
    const timeline = new Live(target, shared)
    timelines.set(target, timeline)
    const started = store.watch(target, timeline)
    if (AtOnce.isThere(started)) {
      timeline.begin(started.value)
      return Exit.succeed(timeline.add(follower))
    }
    const starting = timeline.starting = Deferred.makeUnsafe()
    return Effect.flatMap(Effect.exit(started), (started) => {
      timeline.starting = undefined
      if (Exit.isSuccess(started)) timeline.begin(started.value)
      const ready = Exit.isSuccess(started) ? Effect.void : stop(timeline)
      return Effect.andThen(ready, () => {
        Deferred.doneUnsafe(starting, Exit.asVoid(started))
        return Exit.isSuccess(started) ? Exit.succeed(timeline.add(follower)) : Exit.failCause(started.cause)
      })
    })
  }

  const follow = (target: Name.Name, follower: Follower): Effect.Effect<Cursor, Decline.StorageUnavailable> => {
    const timeline = timelines.get(target)
    if (timeline === undefined) return start(target, follower)
    if (timeline.starting === undefined) return Exit.succeed(timeline.add(follower))
    // Who came first may have left again meanwhile, and the timeline with it
    return Effect.flatMap(Deferred.await(timeline.starting), () => follow(target, follower))
  }

  const leave = (cursor: Cursor): Effect.Effect<void> => {
    const timeline = timelines.get(cursor.timeline.target)
    if (timeline === undefined || !timeline.remove(cursor) || timeline.cursors.length > 0) return Exit.void
    return stop(timeline)
  }

  const read = (target: Name.Name, after: Timestamp.Timestamp, except?: Name.Username) =>
    AtOnce.map(store.read(target, { after, except }), ({ lines, missingThrough, ...page }) => ({
      lines: missingThrough === 0
        ? lines
        : Buffer.concat([noticeLine(target, Notice.missing(missingThrough)), lines]),
      ...page
    }))

  // One pass a tick, after every session that had something to read in it: one write a follower, however many messages
  // came (a fiber a follower, woken by each message, was measured at a third of that).
  yield* Effect.gen(function*() {
    yield* somethingFresh.await
    yield* Effect.yieldNow
    somethingFresh.closeUnsafe()
    const now = touched
    touched = []
    const reached = new Set<Follower>()
    const late: Array<Cursor> = []
    for (const timeline of now) timeline.deliver(reached, late)
    // What many follow keeps those waiting who have nothing to do with it, and what comes meanwhile goes with the next pass
    let written = 0
    for (const follower of reached) {
      follower.flush()
      if (++written % writesInTurn === 0) yield* Effect.yieldNow
    }
    let fallen = 0
    for (const cursor of late) {
      cursor.follower.fallBehind(cursor)
      if (++fallen % fallsInTurn === 0) yield* Effect.yieldNow
    }
  }).pipe(Effect.forever, Effect.forkScoped)

  function* groups() {
    for (const { cursors, target } of timelines) {
      const isInbox = cursors[0]?.follower.username === target
      if (!isInbox && cursors.length > 0) yield { name: target, followers: cursors.length }
    }
  }

  return Timelines.of({ follow, leave, read, groups, followed: () => timelines.size })
})
