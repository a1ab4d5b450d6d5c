/** `cpt` without a process, and without the settings of this machine: for what does not depend on one. */
import { NodeServices } from "@effect/platform-node"
import { ConfigProvider, Console, Effect } from "effect"
import * as Cli from "../../src/Cli.ts"
import { Output } from "../../src/Output.ts"

/** Runs a command line here; gives what it says on stdout and to people, and the exit status. */
export const run = (args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}) =>
  Effect.gen(function*() {
    const stdout: Array<unknown> = []
    const notes: Array<string> = []
    const write = (text: string) => Effect.sync(() => void stdout.push(text))
    const output = Output.of({
      write,
      tell: write,
      note: (text) => Effect.sync(() => void notes.push(text)),
      progress: () => Effect.void,
      gone: Effect.never,
      width: () => undefined,
      isColored: false
    })
    const status = yield* Cli.run(args).pipe(
      Effect.as(0),
      Effect.catchTag("Failure", (failure) => Effect.succeed(failure.status)),
      Effect.provideService(Output, output),
      Effect.provideService(Console.Console, { ...console, log: (...all) => stdout.push(...all) }),
      Effect.provideService(
        ConfigProvider.ConfigProvider,
        ConfigProvider.fromEnv({ env: { XDG_CONFIG_HOME: "/nonexistent", ...env } })
      ),
      Effect.provide(NodeServices.layer)
    )
    return { stdout: stdout.join(""), notes, status }
  })
