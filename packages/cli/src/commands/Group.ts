/** `cpt group`: what its commands are called with. */
import { Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import * as Flags from "../Flags.ts"

const handlers = Effect.promise(() => import("../handlers/Group.ts"))

const common = { json: Flags.json, ...Flags.administration }
const name = Argument.String("NAME").pipe(Argument.withDescription("the group"))
const names = { names: name.pipe(Argument.variadic({ min: 1 })), ...common }

export type OfAll = Command.Command.Config.Infer<typeof common>
export type OfNames = Command.Command.Config.Infer<typeof names>

const list = Command.make("list", common, (input) => Effect.flatMap(handlers, (handlers) => handlers.list(input))).pipe(
  Command.withShortDescription("Print all declared groups"),
  Command.withDescription("Print all declared groups with their rules, in the order of their names."),
  Command.withExamples([
    { command: "cpt group list", description: "Which are declared, and for whom" }
  ])
)

const show = Command.make("show", names, (input) => Effect.flatMap(handlers, (handlers) => handlers.show(input))).pipe(
  Command.withShortDescription("Print a declared group"),
  Command.withDescription("Print declared groups with their rules."),
  Command.withExamples([
    { command: "cpt group show staff", description: "Who its members are, and who may send to it" }
  ])
)

const add = Command.make("add", names, (input) => Effect.flatMap(handlers, (handlers) => handlers.add(input))).pipe(
  Command.withShortDescription("Declare a group"),
  Command.withDescription(
    "Declare groups: nobody can log in with these names. With \"--groups known\" there are only these. They are open to everybody until somebody says otherwise."
  ),
  Command.withExamples([
    { command: "cpt group add lobby news", description: "Two names that nobody can log in with" }
  ])
)

const users = {
  name,
  users: Argument.String("USER").pipe(Argument.withDescription("who"), Argument.variadic()),
  anybody: Flags.toggle("anybody").pipe(
    Flag.withDescription("lifts the rule"),
    Flag.withDefault(false)
  ),
  nobody: Flags.toggle("nobody").pipe(Flag.withDescription("not even one"), Flag.withDefault(false)),
  ...common
}

export type Users = Command.Command.Config.Infer<typeof users>

const members = Command.make(
  "members",
  users,
  (input) => Effect.flatMap(handlers, (handlers) => handlers.members(input))
).pipe(
  Command.withShortDescription("Say who its members are"),
  Command.withDescription(
    "Say who the members of a group are, instead of what was said before: only they read it, and send to it. Who follows it and is none gets nothing more of it."
  ),
  Command.withExamples([
    { command: "cpt group members staff alice bob", description: "For these two only" },
    { command: "cpt group members staff --anybody", description: "Open to everybody again" }
  ])
)

const writers = Command.make(
  "writers",
  users,
  (input) => Effect.flatMap(handlers, (handlers) => handlers.writers(input))
).pipe(
  Command.withShortDescription("Make it read-only, but for some"),
  Command.withDescription(
    "Say who may send to a group, instead of what was said before: for all others it is read-only. Who may send may also read."
  ),
  Command.withExamples([
    { command: "cpt group writers news alice", description: "Only alice sends, everybody reads" },
    { command: "cpt group writers news --nobody", description: "Closed, and still there to be read" }
  ])
)

const some = {
  name,
  users: Argument.String("USER").pipe(Argument.withDescription("who"), Argument.variadic({ min: 1 })),
  ...common
}

export type Some = Command.Command.Config.Infer<typeof some>

const invite = Command.make(
  "invite",
  some,
  (input) => Effect.flatMap(handlers, (handlers) => handlers.invite(input))
).pipe(
  Command.withShortDescription("Add members"),
  Command.withDescription("Add members to a group that has some."),
  Command.withExamples([
    { command: "cpt group invite staff carol", description: "carol reads and sends to it, from now on" }
  ])
)

const expel = Command.make("expel", some, (input) => Effect.flatMap(handlers, (handlers) => handlers.expel(input)))
  .pipe(
    Command.withShortDescription("Take members out"),
    Command.withDescription("Take members out of a group. They get nothing more of it from now on."),
    Command.withExamples([{ command: "cpt group expel staff carol", description: "The others stay" }])
  )

const remove = Command.make(
  "remove",
  names,
  (input) => Effect.flatMap(handlers, (handlers) => handlers.remove(input))
).pipe(
  Command.withShortDescription("End its declaration"),
  Command.withDescription(
    "End the declaration of groups, and with it their rules. Their messages stay; with \"--groups known\" nobody reads them until they are declared again."
  ),
  Command.withExamples([
    { command: "cpt group remove staff", description: "As if nobody had ever declared it" }
  ])
)

export const group = Command.make("group").pipe(
  Command.withDescription(
    "Say which groups there are on a running server, and for whom: the one that keeps its messages in --data, or the one at --admin. Everything holds at once."
  ),
  Command.withSubcommands([list, show, add, members, writers, invite, expel, remove]),
  Command.withExamples([
    { command: "cpt group members staff alice bob", description: "A group for members only" },
    { command: "cpt group writers news alice", description: "A group that only alice sends to" },
    { command: "cpt group list", description: "Which are declared, and for whom" }
  ])
)
