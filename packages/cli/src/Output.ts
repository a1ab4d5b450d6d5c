/**
 * What a command writes: data to stdout, everything else to stderr, one line each. A write is over when the operating
 * system has taken it, so a reader that is slow slows the command down.
 */
import { Context, Effect, Layer, Schedule, Schema } from "effect"
import { Buffer } from "node:buffer"
import { writeSync } from "node:fs"
import { Duplex, type Writable } from "node:stream"
import { explainSystem, failed, type Failure } from "./Failure.ts"
import * as Readers from "./Readers.ts"

/** Whoever read stdout has gone: there is nothing more to do. */
export class Closed extends Schema.TaggedError<Closed>()("Closed", {}) {}

export class Output extends Context.Service<Output, {
  readonly write: (text: string) => Effect.Effect<void, Closed | Failure>
  /** The same for what is only told beside what is done: when nobody reads it any more, that goes on. */
  readonly tell: (text: string) => Effect.Effect<void, Failure>
  /** Fails when nobody reads stdout any more, also while there is nothing to write, if that can be known. */
  readonly gone: Effect.Effect<never, Closed>
  /** Says something to people, in one line that begins with `cpt: `. */
  readonly note: (text: string) => Effect.Effect<void>
  /** Shows how far something has come, on a terminal only: in a line that goes away with whatever is written next. */
  readonly progress: (text: string) => Effect.Effect<void>
  /** How wide stdout is, if it is a terminal that can go back to what it shows. */
  readonly width: () => number | undefined
  /** Whether stdout can show colours, and may. */
  readonly isColored: boolean
}>()("cpt/Output") {
  static readonly layer = Layer.sync(Output, () => {
    const { env, stdout } = process
    // Failed writes are told to the writer; without this they would end the process as well
    const heedless = (stream: NodeJS.WriteStream) => stream.on("error", () => {})
    heedless(stdout)
    // Made when there is something to say: it takes a while
    let made: NodeJS.WriteStream | undefined
    const stderr = () => made ??= heedless(process.stderr)
    let isShown = false
    const progress = (text: string) =>
      Effect.suspend(() => {
        if (text === "" && !isShown) return Effect.void
        if (stderr().isTTY !== true || env["TERM"] === "dumb") return Effect.void
        isShown = text !== ""
        return Effect.ignore(write(stderr(), `\r${text.slice(0, (stderr().columns || 80) - 1)}\u001B[K`))
      })
    // Node's is a Duplex where it is no file
    const put = (text: string) =>
      stdout instanceof Duplex ? Effect.mapError(write(stdout, text), whyNot) : writeToFile(text)
    // On a terminal the line of the progress is in the way, on whichever of the two it was written
    const say = (text: string) => Effect.andThen(progress(""), put(text))
    return Output.of({
      write: say,
      tell: (text) => Effect.catchTag(say(text), "Closed", () => Effect.void),
      progress,
      gone: Effect.suspend(() => {
        const isOver = Readers.watch()
        return Effect.suspend(() => isOver() ? new Closed() : Effect.void).pipe(
          Effect.repeat(Schedule.spaced("1 second")),
          Effect.andThen(Effect.never)
        )
      }),
      note: (text) => Effect.andThen(progress(""), Effect.ignore(write(stderr(), `cpt: ${text}\n`))),
      width: () => stdout.isTTY === true && env["TERM"] !== "dumb" ? stdout.columns || 80 : undefined,
      isColored: stdout.isTTY === true && (env["NO_COLOR"] ?? "") === "" && env["TERM"] !== "dumb"
    })
  })
}

const write = (stream: Writable, text: string): Effect.Effect<void, NodeJS.ErrnoException> =>
  Effect.callback((resume) => {
    stream.write(text, (error) => resume(error == null ? Effect.void : Effect.fail(error)))
  })

/** All of it: Node's own stream of a file writes once, and passes over that a full disk took only the beginning. */
const writeToFile = (text: string): Effect.Effect<void, Failure> =>
  Effect.try({
    try: () => {
      for (let rest = Buffer.from(text); rest.length > 0;) rest = rest.subarray(writeSync(1, rest))
    },
    catch: cannotWrite
  })

const cannotWrite = (cause: unknown): Failure =>
  failed(`cannot write to stdout: ${explainSystem(cause) ?? String(cause)}`)

const whyNot = (error: NodeJS.ErrnoException): Closed | Failure =>
  error.code === "EPIPE" || error.code === "ERR_STREAM_DESTROYED" ? new Closed() : cannotWrite(error)
