/** `cpt send`: what it is called with. */
import { Effect } from "effect"
import { Argument, Command } from "effect/cli"
import * as Flags from "../Flags.ts"

const config = {
  target: Argument.String("TARGET").pipe(Argument.withDescription("a user or a group")),
  message: Argument.String("MESSAGE").pipe(
    Argument.withDescription("what to say; without it, each line of stdin is a message"),
    Argument.optional
  ),
  json: Flags.json,
  ...Flags.connection
}

export type Input = Command.Command.Config.Infer<typeof config>

export const send = Command.make(
  "send",
  config,
  (input) => Effect.flatMap(Effect.promise(() => import("../handlers/Send.ts")), (handler) => handler.send(input))
).pipe(
  Command.withDescription(
    "Send a message to a user or a group, and wait until the server has it. Without MESSAGE, each line of stdin is one, in order."
  ),
  Command.withExamples([
    { command: `cpt send group1 "Hello, all"`, description: "To a group" },
    { command: `cpt send alice -- "- one more thing"`, description: "To a user; after -- nothing is a flag" },
    { command: "tail -f app.log | cpt send logs --as app", description: "Each line of a program, as it comes" }
  ])
)
