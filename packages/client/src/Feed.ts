/**
 * What one stream of a client is fed with: the places that it reads, and the events that its consumer has not taken
 * yet. They are bounded: from `full` on nothing more is read from the server for its sake, and what comes in
 * nevertheless, because somebody else waits for an answer or reads faster, is refused from `overfull` on. It is asked for
 * again later; what cannot be asked for, since it is no message, is only counted.
 */
import type { Name } from "@cpt/schema"
import { Array as Arr, type Cause, Effect, Exit, Iterable, Latch, Option, Queue, Stream } from "effect"
import type { StreamError } from "./Errors.ts"
import { Event, fromSystem, type Message } from "./Event.ts"
import * as Place from "./Place.ts"

/** Characters of events that wait for a consumer. A read of the socket brings 64 KiB at most, so there is room for it. */
const full = 64 * 1024
const overfull = 16 * full

/** What an event costs besides its text. */
const overhead = 64

/** The text of an event that is no message. */
const lengthOf = (event: Exclude<Event, Message>): number => {
  switch (event._tag) {
    case "Unreadable":
      return event.why.length
    case "Disconnected":
      return event.reason.length
    case "Passed":
    case "Reconnected":
    case "Omitted":
      return 0
    default:
      return event.message.length
  }
}

export interface Feed {
  readonly places: ReadonlyMap<string, Place.Place>
  /** Whether it is over when every place has been brought to the head of its group. */
  readonly isOnce: boolean
  readonly stream: Stream.Stream<Event, StreamError>
  /** An event that is no message. */
  readonly say: (event: Exclude<Event, Message>) => void
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
  let omitted = 0

  const emit = (message: Message): boolean => {
    if (size >= overfull) return false
    count++
    put(message, message.sender.length + message.message.length)
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
  for (const [group, start] of starts) {
    const onPass = (timestamp: number) => put(Event.Passed({ group, timestamp }), 0) // once, so there is room
    places.set(group, Place.make(group, start, { emit, onPass, onFall: wake }))
  }

  const feed: Feed = {
    places,
    isOnce,
    stream: Stream.fromPull(Effect.succeed(Effect.map(Queue.takeAll(events), (taken) => {
      // Nothing was let in behind the first that was left out
      const all = omitted === 0 ? taken : Arr.append(taken, Event.Omitted({ count: omitted }))
      omitted = 0
      size = 0
      room.openUnsafe()
      onTake()
      return all
    }))),
    say: (event) => {
      if (size < overfull) put(event, lengthOf(event))
      else omitted++
    },
    notice: (group, message) => {
      if (notices.get(group) === message) return
      const event = fromSystem(group, message)
      if (size < overfull) {
        notices.set(group, message)
        put(event, lengthOf(event))
      } else if (event._tag === "Notice") omitted++
      else places.get(group)?.fall() // whoever asks again is told again (CPT 5.3, 5.4)
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
