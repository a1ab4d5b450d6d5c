/** The process `cpt`. */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Cause, Effect, Exit, Runtime, Stdio } from "effect"
import { run } from "./Cli.ts"
import * as Interrupted from "./Interrupted.ts"
import { Output } from "./Output.ts"

let signal: "SIGINT" | "SIGTERM" = "SIGINT"
process.once("SIGTERM", () => {
  signal = "SIGTERM"
})

const main = Effect.flatMap(Stdio.Stdio, ({ args }) => Effect.flatMap(args, run))

NodeRuntime.runMain(Effect.provide(main, [Output.layer, NodeServices.layer]), {
  disableErrorReporting: true,
  teardown: (exit, onExit) =>
    Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)
      ? onExit(Interrupted.exitStatus(signal))
      : Runtime.defaultTeardown(exit, onExit)
})
