/** The process `cpt`. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeStdio from "@effect/platform-node/NodeStdio"
import { Cause, Effect, Exit, Layer, References, Runtime, Stdio, Terminal } from "effect"
import { ChildProcessSpawner } from "effect/process"
import { run } from "./Cli.ts"
import * as Ending from "./Ending.ts"
import { Output } from "./Output.ts"

let signal: "SIGINT" | "SIGTERM" = "SIGINT"
process.once("SIGTERM", () => {
  signal = "SIGTERM"
})

/**
 * What it means that a signal ended the process: for a command, that it was cut short; for a server, which runs until it is
 * told to stop, that it is done, be it that it was still starting.
 */
const interruptedStatus = (): number => process.argv[2] === "serve" ? 0 : signal === "SIGINT" ? 130 : 143

const main = Effect.flatMap(Stdio.Stdio, ({ args }) => Effect.flatMap(args, run))

// Node's own would be loaded at every start
const never = Effect.die("no command asks questions, or starts a process")
const unused = Layer.mergeAll(
  Layer.succeed(
    Terminal.Terminal,
    Terminal.make({
      columns: never,
      rows: never,
      size: never,
      readInput: never,
      readLine: never,
      display: () => never
    })
  ),
  Layer.succeed(ChildProcessSpawner.ChildProcessSpawner, ChildProcessSpawner.make(() => never))
)

// The first one takes 1 ms, and nobody would see them, but for those that `cpt serve` sends to a collector (`Otlp.ts`)
const noSpans = Layer.succeed(References.TracerEnabled, false)

const layer = Layer.mergeAll(Output.layer, noSpans, NodeFileSystem.layer, NodePath.layer, NodeStdio.layer, unused)

NodeRuntime.runMain(Effect.provide(main, layer), {
  disableErrorReporting: true,
  teardown: (exit, onExit) => {
    const end = (status: number) => Ending.end(status, () => process.exit(status))
    if (Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)) return end(interruptedStatus())
    Runtime.defaultTeardown(exit, (status) => {
      // Something is on its way to stdout: Node ends when that has gone
      if (status === 0 && process.stdout.writableLength > 0) return onExit(0)
      // Else nothing is left to do: Node need not look for it, and take its heap apart
      end(status)
    })
  }
})
