/** Bytes in every cut and of every kind, and peers that do not behave. */
import { Effect } from "effect"
import { Buffer } from "node:buffer"
import type { Stage } from "../Stage.ts"
import { define } from "./define.ts"

const reading = "our reading" as const

const tcp = "The CPT layer is based on the TCP communication layer."
const cuts = "Input may arrive in any cut: one byte at a time, many lines at once, a character split over two packets."
const lineEnd = "One CR directly before the LF is dropped; any other CR is a forbidden control character."
const utf8 = "A line that is not valid UTF-8 is answered `DECLINE invalid_command`; it is never repaired into U+FFFD."
const limit = "A line has at most 8,192 bytes without its end (configurable)."
const tooLong =
  "A longer one is answered `DECLINE line_too_long`, its bytes are skipped without being kept, and the session goes on at the next line."
const unended = "Bytes after the last LF at end of input are not a command."
const halfClose = "all it asked for is answered before the server closes."
const inOrder =
  "Commands of one session are carried out and answered strictly in order, also when a client pipelines in spite of the spec."
const slow = "A slow reader costs no memory and loses nothing: it is a cursor into the log that lags."
const neverSlows = "It never slows anybody else down."
const grammar = "Unknown words and wrong grammar (missing, extra, empty or invalid fields) are `invalid_command`."

/** Longer than a packet is on its way, so that what follows is in another one. */
const apart = Effect.sleep(4)

/** Whether somebody else is served, as if nothing had happened. */
const othersAreServed = Effect.fnUntraced(function*(stage: Stage) {
  const witness = stage.peer("witness")
  yield* witness.comesToBe(witness.ownName)
  yield* witness.send("{elsewhere}", "all is well")
  yield* witness.close()
})

/** Lines that are no UTF-8, behind `SEND {group} `. */
const badUtf8: ReadonlyArray<readonly [string, string]> = [
  ["a byte that begins nothing", String.raw`a\xffb`],
  ["the rest of a character without its beginning", String.raw`a\x80b`],
  ["a character that is not ended", String.raw`a\xe2\x82`],
  ["a character that is longer than it need be", String.raw`a\xc0\xafb`],
  ["NUL in two bytes", String.raw`a\xc0\x80b`],
  ["half of a surrogate pair", String.raw`a\xed\xa0\x80b`],
  ["a character beyond U+10FFFF", String.raw`a\xf4\x90\x80\x80b`],
  ["Latin-1", String.raw`caf\xe9`],
  ["UTF-16", String.raw`\xff\xfeh\xe0`]
]

export const robust = define("robust", {
  "framing/1.6/one-byte-writes": {
    title: "a session whose every byte comes by itself",
    quote: tcp,
    script: String.raw`
      alice>. CONNECT {alice}\n
      alice< ACCEPT
      alice>. SEND {group} caf\u{e9} 🦀\n
      alice< ACK
      alice>. SYNC {group} 0\n
      alice< MSG {group} {alice} <t> café 🦀
      alice< ENDSYNC
    `
  },
  "framing/1.6/every-cut": {
    title: "a SEND in two packets, cut at every byte",
    quote: tcp,
    does:
      "Alice sends a message in two pieces, once for each place where it can be cut, also within a character. All arrive.",
    run: Effect.fnUntraced(function*(stage) {
      const alice = yield* stage.login("alice")
      const group = stage.name("group")
      const length = Buffer.byteLength(`SEND ${group} 000é🦀 x\n`)
      for (let at = 1; at < length; at++) {
        const line = Buffer.from(`SEND ${group} ${String(at).padStart(3, "0")}é🦀 x\n`)
        yield* alice.sayBytes(line.subarray(0, at))
        yield* apart
        yield* alice.sayBytes(line.subarray(at))
        yield* alice.hear("ACK")
      }
      const bob = yield* stage.login("bob")
      const messages = yield* bob.sync("{group}")
      yield* stage.check(messages.length === length - 1, `${length - 1} messages`, String(messages.length))
      for (const { line, text } of messages) {
        yield* stage.check(/^\d{3}é🦀 x$/.test(text), "a message as it was sent", line)
      }
    })
  },
  "framing/1.6/cut-connect": {
    title: "a CONNECT in two packets, cut at every byte",
    quote: tcp,
    does: "For each place where it can be cut, somebody says CONNECT in two pieces, and is accepted.",
    run: Effect.fnUntraced(function*(stage) {
      const length = Buffer.byteLength(`CONNECT ${stage.name("cuta")}\n`)
      for (let at = 1; at < length; at++) {
        const who = `cut${String.fromCharCode(96 + at)}`
        const line = Buffer.from(`CONNECT ${stage.name(who)}\n`)
        const peer = stage.peer(who)
        yield* peer.sayBytes(line.subarray(0, at))
        yield* apart
        yield* peer.sayBytes(line.subarray(at))
        yield* peer.hear("ACCEPT")
        yield* peer.close()
      }
    })
  },
  "framing/1.6/merged": {
    title: "a whole session in one packet",
    level: reading,
    quote: cuts,
    script: String.raw`
      alice>> CONNECT {alice}\nSE
      alice< ACCEPT
      (20 ms)
      alice>> ND {group} one\nSEND
      alice< ACK
      (20 ms)
      alice>> \x20{group} two\nSYNC {group} 0\n
      alice< ACK
      alice< MSG {group} {alice} <t> one
      alice< MSG {group} {alice} <u from t> two
      alice< ENDSYNC
    `
  },
  "framing/1.6/line-and-a-half": {
    title: "a packet that ends in the middle of the next line",
    level: reading,
    quote: cuts,
    script: String.raw`
      alice>> CONNECT {alice}\nSE
      alice< ACCEPT
      (20 ms)
      alice>> ND {group} one\nSEND
      alice< ACK
      (20 ms)
      alice>> \x20{group} two\nSYNC {group} 0\n
      alice< ACK
      alice< MSG {group} {alice} <t> one
      alice< MSG {group} {alice} <u from t> two
      alice< ENDSYNC
    `
  },
  "framing/3.6/pipelined": {
    title: "a hundred commands at once are answered in order",
    level: reading,
    quote: inOrder,
    does:
      "Alice says a hundred commands in one packet, every fifth of them wrong, and every seventh a SYNC of an empty group. The answers come in that order, and so do the messages.",
    run: Effect.fnUntraced(function*(stage) {
      const alice = yield* stage.login("alice")
      const [group, empty] = [stage.name("group"), stage.name("empty")]
      const isWrong = (i: number) => i % 5 === 4 && !stage.dialect.closes // or that would be the end
      const kinds = Array.from({ length: 100 }, (_, i) => isWrong(i) ? "DANCE" : i % 7 === 6 ? "SYNC" : "SEND")
      const lines = kinds.map((kind, i) =>
        kind === "SEND" ? `SEND ${group} message ${i}\n` : kind === "SYNC" ? `SYNC ${empty} 0\n` : "DANCE\n"
      )
      yield* alice.sayBytes(Buffer.from(lines.join("")))
      for (const kind of kinds) {
        yield* alice.hear(kind === "SEND" ? "ACK" : kind === "SYNC" ? "ENDSYNC" : "DECLINE invalid_command")
      }
      const messages = yield* alice.sync("{group}")
      const expected = kinds.flatMap((kind, i) => kind === "SEND" ? [`message ${i}`] : []).join(", ")
      yield* stage.check(
        messages.map(({ text }) => text).join(", ") === expected,
        expected,
        messages.map(({ text }) => text).join(", ")
      )
    })
  },
  "framing/3.6/sync-and-more": {
    title: "what is said while a SYNC is answered is answered after it",
    level: reading,
    quote: inOrder,
    does:
      "A group has 200 messages. Bob says SYNC, SEND and a wrong command in one packet; the answers come in this order.",
    run: Effect.fnUntraced(function*(stage) {
      const alice = yield* stage.login("alice")
      for (let i = 0; i < 200; i++) yield* stage.granted(alice.send("{group}", `message ${i}`))
      const bob = yield* stage.login("bob")
      const group = stage.name("group")
      yield* bob.sayBytes(Buffer.from(`SYNC ${group} 0\nSEND ${group} after it\nDANCE\n`))
      const messages = yield* bob.answer()
      const some = messages.filter(({ text }) => text !== "after it")
      yield* stage.check(some.length === 200, "200 messages", String(some.length))
      yield* bob.hear("ACK")
      yield* bob.hear("DECLINE invalid_command")
    })
  },

  "framing/1.1/cr-lf": {
    title: "CR LF ends a line too, and the CR is no part of it",
    level: reading,
    quote: lineEnd,
    script: String.raw`
      alice> CONNECT {alice}\r
      alice< ACCEPT
      alice> SEND {group} hi\r
      alice< ACK
      alice> SYNC {group} 0\r
      alice< MSG {group} {alice} <t> hi
      alice< ENDSYNC
    `
  },
  "framing/1.1/cr-and-lf-apart": {
    title: "CR LF is one end of a line, also when the LF comes later",
    level: reading,
    quote: lineEnd,
    script: String.raw`
      alice: login
      alice>> SEND {group} hi\r
      (20 ms)
      alice>> \n
      alice< ACK
      alice> SYNC {group} 0
      alice< MSG {group} {alice} <t> hi
      alice< ENDSYNC
    `
  },
  "framing/1.1/bare-cr": {
    title: "a CR within a line does not end it, and cannot be in a message",
    level: reading,
    quote: lineEnd,
    script: String.raw`
      alice: login
      bob: login
      ---
      alice> SEND {group} one\rSEND {group} two
      alice< DECLINE invalid_command
      alice> SEND {group} three\r\r
      alice< DECLINE invalid_command
      alice> SYNC {group} 0
      alice< ENDSYNC
    `
  },
  "framing/1.1/no-injection": {
    title: "no character but LF ends a line for those who read",
    level: reading,
    quote: "One command is one line, ended by LF.",
    does:
      "Alice tries to send messages with what some take for the end of a line: VT, FF, NEL, LS, PS. What is acknowledged arrives as one line.",
    run: Effect.fnUntraced(function*(stage) {
      const alice = yield* stage.login("alice")
      let stored = 0
      for (const end of ["\\x0b", "\\x0c", "\\u{85}", "\\u{2028}", "\\u{2029}"]) {
        yield* alice.say(`SEND {group} a${end}MSG b`)
        if ((yield* alice.hear("ACK | DECLINE …")).startsWith("ACK")) stored++
      }
      const messages = yield* alice.sync("{group}")
      yield* stage.check(messages.length === stored, `${stored} messages`, messages.map(({ line }) => line).join("; "))
      for (const { line, text } of messages) {
        yield* stage.check(/^a\\u\{\w+\}MSG b$/.test(text), "a message as it was sent", line)
      }
    })
  },
  "framing/1.2/bad-utf8": {
    title: "what is no UTF-8 is invalid, and is not stored",
    level: reading,
    quote: utf8,
    does: `Alice sends what is no UTF-8: ${badUtf8.map(([what]) => what).join(", ")}. Each is declined.`,
    run: Effect.fnUntraced(function*(stage) {
      const alice = yield* stage.login("alice")
      for (const [, bytes] of badUtf8) {
        yield* alice.say(`SEND {group} ${bytes}`)
        yield* alice.hear("DECLINE invalid_command")
      }
      yield* alice.say("SYNC {group} 0")
      yield* alice.hear("ENDSYNC")
      yield* alice.say(String.raw`SEND {group}\xff hi`)
      yield* alice.hear("DECLINE invalid_command")
      yield* alice.say(String.raw`SYNC {group}\xff 0`)
      yield* alice.hear("DECLINE invalid_command")
      yield* stage.play(String.raw`
        bob> CONNECT {bob}\xc3
        bob< DECLINE invalid_command
        bob> \xff\xfe\xfd
        bob< DECLINE invalid_command
      `)
    })
  },
  "framing/1.2/split": {
    title: "a character in two packets is one character",
    level: reading,
    quote: cuts,
    script: String.raw`
      alice: login
      alice>> SEND {group} \xf0\x9f
      (100 ms)
      alice>> \xa6\x80\n
      alice< ACK
      alice> SYNC {group} 0
      alice< MSG {group} {alice} <t> 🦀
      alice< ENDSYNC
    `
  },
  "framing/1.2/bom": {
    title: "no command begins with a byte order mark",
    level: reading,
    quote: grammar,
    script: String.raw`
      alice> \xef\xbb\xbfCONNECT {alice}
      alice< DECLINE invalid_command
    `
  },
  "framing/1.2/nul": {
    title: "NUL ends nothing",
    level: reading,
    also: ["strict"],
    quote: grammar,
    script: String.raw`
      alice> CONNECT {alice}\0x
      alice< DECLINE invalid_command
      bob: login
      bob> SEND {group} a\0b
      bob< DECLINE invalid_command
      bob> SYNC {group} 0
      bob< ENDSYNC
      bob> SEND {group} fine
      bob< ACK
    `
  },

  "framing/1.4/longest": {
    title: "a line of 8,192 bytes is taken, whatever ends it",
    level: reading,
    quote: limit,
    does: "Alice sends messages in lines of 8,192 bytes, without their ends LF and CR LF. They arrive whole.",
    run: Effect.fnUntraced(function*(stage) {
      const alice = yield* stage.login("alice")
      yield* alice.say("SEND {group} a{fill:8192}")
      yield* alice.hear("ACK")
      yield* alice.sayBytes(Buffer.from(`${stage.expand("SEND {group} b{fill:8192}")}\r\n`))
      yield* alice.hear("ACK")
      const messages = yield* alice.sync("{group}")
      const length = 8192 - Buffer.byteLength(`SEND ${stage.name("group")} `)
      for (const { text } of messages) {
        yield* stage.check(text.length === length, `${length} bytes`, String(text.length))
      }
      yield* stage.check(messages.length === 2, "two messages", String(messages.length))
    })
  },
  "framing/1.4/too-long": {
    title: "a line of 8,193 bytes is line_too_long, and the session goes on",
    level: reading,
    also: ["identity"],
    quote: tooLong,
    script: String.raw`
      alice: login
      ---
      alice> SEND {group} {fill:8193}
      alice< DECLINE line_too_long
      alice> SEND {group} short
      alice< ACK
      alice> SYNC {group} 0
      alice< MSG {group} {alice} <t> short
      alice< ENDSYNC
    `
  },
  "framing/1.4/much-too-long": {
    title: "a line of a megabyte is line_too_long, once",
    level: reading,
    quote: tooLong,
    script: String.raw`
      alice: login
      ---
      alice> SEND {group} {fill:1000000}
      alice< DECLINE line_too_long
      alice> SEND {group} short
      alice< ACK
      alice: nothing more
    `
  },
  "framing/1.4/merged": {
    title: "what comes in one packet with the beginning of a line that is too long is answered before it",
    level: reading,
    quote: inOrder,
    does:
      "Alice says two SENDs and 10,000 bytes of a third in one packet, then the rest of it with another SEND. Each is answered, in order.",
    run: Effect.fnUntraced(function*(stage) {
      const alice = yield* stage.login("alice")
      const send = `SEND ${stage.name("group")}`
      yield* alice.sayBytes(Buffer.from(`${send} one\n${send} two\n${send} ${"x".repeat(10_000)}`))
      yield* alice.hear("ACK")
      yield* alice.hear("ACK")
      yield* apart
      yield* alice.sayBytes(Buffer.from(`${"x".repeat(10_000)}\n${send} three\n`))
      yield* alice.hear("DECLINE line_too_long")
      yield* alice.hear("ACK")
      const messages = (yield* alice.sync("{group}")).map(({ text }) => text).join(", ")
      yield* stage.check(messages === "one, two, three", "one, two, three", messages)
    })
  },
  "framing/1.4/endless": {
    title: "a line that does not end hurts nobody else",
    level: reading,
    quote: tooLong,
    does: "Alice says four megabytes without an end of a line. Others are served meanwhile, and she, when she ends it.",
    run: Effect.fnUntraced(function*(stage) {
      const alice = yield* stage.login("alice")
      const piece = Buffer.alloc(1 << 16, "x")
      for (let i = 0; i < 64; i++) {
        yield* alice.sayBytes(piece)
        if (i % 16 === 0) yield* othersAreServed(stage)
      }
      yield* alice.sayBytes(Buffer.from("\n"))
      yield* alice.hear("DECLINE line_too_long")
      yield* alice.say("SEND {group} short")
      yield* alice.hear("ACK")
    })
  },
  "framing/1.4/bytes": {
    title: "for the length of a line bytes count, not characters",
    level: reading,
    quote: limit,
    script: String.raw`
      alice: login
      ---
      alice> SEND {group} é{fill:8192}
      alice< ACK
      alice> SEND {group} éé{fill:8193}
      alice< DECLINE line_too_long
    `
  },
  "framing/1.4/before-login": {
    title: "a line that is too long is line_too_long before CONNECT too",
    level: reading,
    quote: tooLong,
    script: String.raw`
      alice> CONNECT {alice:9000}
      alice< DECLINE line_too_long
    `
  },

  "framing/1.5/not-ended": {
    title: "what has no LF behind it is no command",
    level: reading,
    quote: unended,
    script: String.raw`
      alice: login
      alice>> SEND {group} one\nSEND {group} two
      alice: half-close
      alice< ACK
      alice< (end)
      bob: login
      bob> SYNC {group} 0
      bob< MSG {group} {alice} <t> one
      bob< ENDSYNC
    `
  },
  "framing/1.5/cut-at-every-byte": {
    title: "a connection that ends within a line leaves nothing of it, wherever that is",
    level: reading,
    quote: unended,
    does:
      "For each beginning of a SEND, somebody says that much of it and ends the connection, in good order or by a reset. None is stored; what was whole before is.",
    run: Effect.fnUntraced(function*(stage) {
      const length = Buffer.byteLength(`SEND ${stage.name("group")} half`)
      let times = 0
      for (let at = 0; at <= length; at += 2, times++) {
        const peer = yield* stage.login("alice")
        yield* peer.send("{whole}", `message ${at}`)
        yield* peer.sayBytes(Buffer.from(`SEND ${stage.name("group")} half`).subarray(0, at))
        yield* apart
        yield* times % 3 === 0 ? peer.cut() : peer.close()
      }
      yield* Effect.sleep(50)
      const bob = yield* stage.login("bob")
      const half = yield* bob.sync("{group}")
      yield* stage.check(half.length === 0, "no message", half.map(({ line }) => line).join("; "))
      const whole = yield* bob.sync("{whole}")
      yield* stage.check(whole.length === times, `${times} messages`, String(whole.length))
    })
  },
  "framing/1.7/half-close": {
    title: "who half-closes gets all answers, and then the end",
    level: reading,
    quote: halfClose,
    script: String.raw`
      alice>> CONNECT {alice}\nSEND {group} hi\nSYNC {group} 0\n
      alice: half-close
      alice< ACCEPT
      alice< ACK
      alice< MSG {group} {alice} <t> hi
      alice< ENDSYNC
      alice< (end)
    `
  },
  "framing/1.7/half-close-later": {
    title: "who half-closes some time after the last answer hears the end",
    level: reading,
    quote: halfClose,
    script: String.raw`
      alice: login
      alice> SEND {group} hi
      alice< ACK
      (20 ms)
      alice: half-close
      alice< (end)
    `
  },
  "framing/1.7/many-answers": {
    title: "who half-closes gets all answers, also when there are many",
    level: reading,
    quote: halfClose,
    does: "A group has 150 messages. Bob asks for them ten times in one packet, and half-closes; all ten answers come.",
    run: Effect.fnUntraced(function*(stage) {
      const alice = yield* stage.login("alice")
      for (let i = 0; i < 150; i++) yield* stage.granted(alice.send("{group}", `message ${i}`))
      const bob = yield* stage.login("bob")
      yield* bob.sayBytes(Buffer.from(`SYNC ${stage.name("group")} 0\n`.repeat(10)))
      yield* bob.halfClose()
      for (let i = 0; i < 10; i++) {
        const messages = yield* bob.answer()
        yield* stage.check(messages.length === 150, "150 messages", String(messages.length))
      }
      yield* bob.hear("(end)")
    })
  },
  "framing/1.7/nothing-said": {
    title: "who half-closes without a word hears the end",
    level: reading,
    quote: halfClose,
    script: String.raw`
      alice: connect
      alice: half-close
      alice< (end)
    `
  },

  "peers/3.3/http": {
    title: "a browser that comes by mistake is declined",
    level: reading,
    quote: grammar,
    script: String.raw`
      alice>> GET / HTTP/1.1\r\n
      alice< DECLINE invalid_command
      alice>> Host: example.org\r\n
      alice< DECLINE invalid_command
      alice>> \r\n
      alice< DECLINE invalid_command
    `
  },
  "peers/3.3/garbage": {
    title: "whatever bytes come, others are served",
    level: reading,
    quote: neverSlows,
    does:
      "Ten peers say random bytes, 20 KB each, some of them logged in, and take what they get. Somebody else is served between them, and after.",
    run: Effect.fnUntraced(function*(stage) {
      for (let i = 0; i < 10; i++) {
        const peer = stage.peer(`noise${String.fromCharCode(97 + i)}`)
        if (i % 2 === 0) yield* peer.login()
        yield* peer.sayBytes(Buffer.from(Array.from({ length: 20_000 }, () => Math.floor(stage.random() * 256))))
        yield* othersAreServed(stage)
        yield* peer.cut()
      }
      yield* othersAreServed(stage)
    })
  },
  "peers/5.8/resets": {
    title: "connections that break at every moment leave no trace",
    level: reading,
    quote: neverSlows,
    does:
      "Forty connections are reset: at once, after CONNECT, after a SYNC, with answers under way. Others are served, and all of the names are free.",
    run: Effect.fnUntraced(function*(stage) {
      const alice = yield* stage.login("alice")
      for (let i = 0; i < 50; i++) yield* stage.granted(alice.send("{group}", `message ${i}`))
      const [group, name] = [stage.name("group"), stage.name("fleeting")]
      const lines = [
        "",
        `CONNECT ${name}\n`,
        `CONNECT ${name}\nSYNC ${group} 0\n`,
        `CONNECT ${name}\nSYNC ${group} 0\n`.repeat(5)
      ]
      for (let i = 0; i < 40; i++) {
        const peer = stage.peer("fleeting")
        yield* peer.connect()
        yield* peer.sayBytes(Buffer.from(lines[i % lines.length] ?? ""))
        if (stage.random() < 0.5) yield* Effect.sleep(Math.floor(stage.random() * 5))
        yield* peer.cut()
      }
      yield* othersAreServed(stage)
      yield* stage.peer("fleeting").comesToBe(name)
    })
  },
  "peers/5.8/silent": {
    title: "peers that connect and say nothing hinder nobody",
    level: reading,
    quote: neverSlows,
    does: "Thirty peers connect and are silent, thirty more stop in the middle of CONNECT. Somebody else is served.",
    run: Effect.fnUntraced(function*(stage) {
      for (let i = 0; i < 60; i++) {
        const peer = stage.peer(`silent${String.fromCharCode(97 + (i % 26))}${i}`)
        yield* peer.connect()
        if (i % 2 === 1) yield* peer.sayBytes(Buffer.from("CONN"))
      }
      yield* othersAreServed(stage)
    })
  },
  "peers/5.8/slow-reader": {
    title: "who does not read for a while loses nothing, and hinders nobody",
    level: reading,
    also: ["delivery"],
    quote: slow,
    needs: ["live"],
    isAlone: true,
    does:
      "Bob follows a group and stops reading. Alice sends 1,800 messages of 8 KB, more than the network holds, each acknowledged in time, and carol gets them as they come. Then bob reads on: he gets all, in order.",
    run: Effect.fnUntraced(function*(stage) {
      const alice = yield* stage.login("alice")
      const bob = yield* stage.login("bob")
      const carol = yield* stage.login("carol")
      yield* bob.sync("{group}")
      yield* carol.sync("{group}")
      const filling = "x".repeat(7900)
      yield* stage.granted(alice.send("{other}", filling))
      bob.stopReading()
      for (let i = 0; i < 1800; i++) {
        yield* alice.send("{group}", `message ${i} ${filling}`)
        const message = yield* carol.live()
        yield* stage.check(message.text.startsWith(`message ${i} `), `message ${i}`, message.line.slice(0, 100))
      }
      bob.readOn()
      for (let i = 0; i < 1800; i++) {
        const message = yield* bob.live()
        yield* stage.check(
          message.text === `message ${i} ${filling}`,
          `message ${i}, whole`,
          message.line.slice(0, 100)
        )
      }
      yield* bob.nothingMore()
    })
  },
  "peers/5.8/never-reads": {
    title: "who asks for much and never reads hinders nobody",
    level: reading,
    quote: neverSlows,
    isAlone: true,
    does:
      "A group has 200 messages of 1 KB. Bob asks for all of them a hundred times without reading (20 MB of answers). Others are served.",
    run: Effect.fnUntraced(function*(stage) {
      const alice = yield* stage.login("alice")
      for (let i = 0; i < 200; i++) yield* stage.granted(alice.send("{group}", `message ${i} ${"x".repeat(1000)}`))
      const bob = yield* stage.login("bob")
      bob.stopReading()
      yield* bob.sayBytes(Buffer.from(`SYNC ${stage.name("group")} 0\n`.repeat(100)))
      for (let i = 0; i < 10; i++) yield* othersAreServed(stage)
      yield* alice.send("{group}", "still here")
    })
  }
})
