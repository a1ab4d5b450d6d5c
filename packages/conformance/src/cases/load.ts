/** Many connections, many messages: nothing is lost. */
import { Effect } from "effect"
import type { Peer } from "../Peer.ts"
import type { Stage } from "../Stage.ts"
import { define } from "./define.ts"

const reading = "our reading" as const

const all =
  "The server MUST provide all messages before the time of the `SYNC` command, and MAY provide messages sent during the transmission."
const accept = "If not, the server MUST answer with an `ACCEPT` command."
const follows =
  "A session *follows* a group from its first SYNC of it, and its own inbox from CONNECT on: new messages come as `MSG` as they are stored, each exactly once, in order, without a hole between the SYNC and the live ones."
const noLimit = "There is no page limit."

const nameOf = (stem: string, index: number): string =>
  `${stem}${String.fromCharCode(97 + Math.floor(index / 26))}${String.fromCharCode(97 + (index % 26))}`

/** So many people, who have logged in. */
const crowd = (stage: Stage, stem: string, size: number) =>
  Effect.forEach(
    Array.from({ length: size }, (_, i) => stage.peer(nameOf(stem, i))),
    (peer) => Effect.as(peer.comesToBe(peer.ownName), peer),
    { concurrency: 25 }
  )

/** Each of them sends so many messages; all at the same time. */
const sendAll = (peers: ReadonlyArray<Peer>, times: number, target: (peer: number, message: number) => string) =>
  Effect.forEach(peers, (peer, index) =>
    Effect.forEach(
      Array.from({ length: times }, (_, i) => i),
      (i) => peer.send(target(index, i), `${peer.ownName} says ${i}`),
      { discard: true }
    ), { concurrency: "unbounded", discard: true })

/** Fails unless the lines are what each of the senders has said, in their order. */
const areWhole = (stage: Stage, texts: ReadonlyArray<string>, peers: ReadonlyArray<Peer>, times: number) =>
  Effect.gen(function*() {
    yield* stage.check(texts.length === peers.length * times, `${peers.length * times} messages`, String(texts.length))
    const next = new Map<string, number>()
    for (const text of texts) {
      const [sender = "", , number = ""] = text.split(" ")
      const expected = next.get(sender) ?? 0
      yield* stage.check(number === String(expected), `${sender} says ${expected}`, text)
      next.set(sender, expected + 1)
    }
  })

export const load = define("load", {
  "load/3.2/connections": {
    title: "two hundred people log in at once, and all are served",
    quote: accept,
    isAlone: true,
    does: "Two hundred people log in, 25 at a time, and each sends a message; all two hundred are there.",
    run: Effect.fnUntraced(function*(stage) {
      const peers = yield* crowd(stage, "user", 200)
      yield* sendAll(peers, 1, () => "{group}")
      const reader = yield* stage.login("reader")
      const messages = yield* reader.sync("{group}")
      yield* areWhole(stage, messages.map(({ text }) => text), peers, 1)
    })
  },
  "load/5.1/messages": {
    title: "four thousand messages of forty people are all there, in each sender's order",
    quote: all,
    isAlone: true,
    does: "Forty people send a hundred messages each to ten groups, all at the same time.",
    run: Effect.fnUntraced(function*(stage) {
      const peers = yield* stage.granted(crowd(stage, "user", 40))
      const groups = Array.from({ length: 10 }, (_, i) => stage.name(nameOf("group", i)))
      yield* sendAll(peers, 100, (peer) => groups[peer % groups.length] ?? "")
      const reader = yield* stage.login("reader")
      for (const [index, group] of groups.entries()) {
        const messages = yield* reader.sync(group)
        const senders = peers.filter((_, i) => i % groups.length === index)
        yield* areWhole(stage, messages.map(({ text }) => text), senders, 100)
      }
    })
  },
  "load/5.1/long-answer": {
    title: "an answer has as many messages as there are",
    level: reading,
    quote: noLimit,
    isAlone: true,
    does: "Twenty people send 150 messages each to one group: 3,000. One SYNC gives all.",
    run: Effect.fnUntraced(function*(stage) {
      const peers = yield* stage.granted(crowd(stage, "user", 20))
      yield* sendAll(peers, 150, () => "{group}")
      const reader = yield* stage.login("reader")
      const messages = yield* reader.sync("{group}")
      yield* areWhole(stage, messages.map(({ text }) => text), peers, 150)
    })
  },
  "load/5.5/fan-out": {
    title: "fifty people follow a group, and each gets each message once, in order",
    level: reading,
    quote: follows,
    needs: ["live"],
    isAlone: true,
    does: "Fifty people follow a group to which four others send fifty messages each at the same time.",
    run: Effect.fnUntraced(function*(stage) {
      const followers = yield* stage.granted(crowd(stage, "follower", 50))
      yield* Effect.forEach(followers, (peer) => peer.sync("{group}"), { concurrency: 25, discard: true })
      const peers = yield* stage.granted(crowd(stage, "user", 4))
      yield* sendAll(peers, 50, () => "{group}")
      const reader = yield* stage.login("reader")
      const stored = yield* reader.sync("{group}")
      yield* areWhole(stage, stored.map(({ text }) => text), peers, 50)
      yield* Effect.forEach(
        followers,
        (peer) =>
          Effect.forEach(
            stored,
            ({ line }) =>
              Effect.flatMap(peer.live(), (message) =>
                stage.check(message.line === line, `${peer.ownName} hears ${line}`, message.line)),
            { discard: true }
          ),
        {
          concurrency: 25,
          discard: true
        }
      )
    })
  },
  "load/5.5/many-groups": {
    title: "one may follow a hundred groups",
    level: reading,
    quote: follows,
    needs: ["live"],
    isAlone: true,
    does: "Somebody follows a hundred groups; a message to each of them comes.",
    run: Effect.fnUntraced(function*(stage) {
      const reader = yield* stage.login("reader")
      const groups = Array.from({ length: 100 }, (_, i) => stage.name(nameOf("group", i)))
      for (const group of groups) yield* reader.sync(group)
      const [peer] = yield* stage.granted(crowd(stage, "user", 1))
      for (const group of groups) {
        yield* stage.granted(peer?.send(group, "hi") ?? Effect.void)
        const message = yield* reader.live()
        yield* stage.check((message.group ?? group) === group, `a message of ${group}`, message.line)
      }
      yield* reader.nothingMore()
    })
  }
})
