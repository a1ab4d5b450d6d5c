/** Section 4 of docs/protocol.md, over TCP. */
import { layerMemory } from "@cpt/server"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Latch } from "effect"
import { Buffer } from "node:buffer"
import { failingAppends, gated } from "./support/stores.ts"
import { transcript } from "./support/Transcript.ts"
import { overTcp } from "./support/World.ts"

const script = String.raw

const alice = script`
      A> CONNECT alice
      A< ACCEPT
    `
const hi = script`
      A> SEND g hi
      A< ACK
    `
const cut = script`
      A: cut
    `
/** What is stored in g, as bob sees it. */
const holds = (...texts: ReadonlyArray<string>): string =>
  script`
      B> CONNECT bob
      B< ACCEPT
      B> SYNC g 0
      ${texts.map((text, index) => `B< MSG g alice <s${index}> ${text}\n`).join("")}
      B< ENDSYNC
    `

describe("CPT 4.1: ACK means that the message is in the store", () => {
  transcript(
    "in every SYNC that comes after, in order",
    script`
      A> CONNECT alice
      A< ACCEPT
      B> CONNECT bob
      B< ACCEPT
      A> SEND g 1
      A< ACK
      B> SYNC g 0
      B< MSG g alice <t1> 1
      B< ENDSYNC
      B> SEND g 2
      B< ACK
      A> SYNC g 0
      A< MSG g alice <t1> 1
      A< MSG g bob <t2> 2
      A< ENDSYNC
      A> SEND g 3
      A< ACK
      A> SYNC g 0
      A< MSG g alice <t1> 1
      A< MSG g bob <t2> 2
      A< MSG g alice <t3> 3
      A< ENDSYNC
      B< MSG g alice <t3> 3
      B> SYNC g <t1>
      B< MSG g bob <t2> 2
      B< MSG g alice <t3> 3
      B< ENDSYNC
    `
  )

  transcript(
    "also when the sender is gone the moment after",
    alice + hi + cut + holds("hi")
  )

  transcript(
    "and to whoever is online, to the receiver too (CPT 5.5)",
    script`
      A> CONNECT alice
      A< ACCEPT
      B> CONNECT bob
      B< ACCEPT
      A> SEND bob psst
      A< ACK
      B< MSG bob alice <t> psst
      B> SEND alice yes?
      B< ACK
      A< MSG alice bob <u> yes?
    `
  )
})

describe("CPT 4.3: a message", () => {
  const taken = [
    "\\x20",
    "\\t",
    "a\\tb",
    "é",
    "\\u{a0}",
    "\\u{2028}",
    "x \\u{202e}y",
    "ACK",
    "\\u{10ffff}",
    "\"'\\\\;--"
  ]
  const refused = [
    "",
    ...[0, 1, 7, 8, 11, 12, 14, 27, 31, 127, 128, 133, 159].map((code) => `a\\u{${code.toString(16)}}b`),
    "a\\rb"
  ]
  transcript(
    "is at least one byte, free of control characters but TAB, and comes back as it was",
    alice + taken.map((text, index) =>
      script`
      A> SEND g ${text}
      A< ACK
      A> SYNC g 0
      ${taken.slice(0, index + 1).map((text, index) => `A< MSG g alice <t${index}> ${text}\n`).join("")}
      A< ENDSYNC
    `
    ).join("")
  )
  transcript(
    "is not stored if it is anything else",
    alice + refused.map((text) =>
      script`
      A> SEND g ${text}
      A< DECLINE invalid_command
      A> SYNC g 0
      A< ENDSYNC
    `
    ).join("")
  )
})

describe("CPT 4.4: a SEND equal to one whose ACK is unconfirmed", () => {
  transcript(
    "is a re-send over a reconnect, and is stored once",
    alice + hi + cut + alice + hi + cut + alice + hi + holds("hi")
  )

  transcript(
    "is one too when the ACK was never read, or never written",
    script`
      ${alice}
      A: stop reading
      A> SEND g hi
      ${cut + alice + hi + holds("hi")}
    `
  )

  transcript(
    "is one in a private message too",
    script`
      ${alice}
      A> SEND bob hi
      A< ACK
      ${cut + alice}
      A> SEND bob hi
      A< ACK
      B> CONNECT bob
      B< ACCEPT
      B> SYNC
      B< MSG bob alice <t> hi
      B< ENDSYNC
    `
  )

  transcript(
    "is told once to those who follow",
    script`
      B> CONNECT bob
      B< ACCEPT
      B> SYNC g 0
      B< ENDSYNC
      ${alice + hi}
      B< MSG g alice <t> hi
      ${cut + alice + hi + cut + alice + hi}
      B: nothing more
    `
  )

  transcript(
    "is one whatever others say meanwhile",
    script`
      ${alice + hi + cut}
      B> CONNECT bob
      B< ACCEPT
      B> SEND g hi
      B< ACK
      B> SEND g ho
      B< ACK
      ${alice + hi}
      B> SYNC g 0
      B< MSG g alice <t1> hi
      B< MSG g bob <t2> hi
      B< MSG g bob <t3> ho
      B< ENDSYNC
    `
  )

  transcript(
    "differs in case, in a space, in the target",
    script`
      ${alice + hi + cut + alice}
      A> SEND g Hi
      A< ACK
      ${cut + alice}
      A> SEND g Hi\x20
      A< ACK
      ${cut + alice}
      A> SEND h Hi\x20
      A< ACK
      ${holds("hi", "Hi", "Hi\\x20")}
      B> SYNC h 0
      B< MSG h alice <u> Hi\x20
      B< ENDSYNC
    `
  )

  describe("is a new message once the ACK is confirmed", () => {
    transcript(
      "by a next SEND, so that \"hi\", \"hi\" are two messages",
      alice + hi + hi + hi + holds("hi", "hi", "hi")
    )

    transcript(
      "by another command",
      script`
        ${alice + hi}
        A> SYNC
        A< ENDSYNC
        ${cut + alice + hi + holds("hi", "hi")}
      `
    )

    transcript(
      "by any line, also one that is declined",
      script`
        ${alice + hi}
        A> ?
        A< DECLINE invalid_command
        ${cut + alice + hi + holds("hi", "hi")}
      `
    )

    transcript(
      "by an end in good order",
      script`
        ${alice + hi}
        A: half-close
        A< (end)
        ${alice + hi + holds("hi", "hi")}
      `
    )

    transcript(
      "after a re-send too",
      script`
        ${alice + hi + cut + alice + hi}
        A> SYNC
        A< ENDSYNC
        ${hi + holds("hi", "hi")}
      `
    )
  })

  describe("is still a re-send", () => {
    transcript(
      "after half a line",
      script`
        ${alice + hi}
        A>> SYN
        ${cut + alice + hi + holds("hi")}
      `
    )

    transcript(
      "after a login alone",
      script`
        ${alice + hi + cut + alice}
        A> SYNC
        A< ENDSYNC
        A> SEND system x
        A< DECLINE invalid_command
        ${cut + alice + hi + holds("hi")}
      `
    )

    transcript(
      "CPT 4.6: in the same packet",
      script`
        ${alice}
        A>> SEND g hi\nSEND g hi\n
        A< ACK
        A< ACK
        A>> SEND g ho\nSYNC g 0\nSEND g ho\n
        A< ACK
        A< MSG g alice <t> hi
        A< MSG g alice <u> ho
        A< ENDSYNC
        A< ACK
        ${holds("hi", "ho")}
      `
    )
  })

  transcript(
    "CPT 4.5: ends with the sender's first SEND of something else",
    script`
      ${alice + hi + cut + alice}
      A> SEND g ho
      A< ACK
      ${cut + alice + hi + cut + alice}
      A> SEND h hi
      A< ACK
      ${cut + alice + hi + holds("hi", "ho", "hi", "hi")}
    `
  )

  transcript(
    "CPT 4.5: of several in flight only the last can be re-sent",
    script`
      ${alice}
      A>> SEND g a\nSEND g b\nSEND g a\n
      A< ACK
      A< ACK
      A< ACK
      ${cut + alice}
      A> SEND g a
      A< ACK
      A: nothing more
      ${holds("a", "b", "a")}
    `
  )

  transcript(
    "is a new message where a deployment has switched that off",
    alice + hi + cut + alice + hi + holds("hi", "hi"),
    { store: layerMemory({ resendWindow: 0 }) }
  )
})

describe("CPT 4.8: a SEND that was declined", () => {
  transcript(
    "is not stored, and a later one is none the worse for it",
    script`
      ${alice}
      A> SEND g fail
      A< DECLINE storage_unavailable
      A> SEND g fail
      A< DECLINE storage_unavailable
      ${hi}
      A>> SEND g 1\nSEND g fail\nSEND g 2\n?\nSEND g 3\n
      A< DECLINE storage_unavailable
      A< DECLINE storage_unavailable
      A< DECLINE storage_unavailable
      A< DECLINE invalid_command
      A< ACK
      ${holds("hi", "3")}
    `,
    { store: failingAppends }
  )
})

/** Alice, at a server whose store waits for the gate, and says how many messages it is given at a time. */
const beforeGate = Effect.fnUntraced(function*(given: (messages: number) => void) {
  const gate = Latch.makeUnsafe(false)
  const { connect } = yield* overTcp({ store: gated(gate.await, given) })
  const alice = yield* connect
  const say = (line: string) => alice.say(Buffer.from(`${line}\n`))
  const turn = Effect.promise(() => new Promise((resolve) => void setImmediate(resolve)))
  yield* say("CONNECT alice")
  yield* alice.hear
  /** In a packet of its own, which the server has read. */
  const sayInPacket = (line: string) => Effect.andThen(say(line), Effect.repeat(turn, { times: 2 }))
  return { alice, gate, say, sayInPacket }
})

describe("CPT 4.6: the same again, which comes while the disk is busy", () => {
  it.live("is a re-send: the ACK of the first one had not left", () =>
    Effect.gen(function*() {
      const { alice, gate, say, sayInPacket } = yield* beforeGate(() => {})
      for (let times = 0; times < 3; times++) {
        yield* sayInPacket("SEND g hi")
      }
      yield* gate.open
      for (let acks = 0; acks < 3; acks++) assert.strictEqual(yield* alice.hear, "ACK")
      yield* say("SYNC g 0")
      assert.match(yield* alice.hear, /^MSG g alice \d+ hi$/)
      assert.strictEqual(yield* alice.hear, "ENDSYNC")
      // This one comes when the ACKs have been seen
      yield* say("SEND g hi")
      assert.strictEqual(yield* alice.hear, "ACK")
      yield* say("SYNC g 0")
      for (const text of ["hi", "hi"]) assert.isTrue((yield* alice.hear).endsWith(` ${text}`))
    }))
})

describe("CPT 3.6: what comes while the disk is busy", () => {
  it.live("is stored in one go then, and not packet by packet", () =>
    Effect.gen(function*() {
      const given: Array<number> = []
      const { alice, gate, say, sayInPacket } = yield* beforeGate((messages) => given.push(messages))
      for (let i = 0; i < 40; i++) {
        yield* sayInPacket(`SEND g ${i}`)
      }
      yield* gate.open
      for (let i = 0; i < 40; i++) assert.strictEqual(yield* alice.hear, "ACK")
      assert.isAtMost(given.length, 3, `${given}`)
      yield* say("SYNC g 0")
      for (let i = 0; i < 40; i++) assert.isTrue((yield* alice.hear).endsWith(` ${i}`))
    }))
})
