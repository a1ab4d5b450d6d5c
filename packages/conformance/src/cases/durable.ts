/** What was acknowledged is there after a restart of the server (`--restart`), or its sudden end (`--kill`). */
import { Effect, Fiber, Schedule } from "effect"
import type { Message, Peer } from "../Peer.ts"
import type { Stage } from "../Stage.ts"
import { define } from "./define.ts"

const reading = "our reading" as const

const all =
  "The server MUST provide all messages before the time of the `SYNC` command, and MAY provide messages sent during the transmission."
const onDisk = "`ACK` means: the message is in the store, and with a durable store it is on disk (fsynced)."
const resend = "the server SHOULD add a deduplication system in the event of duplicated sent messages."
const cursor =
  "Each message gets a timestamp: integer milliseconds since the UNIX epoch, strictly greater than that of the message before it in the same target (`max(now, last + 1)`), so that a timestamp is a lossless cursor."
const final = "User and group are final as long as the name has messages, so a private message can never become public."
const accept = "If not, the server MUST answer with an `ACCEPT` command."
const comesBack =
  "After a lost connection it reconnects with backoff, re-sends the one message whose ACK it did not see, and syncs each followed group from its last timestamp: nothing lost, nothing twice."
const closing =
  "The server does not close on a DECLINE that the client can go on from; it closes after one that ends the session (lock, limits, shutdown, login refused three times), and after 20 declines in a row."

/** How long a server may take to be there again. */
const patience = "30 seconds"

/** How long somebody waits for its end, in milliseconds. */
const patienceOfPeers = 30_000

/** Logs in on a server that is being restarted. */
const comeBack = (peer: Peer) =>
  peer.login().pipe(
    Effect.retry({
      schedule: Schedule.spaced("100 millis"),
      while: ({ _tag }) => _tag === "Unreachable" || _tag === "Inconclusive"
    }),
    Effect.timeoutOrElse({ duration: patience, orElse: () => peer.login() })
  )

/** Hears that the server goes, and leaves, as a client should: a server may wait for that. */
const leave = (peer: Peer) =>
  Effect.andThen(Effect.ignore(peer.hear("DECLINE … | (end) | (broken off)", patienceOfPeers)), peer.close())

/** The server ends and starts again, under people who are logged in. */
const restart = (stage: Stage, how: "restart" | "kill", peers: ReadonlyArray<Peer>) =>
  Effect.all([stage.hand(how), ...peers.map(leave)], { concurrency: "unbounded", discard: true })

interface Sent {
  readonly who: string
  readonly acked: number
  /** The message whose ACK did not come, if there is one. */
  readonly last: number
}

/** Sends `message 1`, `message 2`, … until the server is gone. */
const sendUntilTheEnd = Effect.fnUntraced(function*(stage: Stage, who: string, target: string) {
  const peer = yield* stage.granted(stage.login(who))
  for (let number = 1;; number++) {
    const isAcked = yield* Effect.isSuccess(peer.send(target, `message ${number}`))
    if (isAcked) continue
    yield* peer.close()
    return { who, acked: number - 1, last: number } satisfies Sent
  }
})

const senders = ["alice", "bob", "carol"] as const

/** Three people send while the server ends and starts again; gives what each has seen. */
const through = Effect.fnUntraced(function*(stage: Stage, how: "restart" | "kill", target: string) {
  const sending = yield* Effect.forEach(senders, (who) => Effect.forkScoped(sendUntilTheEnd(stage, who, target)))
  yield* Effect.sleep(200 + Math.floor(stage.random() * 200))
  yield* stage.hand(how)
  return yield* Effect.forEach(sending, Fiber.join)
})

/** The numbers of the messages of somebody, as they stand. */
const numbersOf = (messages: ReadonlyArray<Message>, sender: string): ReadonlyArray<number> =>
  messages.filter((message) => message.sender === sender).map(({ text }) => Number(text.replace("message ", "")))

const isThere = (how: "restart" | "kill") =>
  Effect.fnUntraced(function*(stage: Stage) {
    const sent = yield* through(stage, how, "{group}")
    const dave = stage.peer("dave")
    yield* comeBack(dave)
    const messages = yield* dave.sync("{group}")
    for (const { acked, last, who } of sent) {
      const numbers = numbersOf(messages, stage.name(who))
      const missing = Array.from({ length: acked }, (_, i) => i + 1).filter((number) => !numbers.includes(number))
      yield* stage.check(missing.length === 0, `all of ${acked} messages of ${who}`, `all but ${missing.join(", ")}`)
      const isInOrder = numbers.every((number, index) => number === index + 1 && number <= last)
      yield* stage.check(isInOrder, `messages of ${who} once, and in order`, numbers.slice(-20).join(", "))
    }
  })

const isOnce = (how: "restart" | "kill") =>
  Effect.fnUntraced(function*(stage: Stage) {
    const sent = yield* through(stage, how, "{group}")
    for (const { last, who } of sent) {
      const peer = stage.peer(who)
      yield* comeBack(peer)
      yield* peer.send("{group}", `message ${last}`)
    }
    const dave = stage.peer("dave")
    yield* comeBack(dave)
    const messages = yield* dave.sync("{group}")
    for (const { last, who } of sent) {
      const numbers = numbersOf(messages, stage.name(who))
      const isRight = numbers.length === last && numbers.every((number, index) => number === index + 1)
      yield* stage.check(isRight, `messages 1 to ${last} of ${who}, each once`, `… ${numbers.slice(-5).join(", ")}`)
    }
  })

const isQuiet = (how: "restart" | "kill") =>
  Effect.fnUntraced(function*(stage: Stage) {
    const alice = yield* stage.login("alice")
    const bob = yield* stage.login("bob")
    yield* stage.granted(alice.send("{bob}", "private"))
    yield* stage.granted(alice.send("{group}", "public"))
    yield* stage.granted(bob.sync("{group}"))
    yield* restart(stage, how, [alice, bob])
    yield* comeBack(stage.peer("carol"))
    yield* stage.play(String.raw`
      carol> SYNC {bob} 0
      carol<* MSG {bob} system 0 …
      carol< ENDSYNC | DECLINE …
      carol> SYNC {group} 0
      carol< MSG {group} {alice} <t> public
      carol< ENDSYNC
      dave> CONNECT {group}
      dave< DECLINE username_taken
    `)
  })

export const durable = define("durable", {
  "durable/4.1/restart": {
    title: "what was acknowledged is there after a restart, once and in order",
    quote: all,
    needs: ["restart"],
    isAlone: true,
    does:
      "Three people send; meanwhile the server is restarted in good order (--restart). All that was acknowledged is there.",
    run: isThere("restart")
  },
  "durable/4.1/kill": {
    title: "what was acknowledged is there after the server was killed, once and in order",
    quote: all,
    needs: ["kill"],
    isAlone: true,
    does:
      "Three people send; meanwhile the server is killed and started again (--kill). All that was acknowledged is there.",
    run: isThere("kill")
  },
  "durable/4.1/at-once": {
    title: "what was acknowledged is there if the server was killed right after the ACK",
    level: reading,
    quote: onDisk,
    needs: ["kill"],
    isAlone: true,
    does:
      "Alice sends one message; the moment it is acknowledged, the server is killed (--kill). The message is there.",
    run: Effect.fnUntraced(function*(stage) {
      const alice = yield* stage.login("alice")
      yield* stage.granted(alice.send("{group}", "the last one"))
      yield* restart(stage, "kill", [alice])
      yield* comeBack(stage.peer("bob"))
      yield* stage.play(String.raw`
        bob> SYNC {group} 0
        bob< MSG {group} {alice} <t> the last one
        bob< ENDSYNC
      `)
    })
  },
  "durable/4.4/resend-after-restart": {
    title: "a message that is sent again after a restart is stored once",
    level: "SHOULD",
    quote: resend,
    needs: ["restart"],
    isAlone: true,
    does:
      "Three people send while the server is restarted (--restart). Each sends the message again whose ACK did not come.",
    run: isOnce("restart")
  },
  "durable/4.4/resend-after-kill": {
    title: "a message that is sent again after the server was killed is stored once",
    level: "SHOULD",
    quote: resend,
    needs: ["kill"],
    isAlone: true,
    does: "The same, and the server is killed (--kill).",
    run: isOnce("kill")
  },
  "durable/4.2/time-goes-on": {
    title: "timestamps go on after a restart: an old one is still a cursor",
    level: reading,
    quote: cursor,
    needs: ["restart"],
    isAlone: true,
    does:
      "Alice sends, the server is restarted, she sends again. From the timestamp of the first message, there is the second.",
    run: Effect.fnUntraced(function*(stage) {
      yield* stage.play(String.raw`
        alice: login
        bob: login
        alice> SEND {group} before
        alice< ACK
        bob> SYNC {group} 0
        bob< MSG {group} {alice} <t> before
        bob< ENDSYNC
        (tick)
      `)
      const peers = [stage.peer("alice"), stage.peer("bob")]
      yield* restart(stage, "restart", peers)
      yield* Effect.forEach(peers, comeBack)
      yield* stage.play(String.raw`
        alice> SEND {group} after
        alice< ACK
        bob> SYNC {group} <t>
        bob< MSG {group} {alice} <u after t> after
        bob< ENDSYNC
      `)
    })
  },
  "durable/2.2/kinds": {
    title: "who is a user and what is a group is so after a restart",
    level: reading,
    quote: final,
    needs: ["restart"],
    isAlone: true,
    does:
      "A user has a private message, and a group a public one. After a restart the first is still private, and nobody can have the name of the group.",
    run: isQuiet("restart")
  },
  "durable/2.2/kinds-after-kill": {
    title: "who is a user and what is a group is so after the server was killed",
    level: reading,
    quote: final,
    needs: ["kill"],
    isAlone: true,
    does: "The same, and the server is killed (--kill).",
    run: isQuiet("kill")
  },
  "durable/3.2/names": {
    title: "names are free after a restart",
    quote: accept,
    needs: ["kill"],
    isAlone: true,
    does: "Alice is logged in, and the server is killed. She can log in again.",
    run: Effect.fnUntraced(function*(stage) {
      const alice = yield* stage.login("alice")
      yield* restart(stage, "kill", [alice])
      yield* comeBack(stage.peer("bob"))
      yield* stage.play(String.raw`
        alice> CONNECT {alice}
        alice< ACCEPT
      `)
    })
  },
  "durable/5.5/follower": {
    title: "who follows goes on from the last timestamp, and misses nothing",
    level: reading,
    quote: comesBack,
    needs: ["live", "kill"],
    isAlone: true,
    does:
      "Dave follows a group while three people send and the server is killed. He comes back and syncs from the last timestamp that he has: he has all messages once.",
    run: Effect.fnUntraced(function*(stage) {
      const dave = yield* stage.login("dave")
      const messages: Array<Message> = [...yield* dave.sync("{group}")]
      const hearing = yield* Effect.forkScoped(
        Effect.ignore(Effect.forever(Effect.map(dave.live(), (message) => messages.push(message))))
      )
      const sent = yield* through(stage, "kill", "{group}")
      yield* Fiber.join(hearing)
      yield* comeBack(dave)
      messages.push(...yield* dave.sync("{group}", messages.at(-1)?.timestamp ?? 0))
      for (const { acked, who } of sent) {
        const numbers = numbersOf(messages, stage.name(who))
        const isRight = numbers.length >= acked && numbers.every((number, index) => number === index + 1)
        yield* stage.check(isRight, `messages 1 to ${acked} of ${who}, each once`, numbers.slice(-20).join(", "))
      }
    })
  },
  "durable/3.5/shutting-down": {
    title: "who is there when the server goes down is told shutting_down",
    level: reading,
    also: ["identity"],
    quote: closing,
    needs: ["restart"],
    isAlone: true,
    does:
      "Alice is logged in, and the server is restarted (--restart). She hears DECLINE shutting_down, ends her side, and hears the end.",
    run: Effect.fnUntraced(function*(stage) {
      const alice = yield* stage.login("alice")
      yield* Effect.all([
        stage.hand("restart"),
        Effect.gen(function*() {
          yield* alice.hear("DECLINE shutting_down", patienceOfPeers)
          yield* alice.halfClose()
          yield* alice.hear("(closed)")
        })
      ], { concurrency: 2 })
    })
  }
})
