/** `cpt config`: what it is called with. */
import { Effect } from "effect"
import { Argument, Command } from "effect/cli"
import * as Flags from "../Flags.ts"
import { config as serveConfig } from "./Serve.ts"

const handler = Effect.promise(() => import("../handlers/Config.ts"))

const checkConfig = {
  file: Argument.String("FILE").pipe(
    Argument.withDescription("the file (CPT_CONFIG, else $XDG_CONFIG_HOME/cpt/serve.json)"),
    Argument.optional
  )
}
export type CheckInput = Command.Command.Config.Infer<typeof checkConfig>

const check = Command.make(
  "check",
  checkConfig,
  (input) => Effect.flatMap(handler, (handler) => handler.check(input))
).pipe(
  Command.withDescription(
    "Say whether a config file is right, and if not, all that is wrong with it. Exits with 2 then."
  ),
  Command.withExamples([
    { command: "cpt config check /etc/cpt/serve.json", description: "Before a reload: is the file right?" }
  ])
)

const showConfig = { ...serveConfig, json: Flags.json }
export type ShowInput = Command.Command.Config.Infer<typeof showConfig>

const show = Command.make(
  "show",
  showConfig,
  (input) => Effect.flatMap(handler, (handler) => handler.show(input))
).pipe(
  Command.withDescription(
    "Show the settings that \"cpt serve\" would have with these flags, in this environment, and where each comes from."
  ),
  Command.withExamples([
    { command: "cpt config show", description: "What \"cpt serve\" would run with, and why" },
    { command: "cpt config show --port 4000 --json", description: "The same for a script, with a flag" }
  ])
)

export const config = Command.make("config").pipe(
  Command.withDescription("Look at the settings of \"cpt serve\", before it has them."),
  Command.withSubcommands([check, show]),
  Command.withExamples([
    { command: "cpt config check /etc/cpt/serve.json", description: "Before a reload: is the file right?" },
    { command: "cpt config show", description: "What \"cpt serve\" would run with, and why" }
  ])
)
