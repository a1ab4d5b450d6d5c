/** `cpt account`: what its commands are called with. */
import { Effect } from "effect"
import { Argument, Command } from "effect/cli"
import * as Flags from "../Flags.ts"

const handlers = Effect.promise(() => import("../handlers/Account.ts"))

const common = { json: Flags.json, ...Flags.administration }
const name = Argument.String("NAME").pipe(Argument.withDescription("the account"))
const names = { names: name.pipe(Argument.variadic({ min: 1 })), ...common }

export type OfAll = Command.Command.Config.Infer<typeof common>
export type OfNames = Command.Command.Config.Infer<typeof names>

const list = Command.make(
  "list",
  common,
  (input) => Effect.flatMap(handlers, (handlers) => handlers.list(input))
).pipe(
  Command.withShortDescription("Print all accounts"),
  Command.withDescription("Print all accounts with their rules, in the order of their names."),
  Command.withExamples([
    { command: "cpt account list", description: "Who is declared, and with which rules" }
  ])
)

const show = Command.make(
  "show",
  names,
  (input) => Effect.flatMap(handlers, (handlers) => handlers.show(input))
).pipe(
  Command.withShortDescription("Print an account"),
  Command.withDescription("Print accounts with their rules."),
  Command.withExamples([
    { command: "cpt account show bob", description: "Whether bob is locked, and from where he may log in" }
  ])
)

const add = Command.make("add", names, (input) => Effect.flatMap(handlers, (handlers) => handlers.add(input))).pipe(
  Command.withShortDescription("Declare an account"),
  Command.withDescription(
    "Declare accounts: the names are users from now on, and cannot become groups. With \"--accounts known\" only they connect."
  ),
  Command.withExamples([
    { command: "cpt account add alice bob", description: "Two names that nobody else can make a group of" }
  ])
)

const lock = Command.make("lock", names, (input) => Effect.flatMap(handlers, (handlers) => handlers.lock(input))).pipe(
  Command.withShortDescription("Let nobody log in as it"),
  Command.withDescription(
    "Lock accounts, also those that are not there yet: nobody logs in as them, and who has ends now. What is sent to them still waits for them."
  ),
  Command.withExamples([{ command: "cpt account lock bob", description: "Until \"cpt account unlock bob\"" }])
)

const unlock = Command.make(
  "unlock",
  names,
  (input) => Effect.flatMap(handlers, (handlers) => handlers.unlock(input))
).pipe(
  Command.withShortDescription("Take the lock off"),
  Command.withDescription("Take the lock off accounts. Their other rules stay."),
  Command.withExamples([
    { command: "cpt account unlock bob", description: "bob may log in again" }
  ])
)

const ranges = {
  name,
  ranges: Argument.String("RANGE").pipe(
    Argument.withDescription("an address, a range of them such as 10.0.0.0/8, or any: lifts the rule"),
    Argument.variadic({ min: 1 })
  ),
  ...common
}

export type Ranges = Command.Command.Config.Infer<typeof ranges>

const allowIp = Command.make(
  "allow-ip",
  ranges,
  (input) => Effect.flatMap(handlers, (handlers) => handlers.allowIp(input))
).pipe(
  Command.withShortDescription("Say from where one may log in"),
  Command.withDescription(
    "Say from where one may log in as this account, instead of what was said before. Who is logged in from elsewhere ends now."
  ),
  Command.withExamples([
    { command: "cpt account allow-ip bob 10.0.0.0/8 fd00::/8", description: "From these two ranges only" },
    { command: "cpt account allow-ip bob any", description: "From anywhere again" }
  ])
)

const certificates = {
  name,
  certificates: Argument.String("CERTIFICATE").pipe(
    Argument.withDescription("its SHA-256 fingerprint, or its subject such as CN=bob; or none: lifts the rule"),
    Argument.variadic({ min: 1 })
  ),
  ...common
}

export type Certificates = Command.Command.Config.Infer<typeof certificates>

const requireCert = Command.make(
  "require-cert",
  certificates,
  (input) => Effect.flatMap(handlers, (handlers) => handlers.requireCert(input))
).pipe(
  Command.withShortDescription("Say which certificate one needs"),
  Command.withDescription(
    "Say which client certificate one needs, one of several, to log in as this account, instead of what was said before. It goes with TLS and --tls-client-ca. A subject is one or more attributes, all of which the certificate has to have."
  ),
  Command.withExamples([
    { command: "cpt account require-cert bob CN=bob", description: "Any certificate of bob's" },
    {
      command: "cpt account require-cert bob \"$(openssl x509 -in bob.pem -noout -fingerprint -sha256 | cut -d= -f2)\"",
      description: "Just this one"
    },
    { command: "cpt account require-cert bob none", description: "No certificate is needed" }
  ])
)

const remove = Command.make(
  "remove",
  names,
  (input) => Effect.flatMap(handlers, (handlers) => handlers.remove(input))
).pipe(
  Command.withShortDescription("End its declaration"),
  Command.withDescription(
    "End the declaration of accounts, and with it their rules. What was sent to them stays, and stays private. With \"--accounts known\" who is logged in ends now."
  ),
  Command.withExamples([
    { command: "cpt account remove bob", description: "As if nobody had ever declared bob" }
  ])
)

export const account = Command.make("account").pipe(
  Command.withDescription(
    "Say who may log in on a running server: the one that keeps its messages in --data, or the one at --admin. Everything holds at once."
  ),
  Command.withSubcommands([list, show, add, lock, unlock, allowIp, requireCert, remove]),
  Command.withExamples([
    { command: "cpt account lock bob", description: "bob is out, and stays out" },
    { command: "cpt account allow-ip bob 10.0.0.0/8 fd00::/8", description: "bob may log in from these ranges only" },
    { command: "cpt account list", description: "Who is declared, and with which rules" }
  ])
)
