/** `cpt admin`: what its commands are called with. */
import { Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
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

const listing = { json: Flags.json, ...Flags.administration }
export type Listing = Command.Command.Config.Infer<typeof listing>

const sessions = Command.make(
  "sessions",
  listing,
  (input) => Effect.flatMap(handlers, (handlers) => handlers.sessions(input))
).pipe(
  Command.withShortDescription("List who is connected"),
  Command.withDescription(
    "List who is connected: from where, since when, how many groups they follow and by how much they lag behind, messages that they sent and were told, and bytes that came from them and went to them."
  ),
  Command.withExamples([
    { command: "cpt admin sessions", description: "Who is here now" },
    { command: "cpt admin sessions --json | jq -r .user", description: "Just the names" }
  ])
)

const groups = Command.make(
  "groups",
  listing,
  (input) => Effect.flatMap(handlers, (handlers) => handlers.groups(input))
).pipe(
  Command.withShortDescription("List the groups"),
  Command.withDescription(
    "List the groups, with the number of sessions that follow each, and of messages that are kept."
  ),
  Command.withExamples([
    { command: "cpt admin groups", description: "Which groups there are, and how large" }
  ])
)

const closing = {
  session: Argument.String("NAME|ID").pipe(
    Argument.withDescription("a user, or the id of a session as \"cpt admin sessions\" lists it")
  ),
  ...Flags.administration
}
export type Closing = Command.Command.Config.Infer<typeof closing>

const close = Command.make(
  "close",
  closing,
  (input) => Effect.flatMap(handlers, (handlers) => handlers.close(input))
).pipe(
  Command.withShortDescription("End a session"),
  Command.withDescription(
    "End a session: its client is told shutting_down, and may come again. To keep somebody out, lock the account."
  ),
  Command.withExamples([
    { command: "cpt admin close bob", description: "bob may come again at once" },
    { command: "cpt admin close 17", description: "Just this session, by its id" }
  ])
)

const draining = {
  within: Flags.text("within", "DURATION", "end after this time, whoever is still there").pipe(Flag.optional),
  ...Flags.administration
}
export type Draining = Command.Command.Config.Infer<typeof draining>

const drain = Command.make(
  "drain",
  draining,
  (input) => Effect.flatMap(handlers, (handlers) => handlers.drain(input))
).pipe(
  Command.withShortDescription("Let nobody new in, and end when everybody has gone"),
  Command.withDescription(
    "Let nobody new in: who comes is told shutting_down, who is there goes on. The server ends when the last session has."
  ),
  Command.withExamples([
    { command: "cpt admin drain --within 5m", description: "Five minutes for everybody to go somewhere else" }
  ])
)

const reloading = { ...Flags.administration }
export type Reloading = Command.Command.Config.Infer<typeof reloading>

const reload = Command.make(
  "reload",
  reloading,
  (input) => Effect.flatMap(handlers, (handlers) => handlers.reload(input))
).pipe(
  Command.withShortDescription("Have the settings read again"),
  Command.withDescription(
    "Have the settings read again, as SIGHUP does: all that can change does, or, if something is wrong, nothing. Says what would take a restart."
  ),
  Command.withExamples([
    { command: "cpt admin reload", description: "After the config file has changed" }
  ])
)

const logging = {
  level: Argument.String("LEVEL").pipe(
    Argument.withDescription("debug, info, warn or error; without it, says which it is"),
    Argument.optional
  ),
  ...Flags.administration
}
export type Logging = Command.Command.Config.Infer<typeof logging>

const logLevel = Command.make(
  "log-level",
  logging,
  (input) => Effect.flatMap(handlers, (handlers) => handlers.logLevel(input))
).pipe(
  Command.withShortDescription("Log more, or less"),
  Command.withDescription("Log more, or less, until the settings are read again."),
  Command.withExamples([
    { command: "cpt admin log-level debug", description: "Each login is a line as well" },
    { command: "cpt admin log-level", description: "Says which it is" }
  ])
)

export const admin = Command.make("admin").pipe(
  Command.withDescription(
    "Look after a running server: the one that keeps its messages in --data, or the one at --admin."
  ),
  Command.withSubcommands([announce, sessions, close, groups, drain, reload, logLevel]),
  Command.withExamples([
    { command: "cpt admin sessions", description: "Who is here, from where, since when" },
    { command: `cpt admin announce "Back in five minutes"`, description: "Tell them all" },
    { command: "cpt admin drain --within 5m", description: "Let nobody new in, and end" }
  ])
)
