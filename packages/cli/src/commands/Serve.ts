/** `cpt serve`: what it is called with. */
import { Effect, Option, Record } from "effect"
import { Command, Flag } from "effect/cli"
import * as Flags from "../Flags.ts"
import { about, type Name, settings } from "../serve/Table.ts"

const flag = (name: Name): Flag.Flag<Option.Option<string>> => {
  const { fallback, help, isList, isToggle, metavar } = about(name)
  const description = fallback === undefined || isToggle === true ? help : `${help} (${fallback})`
  if (isList === true) {
    return Flags.text(name, metavar, description).pipe(
      Flag.atLeast(0),
      Flag.map((all) => all.length === 0 ? Option.none() : Option.some(all.join(",")))
    )
  }
  return isToggle === true
    ? Flags.toggle(name).pipe(Flag.withDescription(description), Flag.map(String), Flag.optional)
    : Flag.optional(Flags.text(name, metavar, description))
}

/** The flags of a server. */
export const config = {
  config: Flag.optional(
    Flags.text("config", "FILE", "settings, in JSON (CPT_CONFIG, else $XDG_CONFIG_HOME/cpt/serve.json)")
  ),
  ...Record.map(settings, (_, name) => flag(name))
}

export type Input = Command.Command.Config.Infer<typeof config>

export const serve = Command.make(
  "serve",
  config,
  (input) => Effect.flatMap(Effect.promise(() => import("../handlers/Serve.ts")), (handler) => handler.serve(input))
).pipe(
  Command.withDescription(
    "Host a chat, until SIGINT or SIGTERM. Every setting is also an environment variable (--max-sessions is CPT_MAX_SESSIONS), and a key of the config file (\"max-sessions\"). A flag wins over a variable, and that over the file. SIGHUP reads them again."
  ),
  Command.withExamples([
    { command: "cpt serve", description: "Host on this machine only, on port 39168" },
    { command: "cpt serve --host 0.0.0.0", description: "Host for every network that this machine is in" },
    {
      command: "cpt serve --data ~/chat --keep 30d",
      description: "Keep messages in a directory of their own, for a month"
    },
    { command: "cpt serve --memory", description: "Keep nothing when it stops" }
  ])
)
