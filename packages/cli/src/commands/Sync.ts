/** `cpt sync`: prints what a group or the own inbox holds, and ends. */
import { Effect, Option } from "effect"
import { Argument, Command } from "effect/cli"
import * as Arguments from "../Arguments.ts"
import { silent } from "../Failure.ts"
import * as Printer from "../Printer.ts"
import * as Session from "../Session.ts"
import * as Settings from "../Settings.ts"

export const sync = Command.make(
  "sync",
  {
    group: Arguments.group.pipe(Argument.optional),
    since: Arguments.since,
    json: Arguments.json,
    ...Settings.flags
  },
  Effect.fnUntraced(function*(input) {
    const asked = yield* Effect.forEach(Option.toArray(input.group), Arguments.parseGroup)
    const after = yield* Arguments.parseSince(input.since)
    const settings = yield* Settings.resolve(input)
    const [group = settings.username] = asked
    const session = yield* Session.connect(settings, { reads: { command: "sync", groups: [group] } })
    const remarks = yield* Printer.print(session.sync(group, after), {
      isJson: input.json,
      isGrouped: false,
      showsProgress: true
    })
    if (remarks.hole) return yield* silent("hole")
    if (remarks.other) return yield* silent("failed")
  }, Effect.scoped)
).pipe(
  Command.withShortDescription("Print what a group or your inbox holds"),
  Command.withDescription("Print what a group holds, or your private messages, oldest first."),
  Command.withExamples([
    { command: "cpt sync group1", description: "All there is" },
    { command: "cpt sync group1 --since 2h30m --json", description: "The last hours, for a program" },
    { command: "cpt sync", description: "Your private messages" }
  ])
)
