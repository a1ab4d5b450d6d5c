/** `cpt admin`: what its commands are called with. */
import { Effect } from "effect"
import { Argument, Command } from "effect/cli"
import * as Flags from "../Flags.ts"

const handlers = Effect.promise(() => import("../handlers/Admin.ts"))

const announcement = {
  text: Argument.String("TEXT").pipe(Argument.withDescription("what to say, in one line")),
  ...Flags.administration
}

export type Announcement = Command.Command.Config.Infer<typeof announcement>

const announce = Command.make(
  "announce",
  announcement,
  (input) => Effect.flatMap(handlers, (handlers) => handlers.announce(input))
).pipe(
  Command.withShortDescription("Tell everybody who is logged in"),
  Command.withDescription("Tell everybody who is logged in a line, in the server's own name."),
  Command.withExamples([
    { command: `cpt admin announce "Back in five minutes"`, description: "Before a restart" }
  ])
)

export const admin = Command.make("admin").pipe(
  Command.withDescription(
    "Look after a running server: the one that keeps its messages in --data, or the one at --admin."
  ),
  Command.withSubcommands([announce])
)
