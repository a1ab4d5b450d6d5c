/** `cpt sync`: prints what a group or the own inbox holds, and ends. */
import { Effect, Option } from "effect"
import * as Arguments from "../Arguments.ts"
import type { Input } from "../commands/Sync.ts"
import { silent } from "../Failure.ts"
import * as Printer from "../Printer.ts"
import * as Session from "../Session.ts"
import * as Settings from "../Settings.ts"
import * as When from "../When.ts"

export const sync = Effect.fnUntraced(
  function*(input: Input) {
    const asked = yield* Effect.forEach(Option.toArray(input.group), Arguments.parseGroup)
    const after = yield* When.parseSince(input.since)
    const settings = yield* Settings.resolve(input)
    const [group = settings.username] = asked
    const session = yield* Session.connect(settings, { reads: { command: "sync", groups: [group] } })
    const remarks = yield* Printer.print(session.sync(group, after), {
      isJson: input.json,
      isGrouped: false,
      showsProgress: true
    })
    if (remarks.other) return yield* silent("failed")
    if (remarks.hole) return yield* silent("hole")
  },
  Effect.scoped,
  Printer.whileRead
)
