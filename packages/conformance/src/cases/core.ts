/** Every MUST of CPT.md, and what it says a server does. */
import { Effect } from "effect"
import { perMillisecond } from "../Dialect.ts"
import { Unsupported } from "../Outcome.ts"
import { define } from "./define.ts"

const accept = "If not, the server MUST answer with an `ACCEPT` command."
const taken =
  "The server SHALL answer with an `DECLINE` command if the user is already taken, or IF additional requirements are set by the implementation."
const reasons =
  "The server MUST use the default reasons described in the table below where applicable, and MAY use custom values."
const invalid = "Unknown command, or invalid command format"
const answer =
  "The server MUST respond with either an ACK to confirm the message delivery, or a DECLINE to indicate an error"
const sends = "Sends a new `message` to a given `target`."
const after = "Requests the messages in a given `group` sent after the `after` timestamp."
const syncs = "The server will respond with multiple `MSG` commands, and terminated with an `ENDSYNC` command."
const all =
  "The server MUST provide all messages before the time of the `SYNC` command, and MAY provide messages sent during the transmission."
const group =
  "If this command is in response to a `SYNC` command, the `group` value MUST be set to the requested group."
const sender = "The `sender` is set to the username of the person who sent the message described in the command."
const time = "The `timestamp` value represents the time at which the message was sent."

/** How far a server's clock may be from ours, in milliseconds: that of a machine set to another time zone. */
const clocksDiffer = 26 * 3_600_000

export const core = define("core", {
  "connect/3.2/accept": {
    title: "a free name is accepted",
    quote: accept,
    script: String.raw`
      alice> CONNECT {alice}
      alice< ACCEPT
    `
  },
  "connect/3.2/two": {
    title: "two names are accepted beside each other",
    quote: accept,
    script: String.raw`
      alice: login
      ---
      bob> CONNECT {bob}
      bob< ACCEPT
    `
  },
  "connect/3.2/taken": {
    title: "a name in use is declined",
    quote: taken,
    script: String.raw`
      alice: login
      ---
      bob> CONNECT {alice}
      bob< DECLINE …
    `
  },
  "connect/3.2/username-taken": {
    title: "a name in use is declined as username_taken",
    also: ["identity"],
    quote: reasons,
    script: String.raw`
      alice: login
      ---
      bob> CONNECT {alice}
      bob< DECLINE username_taken
    `
  },
  "connect/3.2/keeps-name": {
    title: "who has the name keeps it when it is declined to somebody else",
    quote: "An user already uses the given username.",
    script: String.raw`
      alice: login
      bob> CONNECT {alice}
      bob< DECLINE …
      ---
      alice> SEND {group} still here
      alice< ACK
      carol: login
      carol> SYNC {group} 0
      carol< MSG {group} {alice} <t> still here
      carol< ENDSYNC
    `
  },
  "connect/3.2/free-again": {
    title: "a name is free again soon after its connection has ended",
    quote: accept,
    does: "Alice logs in and ends her connection; within the timeout, somebody else can have her name.",
    run: Effect.fnUntraced(function*(stage) {
      const alice = yield* stage.login("alice")
      yield* alice.close()
      yield* stage.peer("bob").comesToBe(alice.ownName)
    })
  },
  "connect/3.2/free-after-cut": {
    title: "a name is free again soon after its connection broke",
    quote: accept,
    does: "Alice logs in, and her connection is reset; within the timeout, somebody else can have her name.",
    run: Effect.fnUntraced(function*(stage) {
      const alice = yield* stage.login("alice")
      yield* alice.cut()
      yield* stage.peer("bob").comesToBe(alice.ownName)
    })
  },
  "connect/0.3/no-answer": {
    title: "after ACCEPT a client need not say anything",
    quote: "No answer is required for the client.",
    script: String.raw`
      alice: login
      ---
      (300 ms)
      alice> SEND {group} after a while
      alice< ACK
    `
  },
  "connect/3.2/already-logged-in": {
    title: "a second CONNECT is declined",
    also: ["identity"],
    quote: "The user has already sent a CONNECT command.",
    script: String.raw`
      alice: login
      ---
      alice> CONNECT {other}
      alice< DECLINE already_logged_in
    `
  },
  "connect/3.2/name-stays": {
    title: "a second CONNECT does not change the name",
    quote: "Changing suernames is not supported by the protocol",
    script: String.raw`
      alice: login
      alice> CONNECT {other}
      alice< DECLINE …
      ---
      alice> SEND {group} who am I
      alice< ACK
      bob: login
      bob> SYNC {group} 0
      bob< MSG {group} {alice} <t> who am I
      bob< ENDSYNC
    `
  },
  "decline/3.4/reason": {
    title: "a DECLINE has a reason",
    quote: "The reason parameter is required, and describes the reasoning of the denial.",
    does: "Somebody asks for a name that is in use; behind DECLINE and a space there is something.",
    run: Effect.fnUntraced(function*(stage) {
      yield* stage.login("alice")
      const bob = stage.peer("bob")
      yield* bob.say("CONNECT {alice}")
      const line = yield* bob.hear("DECLINE…")
      yield* stage.check(/^DECLINE \S/.test(line), "bob hears DECLINE <reason>", line)
    })
  },
  "decline/3.3/unknown-command": {
    title: "an unknown command is invalid_command",
    also: ["identity"],
    quote: invalid,
    script: String.raw`
      alice: login
      ---
      alice> DANCE {group} hi
      alice< DECLINE invalid_command
    `
  },
  "decline/3.3/connect-without-name": {
    title: "CONNECT without a name is invalid_command",
    quote: invalid,
    script: String.raw`
      alice> CONNECT
      alice< DECLINE invalid_command
    `
  },
  "decline/3.3/send-without-target": {
    title: "SEND without anything is invalid_command",
    quote: invalid,
    script: String.raw`
      alice: login
      ---
      alice> SEND
      alice< DECLINE invalid_command
    `
  },
  "decline/3.3/send-without-message": {
    title: "SEND without a message is invalid_command",
    quote: invalid,
    script: String.raw`
      alice: login
      ---
      alice> SEND {group}
      alice< DECLINE invalid_command
    `
  },
  "decline/3.3/sync-without-after": {
    title: "SYNC of a group without a timestamp is invalid_command",
    quote: invalid,
    script: String.raw`
      alice: login
      ---
      alice> SYNC {group}
      alice< DECLINE invalid_command
    `
  },
  "decline/3.3/sync-after-word": {
    title: "SYNC after something that is no timestamp is invalid_command",
    quote: invalid,
    script: String.raw`
      alice: login
      ---
      alice> SYNC {group} yesterday
      alice< DECLINE invalid_command
    `
  },
  "decline/3.3/server-word": {
    title: "a command that only a server says is declined",
    also: ["identity"],
    quote: reasons,
    script: String.raw`
      alice: login
      ---
      alice> ACCEPT
      alice< DECLINE unsupported_command | DECLINE invalid_command
    `
  },
  "send/4.1/group": {
    title: "a SEND to a group is answered",
    quote: answer,
    script: String.raw`
      alice: login
      ---
      alice> SEND {group} hi
      alice< ACK | DECLINE …
    `
  },
  "send/4.1/user": {
    title: "a SEND to a user is answered",
    quote: answer,
    script: String.raw`
      alice: login
      bob: login
      ---
      alice> SEND {bob} hi
      alice< ACK | DECLINE …
    `
  },
  "send/4.1/nobody": {
    title: "a SEND to a name that nobody has had is answered",
    quote: answer,
    script: String.raw`
      alice: login
      ---
      alice> SEND {nobody} hi
      alice< ACK | DECLINE …
    `
  },
  "send/4.1/each": {
    title: "each SEND has one answer",
    quote: answer,
    script: String.raw`
      alice: login
      alice> SEND {group} one
      alice< ACK
      ---
      alice> SEND {group} two
      alice< ACK
      alice> SEND {other} three
      alice< ACK
      alice> SEND {group} four
      alice< ACK
      alice> SYNC {nowhere} 0
      alice< ENDSYNC
    `
  },
  "send/4.1/before-connect": {
    title: "a SEND of who has not logged in is no ACK that means nothing",
    quote: answer,
    does:
      "Somebody who has not logged in says SEND. Either it is declined, or it is acknowledged, and then the message is there.",
    run: Effect.fnUntraced(function*(stage) {
      const stranger = stage.peer("stranger")
      yield* stranger.say("SEND {group} who am I")
      const line = yield* stranger.hear("ACK | DECLINE …")
      if (line.startsWith("DECLINE")) return
      const alice = yield* stage.login("alice")
      const messages = yield* alice.sync("{group}")
      yield* stage.check(messages.length === 1, "the message that was acknowledged", `${messages.length} messages`)
    })
  },
  "answers/0.3/bare": {
    title: "ACCEPT, ACK and ENDSYNC have no parameters",
    quote: "Acknowledge the previous command (e.g. a SEND).",
    asks: ["wordy"],
    script: String.raw`
      alice> CONNECT {alice}
      alice< ACCEPT
      alice> SEND {group} hi
      alice< ACK
      alice> SYNC {nowhere} 0
      alice< ENDSYNC
    `
  },
  "send/1.3/text": {
    title: "a message arrives as it was sent",
    quote: sends,
    script: String.raw`
      alice: login
      alice> SEND {group} Hello, ceci est un test: <b>ça</b> 🦀  with  spaces, 100 % "quoted" \\ done
      alice< ACK
      bob: login
      ---
      bob> SYNC {group} 0
      bob< MSG {group} {alice} <t> Hello, ceci est un test: \x3cb\x3eça\x3c/b\x3e 🦀  with  spaces, 100 % "quoted" \\ done
      bob< ENDSYNC
    `
  },
  "send/2.2/private": {
    title: "a message to a user reaches that user",
    quote: "Get all messages sent to the current username",
    does: "Bob sends to alice. She hears it by herself, or in the answer when she asks for her messages.",
    run: Effect.fnUntraced(function*(stage) {
      const { inbox, livePrivate } = stage.dialect
      const alice = yield* stage.login("alice")
      const bob = yield* stage.login("bob")
      yield* stage.granted(bob.send("{alice}", "Private message"))
      if (livePrivate) yield* alice.hear("MSG {alice} {bob} <t> Private message")
      if (livePrivate && inbox === "none") return
      yield* alice.say(inbox === "bare" ? "SYNC" : "SYNC {alice} 0")
      yield* alice.hear("MSG {alice} {bob} <t> Private message")
      yield* alice.hear("ENDSYNC")
    })
  },
  "sync/5.1/messages": {
    title: "a SYNC gives the messages of the group, then ENDSYNC",
    quote: syncs,
    script: String.raw`
      alice: login
      alice> SEND {group} one
      alice< ACK
      (tick)
      alice> SEND {group} two
      alice< ACK
      bob: login
      ---
      bob> SYNC {group} 0
      bob< MSG {group} {alice} <t> one
      bob< MSG {group} {alice} <u after t> two
      bob< ENDSYNC
    `
  },
  "sync/5.1/empty": {
    title: "a SYNC of a group without messages is ended by ENDSYNC",
    quote: syncs,
    script: String.raw`
      alice: login
      ---
      alice> SYNC {group} 0
      alice<* MSG {group} system 0 …
      alice< ENDSYNC
    `
  },
  "sync/5.1/own": {
    title: "an answer has the messages of who asks too",
    quote: all,
    script: String.raw`
      alice: login
      alice> SEND {group} mine
      alice< ACK
      ---
      alice> SYNC {group} 0
      alice< MSG {group} {alice} <t> mine
      alice< ENDSYNC
    `
  },
  "sync/5.1/after": {
    title: "a SYNC gives what was sent after the timestamp, not what was sent at it",
    quote: after,
    script: String.raw`
      alice: login
      alice> SEND {group} one
      alice< ACK
      (tick)
      alice> SEND {group} two
      alice< ACK
      (tick)
      alice> SEND {group} three
      alice< ACK
      bob: login
      bob> SYNC {group} 0
      bob< MSG {group} {alice} <t> one
      bob< MSG {group} {alice} <u> two
      bob< MSG {group} {alice} <v> three
      bob< ENDSYNC
      carol: login
      ---
      carol> SYNC {group} <t>
      carol< MSG {group} {alice} <u> two
      carol< MSG {group} {alice} <v> three
      carol< ENDSYNC
    `
  },
  "sync/5.1/just-before": {
    title: "a SYNC gives all that was sent from the next moment on",
    quote: after,
    script: String.raw`
      alice: login
      alice> SEND {group} one
      alice< ACK
      (tick)
      alice> SEND {group} two
      alice< ACK
      bob: login
      bob> SYNC {group} 0
      bob< MSG {group} {alice} <t> one
      bob< MSG {group} {alice} <u> two
      bob< ENDSYNC
      carol: login
      ---
      carol> SYNC {group} <u-1>
      carol< MSG {group} {alice} <u> two
      carol< ENDSYNC
    `
  },
  "sync/5.1/nothing-new": {
    title: "a SYNC after the last message is empty",
    quote: after,
    script: String.raw`
      alice: login
      alice> SEND {group} one
      alice< ACK
      bob: login
      bob> SYNC {group} 0
      bob< MSG {group} {alice} <t> one
      bob< ENDSYNC
      carol: login
      ---
      carol> SYNC {group} <t>
      carol< ENDSYNC
    `
  },
  "sync/5.1/group": {
    title: "the group of each MSG of an answer is the one that was asked for",
    quote: group,
    asks: ["diagram"],
    script: String.raw`
      alice: login
      alice> SEND {first} in the first
      alice< ACK
      alice> SEND {second} in the second
      alice< ACK
      bob: login
      ---
      bob> SYNC {second} 0
      bob< MSG {second} {alice} <t> in the second
      bob< ENDSYNC
      bob> SYNC {first} 0
      bob< MSG {first} {alice} <u> in the first
      bob< ENDSYNC
    `
  },
  "sync/5.1/only-the-group": {
    title: "an answer has no messages of other groups, and none to a user",
    quote: after,
    script: String.raw`
      alice: login
      bob: login
      carol: login
      alice> SEND {first} one
      alice< ACK
      alice> SEND {second} two
      alice< ACK
      alice> SEND {bob} three
      alice< ACK
      alice> SEND {first} four
      alice< ACK
      ---
      carol> SYNC {first} 0
      carol< MSG {first} {alice} <t> one
      carol< MSG {first} {alice} <u from t> four
      carol< ENDSYNC
    `
  },
  "sync/5.1/all": {
    title: "an answer has all messages that were acknowledged before",
    quote: all,
    does: "Three people send ten messages each to a group, one after the other; whoever asks then gets all thirty.",
    run: Effect.fnUntraced(function*(stage) {
      const sent: Array<string> = []
      for (const who of ["alice", "bob", "carol"]) {
        const peer = yield* stage.login(who)
        for (let i = 1; i <= 10; i++) {
          const text = `${who} says ${i}`
          yield* stage.granted(peer.send("{group}", text))
          sent.push(text)
        }
      }
      const dave = yield* stage.login("dave")
      const messages = yield* dave.sync("{group}")
      const heard = messages.map(({ text }) => text)
      const missing = sent.filter((text) => !heard.includes(text))
      yield* stage.check(missing.length === 0, "all of 30 messages", `all but: ${missing.join(", ")}`)
      yield* stage.check(heard.length === 30, "30 messages", `${heard.length} of them: ${heard.join(", ")}`)
    })
  },
  "sync/5.1/again": {
    title: "what was sent once is the same in every answer",
    quote: time,
    script: String.raw`
      alice: login
      alice> SEND {group} one
      alice< ACK
      (tick)
      alice> SEND {group} two
      alice< ACK
      bob: login
      bob> SYNC {group} 0
      bob< MSG {group} {alice} <t> one
      bob< MSG {group} {alice} <u> two
      bob< ENDSYNC
      (tick)
      ---
      bob> SYNC {group} 0
      bob< MSG {group} {alice} <t> one
      bob< MSG {group} {alice} <u> two
      bob< ENDSYNC
      (tick)
      carol: login
      carol> SYNC {group} 0
      carol< MSG {group} {alice} <t> one
      carol< MSG {group} {alice} <u> two
      carol< ENDSYNC
    `
  },
  "sync/5.1/after-its-sender": {
    title: "messages stay when who sent them has gone",
    quote: all,
    script: String.raw`
      alice: login
      alice> SEND {group} I have to go
      alice< ACK
      alice: close
      bob: login
      ---
      bob> SYNC {group} 0
      bob< MSG {group} {alice} <t> I have to go
      bob< ENDSYNC
    `
  },
  "msg/0.3/sender": {
    title: "the sender of a MSG is who sent it, letter by letter",
    quote: sender,
    script: String.raw`
      alice> CONNECT {Alice}
      alice< ACCEPT
      alice> SEND {group} one
      alice< ACK
      bob> CONNECT {bob:upper}
      bob< ACCEPT
      bob> SEND {group} two
      bob< ACK
      carol: login
      ---
      carol> SYNC {group} 0
      carol< MSG {group} {Alice} <t> one
      carol< MSG {group} {bob:upper} <u from t> two
      carol< ENDSYNC
    `
  },
  "msg/4.2/time": {
    title: "a timestamp is the time at which the message was sent",
    quote: time,
    does: "A message is sent. Its timestamp is now, up to the time zone in which a clock was set wrong.",
    run: Effect.fnUntraced(function*(stage) {
      const alice = yield* stage.login("alice")
      yield* stage.granted(alice.send("{group}", "what time is it"))
      const bob = yield* stage.login("bob")
      const [message] = yield* stage.granted(bob.sync("{group}"))
      yield* stage.granted(stage.check(message !== undefined, "a message", "none"))
      if (message === undefined) return
      if (message.timestamp === 0n) {
        return yield* new Unsupported({ why: "the server does not know when messages are sent: its timestamps are 0" })
      }
      const { unit } = stage.dialect
      const millis = Number(message.timestamp) / perMillisecond[unit]
      yield* stage.check(
        Math.abs(millis - Date.now()) < clocksDiffer,
        `a time near ${new Date().toISOString()}, as ${unit} since the UNIX epoch`,
        message.line
      )
    })
  },
  "msg/4.2/passes": {
    title: "timestamps go on as the time does",
    quote: time,
    isIdle: true,
    does: "Two messages are sent, 1.2 seconds apart. So are their timestamps, or nearly.",
    run: Effect.fnUntraced(function*(stage) {
      const alice = yield* stage.login("alice")
      yield* stage.granted(alice.send("{group}", "one"))
      yield* Effect.sleep(1200)
      yield* stage.granted(alice.send("{group}", "two"))
      const bob = yield* stage.login("bob")
      const [one, two] = yield* stage.granted(bob.sync("{group}"))
      yield* stage.granted(stage.check(one !== undefined && two !== undefined, "two messages", "less"))
      if (one === undefined || two === undefined) return
      if (two.timestamp === 0n) {
        return yield* new Unsupported({ why: "the server does not know when messages are sent: its timestamps are 0" })
      }
      const apart = Number(two.timestamp - one.timestamp) / perMillisecond[stage.dialect.unit]
      yield* stage.check(
        apart > 150 && apart < 1200 + stage.timeout,
        "timestamps that are 1200 ms apart",
        `${apart} ms: ${one.line}, then ${two.line}`
      )
    })
  }
})
