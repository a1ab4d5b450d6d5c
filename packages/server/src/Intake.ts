/**
 * What a session has heard, as requests, read one after the other as there is time for them. SENDs are read where they
 * stand, and those that follow each other stay together: their texts never become strings.
 */
import { Command, Decline, Framer, type Name, SendReader } from "@cpt/schema"
import { Result } from "effect"
import { Buffer } from "node:buffer"
import { Batch } from "./Batch.ts"

/** What there is to answer: a command, SENDs that are carried out in one go, or what is no command. */
export type Request =
  | { readonly _tag: "CONNECT"; readonly username: Name.Name }
  | Command.Sync
  | Command.SyncInbox
  /** Where it is one, it may have to be asked whether it may go to its target. */
  | { readonly _tag: "SENDS"; readonly batch: Batch; readonly asks: Name.Target | undefined }
  | { readonly _tag: "NONE"; readonly error: Decline.DeclineError }

export type Sends = Extract<Request, { _tag: "SENDS" }>

const none = (error: Decline.DeclineError): Request => ({ _tag: "NONE", error })
const [tooLong, notUtf8] = [none(new Decline.LineTooLong({})), none(new Decline.InvalidCommand({}))]

const requestOf = (line: Framer.Line): Request => {
  if (typeof line !== "string") return line.reason === "TooLong" ? tooLong : notUtf8
  const username = Command.usernameIn(line)
  if (username !== undefined) return { _tag: "CONNECT", username }
  const read = Command.readClientLine(line)
  if (Result.isFailure(read)) return none(read.failure)
  const command = read.success
  return command._tag === "SEND"
    ? { _tag: "SENDS", batch: Batch.of([command.target, command.message]), asks: command.target }
    : command
}

/** The SENDs that are being read, and handed on before anything else is read: one batch for all sessions. */
const readNow = new Batch(Buffer.alloc(0))
const sendsNow: Sends = { _tag: "SENDS", batch: readNow, asks: undefined }

/** SENDs that are not carried out at once. */
export const kept = (sends: Sends): Sends => sends === sendsNow ? { ...sendsNow, batch: readNow.copy() } : sends

export const countOf = (request: Request): number => request._tag === "SENDS" ? request.batch.count : 1

/** Who says where messages may go. */
export interface Gate {
  /** Whether it is known now that they may go to a target. */
  readonly mayNow: (target: Name.Target) => boolean
}

export class Intake {
  /** There is a line that has not been read. */
  hasLine = false
  readonly #framer: Framer.Framer
  #sends: SendReader | undefined // once there may be some

  constructor(maxLineBytes: number) {
    this.#framer = new Framer.Framer(maxLineBytes)
  }

  /** For lines that are not complete yet. */
  set maxLineBytes(bytes: number) {
    this.#framer.maxLineBytes = bytes
  }

  /** Takes bytes, which must not change before all lines in them are read, or `keep` is said; false if there is none. */
  take(bytes: Uint8Array): boolean {
    this.#framer.take(bytes)
    return this.hasLine = this.#framer.next()
  }

  /** The bytes may change from now on. */
  keep(): void {
    if (this.hasLine) this.#framer.keep()
  }

  /**
   * The next request. There must be a line.
   *
   * @param gate undefined as long as nothing may be sent
   * @param most SENDs that are read in one go
   */
  read(gate: Gate | undefined, most: number): Request {
    const framer = this.#framer
    if (gate !== undefined) {
      const sends = this.#sends ??= new SendReader()
      readNow.reset(framer.bytes)
      while (this.hasLine && readNow.count < most && sends.read(framer) && sends.target !== undefined) {
        const { target } = sends
        const isClear = gate.mayNow(target)
        if (!isClear && readNow.count > 0) break
        readNow.add(target, sends.textStart, framer.end)
        this.hasLine = framer.next()
        if (!isClear) return { _tag: "SENDS", batch: readNow.copy(), asks: target }
      }
      if (readNow.count > 0) return sendsNow
    }
    const request = requestOf(framer.line())
    this.hasLine = framer.next()
    return request
  }
}
