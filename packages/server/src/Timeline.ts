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
import { Context, Deferred, Effect, Exit, Latch, Layer, Scope } from "effect"
import { Buffer } from "node:buffer"
import { type Appended, MessageStore, type Page } from "./MessageStore.ts"
import { ServerConfig } from "./ServerConfig.ts"

/** A session, as a timeline sees it. None of it may wait. */
export interface Follower {
  readonly username: Name.Username
  /** The timelines that it follows, by target; its inbox is one of them. */
  readonly cursors: Map<string, Cursor>
  /** Whether it can be told something now. */
  readonly isReady: () => boolean
  /** Hands over lines; they are written when the tick's last timeline has spoken. */
  readonly push: (lines: Uint8Array) => void
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
  ) => Effect.Effect<Pick<Page, "lines" | "through" | "last">, Decline.StorageUnavailable>
}>()("@cpt/server/Timelines") {
  static readonly layer: Layer.Layer<Timelines, never, MessageStore> = Layer.effect(
    this,
    Effect.suspend(() => make)
  )
}

/** A timeline from the inside. */
class Live implements Timeline {
  readonly target: Name.Name
  readonly cursors = new Set<Cursor>()
  readonly scope = Scope.makeUnsafe()
  /** Done when the store has been asked where the timeline is. */
  readonly started = Deferred.makeUnsafe<void, Decline.StorageUnavailable>()
  /** What was stored in this tick, and the last message before it. */
  fresh: Array<Appended> = []
  before: Timestamp.Timestamp = Timestamp.epoch
  constructor(target: Name.Name) {
    this.target = target
  }

  head(): Timestamp.Timestamp {
    return this.fresh.at(-1)?.timestamp ?? this.before
  }

  /** Gives what is fresh to whoever is where it begins. Work is per follower one comparison and one push. */
  deliver(reached: Set<Follower>): void {
    const { before, fresh } = this
    const head = this.head()
    this.fresh = []
    this.before = head
    const senders = new Set<string>(fresh.map(({ sender }) => sender))
    let all: Buffer | undefined
    for (const cursor of this.cursors) {
      if (cursor.at >= head) continue // a SYNC in this tick has been faster
      const { follower } = cursor
      if (cursor.behind || cursor.at !== before || !follower.isReady()) {
        cursor.behind = true
        follower.fallBehind(cursor)
        continue
      }
      cursor.at = head
      // CPT 5.5: nobody is told what it said itself
      const lines = senders.has(follower.username)
        ? linesOf(fresh.filter(({ sender }) => sender !== follower.username))
        : all ??= linesOf(fresh)
      if (lines.length === 0) continue
      follower.push(lines)
      reached.add(follower)
    }
  }
}

/** What the server says about a target in its own name, with the line's end. */
export const noticeLine = (target: Name.Name, text: Message.Message): Buffer =>
  Buffer.from(`${Command.msgLine(target, Notice.sender, Timestamp.epoch, text)}\n`)

const linesOf = (messages: ReadonlyArray<Appended>): Buffer => Buffer.concat(messages.map(({ line }) => line))

const make = Effect.gen(function*() {
  const store = yield* MessageStore
  const { live } = yield* ServerConfig
  const timelines = new Map<string, Live>()
  let touched: Array<Live> = []
  const somethingFresh = Latch.makeUnsafe(false)

  const start = (target: Name.Name): Live => {
    const timeline = new Live(target)
    timelines.set(target, timeline)
    return timeline
  }

  const watch = (timeline: Live) =>
    store.watch(timeline.target, (message) => {
      if (!live) { // CPT 5.7
        timeline.before = message.timestamp
        return
      }
      if (timeline.fresh.push(message) > 1) return
      touched.push(timeline)
      somethingFresh.openUnsafe()
    }).pipe(Scope.provide(timeline.scope))

  // A name whose last follower leaves while another comes is watched by the other's timeline, and so not forgotten
  const stop = (timeline: Live): Effect.Effect<void> => {
    if (timelines.get(timeline.target) === timeline) timelines.delete(timeline.target)
    return Effect.andThen(Scope.close(timeline.scope, Exit.void), store.forget(timeline.target))
  }

  const follow = Effect.fnUntraced(function*(target: Name.Name, follower: Follower): Effect.fn.Return<
    Cursor,
    Decline.StorageUnavailable
  > {
    let timeline = timelines.get(target)
    if (timeline === undefined) {
      timeline = start(target)
      const started = yield* Effect.exit(watch(timeline))
      // What was told while the store was being asked may have gone by already
      if (Exit.isSuccess(started)) timeline.before = Timestamp.fromMillis(Math.max(timeline.before, started.value))
      else yield* stop(timeline)
      Deferred.doneUnsafe(timeline.started, Exit.asVoid(started))
    }
    yield* Deferred.await(timeline.started)
    // Who came first may have left again meanwhile, and the timeline with it
    if (timelines.get(target) !== timeline) return yield* follow(target, follower)
    const cursor: Cursor = { timeline, follower, at: timeline.head(), behind: false }
    timeline.cursors.add(cursor)
    return cursor
  }, Effect.uninterruptible)

  const leave = (cursor: Cursor): Effect.Effect<void> =>
    Effect.suspend(() => {
      const timeline = timelines.get(cursor.timeline.target)
      if (timeline === undefined || !timeline.cursors.delete(cursor) || timeline.cursors.size > 0) return Effect.void
      return stop(timeline)
    })

  const read = (target: Name.Name, after: Timestamp.Timestamp, except?: Name.Username) =>
    Effect.map(store.read(target, { after, except }), ({ last, lines, missingThrough, through }) => ({
      lines: missingThrough === 0
        ? lines
        : Buffer.concat([noticeLine(target, Notice.missing(missingThrough)), lines]),
      through,
      last
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
    for (const timeline of now) timeline.deliver(reached)
    for (const follower of reached) follower.flush()
  }).pipe(Effect.forever, Effect.forkScoped)

  return Timelines.of({ follow, leave, read })
})
