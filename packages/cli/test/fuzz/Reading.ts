/**
 * What a server must understand of what a connection says: CPT 1 in the plainest way, byte after byte, and the Schema for
 * what a line means. The server itself reads many bytes at a time, and most SENDs without the Schema.
 */
import { Command, Decline, Limits } from "@cpt/schema"
import { Result } from "effect"

/** What a line asks for, or the word that it must be declined with, whoever says it. */
export type Meaning = Command.ClientCommand | { readonly _tag: "NONE"; readonly reason: string }

/** The name that it is about, said by somebody of this name; undefined if it is about none. */
export const targetOf = (meaning: Meaning, name: string | undefined): string | undefined => {
  switch (meaning._tag) {
    case "CONNECT":
      return meaning.username
    case "SEND":
      return meaning.target
    case "SYNC":
      return meaning.group
    case "SYNC_INBOX":
      return name
    case "NONE":
      return undefined
  }
}

export interface Ask {
  readonly meaning: Meaning
  /** When its last byte was said. */
  readonly saidAt: number
}

const [LF, CR] = [10, 13]
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
const none = ({ reason }: Decline.DeclineError): Meaning => ({ _tag: "NONE", reason })

const meaningOf = (line: Uint8Array): Meaning => {
  let text: string
  try {
    text = decoder.decode(line)
  } catch {
    return none(new Decline.InvalidCommand({}))
  }
  const read = Command.readClientLine(text)
  return Result.isSuccess(read) ? read.success : none(read.failure)
}

export class Reading {
  readonly asks: Array<Ask> = []
  #line: Array<number> = []
  #isTooLong = false

  take(bytes: Uint8Array, saidAt: number): void {
    for (const byte of bytes) {
      if (byte === LF) {
        if (this.#line.at(-1) === CR) this.#line.pop()
        if (!this.#isTooLong) this.asks.push({ meaning: meaningOf(Uint8Array.from(this.#line)), saidAt })
        this.#line = []
        this.#isTooLong = false
      } else if (!this.#isTooLong) {
        this.#line.push(byte)
        // CPT 1.9: a CR at the limit may be the end's
        const { length } = this.#line
        this.#isTooLong = length > Limits.maxLineBytes + (this.#line.at(-1) === CR ? 1 : 0)
        if (this.#isTooLong) this.asks.push({ meaning: none(new Decline.LineTooLong({})), saidAt })
      }
    }
  }
}
