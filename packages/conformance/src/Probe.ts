/**
 * Finds out how a server reads what the specification leaves open, before the cases run. It judges nothing: what it does
 * not understand, it takes to be as READING.md has it, and a case will say what is wrong.
 */
import { Effect, Option, type Scope } from "effect"
import { type Dialect, reading, unitOf } from "./Dialect.ts"
import type { Outcome } from "./Outcome.ts"
import { type Message, parseMessage, type Peer } from "./Peer.ts"
import { type Setting, Stage } from "./Stage.ts"
import * as Wire from "./Wire.ts"

/** How long a message is waited for that may come by itself, and how often another one is sent if it does not. */
const liveWithin = 300
const liveTimes = 5

/** How much longer for the same one to come to its sender. */
const echoWithin = 100

/** How long an end of the connection is waited for. */
const closeWithin = 150

const probe = "probe"

type Step<A> = Effect.Effect<A, Outcome, Scope.Scope>

/** Whatever comes next, without the CR of its end; undefined if nothing does. */
const anything = (peer: Peer, within: number): Step<string | undefined> =>
  Effect.map(
    Effect.option(peer.hear("…", within)),
    (line) => Option.getOrUndefined(Option.map(line, (line) => line.replace(/\\r$/, "")))
  )

/** What comes until there is an answer, and that, if it comes. */
const answerOf = Effect.fnUntraced(function*(peer: Peer, line: string, within: number) {
  const messages: Array<Message> = []
  yield* peer.say(line)
  for (;;) {
    const heard = yield* anything(peer, within)
    const message = heard === undefined ? undefined : parseMessage(heard)
    if (message === undefined) return { messages, answer: heard ?? "" }
    messages.push(message)
  }
})

/** The message of a probe, among what comes by itself. */
const arrives = Effect.fnUntraced(function*(peer: Peer, within: number) {
  const until = performance.now() + within
  while (performance.now() < until) {
    const line = yield* anything(peer, until - performance.now())
    if (line === undefined || line === Wire.ended || line === Wire.brokenOff) return undefined
    const message = parseMessage(line)
    if (message?.text === probe) return message
  }
  return undefined
})

const isProbe = ({ text }: Message): boolean => text === probe

export const dialect = (setting: Omit<Setting, "dialect">): Effect.Effect<Dialect> => {
  const stage = new Stage({ ...setting, dialect: reading })
  const found: { -readonly [K in keyof Dialect]: Dialect[K] } = { ...reading }
  const { timeout } = setting

  const peerOf = Effect.fnUntraced(function*(who: string) {
    const peer = stage.peer(who)
    yield* peer.connect()
    yield* peer.say(`CONNECT {${who}}`)
    const line = yield* peer.hear("…")
    found.crlf ||= line.endsWith("\\r")
    found.wordy ||= /^ACCEPT (?!\\r$)/.test(line)
    return peer
  })

  /** Sends until something of it arrives: a server that loses one message still has others that come by themselves. */
  const sendsUntil = Effect.fnUntraced(function*(sender: Peer, target: string, receiver: Peer, times: number) {
    for (let time = 1;; time++) {
      const sent = yield* answerOf(sender, `SEND ${target} ${probe}`, timeout)
      const live = yield* arrives(receiver, liveWithin)
      if (live !== undefined || time === times) return { live, sent }
    }
  })

  /** Whether the connection ends within a moment after a DECLINE. */
  const closesAfter = Effect.fnUntraced(function*(peer: Peer, command: string) {
    yield* peer.say(command)
    const line = yield* anything(peer, timeout)
    if (line?.startsWith("DECLINE") !== true) return
    found.explains ||= /^DECLINE \S+ /.test(line)
    const next = yield* anything(peer, closeWithin)
    if (next === Wire.ended || next === Wire.brokenOff) found.closes = true
  })

  const probing = Effect.gen(function*() {
    const alice = yield* peerOf("alice")
    const bob = yield* peerOf("bob")
    const carol = stage.peer("carol")
    yield* carol.connect()
    const anonymous = (yield* answerOf(carol, "SYNC {group} 0", timeout)).answer
    found.anonymous = anonymous.startsWith("ENDSYNC")
    yield* carol.close()
    yield* closesAfter(stage.peer("dave"), "CONNECT {alice}")
    yield* closesAfter(stage.peer("erin"), "NOTHING")

    yield* answerOf(bob, "SEND {group} the first message", timeout)
    const first = yield* answerOf(alice, "SYNC {group} 0", timeout)
    found.wordy ||= first.answer.startsWith("ENDSYNC ")
    yield* answerOf(bob, "SYNC {group} 0", timeout) // or nothing would come to him, his own neither
    const { live, sent } = yield* sendsUntil(bob, "{group}", alice, liveTimes)
    found.wordy ||= sent.answer.startsWith("ACK ")
    found.live = live !== undefined
    const own = sent.messages.find(isProbe) ?? (yield* arrives(bob, echoWithin))
    found.echo = own !== undefined

    const reader = yield* peerOf("frank")
    const stored = (yield* answerOf(reader, "SYNC {group} 0", timeout)).messages.find(isProbe)
    const known = stored ?? live
    if (known !== undefined) {
      found.unit = unitOf(known.timestamp) ?? reading.unit
      if (known.group === undefined) found.diagram = "always"
    }

    const grace = yield* peerOf("grace")
    const { live: livePrivate } = yield* sendsUntil(bob, "{grace}", grace, found.live ? liveTimes : 1)
    found.livePrivate = livePrivate !== undefined
    const bare = (yield* answerOf(grace, "SYNC", timeout)).messages.find(isProbe)
    const again = bare === undefined ? yield* peerOf("heidi") : grace
    if (bare === undefined) {
      yield* answerOf(bob, `SEND {heidi} ${probe}`, timeout)
      yield* arrives(again, found.livePrivate ? liveWithin : 0)
    }
    const named = bare ?? (yield* answerOf(again, "SYNC {heidi} 0", timeout)).messages.find(isProbe)
    found.inbox = bare !== undefined ? "bare" : named !== undefined ? "named" : "none"
    const kept = named ?? livePrivate
    if (kept === undefined) return
    if (kept.group === undefined) found.diagram = found.diagram === "always" ? "always" : "private"
    else if (kept.group === stage.name("bob")) found.privateGroup = "sender"
    else if (kept.group !== stage.name(bare === undefined && named !== undefined ? "heidi" : "grace")) {
      found.privateGroup = "another"
    }
  })
  return Effect.as(Effect.scoped(Effect.ignore(probing)), found)
}
