/** Prints what a stream of the client brings: messages to stdout, the rest to stderr. */
import type { Event } from "@cpt/client"
import { Clock, Effect, Stream } from "effect"
import { failed, type Failure } from "./Failure.ts"
import * as Format from "./Format.ts"
import { type Closed, Output } from "./Output.ts"
import * as Progress from "./Progress.ts"
import { visible } from "./Visible.ts"

export interface Options extends Omit<Format.Options, "isColored"> {
  /** Called with the newest timestamps of the groups whose messages stdout has taken, or that are not wanted. */
  readonly onTaken?: ((reached: ReadonlyMap<string, number>) => Effect.Effect<void, Failure>) | undefined
  /** Whether it may be a lot, and has an end: then it is shown how far it has come. */
  readonly showsProgress?: boolean | undefined
}

/** What the server said in its own name; it has been passed on. */
interface Remarks {
  /** That messages are no longer kept. */
  readonly hole: boolean
  /** Something else about what was asked for, an error of servers that are not ours; or what could not be read. */
  readonly other: boolean
}

/** What is only there to print is over when nobody reads it any more. */
export const whileRead = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | Closed, R | Output> =>
  Effect.flatMap(Output, ({ gone }) => Effect.raceFirst(effect, gone))

/** Prints all of it. A chunk of the stream is one write, and the next one is not asked for before that is done. */
export const print = Effect.fnUntraced(
  function*<E>(
    events: Stream.Stream<Event, E>,
    { isGrouped, isJson, onTaken, showsProgress = false }: Options
  ) {
    const { isColored, note, progress, write } = yield* Output
    const shown = Progress.make(yield* Clock.currentTimeMillis)
    const format = Format.make({ isColored, isGrouped, isJson })
    const remarks = { hole: false, other: false }

    const tell = (event: Exclude<Event, { readonly _tag: "Message" }>): Effect.Effect<void, Failure> => {
      switch (event._tag) {
        case "Hole":
        case "Notice":
          remarks[event._tag === "Hole" ? "hole" : "other"] = true
          return note(visible(`${event.group}: ${event.message}`))
        case "Private":
          return Effect.fail(failed(visible(`${event.group}: ${event.message}`)))
        case "Announcement":
          return note(visible(`announcement: ${event.message}`))
        case "Unreadable":
          remarks.other = true
          return note(visible(`the server said ${event.why}, which was skipped`))
        case "Passed":
          return onTaken === undefined ? Effect.void : onTaken(new Map([[event.group, event.timestamp]]))
        case "Disconnected":
          return note(visible(`connection lost: ${event.reason}; reconnecting`))
        case "Reconnected":
          return note("connected again")
        case "Omitted":
          remarks.other = true
          return note(`${Progress.counted(event.count, "line")} like these left out: more came than could be printed`)
      }
    }

    yield* Stream.runForEachArray(
      events,
      Effect.fnUntraced(function*(chunk) {
        const now = yield* Clock.currentTimeMillis
        let text = ""
        let reached = new Map<string, number>()
        const flush = Effect.suspend(() => {
          if (text === "") return Effect.void
          const taken = reached
          const written = write(text)
          text = ""
          reached = new Map()
          // What has been taken is remembered, even if the end comes in between
          return Effect.uninterruptibleMask((restore) =>
            Effect.andThen(restore(written), onTaken === undefined ? Effect.void : onTaken(taken))
          )
        })
        for (const event of chunk) {
          if (event._tag === "Message") {
            text += format(event, now)
            reached.set(event.group, Math.max(event.timestamp, reached.get(event.group) ?? 0))
          } else {
            yield* flush
            yield* tell(event)
          }
        }
        yield* flush
        if (showsProgress) yield* progress(shown(chunk.length, yield* Clock.currentTimeMillis))
      })
    ).pipe(Effect.ensuring(progress("")))
    const said: Remarks = remarks
    return said
  }
)
