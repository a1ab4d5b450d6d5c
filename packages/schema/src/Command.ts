/**
 * The commands of CPT: one Schema class a command, the unions of what a client and what a server may say, and their
 * line forms in both directions. This is the truth about the wire; whatever is faster elsewhere is tested against it.
 *
 * A line is given without its end. What bytes make a line is the Framer's business.
 */
import { Effect, Result, Schema, SchemaIssue, SchemaParser, SchemaTransformation } from "effect"
import { type DeclineError, InvalidCommand, UnsupportedCommand } from "./Decline.ts"
import { Message } from "./Message.ts"
import { GroupName, isName, Name, Target } from "./Name.ts"
import { isTimestampField, TimestampField } from "./Timestamp.ts"

/** `CONNECT <username>`: asks for a name. Whether a well-formed one can be had is the server's answer (CPT 3.2). */
export class Connect extends Schema.TaggedClass<Connect>()("CONNECT", { username: Name }) {}

/** `SEND <target> <message>`: to a user or a group. */
export class Send extends Schema.TaggedClass<Send>()("SEND", { target: Target, message: Message }) {}

/** `SYNC <group> <after>`: what `group` holds after the timestamp `after`, and from then on follow it (CPT 5.1, 5.5). */
export class Sync extends Schema.TaggedClass<Sync>()("SYNC", { group: GroupName, after: TimestampField }) {}

/** `SYNC` alone: all private messages to the current user (CPT 5.2). */
export class SyncInbox extends Schema.TaggedClass<SyncInbox>()("SYNC_INBOX", {}) {}

/** `ACCEPT`: logged in. */
export class Accept extends Schema.TaggedClass<Accept>()("ACCEPT", {}) {}

/** `DECLINE <reason>`: the reason of a server of ours is one bare word; of another's, the rest of the line. */
export class Decline extends Schema.TaggedClass<Decline>()("DECLINE", { reason: Message }) {}

/** `ACK`: the message is stored (CPT 4.1). */
export class Ack extends Schema.TaggedClass<Ack>()("ACK", {}) {}

/** `MSG <group> <sender> <timestamp> <message>`: `group` is the own name for a private message. */
export class Msg extends Schema.TaggedClass<Msg>()("MSG", {
  group: Name,
  sender: Name,
  timestamp: TimestampField,
  message: Message
}) {}

// What `MSG <sender> <timestamp> <message>` must not look like, or it would be read as the form with a group
const looksGrouped = (message: string): boolean => {
  const space = message.indexOf(" ")
  return space !== -1 && space < message.length - 1 && isTimestampField(message.slice(0, space))
}

/** `MSG <sender> <timestamp> <message>`: a private message in the form of the specification's diagram (CPT 6.4). */
export class DirectMsg extends Schema.TaggedClass<DirectMsg>()("DIRECT_MSG", {
  sender: Name,
  timestamp: TimestampField,
  message: Message.pipe(
    Schema.check(Schema.makeFilter((text) => looksGrouped(text) ? "reads as a MSG with a group" : undefined))
  )
}) {}

/** `ENDSYNC`: the answer to a `SYNC` is complete. */
export class EndSync extends Schema.TaggedClass<EndSync>()("ENDSYNC", {}) {}

/** What a client may say. */
export const ClientCommand = Schema.Union([Connect, Send, Sync, SyncInbox]).pipe(Schema.toTaggedUnion("_tag"))
export type ClientCommand = typeof ClientCommand.Type

/** What a server may say. */
export const ServerCommand = Schema.Union([Accept, Decline, Ack, Msg, DirectMsg, EndSync]).pipe(
  Schema.toTaggedUnion("_tag")
)
export type ServerCommand = typeof ServerCommand.Type

/** The words that only a server says: from a client they are `unsupported_command` (CPT 3.3). */
const serverWords: ReadonlySet<string> = new Set(["ACCEPT", "DECLINE", "ACK", "MSG", "ENDSYNC"])

/**
 * Fields are parted by exactly one space; `rest` fields more may hold none, and the last of `count` takes the rest of
 * the line if `rest` says so (CPT 1.3). Gives undefined if there are fewer or more.
 */
const fieldsOf = (line: string, from: number, count: number, rest: boolean): ReadonlyArray<string> | undefined => {
  const fields: Array<string> = []
  let at = from
  for (let left = count; left > 0; left--) {
    if (at > line.length) return undefined
    const space = left === 1 && rest ? -1 : line.indexOf(" ", at)
    const end = space === -1 ? line.length : space
    fields.push(line.slice(at, end))
    at = end + 1
  }
  return at > line.length ? fields : undefined
}

const wordOf = (line: string): string => {
  const space = line.indexOf(" ")
  return space === -1 ? line : line.slice(0, space)
}

type ClientEncoded = typeof ClientCommand.Encoded
type ServerEncoded = typeof ServerCommand.Encoded

const splitClient = (line: string): ClientEncoded | undefined => {
  switch (wordOf(line)) {
    case "CONNECT": {
      const [username] = fieldsOf(line, 8, 1, false) ?? []
      return username === undefined ? undefined : { _tag: "CONNECT", username }
    }
    case "SEND": {
      const [target, message] = fieldsOf(line, 5, 2, true) ?? []
      return target === undefined || message === undefined ? undefined : { _tag: "SEND", target, message }
    }
    case "SYNC": {
      if (line === "SYNC") return { _tag: "SYNC_INBOX" }
      const [group, after] = fieldsOf(line, 5, 2, false) ?? []
      return group === undefined || after === undefined ? undefined : { _tag: "SYNC", group, after }
    }
    default:
      return undefined
  }
}

const splitMsg = (line: string): ServerEncoded | undefined => {
  const [group, sender, timestamp, message] = fieldsOf(line, 4, 4, true) ?? []
  if (timestamp !== undefined && isTimestampField(timestamp) && message !== undefined && message !== "") {
    return group === undefined || sender === undefined ? undefined : { _tag: "MSG", group, sender, timestamp, message }
  }
  // CPT 6.4: the third field is no timestamp with a text behind it, and the second is one
  const [from, at, text] = fieldsOf(line, 4, 3, true) ?? []
  return from === undefined || at === undefined || text === undefined
    ? undefined
    : { _tag: "DIRECT_MSG", sender: from, timestamp: at, message: text }
}

const splitServer = (line: string): ServerEncoded | undefined => {
  switch (line) {
    case "ACK":
      return { _tag: "ACK" }
    case "ACCEPT":
      return { _tag: "ACCEPT" }
    case "ENDSYNC":
      return { _tag: "ENDSYNC" }
  }
  switch (wordOf(line)) {
    case "MSG":
      return splitMsg(line)
    case "DECLINE":
      return line.length > 8 ? { _tag: "DECLINE", reason: line.slice(8) } : undefined
    default:
      return undefined
  }
}

const joinClient = (command: ClientEncoded): string => {
  switch (command._tag) {
    case "CONNECT":
      return `CONNECT ${command.username}`
    case "SEND":
      return `SEND ${command.target} ${command.message}`
    case "SYNC":
      return `SYNC ${command.group} ${command.after}`
    case "SYNC_INBOX":
      return "SYNC"
  }
}

const joinServer = (command: ServerEncoded): string => {
  switch (command._tag) {
    case "MSG":
      return `MSG ${command.group} ${command.sender} ${command.timestamp} ${command.message}`
    case "DIRECT_MSG":
      return `MSG ${command.sender} ${command.timestamp} ${command.message}`
    case "DECLINE":
      return `DECLINE ${command.reason}`
    case "ACCEPT":
    case "ACK":
    case "ENDSYNC":
      return command._tag
  }
}

const lineForm = <Encoded>(
  split: (line: string) => Encoded | undefined,
  join: (command: Encoded) => string
): SchemaTransformation.Transformation<Encoded, string> =>
  SchemaTransformation.transformEffect<Encoded, string>({
    decode: (line, options) => {
      const command = split(line)
      return command === undefined
        ? Effect.fail(new SchemaIssue.InvalidValue({ message: "not a command of this form" }, line, options))
        : Effect.succeed(command)
    },
    encode: (command) => Effect.succeed(join(command))
  })

/** A line of a client ↔ what it means. */
export const ClientCommandFromLine = Schema.String.pipe(
  Schema.decodeTo(ClientCommand, lineForm(splitClient, joinClient))
)

/** A line of a server ↔ what it means. */
export const ServerCommandFromLine = Schema.String.pipe(
  Schema.decodeTo(ServerCommand, lineForm(splitServer, joinServer))
)

const decodeClient = SchemaParser.decodeUnknownResult(ClientCommandFromLine)

// Made once, and no `SchemaError` is made: the stack of an error was half of what a line takes that is no command
const [invalid, unsupported] = [new InvalidCommand({}), new UnsupportedCommand({})]

/** Reads a client's line; what cannot be read is already the error that the server declines it with (CPT 3.3). */
export const readClientLine = (line: string): Result.Result<ClientCommand, InvalidCommand | UnsupportedCommand> =>
  Result.mapError(
    decodeClient(line),
    () => serverWords.has(wordOf(line)) ? unsupported : invalid
  )

/**
 * The name in the line of a `CONNECT`, undefined if it is no such line: what the Schema reads (property-tested), which
 * takes ten times as long, a tenth of a login.
 */
export const usernameIn = (line: string): Name | undefined => {
  if (!line.startsWith("CONNECT ")) return undefined
  const username = line.slice(8)
  return isName(username) ? username : undefined
}

/** Reads a server's line. The error says what is wrong with it. */
export const readServerLine: (line: string) => Result.Result<ServerCommand, Schema.SchemaError> = Schema
  .decodeUnknownResult(ServerCommandFromLine)

/**
 * The line of a command whose fields have been checked, as those of every instance here have: no second validation.
 * Equal to encoding with the Schema (property-tested), at a twentieth of its cost.
 */
export const clientLine = (command: ClientCommand): string =>
  command._tag === "SYNC" ? `SYNC ${command.group} ${command.after}` : joinClient(command)

/** As {@link clientLine}, for what a server says. */
export const serverLine = (command: ServerCommand): string => {
  switch (command._tag) {
    case "MSG":
      return msgLine(command.group, command.sender, command.timestamp, command.message)
    case "DIRECT_MSG":
      return `MSG ${command.sender} ${command.timestamp} ${command.message}`
    default:
      return joinServer(command)
  }
}

/** The line of a `MSG` from its fields, for those who have them without the instance. */
export const msgLine = (group: string, sender: string, timestamp: number, message: string): string =>
  `${msgPrefix(group, sender)}${timestamp} ${message}`

/** How the line of a `MSG` begins, for those who have many of them. */
export const msgPrefix = (group: string, sender: string): string => `MSG ${group} ${sender} `

/** The line that an error becomes. */
export const declineLine = (error: DeclineError): string => joinServer({ _tag: "DECLINE", reason: error.reason })
