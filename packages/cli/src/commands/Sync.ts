/** `cpt sync`: what it is called with. */
import { Effect } from "effect"
import { Argument, Command } from "effect/cli"
import * as Flags from "../Flags.ts"
import { group } from "./GroupArgument.ts"

const config = {
  group: group.pipe(Argument.optional),
  since: Flags.since,
  json: Flags.json,
  ...Flags.connection
}

export type Input = Command.Command.Config.Infer<typeof config>

export const sync = Command.make(
  "sync",
  config,
  (input) => Effect.flatMap(Effect.promise(() => import("../handlers/Sync.ts")), (handler) => handler.sync(input))
).pipe(
  Command.withDescription("Print what a group holds, or your private messages, oldest first."),
  Command.withExamples([
    { command: "cpt sync group1", description: "All there is" },
    { command: "cpt sync group1 --since 2h30m --json", description: "The last hours, for a program" },
    { command: "cpt sync", description: "Your private messages" }
  ])
)
