/** `cpt check`: what it is called with. */
import { Effect } from "effect"
import { Argument, Command } from "effect/cli"
import * as Flags from "../Flags.ts"

const config = {
  file: Argument.String("FILE").pipe(
    Argument.withDescription("a copy that \"cpt backup\" made; without one, what the server keeps"),
    Argument.optional
  ),
  data: Flags.data,
  json: Flags.json
}

export type Input = Command.Command.Config.Infer<typeof config>

export const check = Command.make(
  "check",
  config,
  (input) => Effect.flatMap(Effect.promise(() => import("../handlers/Check.ts")), (handler) => handler.check(input))
).pipe(
  Command.withDescription(
    "Check the messages that a server has on disk, also while it runs, or a copy of them: the structure of the file, the order of messages, and the counts. It changes nothing, and exits with 1 if something is wrong."
  ),
  Command.withExamples([
    { command: "cpt check", description: "Check what \"cpt serve\" keeps" },
    { command: "cpt check /backups/2026-11-23.db", description: "Check a copy" }
  ])
)
