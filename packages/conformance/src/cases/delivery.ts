/** What was acknowledged arrives: once, in order, live and in every answer, through lost connections. */
import { Effect, Fiber } from "effect"
import { perMillisecond } from "../Dialect.ts"
import { Unsupported } from "../Outcome.ts"
import type { Message, Peer } from "../Peer.ts"
import type { Stage } from "../Stage.ts"
import { define } from "./define.ts"

const reading = "our reading" as const

const all =
  "The server MUST provide all messages before the time of the `SYNC` command, and MAY provide messages sent during the transmission."
const ackedIsThere = "All that was ACKed before the SYNC arrived is in it."
const cursor =
  "Each message gets a timestamp: integer milliseconds since the UNIX epoch, strictly greater than that of the message before it in the same target (`max(now, last + 1)`), so that a timestamp is a lossless cursor."
const follows =
  "A session *follows* a group from its first SYNC of it, and its own inbox from CONNECT on: new messages come as `MSG` as they are stored, each exactly once, in order, without a hole between the SYNC and the live ones."
const nothingBetween = "Between the first answer to a SYNC and its ENDSYNC nothing else is written to that session."
const oldestFirst = "every message of the group with a timestamp greater than `after`, oldest first, then `ENDSYNC`."
const comesBack =
  "After a lost connection it reconnects with backoff, re-sends the one message whose ACK it did not see, and syncs each followed group from its last timestamp: nothing lost, nothing twice."

/** Where there is none. */
const noMessage: Message = { line: "", group: "", sender: "", timestamp: 0n, text: "message 0" }

/** `message 17` → 17; undefined for what is none of ours. */
const numberOf = ({ text }: Message): number | undefined => {
  const [, digits] = /^message (\d+)$/.exec(text) ?? []
  return digits === undefined ? undefined : Number(digits)
}

/** Fails unless these are `message 1`, `message 2`, … without a hole, each once and in order. */
const areAll = (stage: Stage, messages: ReadonlyArray<Message>, whose: string) =>
  Effect.forEach(messages, (message, index) => {
    const number = numberOf(message)
    const expected = `${whose} hears message ${index + 1}`
    const before = messages.slice(0, index).some((other) => numberOf(other) === number)
    return stage.check(number === index + 1, expected, `${before ? "twice: " : ""}${message.line}`)
  }, { discard: true })

/** Sends `message 1`, `message 2`, … until told to stop; gives how many. */
const sendOn = Effect.fnUntraced(function*(stage: Stage, who: string, target: string, isOver: () => boolean) {
  const peer = yield* stage.granted(stage.login(who))
  let sent = 0
  while (!isOver()) yield* stage.granted(peer.send(target, `message ${++sent}`))
  return sent
})

/** Live messages, until the one with this number. */
const liveUntil = Effect.fnUntraced(function*(peer: Peer, last: number, messages: Array<Message>) {
  while (numberOf(messages.at(-1) ?? noMessage) !== last) {
    messages.push(yield* peer.live())
  }
})

export const delivery = define("delivery", {
  "sync/5.1/acked-is-there": {
    title: "what was acknowledged is in an answer that is asked for right then",
    quote: all,
    does:
      "Fifty times: alice sends; the moment her ACK is there, bob asks on another connection, and gets the message.",
    run: Effect.fnUntraced(function*(stage) {
      const alice = yield* stage.login("alice")
      const bob = yield* stage.login("bob")
      for (let i = 1; i <= 50; i++) {
        yield* stage.granted(alice.send("{group}", `message ${i}`))
        const messages = yield* bob.sync("{group}")
        yield* stage.check(
          messages.some((message) => numberOf(message) === i),
          `message ${i} among the ${i} messages of the group`,
          messages.map(({ text }) => text).join(", ") || "none"
        )
      }
    })
  },
  "sync/5.1/acked-is-in-the-inbox": {
    title: "a private message that was acknowledged can be asked for right then",
    quote: all,
    needs: ["inbox"],
    does: "Twenty times: alice sends to bob; the moment her ACK is there, bob asks for his messages, and gets it.",
    run: Effect.fnUntraced(function*(stage) {
      const alice = yield* stage.login("alice")
      const bob = yield* stage.login("bob")
      for (let i = 1; i <= 20; i++) {
        yield* stage.granted(alice.send("{bob}", `message ${i}`))
        yield* bob.say("SYNC")
        const messages = yield* bob.answer()
        yield* stage.check(messages.some((message) => numberOf(message) === i), `message ${i}`, "an answer without it")
      }
    })
  },
  "sync/5.1/while-others-send": {
    title: "an answer is complete while others send",
    level: reading,
    quote: ackedIsThere,
    does:
      "While alice sends, others ask for all there is, and get all that was acknowledged before, in order, without a hole.",
    run: Effect.fnUntraced(function*(stage) {
      let isOver = false
      const sending = yield* Effect.forkScoped(sendOn(stage, "alice", "{group}", () => isOver))
      for (const who of ["bob", "carol", "dave", "erin", "frank"]) {
        yield* Effect.sleep(10 + Math.floor(stage.random() * 20))
        const peer = yield* stage.login(who)
        yield* areAll(stage, yield* peer.sync("{group}"), who)
      }
      isOver = true
      const sent = yield* Fiber.join(sending)
      const grace = yield* stage.login("grace")
      const messages = yield* grace.sync("{group}")
      yield* areAll(stage, messages, "grace")
      yield* stage.check(messages.length === sent, `${sent} messages`, String(messages.length))
    })
  },
  "sync/5.1/same-order": {
    title: "everybody gets messages in the same order, and each sender's in theirs",
    level: reading,
    quote: oldestFirst,
    does:
      "Four people send 25 messages each at the same time. Two others get them in one order, in which those of each sender are in theirs.",
    run: Effect.fnUntraced(function*(stage) {
      const senders = ["alice", "bob", "carol", "dave"]
      yield* Effect.forEach(
        senders,
        Effect.fnUntraced(function*(who) {
          const peer = yield* stage.granted(stage.login(who))
          for (let i = 1; i <= 25; i++) yield* stage.granted(peer.send("{group}", `message ${i}`))
        }),
        { concurrency: senders.length, discard: true }
      )
      const erin = yield* stage.login("erin")
      const first = yield* erin.sync("{group}")
      for (const who of senders) {
        yield* areAll(stage, first.filter(({ sender }) => sender === stage.name(who)), `of ${who}, erin`)
      }
      yield* stage.check(first.length === 100, "100 messages", String(first.length))
      const frank = yield* stage.login("frank")
      const second = yield* frank.sync("{group}")
      for (const [index, { line }] of first.entries()) {
        yield* stage.check(second[index]?.line === line, `frank hears ${line}`, second[index]?.line ?? "ENDSYNC")
      }
    })
  },
  "send/4.2/paging": {
    title: "whoever goes on from a timestamp misses nothing, and gets nothing twice",
    level: reading,
    quote: cursor,
    does:
      "Four people send 25 messages each at the same time. From the timestamp of each message, an answer gives what stands behind it, no more and no less.",
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
      for (const [index, { line, timestamp }] of messages.entries()) {
        if (index % 3 !== 0 && index < messages.length - 2) continue
        const newer = yield* erin.sync("{group}", timestamp)
        const expected = messages.length - index - 1
        yield* stage.check(
          newer.length === expected && newer[0]?.line === messages[index + 1]?.line,
          `after ${line}: ${expected} messages, the first of them ${messages[index + 1]?.line ?? "none"}`,
          `${newer.length} messages, the first of them ${newer[0]?.line ?? "none"}`
        )
      }
    })
  },

  "live/5.5/seam": {
    title: "between an answer and what comes live nothing is lost, and nothing comes twice",
    level: reading,
    quote: follows,
    needs: ["live"],
    does:
      "While alice sends without a pause, eight people sync the group, each at another moment, and follow it. Each gets all messages once, in order.",
    run: Effect.fnUntraced(function*(stage) {
      let isOver = false
      const sending = yield* Effect.forkScoped(sendOn(stage, "alice", "{group}", () => isOver))
      const heard = yield* Effect.forEach(
        ["bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan"],
        Effect.fnUntraced(function*(who) {
          yield* Effect.sleep(Math.floor(stage.random() * 150))
          const peer = yield* stage.login(who)
          return { who, peer, messages: [...yield* peer.sync("{group}")] }
        }),
        { concurrency: 8 }
      )
      yield* Effect.sleep(50)
      isOver = true
      const sent = yield* Fiber.join(sending)
      for (const { messages, peer, who } of heard) {
        yield* liveUntil(peer, sent, messages)
        yield* areAll(stage, messages, who)
        yield* peer.nothingMore()
      }
    })
  },
  "live/5.5/seam-from-a-cursor": {
    title: "whoever comes back and goes on from a timestamp loses nothing, and gets nothing twice",
    level: reading,
    quote: comesBack,
    needs: ["live"],
    does:
      "While alice sends without a pause, bob follows, loses his connection five times, comes back and syncs from the last timestamp he has. He gets all messages once, in order.",
    run: Effect.fnUntraced(function*(stage) {
      let isOver = false
      const sending = yield* Effect.forkScoped(sendOn(stage, "alice", "{group}", () => isOver))
      const messages: Array<Message> = []
      const bob = stage.peer("bob")
      for (let i = 0; i < 5; i++) {
        yield* bob.login()
        messages.push(...yield* bob.sync("{group}", messages.at(-1)?.timestamp ?? 0))
        for (let n = 0; n < 20; n++) messages.push(yield* bob.live())
        yield* bob.cut()
        yield* Effect.sleep(Math.floor(stage.random() * 20))
      }
      isOver = true
      const sent = yield* Fiber.join(sending)
      yield* bob.login()
      messages.push(...yield* bob.sync("{group}", messages.at(-1)?.timestamp ?? 0))
      yield* areAll(stage, messages, "bob")
      yield* stage.check(messages.length === sent, `${sent} messages`, String(messages.length))
    })
  },
  "live/5.5/seam-from-now": {
    title: "whoever follows from a moment on that is not there yet loses nothing, and gets nothing twice",
    level: reading,
    quote: follows,
    needs: ["live"],
    does:
      "While five people send without a pause, others sync the group from some milliseconds in the future on, and follow it, thirty times. What each gets of each sender is without a hole, and once.",
    run: Effect.fnUntraced(function*(stage) {
      let isOver = false
      const senders = ["alice", "bob", "carol", "dave", "erin"]
      const sending = yield* Effect.forEach(
        senders,
        (who) => Effect.forkScoped(sendOn(stage, who, "{group}", () => isOver))
      )
      const witness = yield* stage.login("witness")
      yield* witness.sync("{group}")
      for (let i = 0; i < 30; i++) {
        const peer = yield* stage.login("frank")
        const { timestamp } = yield* witness.newest()
        const soon = Math.ceil(stage.random() * 8 * perMillisecond[stage.dialect.unit])
        const messages = [...yield* peer.sync("{group}", timestamp + BigInt(soon))]
        while (messages.length < 50) messages.push(yield* peer.live())
        for (const who of senders) {
          const theirs = messages.filter(({ sender }) => sender === stage.name(who))
          const first = numberOf(theirs[0] ?? noMessage) ?? 0
          for (const [index, message] of theirs.entries()) {
            const expected = `frank hears message ${first + index} of ${who}`
            yield* stage.check(numberOf(message) === first + index, expected, message.line)
          }
        }
        yield* peer.close()
      }
      isOver = true
      yield* Effect.forEach(sending, Fiber.join)
    })
  },
  "live/5.5/login-seam": {
    title: "private messages that come around a login are in the inbox, or come live",
    level: reading,
    quote: follows,
    needs: ["livePrivate", "inbox"],
    does:
      "While alice sends to bob without a pause, he logs in. What comes live is without a hole, and what he asks for then has all.",
    run: Effect.fnUntraced(function*(stage) {
      let isOver = false
      const bob = yield* stage.login("bob")
      yield* bob.close()
      const carol = yield* stage.login("carol")
      yield* stage.granted(carol.send("{bob}", "can you be sent to while you are not here?"))
      const sending = yield* Effect.forkScoped(sendOn(stage, "alice", "{bob}", () => isOver))
      yield* Effect.sleep(30)
      yield* bob.login()
      const live: Array<Message> = []
      for (let i = 0; i < 20; i++) live.push(yield* bob.live())
      isOver = true
      const sent = yield* Fiber.join(sending)
      yield* liveUntil(bob, sent, live)
      const first = numberOf(live[0] ?? noMessage) ?? 1
      for (const [index, message] of live.entries()) {
        yield* stage.check(numberOf(message) === first + index, `bob hears message ${first + index}`, message.line)
      }
      yield* bob.say("SYNC")
      const messages = (yield* bob.answer()).filter(({ sender }) => sender === stage.name("alice"))
      yield* areAll(stage, messages, "bob")
      yield* stage.check(messages.length === sent, `${sent} messages`, String(messages.length))
    })
  },
  "live/5.5/two-followers": {
    title: "all who follow get all messages, once, in the same order",
    level: reading,
    quote: follows,
    needs: ["live"],
    does:
      "Two people follow a group to which three others send 40 messages each at the same time. Both get all, in one order, which is that of an answer.",
    run: Effect.fnUntraced(function*(stage) {
      const followers = [yield* stage.login("bob"), yield* stage.login("carol")]
      for (const peer of followers) yield* peer.sync("{group}")
      const senders = ["dave", "erin", "frank"]
      yield* Effect.forEach(
        senders,
        Effect.fnUntraced(function*(who) {
          const peer = yield* stage.granted(stage.login(who))
          for (let i = 1; i <= 40; i++) yield* stage.granted(peer.send("{group}", `message ${i}`))
        }),
        { concurrency: senders.length, discard: true }
      )
      const grace = yield* stage.login("grace")
      const stored = yield* stage.granted(grace.sync("{group}"))
      yield* stage.granted(stage.check(stored.length === 120, "120 messages", String(stored.length)))
      for (const [index, peer] of followers.entries()) {
        for (const { line } of stored) {
          const message = yield* peer.live()
          yield* stage.check(message.line === line, `${index === 0 ? "bob" : "carol"} hears ${line}`, message.line)
        }
        yield* peer.nothingMore()
      }
    })
  },
  "live/5.5/among-one-s-own": {
    title: "who sends and follows at the same time gets all that others send",
    level: reading,
    quote: follows,
    needs: ["live"],
    does:
      "Alice and bob follow a group and send to it at the same time, 40 messages each. Each gets the other's, once, in order.",
    run: Effect.fnUntraced(function*(stage) {
      const peers = [yield* stage.login("alice"), yield* stage.login("bob")]
      for (const peer of peers) yield* peer.sync("{group}")
      yield* Effect.forEach(
        peers,
        Effect.fnUntraced(function*(peer) {
          for (let i = 1; i <= 40; i++) yield* stage.granted(peer.send("{group}", `message ${i}`))
        }),
        { concurrency: 2, discard: true }
      )
      for (const peer of peers) {
        const messages: Array<Message> = []
        yield* liveUntil(peer, 40, messages)
        yield* areAll(stage, messages, peer.ownName)
        yield* peer.nothingMore()
      }
    })
  },
  "live/5.5/again": {
    title: "a further SYNC of a group does not disturb what comes live",
    level: reading,
    quote: follows,
    needs: ["live"],
    does:
      "While alice sends without a pause, bob, who follows, asks again and again for what is new. What he hears, live and in answers, is all there is; and what comes live comes once, in order.",
    run: Effect.fnUntraced(function*(stage) {
      let isOver = false
      const sending = yield* Effect.forkScoped(sendOn(stage, "alice", "{group}", () => isOver))
      const bob = yield* stage.login("bob")
      const numbers = new Set<number>()
      const take = (messages: ReadonlyArray<Message>) =>
        messages.forEach((message) => numbers.add(numberOf(message) ?? 0))
      let last = yield* bob.sync("{group}")
      take(last)
      for (let i = 0; i < 10; i++) {
        const live = [yield* bob.live(), yield* bob.live()]
        take(live)
        const [one, two] = live.map((message) => numberOf(message) ?? 0)
        yield* stage.check((one ?? 0) < (two ?? 0), `bob hears something after ${one}`, String(two))
        last = yield* bob.sync("{group}", live[0]?.timestamp ?? 0)
        take(last)
      }
      isOver = true
      const sent = yield* Fiber.join(sending)
      take(yield* bob.sync("{group}", last.at(-1)?.timestamp ?? 0))
      const missing = Array.from({ length: sent }, (_, i) => i + 1).filter((number) => !numbers.has(number))
      yield* stage.check(missing.length === 0, `all of ${sent} messages`, `all but ${missing.join(", ")}`)
    })
  },
  "sync/5.6/nothing-between": {
    title: "nothing else comes within an answer",
    level: reading,
    quote: nothingBetween,
    needs: ["live"],
    does:
      "Bob follows a group to which alice sends without a pause, and gets private messages meanwhile. He asks ten times for another group, of 300 messages: nothing stands between them; and what came meanwhile follows.",
    run: Effect.fnUntraced(function*(stage) {
      if (stage.dialect.diagram === "always") {
        return yield* new Unsupported({ why: "a MSG does not say to which group it belongs here" })
      }
      const carol = yield* stage.login("carol")
      for (let i = 1; i <= 300; i++) yield* stage.granted(carol.send("{other}", `message ${i}`))
      const bob = yield* stage.login("bob")
      yield* bob.sync("{group}")
      let isOver = false
      const sending = yield* Effect.forkScoped(sendOn(stage, "alice", "{group}", () => isOver))
      const whispering = yield* Effect.forkScoped(sendOn(stage, "dave", "{bob}", () => isOver))
      for (let i = 0; i < 10; i++) {
        const messages = yield* bob.sync("{other}")
        yield* areAll(stage, messages, "bob")
        yield* stage.check(messages.length === 300, "300 messages", String(messages.length))
        yield* Effect.sleep(5)
      }
      isOver = true
      const sent = yield* Fiber.join(sending)
      const whispered = yield* Fiber.join(whispering)
      const total = stage.dialect.livePrivate ? sent + whispered : sent
      const live: Array<Message> = []
      while (live.length < total) live.push(yield* bob.live())
      yield* areAll(stage, live.filter(({ sender }) => sender === stage.name("alice")), "bob")
      yield* bob.nothingMore()
    })
  }
})
