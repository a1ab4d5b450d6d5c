/** `cpt tail`: follows groups, or the own inbox, until it is interrupted or has printed enough. */
import { type Event, isMessage } from "@cpt/client"
import { Effect, Option, Stream } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import * as Arguments from "../Arguments.ts"
import * as CursorFile from "../CursorFile.ts"
import { silent, usage } from "../Failure.ts"
import * as Printer from "../Printer.ts"
import * as Session from "../Session.ts"
import * as Settings from "../Settings.ts"
import { visible } from "../Visible.ts"

const parseCount = (text: string) =>
  /^[1-9]\d{0,14}$/.test(text)
    ? Effect.succeed(Number(text))
    : Effect.fail(usage(`--count "${visible(text)}": expected a number of messages, at least 1`))

/** The events up to and including the message with this number. */
const upTo = <E>(events: Stream.Stream<Event, E>, count: number): Stream.Stream<Event, E> => {
  let left = count
  return Stream.takeUntil(events, (event) => isMessage(event) && --left <= 0)
}

export const tail = Command.make(
  "tail",
  {
    groups: Arguments.group.pipe(Argument.variadic()),
    since: Arguments.since,
    count: Flag.String("count").pipe(
      Flag.withMetavar("N"),
      Flag.withDescription("end after this many messages"),
      Flag.optional
    ),
    cursorFile: Flag.String("cursor-file").pipe(
      Flag.withMetavar("FILE"),
      Flag.withDescription("keep the place in this file, and go on from there the next time"),
      Flag.optional
    ),
    json: Arguments.json,
    ...Settings.flags
  },
  Effect.fnUntraced(function*(input) {
    const asked = yield* Effect.forEach(new Set(input.groups), Arguments.parseGroup)
    const since = yield* Arguments.parseSince(input.since)
    const count = yield* Option.match(input.count, { onNone: () => Effect.succeed(Infinity), onSome: parseCount })
    const settings = yield* Settings.resolve(input)
    const groups = asked.length === 0 ? [settings.username] : asked
    const cursors = Option.isSome(input.cursorFile) ? yield* CursorFile.open(input.cursorFile.value) : undefined
    const session = yield* Session.connect(settings, { reads: { command: "tail", groups }, isPatient: true })
    const events = session.follow(groups.map((group) => ({ group, after: cursors?.get(group) ?? since })))
    const remarks = yield* Printer.print(upTo(events, count), {
      isJson: input.json,
      isGrouped: groups.length > 1,
      onTaken: cursors?.advance
    })
    if (remarks.hole) return yield* silent("hole")
  }, Effect.scoped)
).pipe(
  Command.withShortDescription("Follow groups or your inbox"),
  Command.withDescription(
    "Print what groups hold, or your private messages, and then what is new, until it is interrupted. Reconnects for ever, and loses nothing."
  ),
  Command.withExamples([
    { command: "cpt tail group1 group2", description: "Follow two groups" },
    { command: "cpt tail alerts --since 10m --count 1 --json", description: "Wait for one message, for a program" },
    { command: "cpt tail orders --cursor-file orders.cursor --json", description: "Go on where the last run ended" }
  ])
)
