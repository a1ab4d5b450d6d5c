/** The command `cpt`: its subcommands, and how what goes wrong is said. */
import { Cause, Console, Effect, identity, Layer, Struct } from "effect"
import { CliConfig, CliError, CliOutput, Command, GlobalFlag } from "effect/cli"
import packageJson from "../package.json" with { type: "json" }
import * as Bytes from "./Bytes.ts"
import { failed, Failure, silent, usage } from "./Failure.ts"
import { Closed, Output } from "./Output.ts"
import { visible } from "./Visible.ts"

/** What there is, in the order of the help. A command's own flags are loaded when a command line names it. */
const commands = {
  serve: ["Host a chat", () => import("./commands/Serve.ts").then((file) => file.serve)],
  send: ["Send a message", () => import("./commands/Send.ts").then((file) => file.send)],
  sync: ["Print what a group or your inbox holds", () => import("./commands/Sync.ts").then((file) => file.sync)],
  tail: ["Follow groups or your inbox", () => import("./commands/Tail.ts").then((file) => file.tail)],
  config: ["Look at the settings of a server", () => import("./commands/Config.ts").then((file) => file.config)],
  status: ["Show a running server at a glance", () => import("./commands/Status.ts").then((file) => file.status)],
  admin: ["Look after a running server", () => import("./commands/Admin.ts").then((file) => file.admin)],
  account: ["Say who may log in", () => import("./commands/Account.ts").then((file) => file.account)],
  group: ["Say which groups there are, and for whom", () => import("./commands/Group.ts").then((file) => file.group)],
  backup: ["Copy a server's messages to a file", () => import("./commands/Backup.ts").then((file) => file.backup)],
  check: ["Check what a server has on disk", () => import("./commands/Check.ts").then((file) => file.check)],
  conformance: [
    "Test whether a server keeps to the specification",
    () => import("./commands/Conformance.ts").then((file) => file.conformance)
  ]
} as const

type Name = keyof typeof commands
type Loaded = Awaited<ReturnType<(typeof commands)[Name][1]>>

/** In full, or only its name and what help says of it. */
const subcommand = async (name: Name, isNeeded: boolean): Promise<Loaded | Command.Command<Name, {}>> => {
  const [short, load] = commands[name]
  return isNeeded ? load() : Command.make(name).pipe(Command.withShortDescription(short))
}

/** The command, with those of its subcommands in full that the command line needs. */
const cptFor = async (args: ReadonlyArray<string>) => {
  const isNeeded = (name: string) => args.includes(name) || args.includes("--completions")
  return Command.make("cpt").pipe(
    Command.withDescription("Chat over CPT: host, send, read and follow."),
    Command.withSubcommands(
      await Promise.all(Struct.keys(commands).map((name) => subcommand(name, isNeeded(name))))
    ),
    Command.withExamples([
      { command: "cpt serve", description: "Host a chat on this machine" },
      { command: "cpt tail group1", description: "In another terminal: follow a group" },
      { command: `cpt send group1 "hi"`, description: "In a third one: say something in it" }
    ])
  )
}

/** What a flag that is not known may have been meant for. */
const hintOf = (option: string, args: ReadonlyArray<string>, [, ...path]: ReadonlyArray<string>): string => {
  const command = path.at(-1)
  const at = args.findIndex((arg) => command === undefined ? Object.hasOwn(commands, arg) : arg === command)
  if (args.findIndex((arg) => arg.split("=")[0] === option) < at) return "; flags go behind the command"
  return command === "send" ? "; a message that begins with - goes behind --" : ""
}

/** What is wrong with a command line, in one line. */
const explain = (
  error: CliError.NonShowHelpErrors,
  args: ReadonlyArray<string>,
  commandPath: ReadonlyArray<string>
): string => {
  const didYouMean = "suggestions" in error && error.suggestions.length > 0
    ? ` (did you mean ${error.suggestions.join(" or ")}?)`
    : ""
  switch (error._tag) {
    case "UnrecognizedOption":
      return `unknown flag ${error.option}${didYouMean}${hintOf(error.option, args, commandPath)}`
    case "UnknownSubcommand":
      return `unknown command "${error.subcommand}"${didYouMean}`
    case "MissingArgument":
      return `${error.argument} is missing`
    case "MissingOption":
      return `--${error.option} is missing`
    case "UnexpectedArgument":
      return `unexpected "${error.arguments.join(" ")}"; put quotes around what has spaces`
    case "InvalidValue": {
      const expected = error.expected.replace(/^(?:Schema validation failed: |Expected:? )/, "")
      const name = error.kind === "flag" ? `--${error.option}` : error.option
      const [, times] = /^(\d+) occurrences$/.exec(error.value) ?? []
      if (times !== undefined) return `${name} is given ${times === "2" ? "twice" : `${times} times`}`
      return error.value === "" ? `${name} needs a value: ${expected}` : `${name} "${error.value}": ${expected}`
    }
    default:
      return error.message
  }
}

const toFailure = (error: unknown, args: ReadonlyArray<string>): Failure => {
  if (error instanceof Failure) return error
  if (CliError.isCliError(error) && error._tag === "ShowHelp") {
    const { commandPath, errors: [first] } = error
    return first === undefined
      ? silent("done")
      : usage(`${oneLine(explain(first, args, commandPath))}; see ${commandPath.join(" ")} --help`)
  }
  // Of every relative path, also of one that is read by somebody else
  if (error instanceof Error && "syscall" in error && error.syscall === "uv_cwd") {
    return failed("the current directory is not there any more; go to another one")
  }
  const message = error instanceof Error ? error.message : String(error)
  return failed(`this should not happen, please report it: ${oneLine(message)}`)
}

const oneLine = (text: string): string => visible(text.replaceAll(/\s+/g, " ").trim())

/** In bash, where a script has nothing to offer itself, as for the value of a flag, names of files are. */
const withFileNames = (script: string): string => script.replace(/^complete -F /m, "complete -o default -F ")

/**
 * Help, the version and completions are data that was asked for, and `told`, to be written as such: Effect would hand them
 * to a console, which does not say whether it could write them. What is wrong is said in one line, at the end.
 */
const layerFor = (told: Array<string>) => {
  const keeping = (keep: (text: string) => string) =>
    Effect.provideService(Console.Console, { ...console, log: (text) => told.push(`${keep(String(text))}\n`) })
  const { flag, run } = GlobalFlag.Completions
  const completions = GlobalFlag.Action({
    flag,
    run: (shell, context) => keeping(withFileNames)(run(shell, context))
  })
  return Layer.mergeAll(
    Layer.unwrap(
      Effect.map(Output, ({ isColored }) => CliOutput.layer(CliOutput.defaultFormatter({ colors: isColored })))
    ),
    CliOutput.layerPresenter({
      present: (event) =>
        event._tag === "InvalidInvocation" ? Effect.void : keeping(identity)(CliOutput.defaultPresenter.present(event))
    }),
    CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version, completions] })
  )
}

/** Whether there is the command that is named, if one is. Of one that there is not, Effect would show the help of the one above. */
const isKnown = ({ subcommands }: Command.Command.Any, [first = "-", ...rest]: ReadonlyArray<string>): boolean => {
  const there = subcommands.flatMap(({ commands }) => commands)
  if (there.length === 0 || first.startsWith("-")) return true
  const named = there.find(({ name }) => name === first)
  return named !== undefined && isKnown(named, rest)
}

const isHelp = (arg: string): boolean => /^(?:--help|-h)$/.test(arg)

/** Carries a command line out; writes what Effect itself has to tell. */
const carryOut = Effect.fnUntraced(function*(args: ReadonlyArray<string>) {
  const told: Array<string> = []
  const cpt = yield* Effect.promise(() => cptFor(args))
  const said = isKnown(cpt, args) ? args : args.filter((arg) => !isHelp(arg))
  const command = Command.runWith(cpt, { version: packageJson.version })(said)
  const exit = yield* Effect.exit(Effect.provide(command, layerFor(told)))
  if (told.length > 0) yield* (yield* Output).write(told.join(""))
  return yield* exit
})

/** To Effect, a value and no flag. */
const negativeNumber = /^-(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/

/** No value anywhere, but one of the flag before it: who reads that, says what it has to be. To Effect it would be flags. */
const negativeDuration = /^-(?:\d+(?:ms|s|m|h|d))+$/

/** With such durations behind the = of their flags. */
const joined = (args: ReadonlyArray<string>): ReadonlyArray<string> => {
  const at = args.findIndex((arg, index) => negativeDuration.test(arg) && /^--[^=]+$/.test(args[index - 1] ?? ""))
  if (at === -1 || args.slice(0, at).includes("--")) return args
  return [...args.slice(0, at - 1), `${args[at - 1]}=${args[at]}`, ...args.slice(at + 1)]
}

/**
 * What begins with one - and has more than one letter: no flag of ours, and nearly always a message. Effect would read it
 * as several flags in one, and show the help for the h of "-hello" or of "-2h".
 */
const bundled = (args: ReadonlyArray<string>): string | undefined => {
  const end = args.indexOf("--")
  const before = end === -1 ? args : args.slice(0, end)
  return before.find((arg) => /^-[^-][^=]+/.test(arg) && !negativeNumber.test(arg))
}

/** Runs a command line. It fails after it has said why, with the exit status in the error. */
export const run = (args: ReadonlyArray<string>) =>
  Effect.suspend(() => {
    const unreadable = Bytes.repairedArgument(args)
    if (unreadable !== undefined) return usage(`"${visible(unreadable)}" is not valid UTF-8`)
    const said = joined(args)
    const odd = bundled(said)
    if (odd === undefined) return carryOut(said)
    const command = args.filter((arg) => Object.hasOwn(commands, arg)).slice(0, 1)
    const hint = command.includes("send")
      ? "a message that begins with - goes behind --"
      : `see ${["cpt", ...command, "--help"].join(" ")}`
    return usage(`unknown flag ${visible(odd)}; ${hint}`)
  }).pipe(
    Effect.catchCauseIf(
      (cause) => !Cause.hasInterruptsOnly(cause),
      Effect.fnUntraced(function*(cause) {
        const error = Cause.squash(cause)
        if (error instanceof Closed) return
        const failure = toFailure(error, args)
        if (failure.message !== "") yield* (yield* Output).note(failure.message)
        return yield* failure
      })
    )
  )
