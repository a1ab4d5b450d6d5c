/** `cpt send`: says one message, or each line of stdin, and succeeds when the server has acknowledged it. */
import { Framer, Limits } from "@cpt/schema"
import { Effect, Option, Stdio, Stream } from "effect"
import { fstatSync } from "node:fs"
import * as Arguments from "../Arguments.ts"
import type { Input } from "../commands/Send.ts"
import { explainFile, failed, Failure, usage } from "../Failure.ts"
import { Output } from "../Output.ts"
import * as Session from "../Session.ts"
import * as Settings from "../Settings.ts"
import { json } from "../Visible.ts"

const cannotRead = (why: string) => failed(`cannot read stdin: ${why}`)

/** To Node, a directory is a stdin with nothing in it. */
const isDirectory = () => {
  try {
    return fstatSync(0).isDirectory()
  } catch {
    return false
  }
}

/** The lines of stdin with their numbers, from 1; the last one need not be ended. */
const lines = Effect.gen(function*() {
  const { stdin, stdinIsTerminal } = yield* Stdio.Stdio
  if (yield* stdinIsTerminal) yield* (yield* Output).note("each line is a message; Ctrl-D ends")
  const framer = new Framer.Framer(Limits.maxReceivedLineBytes)
  let number = 0
  return stdin.pipe(
    Stream.mapError((error) => cannotRead(explainFile(error))),
    Stream.concat(Stream.succeed(new Uint8Array([10]))),
    Stream.flatMap((chunk) => Stream.fromArray(framer.push(chunk))),
    Stream.map((line) => ({ line, number: ++number }))
  )
}).pipe(Stream.unwrap)

const faults: { readonly [Reason in Framer.Fault["reason"]]: string } = {
  NotUtf8: "it is not valid UTF-8",
  TooLong: `it is ${Arguments.tooLong}`
}

const refuseLine = (number: number) => ({ message, status }: Failure) =>
  new Failure({ status, message: `line ${number}: ${message}` })

export const send = Effect.fnUntraced(function*(input: Input) {
  const target = yield* Arguments.parseTarget(input.target)
  const message = Option.getOrUndefined(input.message)
  if (message !== undefined && /[\r\n]/.test(message)) {
    return yield* usage(
      `MESSAGE has a line break, and a message is one line: pipe it in to send each line, as in printf '…' | cpt send TARGET`
    )
  }
  if (message !== undefined && Arguments.isTooLong(message)) return yield* usage(`MESSAGE is ${Arguments.tooLong}`)
  if (message !== undefined) yield* Arguments.parseMessage(message)
  if (message === undefined && isDirectory()) return yield* cannotRead("it is a directory")
  const session = yield* Session.connect(yield* Settings.resolve(input))
  const { tell } = yield* Output
  const send = (target: string, message: string) =>
    Effect.andThen(session.send(target, message), input.json ? tell(`${json({ target, message })}\n`) : Effect.void)
  if (message !== undefined) return yield* send(target, message)
  yield* Stream.runForEach(lines, ({ line, number }) => {
    if (line === "") return Effect.void
    const said = typeof line === "string"
      ? Effect.andThen(Arguments.parseMessage(line), send(target, line))
      : usage(faults[line.reason])
    return Effect.mapError(said, (error) => error instanceof Failure ? refuseLine(number)(error) : error)
  })
}, Effect.scoped)
