/** `cpt serve`: what it is called with. */
import { Limits } from "@cpt/schema"
import { Effect } from "effect"
import { Command, Flag } from "effect/cli"
import * as Flags from "../Flags.ts"

const setting = (name: string, metavar: string, description: string) =>
  Flag.optional(Flags.text(name, metavar, description))

const config = {
  host: setting("host", "ADDRESS", "address to listen on; 0.0.0.0 or :: for every network"),
  port: setting("port", "PORT", `port to listen on (${Limits.defaultPort}); 0 takes a free one`),
  memory: Flags.toggle("memory").pipe(
    Flag.withDescription("keep messages in memory only: they are gone when the server stops (CPT_MEMORY)"),
    Flag.withDefault(false)
  ),
  data: setting("data", "DIR", "keep messages on disk, in this directory (CPT_DATA, else $XDG_STATE_HOME/cpt)"),
  keep: setting("keep", "DURATION", "on disk: how long messages are kept, such as 30d (for ever)"),
  keepMessages: setting("keep-messages", "N", "on disk: messages kept of each group and inbox (all)"),
  keepBytes: setting("keep-bytes", "SIZE", "on disk: messages kept in all, oldest first out, such as 2GiB (all)"),
  cache: setting("cache", "SIZE", "on disk: memory for the newest messages of what is followed (64MiB)"),
  memoryLimit: setting(
    "memory-limit",
    "LIMIT",
    "with --memory: what is kept, oldest first out: messages, bytes, or both (1000000,256MiB)"
  ),
  maxLineBytes: setting("max-line-bytes", "N", "longest line of a client (8192)"),
  maxSessions: setting("max-sessions", "N", "connections at the same time (10000)"),
  maxFollowedGroups: setting("max-followed-groups", "N", "groups that one session may follow (1000)"),
  loginDeadline: setting("login-deadline", "DURATION", "time to log in (10s)"),
  writeDeadline: setting("write-deadline", "DURATION", "time for a client to take anything of what it was sent (30s)"),
  resendWindow: setting(
    "resend-window",
    "DURATION",
    "time in which a message sent again is the same one (2m); 0s: never"
  ),
  live: setting("live", "on|off", "push new messages (on), or let clients poll (off)"),
  admin: setting(
    "admin",
    "URI|off",
    "where it is looked after: unix:///PATH, http://HOST:PORT, or off (admin.sock in --data; with --memory off)"
  ),
  adminTokenFile: setting("admin-token-file", "FILE", "with http: what who looks after it has to show, in a file")
}

export type Input = Command.Command.Config.Infer<typeof config>

export const serve = Command.make(
  "serve",
  config,
  (input) => Effect.flatMap(Effect.promise(() => import("../handlers/Serve.ts")), (handler) => handler.serve(input))
).pipe(
  Command.withShortDescription("Host a chat"),
  Command.withDescription(
    "Host a chat, until SIGINT or SIGTERM. Every setting is also an environment variable: --max-sessions is CPT_MAX_SESSIONS."
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
