/** `cpt conformance`: what it is called with. */
import { Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import * as Flags from "../Flags.ts"

/** A form of the report, to stdout or to a file. */
const form = (name: string, description: string) =>
  Flags.text(name, "FILE", `${description}, instead of the table, or to FILE`).pipe(
    Flag.withOptionalValue("-"),
    Flag.optional
  )

const command = (name: string, description: string) => Flag.optional(Flags.text(name, "CMD", description))

const { tls, timeout, "tls-ca": ca, "tls-cert": cert, "tls-key": key } = Flags.connection

const config = {
  server: Argument.String("HOST[:PORT]").pipe(
    Argument.withDescription("the server, or unix:///PATH of its socket"),
    Argument.optional
  ),
  ids: Argument.String("CASE").pipe(
    Argument.withDescription("only these: an id, the beginning of some (send/), or with * for anything"),
    Argument.variadic()
  ),
  client: Flags.text(
    "client",
    "send|lines|sync|tail",
    "test a client, which is run by the command behind --, and what it does if that cannot be told from it"
  ).pipe(Flag.withOptionalValue(""), Flag.optional),
  case: Flags.text("case", "CASE", "the same as the argument CASE; the only way with --client").pipe(Flag.atLeast(0)),
  profile: Flags.text(
    "profile",
    "NAME",
    "core (default), strict, robust, delivery, identity, durable, load, or all; may be given more than once"
  ).pipe(Flag.atLeast(0)),
  list: Flags.toggle("list").pipe(
    Flag.withDescription("print what there is, and run nothing"),
    Flag.withDefault(false)
  ),
  strict: Flags.toggle("strict").pipe(
    Flag.withDescription("exit with 1 also for what is no MUST"),
    Flag.withDefault(false)
  ),
  seed: Flags.text("seed", "N", "where names and choices come from; to repeat a run").pipe(Flag.optional),
  control: command(
    "control",
    "does what an administrator does: CMD lock NAME, unlock NAME, allow-ip NAME CIDR, members GROUP NAME, refuse REASON, …"
  ),
  restart: command("restart", "ends the server in good order, and starts it again"),
  kill: command("kill", "ends the server at once (kill -9), and starts it again"),
  json: form("json", "one JSON object a line"),
  junit: form("junit", "XML as of JUnit"),
  tap: form("tap", "TAP"),
  html: form("html", "one page of HTML"),
  timeout,
  tls,
  "tls-ca": ca,
  "tls-cert": cert,
  "tls-key": key
}

export type Input = Command.Command.Config.Infer<typeof config>

export const conformance = Command.make(
  "conformance",
  config,
  (input) =>
    Effect.flatMap(Effect.promise(() => import("../handlers/Conformance.ts")), (handler) => handler.conformance(input))
).pipe(
  Command.withDescription(
    "Test whether a server, anybody's, in any language, keeps to the specification of CPT. It uses random names, so the server may be in use. Exits with 0 if every MUST that was tested is kept, with 1 if not, and with 4 if there is no server. With --client -- CMD… it tests a client instead: CMD is run against a server of the test's own, whose address is in CPT_SERVER and in the place of {server}; what to do stands behind it (send TARGET MESSAGE, send TARGET, sync GROUP, tail GROUP), or in the places of {do}, {target} and {message}."
  ),
  Command.withExamples([
    { command: "cpt conformance chat.example.org", description: "Every MUST" },
    {
      command: "cpt conformance localhost:39168 --profile all --html=report.html",
      description: "Everything, as a page"
    },
    { command: "cpt conformance localhost:39168 --case send/ --seed 7", description: "What is about SEND" },
    {
      command: "cpt conformance --client -- python3 client.py {host} {port} {target} {message}",
      description: "A client"
    },
    { command: "cpt conformance --list --profile strict", description: "What there is" }
  ])
)
