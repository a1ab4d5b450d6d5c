/**
 * What a session has heard, as requests. SENDs are read where they stand, and those that came in one go stay together: their
 * texts never become strings.
 */
import { Command, Decline, Framer, type Name, SendReader } from "@cpt/schema"
import { Result } from "effect"
import { Buffer } from "node:buffer"
import { Batch } from "./Batch.ts"

/** What there is to answer: a command, SENDs that came in one go and are carried out in one go, or what is no command. */
export type Request =
  | Exclude<Command.ClientCommand, Command.Send>
  /** Where they go to one target, it may have to be asked whether they may. */
  | { readonly _tag: "SENDS"; readonly batch: Batch; readonly asks: Name.Target | undefined }
  | { readonly _tag: "NONE"; readonly error: Decline.DeclineError }

export type Sends = Extract<Request, { _tag: "SENDS" }>

const requestOf = (line: Framer.Line): Request => {
  if (typeof line !== "string") {
    return {
      _tag: "NONE",
      error: line.reason === "TooLong" ? new Decline.LineTooLong({}) : new Decline.InvalidCommand({})
    }
  }
  const read = Command.readClientLine(line)
  if (Result.isFailure(read)) return { _tag: "NONE", error: read.failure }
  const command = read.success
  return command._tag === "SEND"
    ? { _tag: "SENDS", batch: Batch.of([command.target, command.message]), asks: command.target }
    : command
}

/** The SENDs that are being read, and handed on before anything else is read: one batch for all sessions. */
const readNow = new Batch(Buffer.alloc(0))

export const countOf = (request: Request): number => request._tag === "SENDS" ? request.batch.count : 1

export const partsOf = ({ asks, batch }: Omit<Sends, "_tag">, size: number): ReadonlyArray<Sends> =>
  batch.parts(size).map((batch) => ({ _tag: "SENDS", batch, asks }))

/** Who says where messages may go. */
export interface Gate {
  /** Whether it is known now that they may go to a target. */
  readonly mayNow: (target: Name.Target) => boolean
}

export class Intake {
  readonly #framer: Framer.Framer
  #sends: SendReader | undefined // once there may be some

  constructor(maxLineBytes: number) {
    this.#framer = new Framer.Framer(maxLineBytes)
  }

  /** Takes bytes; false if no line is complete. Else one of these is called, which read all of them. */
  take(bytes: Uint8Array): boolean {
    this.#framer.take(bytes)
    return this.#framer.next()
  }

  /** All that has come, for now: undefined, and nothing is read, if that is not all SENDs that may go. */
  sends(gate: Gate): Batch | undefined {
    const framer = this.#framer
    const sends = this.#sends ??= new SendReader()
    const { start } = framer
    readNow.reset(framer.bytes)
    do {
      if (!sends.read(framer) || sends.target === undefined || !gate.mayNow(sends.target)) {
        framer.goBack(start)
        return undefined
      }
      readNow.add(sends.target, sends.textStart, framer.end)
    } while (framer.next())
    return readNow
  }

  /**
   * All that has come, for later.
   *
   * @param gate undefined as long as nothing may be sent
   * @param portion SENDs that stay together at most
   */
  requests(gate: Gate | undefined, portion: number): ReadonlyArray<Request> {
    const framer = this.#framer
    const sends = gate === undefined ? undefined : this.#sends ??= new SendReader()
    const bytes = Buffer.from(framer.bytes) // what is carried out later must not change
    const requests: Array<Request> = []
    let last: Sends | undefined
    do {
      if (sends?.read(framer) === true && sends.target !== undefined) {
        const asks = gate?.mayNow(sends.target) === true ? undefined : sends.target
        if (last === undefined || last.asks !== asks || last.batch.count >= portion) {
          requests.push(last = { _tag: "SENDS", batch: new Batch(bytes), asks })
        }
        last.batch.add(sends.target, sends.textStart, framer.end)
      } else {
        last = undefined
        requests.push(requestOf(framer.line()))
      }
    } while (framer.next())
    return requests
  }
}
