/** `cpt tail`: follows groups, or the own inbox, until it is interrupted or has printed enough. */
import { type Event, isMessage } from "@cpt/client"
import { Clock, Effect, Option, Stream } from "effect"
import * as Arguments from "../Arguments.ts"
import type { Input } from "../commands/Tail.ts"
import * as CursorFile from "../CursorFile.ts"
import { silent, usage } from "../Failure.ts"
import * as Printer from "../Printer.ts"
import * as Session from "../Session.ts"
import * as Settings from "../Settings.ts"
import { visible } from "../Visible.ts"
import * as When from "../When.ts"

const parseCount = (text: string) =>
  /^[1-9]\d{0,14}$/.test(text)
    ? Effect.succeed(Number(text))
    : Effect.fail(usage(`--count "${visible(text)}": expected a number of messages, at least 1`))

/** The events up to and including the message with this number. */
const upTo = <E>(events: Stream.Stream<Event, E>, count: number): Stream.Stream<Event, E> => {
  let left = count
  return Stream.takeUntil(events, (event) => isMessage(event) && --left <= 0)
}

export const tail = Effect.fnUntraced(
  function*(input: Input) {
    const asked = yield* Effect.forEach(new Set(input.groups), Arguments.parseGroup)
    const since = yield* When.parseSince(input.since)
    const count = yield* Option.match(input.count, { onNone: () => Effect.succeed(Infinity), onSome: parseCount })
    const settings = yield* Settings.resolve(input)
    const groups = asked.length === 0 ? [settings.username] : asked
    const cursors = Option.isSome(input.cursorFile) ? yield* CursorFile.open(input.cursorFile.value) : undefined
    const session = yield* Session.connect(settings, { reads: { command: "tail", groups }, isPatient: true })
    // In the future, a timestamp is a time as well: hardly any message has it
    const isTime = !/^\d+$/.test(input.since) || since > (yield* Clock.currentTimeMillis)
    const start = { after: since, isTime }
    const starts = cursors === undefined
      ? groups.map((group) => ({ group, ...start }))
      : yield* cursors.begin(groups, start)
    const remarks = yield* Printer.print(upTo(session.follow(starts), count), {
      isJson: input.json,
      isGrouped: groups.length > 1,
      onTaken: cursors?.advance
    })
    if (remarks.hole) return yield* silent("hole")
  },
  Effect.scoped,
  Printer.whileRead
)
