/** A client under test, as it runs: what it has printed, and how it has ended. */
import { Effect, type Scope } from "effect"
import { Buffer } from "node:buffer"
import { spawn } from "node:child_process"
import { StringDecoder } from "node:string_decoder"
import * as Bytes from "../Bytes.ts"
import type { Transcript } from "../Transcript.ts"
import type { Bell } from "./Bell.ts"

/** Characters of its output that are kept. */
const maxOutput = 1 << 20

/** How long output may still come when a client has ended, in milliseconds: what it has started may have its stdout. */
const grace = 300

export class Process {
  stdout = ""
  stderr = ""
  /** Its exit status, the signal that ended it, or why it could not be run. */
  ended: number | string | undefined
}

export interface Options {
  readonly words: ReadonlyArray<string>
  readonly env: Readonly<Record<string, string>>
  /** What it reads on stdin. */
  readonly input: string
  readonly transcript: Transcript
  readonly bell: Bell
}

/** Runs a command, and ends it with all that it has started when the scope closes. */
export const run = (
  { bell, env, input, transcript, words: [command = "", ...args] }: Options
): Effect.Effect<Process, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const process = new Process()
      transcript.add("client", "", `is started: ${[command, ...args].join(" ")}`)
      // A process group of its own, so that all of it can be ended
      const child = spawn(command, args, {
        detached: true,
        env: { ...globalThis.process.env, ...env },
        stdio: ["pipe", "pipe", "pipe"]
      })
      const end = (how: number | string) => {
        if (process.ended !== undefined) return
        process.ended = how
        transcript.add("client", "", typeof how === "number" ? `exits with ${how}` : how)
        bell.ring()
      }
      const listen = (stream: "stdout" | "stderr") => {
        const decoder = new StringDecoder()
        child[stream].on("data", (chunk: Buffer) => {
          const text = decoder.write(chunk)
          process[stream] = (process[stream] + text).slice(0, maxOutput)
          for (const line of text.trimEnd().split("\n")) {
            const said = Bytes.toText(Buffer.from(line))
            transcript.add("client", "", `${stream === "stdout" ? "prints" : "says on stderr"}: ${said}`)
          }
          bell.ring()
        })
      }
      listen("stdout")
      listen("stderr")
      child.stdin.on("error", () => {})
      child.stdin.end(input)
      child.once("error", (error) => end(`cannot be run: ${error.message}`))
      child.once("close", (status, signal) => end(status ?? `is ended by ${signal}`))
      child.once("exit", (status, signal) => setTimeout(() => end(status ?? `is ended by ${signal}`), grace).unref())
      return { child, process }
    }),
    ({ child, process }) =>
      Effect.sync(() => {
        process.ended ??= "is ended by the kit"
        for (const stream of [child.stdout, child.stderr]) stream.destroy()
        try {
          if (child.pid !== undefined) globalThis.process.kill(-child.pid, "SIGKILL")
        } catch {
          // it is gone, with all that it had started
        }
      })
  ).pipe(Effect.map(({ process }) => process))
