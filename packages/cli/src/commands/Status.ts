/** `cpt status`: what it is called with. */
import { Effect } from "effect"
import { Command, Flag } from "effect/cli"
import * as Flags from "../Flags.ts"

const config = {
  watch: Flags.toggle("watch").pipe(
    Flag.withAlias("w"),
    Flag.withDescription("again every second, until it is interrupted"),
    Flag.withDefault(false)
  ),
  json: Flags.json,
  ...Flags.administration
}

export type Input = Command.Command.Config.Infer<typeof config>

export const status = Command.make(
  "status",
  config,
  (input) => Effect.flatMap(Effect.promise(() => import("../handlers/Status.ts")), (handler) => handler.status(input))
).pipe(
  Command.withDescription(
    "Show a running server at a glance. Exits with 0 if it is well, with 1 if it drains or cannot store messages, and with 4 if there is none."
  ),
  Command.withExamples([
    { command: "cpt status", description: "The server of this machine" },
    { command: "cpt status --watch", description: "Live" },
    { command: "cpt status --json | jq .messagesPerSecond", description: "For a program" }
  ])
)
