/** The process `cpt`. */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Cause, Effect, Exit, Runtime } from "effect"
import { run } from "./Cli.ts"
import * as Interrupted from "./Interrupted.ts"

let signal: "SIGINT" | "SIGTERM" = "SIGINT"
process.once("SIGTERM", () => {
  signal = "SIGTERM"
})

NodeRuntime.runMain(Effect.provide(run, NodeServices.layer), {
  disableErrorReporting: true,
  teardown: (exit, onExit) =>
    Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)
      ? onExit(Interrupted.exitStatus(signal))
      : Runtime.defaultTeardown(exit, onExit)
})
