/** What a client is tested for: transcripts, in the language of `Script`. */
import type { Described, Level, Profile } from "../Case.ts"
import { unescaped } from "../Script.ts"
import type { Role } from "./Command.ts"

export interface Case extends Described {
  /** What the client is told to do. */
  readonly role: Role
}

interface About {
  readonly title: string
  /** Default: MUST. */
  readonly level?: Level
  readonly quote: string
  readonly role: Role
  readonly script: string
}

const define = (profile: Profile, cases: Readonly<Record<string, About>>): ReadonlyArray<Case> =>
  Object.entries(cases).map(([id, { level = "MUST", quote, role, script, title }]) => ({
    id: `client/${id}`,
    title,
    level,
    profiles: [profile],
    quote,
    role,
    script: unescaped(script)
  }))

const reading = "our reading" as const

const connects = "Begins a connection to the remote service, asking for a username in the required parameter."
const declined = "Signals that the server has declined the client request."
const closes =
  "The client SHOULD close the TCP connection upon the reception of this packet, and MAY inform the user of the error message."
const sends = "Sends a new `message` to a given `target`."
const waitsForAck = "The client MUST wait for an ACK response before doing another interaction."
const answer =
  "The server MUST respond with either an ACK to confirm the message delivery, or a DECLINE to indicate an error"
const sendsAgain =
  "The client MAY re-send the message if an ACK message was not received, and the server SHOULD add a deduplication system in the event of duplicated sent messages."
const after = "Requests the messages in a given `group` sent after the `after` timestamp."
const syncs = "The server will respond with multiple `MSG` commands, and terminated with an `ENDSYNC` command."
const waitsForEnd = "The client MUST wait for the ENDSYNC message before resuming interaction with the server."
const complete = "Terminates the `SYNC` request, indicating that all messages were sent successfully."
const received = "Describes a received message from the server."
const system = "The `system` sender is reserved for server-specific messages and SHOULD not be a valid username."

const anyTime = "It has one request in flight, and takes `MSG` at any time."
const anyCut =
  "Input may arrive in any cut: one byte at a time, many lines at once, a character split over two packets."
const anyWord = "A client accepts any word."
const restOfLine =
  "The last field of `SEND`, `MSG` and `DECLINE` takes the rest of the line, inner and leading spaces included."
const noEnd = "Bytes after the last LF at end of input are not a command."
const comesBack =
  "After a lost connection it reconnects with backoff, re-sends the one message whose ACK it did not see, and syncs each followed group from its last timestamp: nothing lost, nothing twice."
const follows =
  "A session *follows* a group from its first SYNC of it, and its own inbox from CONNECT on: new messages come as `MSG` as they are stored, each exactly once, in order, without a hole between the SYNC and the live ones."
const diagram =
  "It also reads the form of the specification's diagram, `MSG <sender> <timestamp> <message>`: where the third field is no timestamp and the second is one."
const over =
  "The client closes the connection on a DECLINE that ends the session, tells the user the reason in words, and knows each default reason as a typed error."
const own = "A session's own messages are not pushed back to it, but a SYNC does return them."
const announced = "Announcements: `MSG system system 0 <text>` to every session that is logged in."
const equal = "The spec has no message id, and two equal messages in a row (\"ok\", \"ok\") are legal."
const hole =
  "Where retention has removed messages after `after`, the first answer is `MSG <group> system 0 <what is missing>`; never a silent hole."

export const clientCases: ReadonlyArray<Case> = [
  ...define("core", {
    "connect/3.2/first": {
      title: "the first that it says is CONNECT, with a name",
      quote: connects,
      role: "send",
      script: String.raw`
        client: starts
        server: takes a connection
        server< CONNECT {user}
        server> ACCEPT
        server< SEND {target} {one}
        server> ACK
        client: done
      `
    },
    "send/4.1/form": {
      title: "it sends the message to the target, in one line",
      quote: sends,
      role: "send",
      script: String.raw`
        client: starts
        server: login
        server< SEND {target} {one}
        server> ACK
        client: done
      `
    },
    "send/6.2/waits-for-ack": {
      title: "it waits for the ACK before it ends",
      quote: waitsForAck,
      role: "send",
      script: String.raw`
        client: starts
        server: login
        server< SEND {target} {one}
        server: hears nothing for 500 ms
        server> ACK
        client: done
      `
    },
    "send/6.2/one-at-a-time": {
      title: "it waits for the ACK before it sends the next message",
      quote: waitsForAck,
      role: "lines",
      script: String.raw`
        client: starts
        server: login
        server< SEND {target} {one}
        server: hears nothing
        server> ACK
        server< SEND {target} {two}
        server: hears nothing
        server> ACK
        server< SEND {target} {three}
        server: hears nothing
        server> ACK
        client: done
      `
    },
    "send/6.3/late-ack": {
      title: "it does not send again while the ACK may still come",
      quote: waitsForAck,
      role: "send",
      script: String.raw`
        client: starts
        server: login
        server< SEND {target} {one}
        server: hears nothing for 1800 ms
        server> ACK
        client: done
      `
    },
    "send/4.1/declined": {
      title: "a message that was declined is no success, and is not sent again at once",
      quote: answer,
      role: "send",
      script: String.raw`
        client: starts
        server: login
        server< SEND {target} {one}
        server> DECLINE invalid_command
        client: not done
      `
    },
    "send/4.1/lost-ack": {
      title: "without an ACK it is no success: the connection is lost, and there is no other",
      quote: answer,
      role: "send",
      script: String.raw`
        client: starts
        server: login
        server< SEND {target} {one}
        server: serves nobody
        server: cut
        client: not done
      `
    },
    "send/4.1/no-ack": {
      title: "it is no success either when the server ends the connection in good order",
      quote: answer,
      role: "send",
      script: String.raw`
        client: starts
        server: login
        server< SEND {target} {one}
        server: serves nobody
        server: end
        client: not done
      `
    },
    "send/6.2/message-between": {
      title: "a MSG between its SEND and the ACK is no answer",
      quote: waitsForAck,
      role: "send",
      script: String.raw`
        client: starts
        server: login
        server< SEND {target} {one}
        server> MSG {user} {bob} <t1> hello
        server: hears nothing
        server> ACK
        client: done
      `
    },
    "send/6.2/message-before-decline": {
      title: "a DECLINE is the answer, also when a MSG comes before it",
      quote: answer,
      role: "send",
      script: String.raw`
        client: starts
        server: login
        server< SEND {target} {one}
        server> MSG {user} {bob} <t1> hello
        server> DECLINE invalid_command
        client: not done
      `
    },
    "sync/5.1/prints": {
      title: "it asks for the messages of the group, and prints them: each once, in order",
      quote: after,
      role: "sync",
      script: String.raw`
        client: starts
        server: login
        server< SYNC {group} <a>
        server> MSG {group} {bob} <t1> {one}
        server> MSG {group} {carol} <t2> {two}
        server> MSG {group} {bob} <t3> {three}
        server> ENDSYNC
        client: done
        client< {one} {two} {three}
      `
    },
    "sync/5.1/empty": {
      title: "an answer without a message is one",
      quote: syncs,
      role: "sync",
      script: String.raw`
        client: starts
        server: login
        server< SYNC {group} <a>
        server> ENDSYNC
        client: done
        client< nothing
      `
    },
    "sync/5.6/waits-for-endsync": {
      title: "it waits for ENDSYNC, however long the messages take",
      quote: waitsForEnd,
      role: "sync",
      script: String.raw`
        client: starts
        server: login
        server< SYNC {group} <a>
        server: hears nothing
        server> MSG {group} {bob} <t1> {one}
        server: hears nothing for 600 ms
        server> MSG {group} {bob} <t2> {two}
        server: hears nothing
        server> ENDSYNC
        client: done
        client< {one} {two}
      `
    },
    "sync/5.1/lost": {
      title: "without ENDSYNC it is no success",
      quote: complete,
      role: "sync",
      script: String.raw`
        client: starts
        server: login
        server< SYNC {group} <a>
        server> MSG {group} {bob} <t1> {one}
        server: serves nobody
        server: end
        client: not done
      `
    },
    "sync/5.1/declined": {
      title: "a SYNC that was declined is no success",
      quote: declined,
      role: "sync",
      script: String.raw`
        client: starts
        server: login
        server< SYNC {group} <a>
        server> DECLINE unsupported_command
        client: not done
      `
    },
    "tail/5.1/prints": {
      title: "it asks for the messages of the group, and prints them: each once, in order",
      quote: after,
      role: "tail",
      script: String.raw`
        client: starts
        server: login
        server< SYNC {group} <a>
        server> MSG {group} {bob} <t1> {one}
        server> MSG {group} {bob} <t2> {two}
        server> ENDSYNC
        client< {one} {two}
      `
    },
    "tail/5.6/waits-for-endsync": {
      title: "it says nothing before ENDSYNC",
      quote: waitsForEnd,
      role: "tail",
      script: String.raw`
        client: starts
        server: login
        server< SYNC {group} <a>
        server> MSG {group} {bob} <t1> {one}
        server: hears nothing for 600 ms
        server> ENDSYNC
        client< {one}
      `
    }
  }),
  ...define("strict", {
    "connect/6.2/waits-for-accept": {
      title: "it says nothing before it is accepted",
      level: reading,
      quote: anyTime,
      role: "send",
      script: String.raw`
        client: starts
        server: takes a connection
        server< CONNECT {user}
        server: hears nothing for 500 ms
        server> ACCEPT
        server< SEND {target} {one}
        server> ACK
        client: done
      `
    },
    "send/1.3/exact": {
      title: "spaces within a message, and all that is no ASCII, are sent as they are",
      level: reading,
      quote: restOfLine,
      role: "send",
      script: String.raw`
        client: starts with two  spaces, é \u{1f980}
        server: login
        server< SEND {target} two  spaces, é \u{1f980}
        server> ACK
        client: done
      `
    },
    "send/4.4/equal": {
      title: "two equal messages are two",
      level: reading,
      quote: equal,
      role: "lines",
      script: String.raw`
        client: starts with ok | ok
        server: login
        server< SEND {target} ok
        server> ACK
        server< SEND {target} ok
        server> ACK
        client: done
      `
    },
    "send/6.2/announcement-between": {
      title: "an announcement between its SEND and the ACK is no answer",
      level: reading,
      quote: announced,
      role: "send",
      script: String.raw`
        client: starts
        server: login
        server< SEND {target} {one}
        server> MSG system system 0 we go home soon
        server: hears nothing
        server> ACK
        client: done
      `
    },
    "send/6.4/diagram-between": {
      title: "a message in the form of the diagram is no answer",
      level: reading,
      quote: diagram,
      role: "send",
      script: String.raw`
        client: starts
        server: login
        server< SEND {target} {one}
        server> MSG {bob} <t1> hello
        server: hears nothing
        server> ACK
        client: done
      `
    },
    "sync/1.3/exact": {
      title: "a message is the rest of the line, with all its spaces",
      level: reading,
      quote: restOfLine,
      role: "sync",
      script: String.raw`
        client: starts
        server: login
        server< SYNC {group} <a>
        server> MSG {group} {bob} <t1>  {one}  and MSG {two} 0  {three}
        server> ENDSYNC
        client: done
        client< {one} {two} {three}
      `
    },
    "sync/5.5/own": {
      title: "its own messages are among those of the group",
      level: reading,
      quote: own,
      role: "sync",
      script: String.raw`
        client: starts
        server: login
        server< SYNC {group} <a>
        server> MSG {group} {user} <t1> {one}
        server> MSG {group} {bob} <t2> {two}
        server> ENDSYNC
        client: done
        client< {one} {two}
      `
    },
    "sync/5.4/system": {
      title: "a word of the server about the group hides no message behind it",
      level: reading,
      quote: hole,
      role: "sync",
      script: String.raw`
        client: starts
        server: login
        server< SYNC {group} <a>
        server> MSG {group} system 0 missing: what was sent before yesterday
        server> MSG {group} {bob} <t1> {one}
        server> ENDSYNC
        client: ends
        client< {one}
      `
    },
    "sync/5.2/inbox": {
      title: "it prints the private messages of who it is",
      level: reading,
      quote:
        "A bare `SYNC` gives all private messages to the current user, as `MSG <own name> <sender> <timestamp> <message>`.",
      role: "sync",
      script: String.raw`
        client: starts on {user}
        server: login
        server< SYNC {group} <a>
        server> MSG {user} {bob} <t1> {one}
        server> MSG {user} {carol} <t2> {two}
        server> ENDSYNC
        client: done
        client< {one} {two}
      `
    },
    "sync/6.4/diagram": {
      title: "it reads private messages in the form of the diagram",
      level: reading,
      quote: diagram,
      role: "sync",
      script: String.raw`
        client: starts on {user}
        server: login
        server< SYNC {group} <a>
        server> MSG {bob} <t1> {one}
        server> MSG {carol} <t2> {two}
        server> ENDSYNC
        client: done
        client< {one} {two}
      `
    },
    "tail/5.9/announcement": {
      title: "announcements, before an answer and after it, hide no message",
      level: "SHOULD",
      quote: system,
      role: "tail",
      script: String.raw`
        client: starts
        server: takes a connection
        server< CONNECT {user}
        server> ACCEPT\nMSG system system 0 welcome
        server< SYNC {group} <a>
        server> MSG system system 0 just before the answer
        server> MSG {group} {bob} <t1> {one}\nENDSYNC\nMSG system system 0 right behind it\nMSG {group} {bob} <t2> {two}
        client< {one} {two}
      `
    },
    "tail/6.3/backoff": {
      title: "while there is no server, it tries to connect less and less often",
      level: reading,
      quote: comesBack,
      role: "tail",
      script: String.raw`
        client: starts
        server: login
        server< SYNC {group} <a>
        server> ENDSYNC
        server: serves nobody
        server: cut
        client: backs off for 3000 ms
      `
    }
  }),
  ...define("robust", {
    "connect/1.6/with-accept": {
      title: "what comes in one packet with ACCEPT is not lost, and no answer to what it says next",
      level: reading,
      quote: anyCut,
      role: "send",
      script: String.raw`
        client: starts
        server: takes a connection
        server< CONNECT {user}
        server> ACCEPT\nMSG {user} {bob} <t1> hello\nMSG {user} {bob} <t2> are you there?
        server< SEND {target} {one}
        server: hears nothing
        server> ACK
        client: done
      `
    },
    "send/1.6/bytes": {
      title: "answers may come one byte at a time",
      level: reading,
      quote: anyCut,
      role: "send",
      script: String.raw`
        client: starts
        server: takes a connection
        server< CONNECT {user}
        server>. ACCEPT\n
        server< SEND {target} {one}
        server>. MSG {user} {bob} <t1> h\u{e9}llo\nAC
        server: hears nothing
        server>. K\n
        client: done
      `
    },
    "send/1.6/with-ack": {
      title: "the ACK may come in one packet with messages, before it and behind it",
      level: reading,
      quote: anyCut,
      role: "send",
      script: String.raw`
        client: starts
        server: login
        server< SEND {target} {one}
        server> MSG {user} {bob} <t1> before\nACK\nMSG {user} {bob} <t2> behind
        client: done
      `
    },
    "send/1.5/half-an-ack": {
      title: "half an ACK is none",
      level: reading,
      quote: noEnd,
      role: "send",
      script: String.raw`
        client: starts
        server: login
        server< SEND {target} {one}
        server>> ACK
        (100 ms)
        server: serves nobody
        server: end
        client: not done
      `
    },
    "send/6.2/text-of-answers": {
      title: "a message with the text of an answer is none",
      level: reading,
      quote: anyTime,
      role: "send",
      script: String.raw`
        client: starts
        server: login
        server< SEND {target} {one}
        server> MSG {user} {bob} <t1> ACK
        server> MSG {user} {bob} <t2> DECLINE account_locked
        server: hears nothing
        server> ACK
        client: done
      `
    },
    "sync/1.6/bytes": {
      title: "an answer may come one byte at a time",
      level: reading,
      quote: anyCut,
      role: "sync",
      script: String.raw`
        client: starts
        server: login
        server< SYNC {group} <a>
        server>. MSG {group} {bob} <t1> \u{1f980} {one}\nMSG {group} {bob} <t2> {two} \u{e9}\nENDSYNC\n
        client: done
        client< {one} {two}
      `
    },
    "sync/1.6/together": {
      title: "an answer may come in one packet",
      level: reading,
      quote: anyCut,
      role: "sync",
      script: String.raw`
        client: starts
        server: login
        server< SYNC {group} <a>
        server> MSG {group} {bob} <t1> {one}\nMSG {group} {bob} <t2> {two}\nMSG {group} {bob} <t3> {three}\nENDSYNC
        client: done
        client< {one} {two} {three}
      `
    },
    "sync/5.6/text-of-answers": {
      title: "a message with the text of an answer is none",
      level: reading,
      quote: anyTime,
      role: "sync",
      script: String.raw`
        client: starts
        server: login
        server< SYNC {group} <a>
        server> MSG {group} {bob} <t1> ENDSYNC
        server> MSG {group} {bob} <t2> {one}
        server> MSG {group} {bob} <t3> DECLINE invalid_command
        server> MSG {group} {bob} <t4> {two}
        server> ENDSYNC
        client: done
        client< {one} {two}
      `
    },
    "tail/1.6/cuts": {
      title: "live messages may come in any cut",
      level: reading,
      quote: anyCut,
      role: "tail",
      script: String.raw`
        client: starts
        server: login
        server< SYNC {group} <a>
        server>> ENDSYNC\nMSG {group} {bob} <t1> {one} \xf0\x9f
        (50 ms)
        server>> \xa6\x80\nMSG {group} {bob} <t2> {two}
        (50 ms)
        server>> \nMSG {group} {bob} <t3> {three}\nMSG {group} {bob} <t4> {four}\nMS
        (50 ms)
        server>> G {group} {bob} <t5> {five}\n
        client< {one} {two} {three} {four} {five}
      `
    }
  }),
  ...define("delivery", {
    "send/6.3/sends-again": {
      title: "after a lost connection it sends the message again whose ACK it did not see",
      level: "MAY",
      quote: sendsAgain,
      role: "send",
      script: String.raw`
        client: starts
        server: login
        server< SEND {target} {one}
        server: cut
        server: login
        server< SEND {target} {one}
        server> ACK
        client: done
      `
    },
    "send/6.3/again-and-again": {
      title: "it sends the message again as often as it has to, once on each connection",
      level: reading,
      quote: comesBack,
      role: "send",
      script: String.raw`
        client: starts
        server: login
        server< SEND {target} {one}
        server: cut
        server: login
        server< SEND {target} {one}
        server: hears nothing
        server>> AC
        server: end
        server: login
        server< SEND {target} {one}
        server: hears nothing
        server> ACK
        client: done
      `
    },
    "send/6.3/not-twice": {
      title: "a message whose ACK it has seen is not sent again, though the connection is lost right then",
      quote: sendsAgain,
      role: "send",
      script: String.raw`
        client: starts
        server: login
        server< SEND {target} {one}
        server> ACK
        server: end
        client: done
      `
    },
    "send/6.3/goes-on": {
      title: "after a lost connection it goes on with the next message, and leaves none out",
      level: reading,
      quote: comesBack,
      role: "lines",
      script: String.raw`
        client: starts
        server: login
        server< SEND {target} {one}
        server> ACK
        server< SEND {target} {two}
        server: cut
        server: login
        server< SEND {target} {two}
        server> ACK
        server: end
        server: login
        server< SEND {target} {three}
        server> ACK
        client: done
      `
    },
    "connect/6.3/lost-login": {
      title: "a connection that is lost during the login is tried again",
      level: reading,
      quote: comesBack,
      role: "send",
      script: String.raw`
        client: starts
        server: takes a connection
        server< CONNECT {user}
        server: cut
        server: login
        server< SEND {target} {one}
        server> ACK
        client: done
      `
    },
    "sync/6.3/goes-on": {
      title: "when the connection is lost within an answer, each message is printed once all the same",
      level: reading,
      quote: comesBack,
      role: "sync",
      script: String.raw`
        client: starts
        server: login
        server< SYNC {group} <a>
        server: has MSG {group} {bob} <t3> {four}
        server> MSG {group} {bob} <t1> {one}
        server>> MSG {group} {bob} <t2> {two} and
        (50 ms)
        server: cut
        server: has MSG {group} {bob} <t2> {two} and {three}
        server: login
        server< SYNC {group} <b>
        server: answers
        client: done
        client< {one} {two} {three} {four}
      `
    },
    "sync/5.1/equal": {
      title: "two equal messages are two",
      quote: received,
      role: "sync",
      script: String.raw`
        client: starts
        server: login
        server< SYNC {group} <a>
        server> MSG {group} {bob} <t1> {one}
        server> MSG {group} {bob} <t2> {one}
        server> MSG {group} {carol} <t3> {one}
        server> ENDSYNC
        client: done
        client< {one} {one} {one}
      `
    },
    "tail/5.5/live": {
      title: "it prints what comes after the answer, as it comes",
      level: reading,
      quote: follows,
      role: "tail",
      script: String.raw`
        client: starts
        server: login
        server< SYNC {group} <a>
        server> ENDSYNC
        server> MSG {group} {bob} <t1> {one}
        client< {one}
        server> MSG {group} {bob} <t2> {two}
        client< {one} {two}
      `
    },
    "tail/5.5/seam": {
      title: "nothing is lost or doubled between the answer and what comes right behind it",
      level: reading,
      quote: follows,
      role: "tail",
      script: String.raw`
        client: starts
        server: login
        server< SYNC {group} <a>
        server> MSG {group} {bob} <t1> {one}\nENDSYNC\nMSG {group} {bob} <t2> {two}\nMSG {group} {bob} <t3> {three}
        client< {one} {two} {three}
      `
    },
    "tail/5.1/equal": {
      title: "two equal messages are two",
      quote: received,
      role: "tail",
      script: String.raw`
        client: starts
        server: login
        server< SYNC {group} <a>
        server> MSG {group} {bob} <t1> {one}\nENDSYNC
        server> MSG {group} {bob} <t2> {one}
        server> MSG {group} {bob} <t3> {one}
        client< {one} {one} {one}
      `
    },
    "tail/6.3/last-timestamp": {
      title: "after a lost connection it asks from the timestamp of the last message on",
      level: reading,
      quote: comesBack,
      role: "tail",
      script: String.raw`
        client: starts
        server: login
        server< SYNC {group} <a>
        server> MSG {group} {bob} <t1> {one}\nENDSYNC
        server> MSG {group} {bob} <t2> {two}
        client< {one} {two}
        server: end
        server: login
        server< SYNC {group} <t2>
        server: answers
      `
    },
    "tail/6.3/nothing-lost": {
      title: "what was sent while there was no connection is printed, and nothing else again",
      level: reading,
      quote: comesBack,
      role: "tail",
      script: String.raw`
        client: starts
        server: login
        server< SYNC {group} <a>
        server> MSG {group} {bob} <t1> {one}\nENDSYNC
        server> MSG {group} {bob} <t2> {two}
        client< {one} {two}
        server: cut
        server: has MSG {group} {bob} <t3> {three}
        server: has MSG {group} {bob} <t4> {four}
        server: login
        server< SYNC {group} <b>
        server: answers
        server> MSG {group} {bob} <t5> {five}
        client< {one} {two} {three} {four} {five}
      `
    },
    "tail/6.3/lost-answer": {
      title: "when the connection is lost within an answer, each message is printed once all the same",
      level: reading,
      quote: comesBack,
      role: "tail",
      script: String.raw`
        client: starts
        server: login
        server< SYNC {group} <a>
        server: has MSG {group} {bob} <t3> {four}
        server> MSG {group} {bob} <t1> {one}
        server>> MSG {group} {bob} <t2> {two} and
        (50 ms)
        server: cut
        server: has MSG {group} {bob} <t2> {two} and {three}
        server: login
        server< SYNC {group} <b>
        server: answers
        client< {one} {two} {three} {four}
      `
    },
    "tail/6.3/server-away": {
      title: "it comes back when the server was away for a while",
      level: reading,
      quote: comesBack,
      role: "tail",
      script: String.raw`
        client: starts
        server: login
        server< SYNC {group} <a>
        server> MSG {group} {bob} <t1> {one}\nENDSYNC
        client< {one}
        server: serves nobody
        server> DECLINE shutting_down
        server: end
        (800 ms)
        server: has MSG {group} {bob} <t2> {two}
        server: serves again
        server: login
        server< SYNC {group} <b>
        server: answers
        client< {one} {two}
      `
    }
  }),
  ...define("identity", {
    "connect/3.2/username-taken": {
      title: "a name that is taken is no success, and nothing is sent",
      quote: declined,
      role: "send",
      script: String.raw`
        client: starts
        server: declines names: username_taken
        server: takes a connection
        server< CONNECT {user}
        server> DECLINE username_taken
        client: not done
      `
    },
    "connect/6.1/account-locked": {
      title: "an account that is locked is no success: it closes the connection",
      level: "SHOULD",
      quote: closes,
      role: "send",
      script: String.raw`
        client: starts
        server: declines names: account_locked
        server: takes a connection
        server< CONNECT {user}
        server> DECLINE account_locked
        server< (end)
        client: not done
      `
    },
    "connect/3.4/any-word": {
      title: "a word that it does not know is a DECLINE too",
      level: reading,
      quote: anyWord,
      role: "send",
      script: String.raw`
        client: starts
        server: declines names: moon_phase
        server: takes a connection
        server< CONNECT {user}
        server> DECLINE moon_phase
        client: not done
      `
    },
    "send/3.4/any-word": {
      title: "a message that is declined with a word that it does not know is no success",
      level: reading,
      quote: anyWord,
      role: "send",
      script: String.raw`
        client: starts
        server: login
        server< SEND {target} {one}
        server> DECLINE moon_phase
        client: not done
      `
    },
    "connect/6.1/says-why": {
      title: "it tells its user why nobody can log in, also with a word that it does not know",
      level: reading,
      quote: over,
      role: "send",
      script: String.raw`
        client: starts
        server: declines names: moon_phase
        server: takes a connection
        server< CONNECT {user}
        server> DECLINE moon_phase
        client: tells moon_phase
        client: not done
      `
    },
    "send/6.1/says-why": {
      title: "it tells its user why a message was declined, also with a word that it does not know",
      level: reading,
      quote: over,
      role: "send",
      script: String.raw`
        client: starts
        server: login
        server< SEND {target} {one}
        server> DECLINE moon_phase
        client: tells moon_phase
        client: not done
      `
    },
    "send/6.1/session-over": {
      title: "after a DECLINE that ends the session it says nothing more, and closes the connection",
      level: reading,
      quote: over,
      role: "lines",
      script: String.raw`
        client: starts
        server: declines names: account_locked
        server: login
        server< SEND {target} {one}
        server> DECLINE account_locked
        server< (end)
        client: not done
      `
    }
  })
]
