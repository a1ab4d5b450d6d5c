/** `cpt tail`: what it is called with. */
import { Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import * as Flags from "../Flags.ts"
import { group } from "./GroupArgument.ts"

const config = {
  groups: group.pipe(Argument.variadic()),
  since: Flags.since,
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
  json: Flags.json,
  ...Flags.connection
}

export type Input = Command.Command.Config.Infer<typeof config>

export const tail = Command.make(
  "tail",
  config,
  (input) => Effect.flatMap(Effect.promise(() => import("../handlers/Tail.ts")), (handler) => handler.tail(input))
).pipe(
  Command.withDescription(
    "Print what groups hold, or your private messages, and then what is new, until it is interrupted. Reconnects for ever, and loses nothing."
  ),
  Command.withExamples([
    { command: "cpt tail group1 group2", description: "Follow two groups" },
    { command: "cpt tail alerts --since 10m --count 1 --json", description: "Wait for one message, for a program" },
    { command: "cpt tail orders --cursor-file orders.cursor --json", description: "Go on where the last run ended" }
  ])
)
