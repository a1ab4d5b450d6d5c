/** `cpt backup`: what it is called with. */
import { Effect } from "effect"
import { Argument, Command } from "effect/cli"
import * as Flags from "../Flags.ts"

const config = {
  file: Argument.String("FILE").pipe(Argument.withDescription("the copy; must not be there yet")),
  data: Flags.data
}

export type Input = Command.Command.Config.Infer<typeof config>

export const backup = Command.make(
  "backup",
  config,
  (input) => Effect.flatMap(Effect.promise(() => import("../handlers/Backup.ts")), (handler) => handler.backup(input))
).pipe(
  Command.withDescription(
    "Copy the messages of a server on this machine to a file, also while it runs: everything that was acknowledged before, as it is at one moment. To restore them, put the file into a directory as messages.db."
  ),
  Command.withExamples([
    { command: "cpt backup chat.db", description: "Copy what \"cpt serve\" keeps" },
    { command: "cpt backup --data ~/chat /backups/$(date +%F).db", description: "A copy a day, of another directory" }
  ])
)
