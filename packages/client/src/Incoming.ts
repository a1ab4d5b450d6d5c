/**
 * What a server says, read liberally. A server of ours says nothing that `Command.readServerLine` refuses; others may
 * send names and texts with any character in them, and a message is not lost because of that. Whoever shows them makes
 * them safe to show.
 */
import { Command, Framer, Message, Timestamp } from "@cpt/schema"
import { Result } from "effect"
import { Buffer } from "node:buffer"

/** A `MSG` in either form: without a `group` it has the form of the specification's diagram (CPT 6.4). */
export interface Said {
  readonly _tag: "Said"
  readonly group: string | undefined
  readonly sender: string
  readonly timestamp: number
  readonly message: string
}

export type Incoming =
  | Said
  | { readonly _tag: "Accept" }
  | { readonly _tag: "Ack" }
  | { readonly _tag: "EndSync" }
  | { readonly _tag: "Decline"; readonly reason: string }
  | { readonly _tag: "Unreadable"; readonly why: string }

const accept: Incoming = { _tag: "Accept" }
const ack: Incoming = { _tag: "Ack" }
const endSync: Incoming = { _tag: "EndSync" }

/** Total: what cannot be read is said to be so. */
export const read = (line: Framer.Line): Incoming => {
  if (typeof line !== "string") {
    const why = line === Framer.Fault.notUtf8 ? "a line that is not UTF-8" : "a line that is too long"
    return { _tag: "Unreadable", why }
  }
  const command = Command.readServerLine(line)
  return Result.isSuccess(command) ? known(command.success) : tolerated(line)
}

const known = (command: Command.ServerCommand): Incoming => {
  switch (command._tag) {
    case "MSG":
    case "DIRECT_MSG":
      return {
        _tag: "Said",
        group: command._tag === "MSG" ? command.group : undefined,
        sender: command.sender,
        timestamp: command.timestamp,
        message: command.message
      }
    case "DECLINE":
      return { _tag: "Decline", reason: command.reason }
    case "ACCEPT":
      return accept
    case "ACK":
      return ack
    case "ENDSYNC":
      return endSync
  }
}

const tolerated = (line: string): Incoming => {
  const [word, first = "", second = "", third = ""] = line.split(" ", 4)
  if (word === "DECLINE") return { _tag: "Decline", reason: declineReason(line.slice("DECLINE ".length)) }
  if (word === "MSG" && first !== "" && second !== "") {
    const said = (group: string | undefined, sender: string, timestamp: string, message: string): Said => ({
      _tag: "Said",
      group,
      sender,
      timestamp: Number(timestamp),
      message
    })
    const afterSecond = "MSG ".length + first.length + 1 + second.length + 1
    const afterThird = afterSecond + third.length + 1
    const grouped = Timestamp.isTimestampField(third)
    if (grouped && line.length > afterThird) return said(first, second, third, line.slice(afterThird))
    if (Timestamp.isTimestampField(second)) return said(undefined, first, second, line.slice(afterSecond))
    if (grouped) return said(first, second, third, "")
  }
  return { _tag: "Unreadable", why: `"${line.length > 80 ? `${copied(line.slice(0, 80))}…` : line}"` }
}

// As long as somebody has a part of a string, V8 keeps all of it
const copied = (text: string): string => Buffer.from(text).toString()

// A reason has to be a text without control characters, and there has to be one
const declineReason = (text: string): string => {
  if (text === "") return "no reason given"
  return Message.messageFault(text) === undefined ? text : quoted(text)
}

// JSON leaves DEL and C1 as they are
const quoted = (text: string): string =>
  JSON.stringify(text.toWellFormed()).replaceAll(
    /[\u007f-\u009f]/g,
    (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, "0")}`
  )
