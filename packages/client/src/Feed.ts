/**
 * What one stream of a client is fed with: the places that it reads, and the events that its consumer has not taken
 * yet. They are bounded: from `full` on nothing more is read from the server for its sake, and what comes in
 * nevertheless, because somebody else waits for an answer, is refused from `overfull` on and asked for again later.
 */
import type { Name } from "@cpt/schema"
import { type Cause, Effect, Exit, Iterable, Latch, Option, Queue, Stream } from "effect"
import type { StreamError } from "./Errors.ts"
import { type Event, fromSystem, type Message } from "./Event.ts"
import * as Place from "./Place.ts"

/** Characters of events that wait for a consumer. A read of the socket brings 64 KiB at most, so there is room for it. */
const full = 64 * 1024
const overfull = 16 * full

/** What an event costs besides its text. */
const overhead = 64

export interface Feed {
  readonly places: ReadonlyMap<string, Place.Place>
  /** Whether it is over when every place has been brought to the head of its group. */
  readonly isOnce: boolean
  readonly stream: Stream.Stream<Event, StreamError>
  /** An event that is no message. */
  readonly say: (event: Event) => void
  /** What the server says in its own name about a group: said again, it is not repeated. */
  readonly notice: (group: string, message: string) => void
  readonly hasRoom: () => boolean
  /** Waits until there is room. */
  readonly room: Effect.Effect<void>
  /** A place that is behind, if there is one. */
  readonly behind: () => Place.Place | undefined
  /** Waits until one may have fallen behind since `behind` was asked. */
  readonly fallen: Effect.Effect<void>
  /** How many messages have come so far. */
  readonly count: () => number
  /** The connection is lost: every place has fallen behind. */
  readonly cut: () => void
  /** Whoever waits in `fallen` looks again, at once: so everything has to be in order before. */
  readonly wake: () => void
  readonly end: (exit: Exit.Exit<void, StreamError>) => void
}

export interface Options {
  readonly starts: Iterable<readonly [group: Name.GroupName, start: Place.Start]>
  /** Whether it is over when every place has been brought to the head of its group. */
  readonly isOnce: boolean
  /** The consumer has made room. */
  readonly onTake: () => void
}

export const make = Effect.fnUntraced(function*({ isOnce, onTake, starts }: Options) {
  const events = yield* Queue.unbounded<Event, StreamError | Cause.Done>()
  const room = Latch.makeUnsafe(true)
  const fallen = Latch.makeUnsafe(false)
  const notices = new Map<string, string>()
  const places = new Map<string, Place.Place>()
  let size = 0
  let count = 0

  const emit = (message: Message): boolean => {
    if (size >= overfull) return false
    count++
    put(message, message.message.length)
    return true
  }
  const wake = () => {
    fallen.openUnsafe()
  }
  const put = (event: Event, length: number) => {
    size += length + overhead
    if (size >= full) room.closeUnsafe()
    Queue.offerUnsafe(events, event)
  }
  for (const [group, start] of starts) places.set(group, Place.make(group, start, { emit, onFall: wake }))

  const feed: Feed = {
    places,
    isOnce,
    stream: Stream.fromPull(Effect.succeed(Effect.tap(Queue.takeAll(events), () =>
      Effect.sync(() => {
        size = 0
        room.openUnsafe()
        onTake()
      })))),
    say: (event) => put(event, 0),
    notice: (group, message) => {
      if (notices.get(group) === message) return
      notices.set(group, message)
      put(fromSystem(group, message), message.length)
    },
    hasRoom: () => size < full,
    room: room.await,
    behind: () => {
      fallen.closeUnsafe()
      return Iterable.findFirst(places.values(), (place) => place.isBehind()).pipe(Option.getOrUndefined)
    },
    fallen: fallen.await,
    count: () => count,
    cut: () => {
      for (const place of places.values()) place.cut()
    },
    wake,
    end: (exit) => {
      if (Exit.isFailure(exit)) Queue.failCauseUnsafe(events, exit.cause)
      else Queue.endUnsafe(events)
    }
  }
  return feed
})
