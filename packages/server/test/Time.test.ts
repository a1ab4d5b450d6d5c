/** Whatever needs time, and whatever needs control over how fast a peer reads: in memory, under TestClock. */
import { Accounts, layerMemory } from "@cpt/server"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Buffer } from "node:buffer"
import { distant, failingReadsBetween, lineByLine } from "./support/stores.ts"
import { noon, timedTranscript } from "./support/Transcript.ts"
import { inMemory } from "./support/World.ts"

const script = String.raw

const login = script`
      A> CONNECT alice
      A< ACCEPT
      B> CONNECT bob
      B< ACCEPT
    `
const follow = script`
      ${login}
      A> SYNC g 0
      A< ENDSYNC
    `
/** Bob says these in g. */
const says = (...texts: ReadonlyArray<string>): string => texts.map((text) => `B> SEND g ${text}\nB< ACK\n`).join("")

describe("CPT 3.9: a session has 10 seconds to log in", () => {
  timedTranscript(
    "and is told when they are over",
    script`
      A: connect
      (10 seconds)
      A< DECLINE login_timeout
      A: half-close
      A< (end)
    `
  )

  timedTranscript(
    "and not less",
    script`
      A: connect
      (9999 ms)
      A> CONNECT alice
      A< ACCEPT
      (1 hour)
      A> SYNC
      A< ENDSYNC
    `
  )

  timedTranscript(
    "also if it says a byte a second",
    script`
      A: connect
      ${[..."CONNECT A"].map((byte) => `(1 second)\nA>> ${byte.replace(" ", "\\x20")}\n`).join("")}
      (999 ms)
      A>> l
      (1 ms)
      A< DECLINE login_timeout
      A>> ice\nCONNECT bob\n
      A: half-close
      A< (end)
    `
  )

  timedTranscript(
    "also if it says a lot that is no line",
    script`
      A: connect
      ${"(2 seconds)\nA>> ".concat("x".repeat(1000), "\n").repeat(4)}
      ${"A>> ".concat("y".repeat(1000), "\n").repeat(50)}
      A< DECLINE line_too_long
      (2 seconds)
      A< DECLINE login_timeout
      A: half-close
      A< (end)
    `
  )

  timedTranscript(
    "also if its logins are refused",
    script`
      A> CONNECT system
      A< DECLINE username_taken
      (9 seconds)
      A> CONNECT system
      A< DECLINE username_taken
      (1 second)
      A< DECLINE login_timeout
      A: half-close
      A< (end)
    `
  )

  timedTranscript(
    "in which the rules for accounts must have answered",
    script`
      A> CONNECT alice
      (10 seconds)
      A< DECLINE login_timeout
      A: half-close
      A< (end)
    `,
    { accounts: Accounts.layerOf(() => Effect.never) }
  )

  timedTranscript(
    "… and may take their time",
    script`
      A: connect
      (5 seconds)
      A>> CONNECT alice\nSYNC\n
      (4 seconds)
      A< ACCEPT
      A< ENDSYNC
      (10 seconds)
      A> SYNC
      A< ENDSYNC
    `,
    { accounts: Accounts.layerOf(() => Effect.sleep("4 seconds")) }
  )

  timedTranscript(
    "or as many as the deployment says",
    script`
      A: connect
      (9999 ms)
      A> SYNC
      A< DECLINE not_logged_in
      (50001 ms)
      A< DECLINE login_timeout
      A: half-close
      A< (end)
    `,
    { settings: { loginDeadline: Duration.minutes(1) } }
  )
})

describe("a shorter time for the login, after a reload", () => {
  timedTranscript(
    "holds from then on, for who is there and who comes",
    script`
      A> CONNECT alice
      A< ACCEPT
      B: connect
      server: settings {"loginDeadline": 2000}
      C: connect
      (3 seconds)
      B< DECLINE login_timeout
      C< DECLINE login_timeout
      D: connect
      (2 seconds)
      D< DECLINE login_timeout
    `,
    { settings: { loginDeadline: Duration.hours(1) } }
  )
})

describe("CPT 3.15: a session that says nothing", () => {
  timedTranscript(
    "is told so and ended, after as long as the deployment says",
    script`
      A> CONNECT alice
      A< ACCEPT
      (50 seconds)
      A> SYNC
      A< ENDSYNC
      (59 seconds)
      A: nothing more
      (7 seconds)
      A< DECLINE idle_timeout
      A: half-close
      A< (end)
      B> CONNECT alice
      B< ACCEPT
    `,
    { settings: { idleDeadline: Duration.minutes(1) } }
  )

  timedTranscript(
    "is not ended while it waits for answers",
    script`
      A> CONNECT alice
      A< ACCEPT
      A>> SYNC\nSYNC\nSYNC\nSYNC\nSYNC\nSYNC\n
      (1 second)
      A< ENDSYNC
      ${"(1 second)\nA< ENDSYNC\n".repeat(5)}
      (1 second)
      A: nothing more
      (2 seconds)
      A< DECLINE idle_timeout
      A: half-close
      A< (end)
    `,
    { settings: { idleDeadline: Duration.seconds(2), rateLimit: 1, rateBurst: 1 } }
  )

  timedTranscript(
    "is there for ever where there is no such time",
    script`
      A> CONNECT alice
      A< ACCEPT
      (30 minutes)
      A> SYNC
      A< ENDSYNC
    `
  )
})

describe("CPT 4.2: a timestamp", () => {
  timedTranscript(
    "is the time, or one more than the last, whatever the clock does",
    script`
      ${follow}
      B>> SEND g 1\nSEND g 2\n
      B< ACK
      B< ACK
      A< MSG g bob ${noon} 1
      A< MSG g bob ${noon + 1} 2
      (1 ms)
      ${says("3")}
      A< MSG g bob ${noon + 2} 3
      (10 seconds)
      ${says("4")}
      A< MSG g bob ${noon + 10_001} 4
      (back 1 hour)
      ${says("5", "6")}
      A< MSG g bob ${noon + 10_002} 5
      A< MSG g bob ${noon + 10_003} 6
      B> SEND h 7
      B< ACK
      A> SYNC h 0
      A< MSG h bob ${noon + 10_001 - 3_600_000} 7
      A< ENDSYNC
      A> SYNC g ${noon + 10_001}
      A< MSG g bob ${noon + 10_002} 5
      A< MSG g bob ${noon + 10_003} 6
      A< ENDSYNC
      (2 hours)
      ${says("8")}
      A< MSG g bob ${noon + 10_001 + 3_600_000} 8
    `
  )
})

describe("CPT 4.4: the window for re-sends", () => {
  const again = (time: string): string =>
    script`
      ${login}
      B> SEND g hi
      B< ACK
      B: cut
      (${time})
      B> CONNECT bob
      B< ACCEPT
      B> SEND g hi
      B< ACK
      A> SYNC g 0
      A< MSG g bob ${noon} hi
    `
  timedTranscript(
    "is 120 seconds",
    script`
      ${again("119 seconds")}
      A< ENDSYNC
    `
  )
  timedTranscript(
    "and not more",
    script`
      ${again("121 seconds")}
      A< MSG g bob ${noon + 121_000} hi
      A< ENDSYNC
    `
  )
  timedTranscript(
    "or what the deployment says",
    script`
      ${again("11 seconds")}
      A< MSG g bob ${noon + 11_000} hi
      A< ENDSYNC
    `,
    { store: layerMemory({ resendWindow: 10_000 }) }
  )
})

describe("CPT 5.8: a slow reader", () => {
  timedTranscript(
    "loses nothing, and slows nobody",
    script`
      ${follow}
      C> CONNECT cat
      C< ACCEPT
      C> SYNC g 0
      C< ENDSYNC
      A: stop reading
      ${says("1", "2", "3")}
      C< MSG g bob <t1> 1
      C< MSG g bob <t2> 2
      C< MSG g bob <t3> 3
      (20 seconds)
      B> SEND alice psst
      B< ACK
      C> SEND g 4
      C< ACK
      B> SYNC g 0
      B< MSG g bob <t1> 1
      B< MSG g bob <t2> 2
      B< MSG g bob <t3> 3
      B< MSG g cat <t4> 4
      B< ENDSYNC
      A: read on
      A< MSG g bob <t1> 1
      A< MSG g bob <t2> 2
      A< MSG g bob <t3> 3
      A< MSG g cat <t4> 4
      A< MSG alice bob <t5> psst
      ${says("5")}
      A< MSG g bob <t6> 5
      C< MSG g bob <t6> 5
    `
  )

  timedTranscript(
    "is not told what it said itself, when it has caught up",
    script`
      ${follow}
      A: stop reading
      ${says("1")}
      A> SEND g mine
      A> SEND g mine too
      ${says("2")}
      A> SYNC g 999999999999999
      A: read on
      A< MSG g bob <t1> 1
      A< ACK
      A< ACK
      A< MSG g bob <t2> 2
      A< ENDSYNC
      ${says("3")}
      A< MSG g bob <t3> 3
    `
  )

  timedTranscript(
    "is closed when nothing has moved for 30 seconds, and its name is free",
    script`
      ${follow}
      A: stop reading
      ${says("1")}
      (30 seconds)
      C> CONNECT alice
      C< ACCEPT
      A: read on
      A< (broken off)
    `
  )

  timedTranscript(
    "is not closed before",
    script`
      ${follow}
      A: stop reading
      ${says("1")}
      (29 seconds)
      A: read on
      A< MSG g bob <t1> 1
      (1 hour)
      ${says("2")}
      A< MSG g bob <t2> 2
    `
  )

  timedTranscript(
    "is not closed while it takes a little each time",
    script`
      ${follow}
      A: stop reading
      ${
      Array.from({ length: 10 }, (_, index) =>
        script`
      ${says(`${index}`)}
      (25 seconds)
      A: read ${`MSG g bob ${noon} ${index}\n`.length} bytes
      A< MSG g bob <t${index}> ${index}
        `).join("")
    }
    `
  )

  timedTranscript(
    "is closed in the middle of a SYNC too, and by a deadline that is a setting",
    script`
      ${login + says("1", "2", "3")}
      A: stop reading
      A> SYNC g 0
      (5 seconds)
      C> CONNECT alice
      C< ACCEPT
      A< (broken off)
    `,
    { settings: { writeDeadline: Duration.seconds(5) } }
  )

  timedTranscript(
    "is told of the hole when it is slower than the store can wait (CPT 5.4)",
    script`
      ${follow}
      A: stop reading
      ${says("1", "2", "3", "4", "5", "6")}
      A: read on
      A< MSG g bob <t1> 1
      A< MSG g system 0 missing: …
      A< MSG g bob <t4> 4
      A< MSG g bob <t5> 5
      A< MSG g bob <t6> 6
      ${says("7")}
      A< MSG g bob <t7> 7
    `,
    { store: layerMemory({ messages: 3 }) }
  )

  timedTranscript(
    "waits for a store that cannot be read",
    script`
      ${follow}
      A: stop reading
      ${says("1", "2", "3")}
      (10 seconds)
      A: read on
      A< MSG g bob <t1> 1
      (9 seconds)
      ${says("4")}
      (1 second)
      A< MSG g bob <t2> 2
      A< MSG g bob <t3> 3
      A< MSG g bob <t4> 4
      ${says("5")}
      A< MSG g bob <t5> 5
    `,
    { store: failingReadsBetween(noon + 10_000, noon + 20_000) }
  )

  timedTranscript(
    "does not hold up its own next command for ever: it is not read while its answers wait",
    script`
      ${login}
      A: stop reading
      A> SEND g 1
      A> SEND g 2
      A> SEND g 3
      (20 seconds)
      A: read on
      A< ACK
      A< ACK
      A< ACK
      B> SYNC g 0
      B< MSG g alice <t1> 1
      B< MSG g alice <t2> 2
      B< MSG g alice <t3> 3
      B< ENDSYNC
    `
  )
})

describe("CPT 5.6: between the first line of the answer to a SYNC and its ENDSYNC", () => {
  const inTheMiddle = (meanwhile: string): string =>
    script`
      ${login}
      A> SYNC h 0
      A< ENDSYNC
      ${says("1", "2")}
      A: stop reading
      A> SYNC g 0
      A: read ${`MSG g bob ${noon} 1\n`.length + 5} bytes
      A< MSG g bob <t1> 1
      ${meanwhile}
      A: read on
      A< MSG g bob <t2> 2
      A< ENDSYNC
    `
  timedTranscript(
    "nothing comes of that group that is not part of it",
    script`
      ${inTheMiddle(says("3", "4"))}
      A< MSG g bob <t3> 3
      A< MSG g bob <t4> 4
      ${says("5")}
      A< MSG g bob <t5> 5
    `
  )
  timedTranscript(
    "nothing of another",
    script`
      ${inTheMiddle("B> SEND h 3\nB< ACK\nB> SEND h 4\nB< ACK")}
      A< MSG h bob <t3> 3
      A< MSG h bob <t4> 4
    `
  )
  timedTranscript(
    "nothing of the inbox",
    script`
      ${inTheMiddle("B> SEND alice 3\nB< ACK")}
      A< MSG alice bob <t3> 3
    `
  )
  timedTranscript(
    "no announcement",
    script`
      ${inTheMiddle("server: announce 3\nserver: announce 4\nB< MSG system system 0 3\nB< MSG system system 0 4")}
      A< MSG system system 0 3
      A< MSG system system 0 4
    `
  )
  timedTranscript(
    "no answer to a command that came meanwhile",
    script`
      ${inTheMiddle("A> SEND g mine\nA> SYNC h 0")}
      A< ACK
      A< ENDSYNC
      A> SYNC g <t2>
      A< MSG g alice <t3> mine
      A< ENDSYNC
    `
  )
  timedTranscript(
    "nothing at all, also while the store looks for the next page; and one SYNC does not hold up other sessions",
    script`
      ${login}
      A> SYNC h 0
      A< ENDSYNC
      ${says("1", "2", "3")}
      A> SYNC g 0
      (1 second)
      A< MSG g bob <t1> 1
      B> SEND h 4
      B< ACK
      B> SEND alice 5
      B< ACK
      ${says("6")}
      server: announce 7
      B< MSG system system 0 7
      A> SEND g mine
      (1 second)
      A< MSG g bob <t2> 2
      B> SEND h 8
      B< ACK
      (1 second)
      A< MSG g bob <t3> 3
      A< ENDSYNC
      A< ACK
      A< MSG system system 0 7
      (10 seconds)
      A< MSG h bob <t4> 4
      A< MSG h bob <t8> 8
      A< MSG alice bob <t5> 5
      A< MSG g bob <t6> 6
      ${says("9")}
      A< MSG g bob <t9> 9
    `,
    { store: lineByLine }
  )
})

describe("a store that takes its time", () => {
  timedTranscript(
    "loses nothing between a first SYNC and what comes live (CPT 5.5)",
    script`
      A> CONNECT alice
      B> CONNECT bob
      (3 seconds)
      A< ACCEPT
      B< ACCEPT
      ${says("1")}
      A> SYNC g ${noon + 3000}
      # the kind of g is asked, and then it is watched
      (1500 ms)
      ${says("2")}
      (5 seconds)
      A< MSG g bob ${noon + 4500} 2
      A< ENDSYNC
      ${says("3")}
      (1 second)
      A< MSG g bob <t3> 3
    `,
    { store: distant }
  )
  timedTranscript(
    "doubles nothing there either, wherever the SYNC begins",
    script`
      A> CONNECT alice
      B> CONNECT bob
      (3 seconds)
      A< ACCEPT
      B< ACCEPT
      ${says("1")}
      A> SYNC g ${noon + 5501}
      # its kind is asked, it is watched, and from then on it is followed
      (2500 ms)
      ${says("2", "3", "4")}
      (10 seconds)
      A< MSG g bob ${noon + 5500} 2
      A< MSG g bob ${noon + 5501} 3
      A< MSG g bob ${noon + 5502} 4
      A< ENDSYNC
      ${says("5")}
      A< MSG g bob <t5> 5
    `,
    { store: distant }
  )
  /** There is news of the group while the SYNC brings alice to where it begins. */
  const whileItCatchesUp = (after: number, rest: string): string =>
    script`
      ${login}
      A> SYNC g 0
      A< ENDSYNC
      B> SEND h 0
      B< ACK
      A> SYNC h 0
      ${says("1")}
      A> SYNC g ${after}
      (1 second)
      A< MSG h bob <t0> 0
      A< ENDSYNC
      # brought to the head, as whoever is behind; then it is the turn of the SYNC
      ${says("2")}
      (1 second)
      A< MSG g bob ${noon} 1
      ${says("3", "4")}
      (1 second)
      A< MSG g bob ${noon + 1000} 2
      ${rest}
      ${says("5")}
      A< MSG g bob <t5> 5
    `
  timedTranscript(
    "loses nothing before a SYNC that begins in the future (CPT 5.5)",
    whileItCatchesUp(
      999_999_999_999_999,
      script`
      A< ENDSYNC
      (2 seconds)
      A< MSG g bob ${noon + 2000} 3
      A< MSG g bob ${noon + 2001} 4
    `
    ),
    { store: lineByLine }
  )
  timedTranscript(
    "loses nothing before a SYNC that begins in what has just come (CPT 5.5)",
    whileItCatchesUp(
      noon + 2000,
      script`
      (1 second)
      A< MSG g bob ${noon + 2000} 3
      (1 second)
      A< MSG g bob ${noon + 2001} 4
      A< ENDSYNC
    `
    ),
    { store: lineByLine }
  )
  timedTranscript(
    "loses nothing of an inbox either",
    script`
      B> CONNECT bob
      (5 seconds)
      B< ACCEPT
      A> CONNECT alice
      (1500 ms)
      B> SEND alice 1
      B< ACK
      (5 seconds)
      A< ACCEPT
      B> SEND alice 2
      B< ACK
      A< MSG alice bob <t2> 2
      A> SYNC
      (5 seconds)
      A< MSG alice bob <t1> 1
      A< MSG alice bob <t2> 2
      A< ENDSYNC
    `,
    { store: distant }
  )
  timedTranscript(
    "gives one name to one of two",
    script`
      C> CONNECT carl
      (5 seconds)
      C< ACCEPT
      A> CONNECT alice
      (1 second)
      B> CONNECT alice
      (200 ms)
      C> SYNC alice 0
      (6 seconds)
      A< ACCEPT
      B< DECLINE username_taken
      C< MSG alice system 0 private: …
      C< ENDSYNC
      C> SEND alice hi
      C< ACK
      A< MSG alice carl <t> hi
    `,
    { store: distant }
  )
})

describe("a server that stops", () => {
  const stop = script`
      server: stop
      (50 ms)
    `
  timedTranscript(
    "says so to everybody",
    script`
      ${login}
      N: connect
      ${stop}
      A< DECLINE shutting_down
      B< DECLINE shutting_down
      N< DECLINE shutting_down
      A: half-close
      A< (end)
      B: half-close
      B< (end)
      # who does not go is not waited for
      (500 ms)
      N< (end)
      server: has stopped
    `
  )

  timedTranscript(
    "answers what it has heard",
    script`
      ${login}
      A>> SEND g 1\nSYNC g 0\nSEND g 2\n
      server: stop
      A>> SEND g 3\n
      (50 ms)
      A< ACK
      A< MSG g alice <t1> 1
      A< ENDSYNC
      A< ACK
      A< ACK
      A< DECLINE shutting_down
      B< DECLINE shutting_down
      (500 ms)
      A< (end)
      B< (end)
      server: has stopped
    `
  )

  timedTranscript(
    "cuts off after 3 seconds who does not read",
    script`
      ${follow}
      A: stop reading
      ${says("1")}
      ${stop}
      B< DECLINE shutting_down
      B: half-close
      B< (end)
      (2900 ms)
      (50 ms)
      A< (broken off)
      server: has stopped
    `
  )

  timedTranscript(
    "does not wait for an account rule",
    script`
      A> CONNECT alice
      (1 second)
      ${stop}
      (500 ms)
      A< DECLINE shutting_down
      A< (end)
      server: has stopped
    `,
    { accounts: Accounts.layerOf(() => Effect.never) }
  )
})

describe("a server that drains", () => {
  it.effect("ends after the time that was said last: a later one moves it, nearer or farther, or lifts it", () =>
    Effect.gen(function*() {
      const cases = [
        [Duration.seconds(3), Duration.minutes(1)],
        [Duration.minutes(1), Duration.seconds(3)],
        [Duration.seconds(3), Duration.infinity]
      ] as const
      for (const [first, last] of cases) {
        const { connect, drain, drained } = yield* inMemory()
        const alice = yield* connect
        yield* alice.say(Buffer.from("CONNECT alice\n"))
        assert.strictEqual(yield* alice.hear, "ACCEPT")
        const ended = yield* Effect.forkChild(drained, { startImmediately: true })
        yield* drain(first)
        yield* drain(last)
        const isLimited = Duration.isFinite(last)
        yield* TestClock.adjust(isLimited ? Duration.toMillis(last) - 1 : Duration.minutes(1))
        assert.isUndefined(ended.pollUnsafe(), Duration.format(last))
        yield* isLimited ? TestClock.adjust(1) : alice.cut // when the last has gone
        yield* Fiber.join(ended)
      }
    }))
})
