/** Every SHOULD and MAY of CPT.md, and the openings that READING.md closes. */
import { Effect } from "effect"
import * as Bytes from "../Bytes.ts"
import { unitOf } from "../Dialect.ts"
import { define } from "./define.ts"

const reading = "our reading" as const

const lf = "One command is one line, ended by LF."
const oneSpace = "Fields are parted by exactly one space."
const rest =
  "The last field of `SEND`, `MSG` and `DECLINE` takes the rest of the line, inner and leading spaces included."
const names =
  "A username, group or target is 1 to 64 bytes of UTF-8, in NFC, with no white space and no control, format, surrogate, private-use or unassigned character."
const exact = "Names are compared exactly."
const system = "`system`, in any letter case, is reserved: nobody can connect as it, send to it, or sync it."
const kinds =
  "A name is a *user* once it has connected, a *group* once somebody else has synced it, and *open* while it has only been sent to."
const final = "User and group are final as long as the name has messages, so a private message can never become public."
const open =
  "Connecting with an open name takes its messages as the inbox (a message may wait for a user who has not been here yet); connecting with the name of a group is `DECLINE username_taken`."
const forgotten = "A name without messages is forgotten when the last session that bears or follows it ends."
const beforeLogin =
  "Before CONNECT, a well-formed SEND or SYNC is `DECLINE not_logged_in`; what 3.3 refuses is refused before login too."
const order =
  "`CONNECT` is checked in this order: grammar (`invalid_command`), reserved name or name of a group (`username_taken`), account rules (`account_locked`, `ip_invalid`), name in use (`username_taken`)."
const second = "A second CONNECT on a session is `DECLINE already_logged_in` and changes nothing."
const freeAgain =
  "The name is free again the moment its connection ends; a dead connection is found by TCP keepalive within 45 s."
const serverWords =
  "Words of the protocol that only a server sends (`ACCEPT`, `DECLINE`, `ACK`, `MSG`, `ENDSYNC`), and features that this deployment has switched off, are `unsupported_command`."
const grammar = "Unknown words and wrong grammar (missing, extra, empty or invalid fields) are `invalid_command`."
const closing =
  "The server does not close on a DECLINE that the client can go on from; it closes after one that ends the session (lock, limits, shutdown, login refused three times), and after 20 declines in a row."
const timestamps =
  "Each message gets a timestamp: integer milliseconds since the UNIX epoch, strictly greater than that of the message before it in the same target (`max(now, last + 1)`), so that a timestamp is a lossless cursor."
const text = "A message is at least one byte, and free of control characters but TAB."
const repeats = "The spec has no message id, and two equal messages in a row (\"ok\", \"ok\") are legal."
const confirmed =
  "an ACK is *confirmed* when the same connection, after it was handed to the kernel, sends another command or ends in good order."
const resendEnds = "it ends with the sender's first SEND that is not such a re-send."
const oldestFirst = "every message of the group with a timestamp greater than `after`, oldest first, then `ENDSYNC`."
const after = "`after` is a decimal integer of at most 15 digits, without sign or leading zeros."
const inbox =
  "A bare `SYNC` gives all private messages to the current user, as `MSG <own name> <sender> <timestamp> <message>`."
const inboxAfter = "`SYNC <own name> <after>` gives the newer ones."
const leaks = "`SYNC` on another user's name leaks nothing: `MSG <name> system 0 <why>`, then `ENDSYNC`."
const unknown = "An unknown group is empty, not an error."
const follows =
  "A session *follows* a group from its first SYNC of it, and its own inbox from CONNECT on: new messages come as `MSG` as they are stored, each exactly once, in order, without a hole between the SYNC and the live ones."
const ownMessages = "A session's own messages are not pushed back to it, but a SYNC does return them."

export const strict = define("strict", {
  "framing/1.1/lf": {
    title: "the server ends its lines with LF alone",
    level: reading,
    quote: lf,
    asks: ["crlf"],
    script: String.raw`
      alice> CONNECT {alice}
      alice< ACCEPT
      alice> SYNC {group} 0
      alice< ENDSYNC
    `
  },
  "framing/1.3/two-spaces": {
    title: "two spaces between fields are wrong grammar",
    level: reading,
    quote: oneSpace,
    script: String.raw`
      alice> CONNECT  {alice}
      alice< DECLINE invalid_command
      alice: login
      alice> SEND  {group} hi
      alice< DECLINE invalid_command
      alice> SYNC {group}  0
      alice< DECLINE invalid_command
    `
  },
  "framing/1.3/outer-spaces": {
    title: "spaces before and behind a command are wrong grammar",
    level: reading,
    quote: oneSpace,
    script: String.raw`
      alice> CONNECT {alice}\x20
      alice< DECLINE invalid_command
      alice> \x20CONNECT {alice}
      alice< DECLINE invalid_command
      alice: login
      alice> SYNC {group} 0\x20
      alice< DECLINE invalid_command
      alice> SYNC\x20
      alice< DECLINE invalid_command
    `
  },
  "framing/1.3/tab": {
    title: "a tab does not part fields",
    level: reading,
    quote: oneSpace,
    script: String.raw`
      alice> CONNECT\t{alice}
      alice< DECLINE invalid_command
    `
  },
  "framing/1.3/spaces-of-a-message": {
    title: "spaces at the beginning, inside and at the end of a message are kept",
    level: reading,
    quote: rest,
    script: String.raw`
      alice: login
      bob: login
      ---
      alice> SEND {group}   two   in  front\x20\x20
      alice< ACK
      bob> SYNC {group} 0
      bob< MSG {group} {alice} <t>   two   in  front\x20\x20
      bob< ENDSYNC
    `
  },
  "framing/1.6/upper-case": {
    title: "command words are upper case",
    level: reading,
    quote: "Command words are upper case.",
    script: String.raw`
      alice> connect {alice}
      alice< DECLINE invalid_command
      alice> Connect {alice}
      alice< DECLINE invalid_command
      alice: login
      alice> send {group} hi
      alice< DECLINE invalid_command
      alice> sync {group} 0
      alice< DECLINE invalid_command
    `
  },

  "names/2.1/longest": {
    title: "a name of 64 bytes can be had, sent to and synced",
    level: reading,
    quote: names,
    script: String.raw`
      alice> CONNECT {alice:64}
      alice< ACCEPT
      alice> SEND {group:64} hi
      alice< ACK
      bob: login
      bob> SYNC {group:64} 0
      bob< MSG {group:64} {alice:64} <t> hi
      bob< ENDSYNC
    `
  },
  "names/2.1/too-long": {
    title: "a name of 65 bytes is invalid",
    level: reading,
    quote: names,
    script: String.raw`
      alice> CONNECT {alice:65}
      alice< DECLINE invalid_command
      alice: login
      alice> SEND {group:65} hi
      alice< DECLINE invalid_command
      alice> SYNC {group:65} 0
      alice< DECLINE invalid_command
    `
  },
  "names/2.1/bytes": {
    title: "for the length of a name bytes count, not characters",
    level: reading,
    quote: names,
    script: String.raw`
      alice> CONNECT {alice:63}\u{e9}
      alice< DECLINE invalid_command
      alice> CONNECT {alice:62}\u{e9}
      alice< ACCEPT
    `
  },
  "names/2.1/other-scripts": {
    title: "letters of any script, digits, signs and emoji can be in a name",
    level: reading,
    quote: names,
    script: String.raw`
      alice> CONNECT {alice}-é_日本.ß+עב🦀
      alice< ACCEPT
      alice> SEND {group}/Ωμέγα#1 hi
      alice< ACK
      bob: login
      bob> SYNC {group}/Ωμέγα#1 0
      bob< MSG {group}/Ωμέγα#1 {alice}-é_日本.ß+עב🦀 <t> hi
      bob< ENDSYNC
    `
  },
  "names/2.1/nfc": {
    title: "a name that is not in normal form C is invalid",
    level: reading,
    quote: names,
    script: String.raw`
      alice> CONNECT {alice}e\u{301}
      alice< DECLINE invalid_command
      alice: login
      alice> SEND {group}e\u{301} hi
      alice< DECLINE invalid_command
    `
  },
  "names/2.1/white-space": {
    title: "white space of any kind cannot be in a name",
    level: reading,
    quote: names,
    script: String.raw`
      alice> CONNECT {alice}\u{a0}x
      alice< DECLINE invalid_command
      alice> CONNECT {alice}\u{3000}x
      alice< DECLINE invalid_command
      alice> CONNECT {alice}\u{2028}x
      alice< DECLINE invalid_command
      alice: login
      alice> SEND {group}\u{2003}x hi
      alice< DECLINE invalid_command
      alice> SYNC {group}\u{a0} 0
      alice< DECLINE invalid_command
    `
  },
  "names/2.1/invisible": {
    title: "control, format, private-use and unassigned characters cannot be in a name",
    level: reading,
    quote: names,
    script: String.raw`
      alice> CONNECT {alice}\x01
      alice< DECLINE invalid_command
      alice> CONNECT {alice}\x7f
      alice< DECLINE invalid_command
      alice> CONNECT {alice}\u{200b}
      alice< DECLINE invalid_command
      alice> CONNECT {alice}\u{202e}
      alice< DECLINE invalid_command
      alice> CONNECT \u{feff}{alice}
      alice< DECLINE invalid_command
      alice> CONNECT {alice}\u{e000}
      alice< DECLINE invalid_command
      alice> CONNECT {alice}\u{378}
      alice< DECLINE invalid_command
      alice: login
      alice> SEND {group}\u{200d} hi
      alice< DECLINE invalid_command
      alice> SYNC {group}\u{9f} 0
      alice< DECLINE invalid_command
    `
  },
  "names/2.1/exact": {
    title: "names in capital and in small letters are two names",
    level: reading,
    quote: exact,
    script: String.raw`
      alice: login
      bob> CONNECT {alice:upper}
      bob< ACCEPT
      bob> SEND {group} in capitals
      bob< ACK
      alice> SEND {group:upper} elsewhere
      alice< ACK
      carol: login
      carol> SYNC {group} 0
      carol< MSG {group} {alice:upper} <t> in capitals
      carol< ENDSYNC
    `
  },
  "names/2.1/system": {
    title: "system is no valid username",
    level: "SHOULD",
    quote: "The `system` sender is reserved for server-specific messages and SHOULD not be a valid username.",
    script: String.raw`
      alice> CONNECT system
      alice< DECLINE …
    `
  },
  "names/2.1/system-taken": {
    title: "system is taken, in any letter case",
    level: reading,
    quote: system,
    script: String.raw`
      alice> CONNECT system
      alice< DECLINE username_taken
      bob> CONNECT System
      bob< DECLINE username_taken
      carol> CONNECT SYSTEM
      carol< DECLINE username_taken
    `
  },
  "names/2.1/system-target": {
    title: "nobody can send to system, or sync it",
    level: reading,
    quote: system,
    script: String.raw`
      alice: login
      ---
      alice> SEND system hi
      alice< DECLINE …
      alice> SEND sYsTeM hi
      alice< DECLINE …
      alice> SYNC system 0
      alice< DECLINE …
    `
  },
  "names/2.2/open": {
    title: "a message waits for a user who has not been here yet",
    level: reading,
    quote: open,
    needs: ["inbox"],
    script: String.raw`
      alice: login
      alice> SEND {bob} welcome
      alice< ACK
      ---
      bob> CONNECT {bob}
      bob< ACCEPT
      bob> SYNC
      bob<* MSG {bob} {alice} … welcome
      bob< ENDSYNC
      bob: close
      bob: login
      bob> SYNC
      bob< MSG {bob} {alice} <t> welcome
      bob< ENDSYNC
    `
  },
  "names/2.2/group": {
    title: "nobody can connect with the name of a group",
    level: reading,
    quote: open,
    script: String.raw`
      alice: login
      alice> SEND {group} hi
      alice< ACK
      bob: login
      bob> SYNC {group} 0
      bob< MSG {group} {alice} <t> hi
      bob< ENDSYNC
      ---
      carol> CONNECT {group}
      carol< DECLINE username_taken
    `
  },
  "names/2.2/group-stays": {
    title: "nobody can connect with the name of a group, also when everybody has gone",
    level: reading,
    quote: final,
    script: String.raw`
      alice: login
      alice> SEND {group} hi
      alice< ACK
      alice> SYNC {group} 0
      alice< MSG {group} {alice} <t> hi
      alice< ENDSYNC
      alice: close
      ---
      carol> CONNECT {group}
      carol< DECLINE username_taken
    `
  },
  "names/2.2/user-stays": {
    title: "who has an inbox stays a user when they have gone: it never becomes public",
    level: reading,
    quote: final,
    script: String.raw`
      bob: login
      alice: login
      alice> SEND {bob} private
      alice< ACK
      bob: close
      ---
      carol: login
      carol> SYNC {bob} 0
      carol<* MSG {bob} system 0 …
      carol< ENDSYNC | DECLINE …
    `
  },
  "names/2.2/forgotten": {
    title: "the name of a group without messages is free when nobody follows it any more",
    level: reading,
    quote: forgotten,
    does:
      "Alice syncs a name that nobody has sent to: it is a group, and nobody can have it. Within the timeout after she has gone, somebody can.",
    run: Effect.fnUntraced(function*(stage) {
      const alice = yield* stage.login("alice")
      yield* stage.granted(alice.sync("{name}"))
      const bob = stage.peer("bob")
      yield* bob.say("CONNECT {name}")
      yield* bob.hear("DECLINE username_taken")
      yield* bob.close()
      yield* alice.close()
      yield* stage.peer("carol").comesToBe(stage.name("name"))
    })
  },
  "names/2.2/user-forgotten": {
    title: "the name of a user without messages can be a group when they have gone",
    level: reading,
    quote: forgotten,
    script: String.raw`
      bob: login
      bob: close
      alice: login
      ---
      (100 ms)
      alice> SEND {bob} for everybody
      alice< ACK
      carol: login
      carol> SYNC {bob} 0
      carol< MSG {bob} {alice} <t> for everybody
      carol< ENDSYNC
    `
  },
  "names/2.2/kinds": {
    title: "what is sent to a name that nobody has is for whoever syncs it first",
    level: reading,
    quote: kinds,
    script: String.raw`
      alice: login
      bob: login
      ---
      alice> SEND {group} anybody there?
      alice< ACK
      bob> SYNC {group} 0
      bob< MSG {group} {alice} <t> anybody there?
      bob< ENDSYNC
    `
  },
  "names/2.3/first-send": {
    title: "the first SEND makes a group",
    level: reading,
    quote: "Groups need no creating: the first SEND makes one.",
    script: String.raw`
      alice: login
      ---
      alice> SEND {group} hi
      alice< ACK
    `
  },

  "connect/3.1/send-before": {
    title: "SEND before CONNECT is not_logged_in",
    level: reading,
    also: ["identity"],
    quote: beforeLogin,
    asks: ["anonymous"],
    script: String.raw`
      alice> SEND {group} hi
      alice< DECLINE not_logged_in
    `
  },
  "connect/3.1/sync-before": {
    title: "SYNC before CONNECT is not_logged_in",
    level: reading,
    quote: beforeLogin,
    asks: ["anonymous"],
    script: String.raw`
      alice> SYNC {group} 0
      alice< DECLINE not_logged_in
      bob> SYNC
      bob< DECLINE not_logged_in
    `
  },
  "connect/3.1/refused-before": {
    title: "what is wrong before CONNECT is told as after it",
    level: reading,
    quote: beforeLogin,
    script: String.raw`
      alice> SEND {group}
      alice< DECLINE invalid_command
      bob> DANCE
      bob< DECLINE invalid_command
      carol> ACK
      carol< DECLINE unsupported_command
    `
  },
  "connect/3.1/and-then": {
    title: "who was declined before CONNECT may log in then",
    level: reading,
    quote: closing,
    asks: ["closes"],
    script: String.raw`
      alice> SEND {group} hi
      alice< DECLINE …
      alice> CONNECT {alice}
      alice< ACCEPT
    `
  },
  "connect/3.2/grammar-first": {
    title: "the grammar of CONNECT comes before all else",
    level: reading,
    quote: order,
    script: String.raw`
      alice: login
      ---
      bob> CONNECT {alice} {alice}
      bob< DECLINE invalid_command
      alice> CONNECT
      alice< DECLINE invalid_command
      alice> CONNECT {alice:65}
      alice< DECLINE invalid_command
    `
  },
  "connect/3.2/own-name-again": {
    title: "a second CONNECT is already_logged_in, also with one's own name or one that is taken",
    level: reading,
    quote: second,
    script: String.raw`
      alice: login
      bob: login
      ---
      alice> CONNECT {alice}
      alice< DECLINE already_logged_in
      alice> CONNECT {bob}
      alice< DECLINE already_logged_in
    `
  },
  "connect/3.2/another-name": {
    title: "who was declined a name may ask for another one",
    level: reading,
    quote: closing,
    asks: ["closes"],
    script: String.raw`
      alice: login
      ---
      bob> CONNECT {alice}
      bob< DECLINE username_taken
      bob> CONNECT {bob}
      bob< ACCEPT
    `
  },
  "connect/3.2/free-at-once": {
    title: "a name is free as soon as its connection has ended",
    level: reading,
    quote: freeAgain,
    script: String.raw`
      alice: login
      alice: close
      ---
      bob> CONNECT {alice}
      bob< ACCEPT
      bob: close
      carol> CONNECT {alice}
      carol< ACCEPT
    `
  },

  "decline/3.3/server-words": {
    title: "each word that only a server says is unsupported_command",
    level: reading,
    also: ["identity"],
    quote: serverWords,
    script: String.raw`
      alice: login
      ---
      alice> ACCEPT
      alice< DECLINE unsupported_command
      alice> ACK
      alice< DECLINE unsupported_command
      alice> ENDSYNC
      alice< DECLINE unsupported_command
      alice> DECLINE username_taken
      alice< DECLINE unsupported_command
      alice> MSG {group} {alice} 1 hi
      alice< DECLINE unsupported_command
    `
  },
  "decline/3.3/extra-fields": {
    title: "fields too many are invalid_command",
    level: reading,
    quote: grammar,
    script: String.raw`
      alice> CONNECT {alice} please
      alice< DECLINE invalid_command
      alice: login
      alice> SYNC {group} 0 0
      alice< DECLINE invalid_command
    `
  },
  "decline/3.3/empty-fields": {
    title: "empty fields are invalid_command",
    level: reading,
    quote: grammar,
    script: String.raw`
      alice> CONNECT\x20
      alice< DECLINE invalid_command
      alice: login
      alice> SEND  hi
      alice< DECLINE invalid_command
      alice> SEND {group}\x20
      alice< DECLINE invalid_command
      alice> SYNC  0
      alice< DECLINE invalid_command
    `
  },
  "decline/3.3/empty-line": {
    title: "the empty line is invalid_command",
    level: reading,
    quote: grammar,
    script: String.raw`
      alice: login
      ---
      alice>
      alice< DECLINE invalid_command
      alice> \x20
      alice< DECLINE invalid_command
    `
  },
  "decline/3.3/nothing-happens": {
    title: "what is declined is not done",
    level: reading,
    quote: grammar,
    script: String.raw`
      alice: login
      bob: login
      ---
      alice> SEND {group}
      alice< DECLINE …
      alice> SEND {group} \x01
      alice< DECLINE …
      bob> SYNC {group} 0
      bob< ENDSYNC
    `
  },
  "decline/3.4/bare-word": {
    title: "a DECLINE has one bare word",
    level: reading,
    quote: "`DECLINE` carries one bare word.",
    asks: ["explains"],
    script: String.raw`
      alice: login
      ---
      bob> CONNECT {alice}
      bob< DECLINE username_taken
      carol> DANCE
      carol< DECLINE invalid_command
    `
  },
  "decline/3.5/goes-on": {
    title: "a session goes on after a DECLINE",
    level: reading,
    quote: closing,
    asks: ["closes"],
    script: String.raw`
      alice: login
      ---
      alice> DANCE
      alice< DECLINE invalid_command
      alice> SEND {group}
      alice< DECLINE invalid_command
      alice> CONNECT {other}
      alice< DECLINE already_logged_in
      alice> ACK
      alice< DECLINE unsupported_command
      alice> SEND {group} still here
      alice< ACK
    `
  },
  "decline/3.5/three-logins": {
    title: "three refused logins end the session",
    level: reading,
    quote: closing,
    asks: ["closes"],
    script: String.raw`
      alice: login
      ---
      bob> CONNECT {alice}
      bob< DECLINE username_taken
      bob> CONNECT {alice}
      bob< DECLINE username_taken
      bob> CONNECT {alice}
      bob< DECLINE username_taken
      bob< (closed)
    `
  },
  "decline/3.5/twenty": {
    title: "twenty declines in a row end the session, and not fewer",
    level: reading,
    quote: closing,
    asks: ["closes"],
    does: "Alice says 19 times what is declined, then something right, then 20 times what is declined.",
    run: Effect.fnUntraced(function*(stage) {
      const alice = yield* stage.login("alice")
      const wrong = (times: number) =>
        Effect.repeat(stage.play("alice> DANCE\nalice< DECLINE invalid_command"), { times: times - 1 })
      yield* wrong(19)
      yield* alice.say("SEND {group} and now something else")
      yield* alice.hear("ACK")
      yield* wrong(20)
      yield* alice.hear("(closed)")
    })
  },

  "send/4.2/milliseconds": {
    title: "timestamps are in milliseconds",
    level: reading,
    quote: timestamps,
    asks: ["unit"],
    does: "A message is sent; its timestamp has the size of milliseconds since the UNIX epoch.",
    run: Effect.fnUntraced(function*(stage) {
      const alice = yield* stage.login("alice")
      yield* stage.granted(alice.send("{group}", "what time is it"))
      const bob = yield* stage.login("bob")
      const [message] = yield* stage.granted(bob.sync("{group}"))
      const unit = message === undefined ? undefined : unitOf(message.timestamp)
      yield* stage.check(unit === "milliseconds", "a timestamp in milliseconds", message?.line ?? "no message")
    })
  },
  "send/4.2/increasing": {
    title: "timestamps in a group strictly increase, however fast messages come",
    level: reading,
    also: ["delivery"],
    quote: timestamps,
    does:
      "Four people send 25 messages each to a group at the same time. No two of the hundred have the same timestamp, and they stand in its order.",
    run: Effect.fnUntraced(function*(stage) {
      const senders = ["alice", "bob", "carol", "dave"]
      yield* Effect.forEach(
        senders,
        Effect.fnUntraced(function*(who) {
          const peer = yield* stage.granted(stage.login(who))
          for (let i = 1; i <= 25; i++) yield* stage.granted(peer.send("{group}", `${who} says ${i}`))
        }),
        { concurrency: senders.length, discard: true }
      )
      const erin = yield* stage.login("erin")
      const messages = yield* stage.granted(erin.sync("{group}"))
      yield* stage.granted(stage.check(messages.length === 100, "100 messages", String(messages.length)))
      for (const [index, message] of messages.entries()) {
        const before = messages[index - 1]
        if (before === undefined) continue
        yield* stage.check(
          message.timestamp > before.timestamp,
          `a timestamp greater than ${before.timestamp}, that of the message before`,
          message.line
        )
      }
    })
  },
  "send/4.3/shortest": {
    title: "one byte is a message, also a space",
    level: reading,
    quote: text,
    script: String.raw`
      alice: login
      bob: login
      ---
      alice> SEND {group} x
      alice< ACK
      alice> SEND {group} \x20
      alice< ACK
      bob> SYNC {group} 0
      bob< MSG {group} {alice} <t> x
      bob< MSG {group} {alice} <u from t> \x20
      bob< ENDSYNC
    `
  },
  "send/4.3/tab": {
    title: "a TAB may be in a message",
    level: reading,
    quote: text,
    script: String.raw`
      alice: login
      bob: login
      ---
      alice> SEND {group} a\tb\t
      alice< ACK
      bob> SYNC {group} 0
      bob< MSG {group} {alice} <t> a\tb\t
      bob< ENDSYNC
    `
  },
  "send/4.3/control": {
    title: "control characters but TAB cannot be in a message",
    level: reading,
    also: ["robust"],
    quote: text,
    does:
      "Alice sends messages with each control character but TAB and LF, in the middle and at the end, also DEL and those from U+0080 to U+009F. Each is declined, and none is stored.",
    run: Effect.fnUntraced(function*(stage) {
      const alice = yield* stage.login("alice")
      const codes = [...Array(32).keys(), 127, ...Array.from({ length: 32 }, (_, i) => 128 + i)]
      for (const code of codes) {
        if (code === 9 || code === 10) continue
        const character = `\\u{${code.toString(16)}}`
        // Now and then something that is all right: a session may end after 20 declines in a row
        if (code % 8 === 0) yield* stage.granted(alice.send("{other}", "fine"))
        yield* alice.say(`SEND {group} a${character}b`)
        yield* alice.hear("DECLINE invalid_command")
        if (code === 13) continue // that CR would belong to the end of the line
        yield* alice.say(`SEND {group} ${character}`)
        yield* alice.hear("DECLINE invalid_command")
      }
      yield* alice.say("SYNC {group} 0")
      yield* alice.hear("ENDSYNC")
    })
  },
  "send/4.3/as-it-is": {
    title: "whatever else UTF-8 can carry comes out as it went in",
    level: reading,
    quote: text,
    script: String.raw`
      alice: login
      bob: login
      ---
      alice> SEND {group} e\u{301} \u{212b} \u{fb01} \u{200b}\u{202e}\u{feff} \u{1f468}\u{200d}\u{1f469} \u{e000} \u{10ffff} \u{fffd} \u{2028} \\n %s &amp; "
      alice< ACK
      bob> SYNC {group} 0
      bob< MSG {group} {alice} <t> e\u{301} \u{212b} \u{fb01} \u{200b}\u{202e}\u{feff} \u{1f468}\u{200d}\u{1f469} \u{e000} \u{10ffff} \u{fffd} \u{2028} \\n %s &amp; "
      bob< ENDSYNC
    `
  },
  "send/4.3/like-a-command": {
    title: "a message may look like a command, or like a name or timestamp",
    level: reading,
    quote: rest,
    script: String.raw`
      alice: login
      bob: login
      ---
      alice> SEND {group} SEND {group} x
      alice< ACK
      alice> SEND {group} 1
      alice< ACK
      alice> SEND {group} ENDSYNC
      alice< ACK
      bob> SYNC {group} 0
      bob< MSG {group} {alice} <t> SEND {group} x
      bob< MSG {group} {alice} <u from t> 1
      bob< MSG {group} {alice} <v from u> ENDSYNC
      bob< ENDSYNC
    `
  },
  "send/4.4/resend": {
    title: "a message that is sent again since its ACK was lost is stored once",
    level: "SHOULD",
    also: ["delivery"],
    quote: "the server SHOULD add a deduplication system in the event of duplicated sent messages.",
    does:
      "Alice does not read. She sends; when the message is there for others, her connection breaks. She comes back and sends it again: it is there once.",
    run: Effect.fnUntraced(function*(stage) {
      const bob = yield* stage.login("bob")
      const alice = yield* stage.login("alice")
      alice.stopReading()
      yield* alice.say("SEND {group} did you get this?")
      yield* stage.granted(bob.syncUntil("{group}", 1))
      yield* alice.cut()
      yield* alice.login()
      yield* alice.send("{group}", "did you get this?")
      const carol = yield* stage.login("carol")
      const messages = yield* carol.sync("{group}")
      yield* stage.check(messages.length === 1, "the message, once", `${messages.length} times`)
    })
  },
  "send/4.4/resend-again": {
    title: "a message that is sent again and again since its ACK was lost is stored once",
    level: "SHOULD",
    also: ["delivery"],
    quote: "the server SHOULD add a deduplication system in the event of duplicated sent messages.",
    does: "The same, and the ACK is lost three times.",
    run: Effect.fnUntraced(function*(stage) {
      const bob = yield* stage.login("bob")
      const alice = stage.peer("alice")
      for (let i = 0; i < 3; i++) {
        yield* alice.login()
        alice.stopReading()
        yield* alice.say("SEND {group} did you get this?")
        yield* stage.granted(bob.syncUntil("{group}", 1))
        yield* Effect.sleep(20)
        yield* alice.cut()
      }
      yield* alice.login()
      yield* alice.send("{group}", "did you get this?")
      const carol = yield* stage.login("carol")
      const messages = yield* carol.sync("{group}")
      yield* stage.check(messages.length === 1, "the message, once", `${messages.length} times`)
    })
  },
  "send/4.4/resend-at-any-moment": {
    title: "a message that is sent again is stored once, whenever the connection broke",
    level: "SHOULD",
    also: ["delivery"],
    quote: "the server SHOULD add a deduplication system in the event of duplicated sent messages.",
    does:
      "Forty times alice logs in, sends a message, and breaks the connection off some moments later without having read; every second time all of it is in one packet. She comes back and sends it again. Each is there once.",
    run: Effect.fnUntraced(function*(stage) {
      const alice = stage.peer("alice")
      const texts = Array.from({ length: 40 }, (_, i) => `this is number ${i}`)
      for (const [index, text] of texts.entries()) {
        if (index % 2 === 0) {
          yield* alice.login()
          alice.stopReading()
          yield* alice.say(`SEND {group} ${text}`)
        } else {
          yield* alice.connect()
          alice.stopReading()
          yield* alice.sayBytes(Bytes.fromText(stage.expand(`CONNECT {alice}\\nSEND {group} ${text}\\n`)))
        }
        yield* Effect.sleep(stage.random() * 4)
        yield* alice.cut()
        yield* alice.login()
        yield* alice.send("{group}", text)
        yield* alice.close()
      }
      const bob = yield* stage.login("bob")
      const heard = (yield* bob.sync("{group}")).map(({ text }) => text)
      for (const text of texts) {
        const times = heard.filter((other) => other === text).length
        yield* stage.check(times === 1, `"${text}" once`, `${times} times`)
      }
    })
  },
  "send/4.4/repeat": {
    title: "who says the same twice has said it twice",
    level: reading,
    also: ["delivery"],
    quote: repeats,
    script: String.raw`
      alice: login
      bob: login
      ---
      alice> SEND {group} ok
      alice< ACK
      alice> SEND {group} ok
      alice< ACK
      bob> SYNC {group} 0
      bob< MSG {group} {alice} <t> ok
      bob< MSG {group} {alice} <u from t> ok
      bob< ENDSYNC
    `
  },
  "send/4.4/after-a-good-end": {
    title: "who says the same on a new connection, after a good end, has said it twice",
    level: reading,
    also: ["delivery"],
    quote: confirmed,
    script: String.raw`
      alice: login
      bob: login
      ---
      alice> SEND {group} ok
      alice< ACK
      alice: close
      alice: login
      alice> SEND {group} ok
      alice< ACK
      bob> SYNC {group} 0
      bob< MSG {group} {alice} <t> ok
      bob< MSG {group} {alice} <u from t> ok
      bob< ENDSYNC
    `
  },
  "send/4.4/others": {
    title: "what somebody else says, or says elsewhere, is no re-send",
    level: reading,
    also: ["delivery"],
    quote: confirmed,
    does:
      "Alice's ACK is lost. Bob says the same; she herself says it to another group, and something else to the first. All four are there.",
    run: Effect.fnUntraced(function*(stage) {
      const bob = yield* stage.login("bob")
      const alice = yield* stage.login("alice")
      alice.stopReading()
      yield* alice.say("SEND {group} ok")
      yield* stage.granted(bob.syncUntil("{group}", 1))
      yield* alice.cut()
      yield* stage.play(String.raw`
        alice: login
        bob> SEND {group} ok
        bob< ACK
        alice> SEND {other} ok
        alice< ACK
        alice> SEND {group} well
        alice< ACK
        carol: login
        carol> SYNC {group} 0
        carol< MSG {group} {alice} <t> ok
        carol< MSG {group} {bob} <u from t> ok
        carol< MSG {group} {alice} <v from u> well
        carol< ENDSYNC
        carol> SYNC {other} 0
        carol< MSG {other} {alice} <w> ok
        carol< ENDSYNC
      `)
    })
  },
  "send/4.4/ends": {
    title: "once something else was said, the same is no re-send any more",
    level: reading,
    also: ["delivery"],
    quote: resendEnds,
    does: "Alice's ACK is lost. She comes back and says something else, and then the first again: three messages.",
    run: Effect.fnUntraced(function*(stage) {
      const bob = yield* stage.login("bob")
      const alice = yield* stage.login("alice")
      alice.stopReading()
      yield* alice.say("SEND {group} a")
      yield* stage.granted(bob.syncUntil("{group}", 1))
      yield* alice.cut()
      yield* stage.play(String.raw`
        alice: login
        alice> SEND {group} b
        alice< ACK
        alice> SEND {group} a
        alice< ACK
        carol: login
        carol> SYNC {group} 0
        carol< MSG {group} {alice} <t> a
        carol< MSG {group} {alice} <u from t> b
        carol< MSG {group} {alice} <v from u> a
        carol< ENDSYNC
      `)
    })
  },

  "sync/5.1/oldest-first": {
    title: "the messages of an answer stand in the order of their times",
    level: reading,
    also: ["delivery"],
    quote: oldestFirst,
    script: String.raw`
      alice: login
      bob: login
      alice> SEND {group} one
      alice< ACK
      (tick)
      bob> SEND {group} two
      bob< ACK
      (tick)
      alice> SEND {group} three
      alice< ACK
      ---
      carol: login
      carol> SYNC {group} 0
      carol< MSG {group} {alice} <t> one
      carol< MSG {group} {bob} <u after t> two
      carol< MSG {group} {alice} <v after u> three
      carol< ENDSYNC
    `
  },
  "sync/5.1/after-grammar": {
    title: "what is no decimal integer without sign and leading zeros is no timestamp",
    level: reading,
    quote: after,
    script: String.raw`
      alice: login
      ---
      alice> SYNC {group} -1
      alice< DECLINE invalid_command
      alice> SYNC {group} +1
      alice< DECLINE invalid_command
      alice> SYNC {group} 00
      alice< DECLINE invalid_command
      alice> SYNC {group} 07
      alice< DECLINE invalid_command
      alice> SYNC {group} 1e3
      alice< DECLINE invalid_command
      alice> SYNC {group} 0x10
      alice< DECLINE invalid_command
      alice> SYNC {group} 1.5
      alice< DECLINE invalid_command
      alice> SYNC {group} 1000000000000000
      alice< DECLINE invalid_command
      alice> SYNC {group} \u{663}
      alice< DECLINE invalid_command
    `
  },
  "sync/5.1/largest": {
    title: "a time far in the future is a timestamp",
    level: reading,
    quote: after,
    script: String.raw`
      alice: login
      alice> SEND {group} now
      alice< ACK
      ---
      alice> SYNC {group} 999999999999999
      alice< ENDSYNC
    `
  },
  "sync/5.2/inbox": {
    title: "a bare SYNC gives the private messages, with one's own name as their group",
    level: reading,
    quote: inbox,
    asks: ["inbox", "privateGroup", "diagram"],
    script: String.raw`
      alice: login
      bob: login
      bob> SEND {alice} one
      bob< ACK
      (tick)
      bob> SEND {alice} two
      bob< ACK
      ---
      alice> SYNC
      alice<* MSG {alice} {bob} …
      alice< ENDSYNC
      alice> SYNC
      alice< MSG {alice} {bob} <t> one
      alice< MSG {alice} {bob} <u after t> two
      alice< ENDSYNC
    `
  },
  "sync/5.2/inbox-after": {
    title: "SYNC of one's own name gives the newer ones",
    level: reading,
    quote: inboxAfter,
    script: String.raw`
      alice: login
      bob: login
      bob> SEND {alice} one
      bob< ACK
      (tick)
      bob> SEND {alice} two
      bob< ACK
      ---
      alice> SYNC {alice} 0
      alice<* MSG {alice} {bob} …
      alice< ENDSYNC
      alice> SYNC {alice} 0
      alice< MSG {alice} {bob} <t> one
      alice< MSG {alice} {bob} <u after t> two
      alice< ENDSYNC
      alice> SYNC {alice} <t>
      alice< MSG {alice} {bob} <u> two
      alice< ENDSYNC
    `
  },
  "sync/5.2/empty": {
    title: "an inbox without messages is empty",
    level: reading,
    quote: inbox,
    needs: ["inbox"],
    script: String.raw`
      alice: login
      ---
      alice> SYNC
      alice< ENDSYNC
    `
  },
  "sync/5.2/to-oneself": {
    title: "one may send to oneself",
    level: reading,
    quote: inbox,
    needs: ["inbox"],
    script: String.raw`
      alice: login
      ---
      alice> SEND {alice} a note
      alice< ACK
      alice> SYNC
      alice< MSG {alice} {alice} <t> a note
      alice< ENDSYNC
    `
  },
  "sync/5.3/system-message": {
    title: "a message of system tells of an error",
    level: "MAY",
    quote:
      "The server MAY create specially crafted messages, with the reserved username `system`, to indicate an error to the client.",
    script: String.raw`
      bob: login
      alice: login
      ---
      alice> SYNC {bob} 0
      alice< MSG {bob} system 0 …
      alice< ENDSYNC
    `
  },
  "sync/5.3/leaks-nothing": {
    title: "nobody gets the private messages of somebody else",
    level: reading,
    also: ["delivery", "identity"],
    quote: leaks,
    script: String.raw`
      bob: login
      alice: login
      carol: login
      alice> SEND {bob} for your eyes only
      alice< ACK
      ---
      carol> SYNC {bob} 0
      carol<* MSG {bob} system 0 …
      carol< ENDSYNC | DECLINE …
      alice> SYNC {bob} 0
      alice<* MSG {bob} system 0 …
      alice< ENDSYNC | DECLINE …
    `
  },
  "sync/5.3/told": {
    title: "who asks for somebody else's messages is told so by a message of system",
    level: reading,
    quote: leaks,
    script: String.raw`
      bob: login
      carol: login
      ---
      carol> SYNC {bob} 0
      carol< MSG {bob} system 0 …
      carol< ENDSYNC
    `
  },
  "sync/5.3/unknown-group": {
    title: "a group that nobody has sent to is empty",
    level: reading,
    quote: unknown,
    script: String.raw`
      alice: login
      ---
      alice> SYNC {group} 0
      alice< ENDSYNC
    `
  },

  "live/5.5/follows": {
    title: "who has synced a group gets its new messages as they come",
    level: reading,
    also: ["delivery"],
    quote: follows,
    needs: ["live"],
    script: String.raw`
      alice: login
      bob: login
      alice> SEND {group} before
      alice< ACK
      ---
      bob> SYNC {group} 0
      bob< MSG {group} {alice} <t> before
      bob< ENDSYNC
      alice> SEND {group} one
      alice< ACK
      bob< MSG {group} {alice} <u from t> one
      alice> SEND {group} two
      alice< ACK
      bob< MSG {group} {alice} <v from u> two
      bob: nothing more
    `
  },
  "live/5.5/after": {
    title: "who has synced a group from after its last message on gets its new messages too",
    level: reading,
    quote: follows,
    needs: ["live"],
    script: String.raw`
      alice: login
      bob: login
      ---
      bob> SYNC {group} 999999999999999
      bob< ENDSYNC
      alice> SEND {group} one
      alice< ACK
      bob< MSG {group} {alice} <t> one
    `
  },
  "live/5.5/two-groups": {
    title: "one may follow several groups",
    level: reading,
    quote: follows,
    needs: ["live"],
    script: String.raw`
      alice: login
      bob: login
      ---
      bob> SYNC {first} 0
      bob< ENDSYNC
      bob> SYNC {second} 0
      bob< ENDSYNC
      alice> SEND {second} two
      alice< ACK
      bob< MSG {second} {alice} <t> two
      alice> SEND {first} one
      alice< ACK
      bob< MSG {first} {alice} <u> one
      bob: nothing more
    `
  },
  "live/5.5/inbox": {
    title: "private messages come by themselves from CONNECT on",
    level: reading,
    also: ["delivery"],
    quote: follows,
    needs: ["livePrivate"],
    script: String.raw`
      alice: login
      bob: login
      ---
      alice> SEND {bob} psst
      alice< ACK
      bob< MSG {bob} {alice} <t> psst
      bob: nothing more
    `
  },
  "live/5.5/only-followed": {
    title: "who follows a group gets nothing of others, and nothing that is private",
    level: reading,
    also: ["delivery"],
    quote: follows,
    needs: ["live"],
    script: String.raw`
      alice: login
      bob: login
      carol: login
      ---
      carol> SYNC {group} 0
      carol< ENDSYNC
      alice> SEND {other} not for carol
      alice< ACK
      alice> SEND {bob} not for carol
      alice< ACK
      alice> SEND {group} for carol
      alice< ACK
      carol< MSG {group} {alice} <t> for carol
      carol: nothing more
    `
  },
  "live/5.5/not-followed": {
    title: "who has synced nothing gets nothing",
    level: reading,
    quote: follows,
    script: String.raw`
      alice: login
      bob: login
      ---
      alice> SEND {group} hi
      alice< ACK
      alice> SEND {alice} hi
      alice< ACK
      (50 ms)
      bob: nothing more
    `
  },
  "live/5.5/own": {
    title: "one's own messages do not come back",
    level: reading,
    quote: ownMessages,
    asks: ["echo"],
    needs: ["live"],
    script: String.raw`
      alice: login
      bob: login
      bob> SYNC {group} 0
      bob< ENDSYNC
      alice> SYNC {group} 0
      alice< ENDSYNC
      ---
      alice> SEND {group} mine
      alice< ACK
      bob< MSG {group} {alice} <t> mine
      bob> SEND {group} yours
      bob< ACK
      alice< MSG {group} {bob} <u from t> yours
      alice: nothing more
    `
  },
  "live/5.5/own-in-a-sync": {
    title: "one's own messages are in an answer",
    level: reading,
    quote: ownMessages,
    script: String.raw`
      alice: login
      alice> SYNC {group} 0
      alice< ENDSYNC
      alice> SEND {group} mine
      alice< ACK
      ---
      alice> SYNC {group} 0
      alice< MSG {group} {alice} <t> mine
      alice< ENDSYNC
    `
  },
  "live/5.5/same": {
    title: "a message is the same live and in an answer",
    level: reading,
    also: ["delivery"],
    quote: follows,
    needs: ["live"],
    script: String.raw`
      alice: login
      bob: login
      bob> SYNC {group} 0
      bob< ENDSYNC
      alice> SEND {group}  spaces   and é
      alice< ACK
      ---
      bob< MSG {group} {alice} <t>  spaces   and é
      carol: login
      carol> SYNC {group} 0
      carol< MSG {group} {alice} <t>  spaces   and é
      carol< ENDSYNC
    `
  },
  "live/5.5/ends": {
    title: "it ends with the connection: who comes back has to sync again",
    level: reading,
    quote: follows,
    needs: ["live"],
    script: String.raw`
      alice: login
      bob: login
      bob> SYNC {group} 0
      bob< ENDSYNC
      bob: close
      bob: login
      ---
      alice> SEND {group} anybody?
      alice< ACK
      (50 ms)
      bob: nothing more
    `
  }
})
