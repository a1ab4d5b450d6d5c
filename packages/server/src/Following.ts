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

export interface Following extends Reader<PeerGone> {
  /** From now on the peer may be told of others: it has been told that it is logged in. */
  readonly open: () => void
  /** Runs what must not be interrupted by other lines; `last` is its last line, if it succeeds. */
  readonly alone: <E, R>(lines: Effect.Effect<void, E, R>, last: () => void) => Effect.Effect<void, E, R>
  /** Tells the peer a line in the server's name (CPT 5.9). */
  readonly announce: (line: Uint8Array) => void
  /** Leaves all timelines. */
  readonly end: Effect.Effect<void>
}

/** Announcements that wait for a slow reader, shared by all who wait; with more, it misses the oldest. */
const maxWaiting = 1024

/** How often a store that cannot be read is asked again for what a follower has missed. */
const retryRead = Schedule.spaced("1 second")

/** For one session, in its scope: what it follows under a name, once it has one. */
export const make = Effect.fnUntraced(function*(outlet: Outlet, outbox: Outbox) {
  const timelines = yield* Timelines
  const services = yield* Effect.context<MessageStore | Timelines>()
  const scope = yield* Effect.scope
  return (username: Name.Username) => followingOf(username, { outlet, outbox, scope, services, timelines })
})

const followingOf = (username: Name.Username, session: {
  readonly outlet: Outlet
  readonly outbox: Outbox
  readonly scope: Scope.Scope
  readonly services: Context.Context<MessageStore | Timelines>
  readonly timelines: Timelines["Service"]
}): Following => {
  const { outbox, outlet } = session
  const turn = Semaphore.makeUnsafe(1)
  const behind = new Set<Cursor>()
  let announcements: Array<Uint8Array> = []
  let state: "closed" | "open" | "alone" = "closed"
  let catchingUp = false

  const catchUpAll = Effect.gen(function*() {
    while (behind.size > 0 || announcements.length > 0) {
      yield* outlet.drained
      const texts = announcements
      announcements = []
      if (texts.length > 0) yield* turn.withPermit(outbox.write(Buffer.concat(texts)))
      for (const cursor of behind) {
        yield* turn.withPermit(catchUp(following, cursor)).pipe(
          Effect.retry({ schedule: retryRead, while: (error) => error._tag === "StorageUnavailable" })
        )
        if (cursor.at < cursor.timeline.head()) continue
        cursor.behind = false
        behind.delete(cursor)
      }
    }
  })

  const start = () => {
    if (catchingUp || state !== "open" || (behind.size === 0 && announcements.length === 0)) return
    catchingUp = true
    catchUpAll.pipe(
      Effect.ignore, // the peer is gone, and whoever reads from it notices that too
      Effect.ensuring(Effect.sync(() => {
        catchingUp = false
      })),
      Effect.runForkWith(session.services),
      Fiber.runIn(session.scope)
    )
  }

  const following: Following = {
    username,
    cursors: new Map(),
    isReady: () => state === "open" && !outlet.isFull(),
    push: (lines) => outbox.push(lines),
    flush: () => outbox.flush(),
    fallBehind: (cursor) => {
      behind.add(cursor)
      start()
    },
    write: (lines) => outbox.write(lines),
    open: () => {
      state = "open"
      start()
    },
    alone: (lines, last) =>
      turn.withPermit(
        Effect.suspend(() => {
          state = "alone"
          return lines
        }).pipe(
          Effect.map(last),
          Effect.ensuring(Effect.sync(() => {
            state = "open"
            start()
          }))
        )
      ),
    announce: (line) => {
      announcements.push(line)
      if (announcements.length > maxWaiting) announcements.shift()
      start()
    },
    end: Effect.suspend(() => {
      state = "closed"
      return Effect.forEach(following.cursors.values(), session.timelines.leave, { discard: true })
    })
  }
  return following
}
