/** Limits of sessions and of addresses: what is said, to whom, and when it is over. In memory under TestClock, or over TCP. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Buffer } from "node:buffer"
import { setImmediate } from "node:timers/promises"
import { timedTranscript, transcript } from "./support/Transcript.ts"
import { end, overTcp } from "./support/World.ts"

const script = String.raw

const login = script`
      A> CONNECT alice
      A< ACCEPT
    `

describe("--max-sessions-per-address", () => {
  transcript(
    "refuses one more, and lets others in when somebody has gone (CPT 3.8)",
    script`
      A> CONNECT alice
      A< ACCEPT
      B> CONNECT bob
      B< ACCEPT
      C: connect
      C< DECLINE too_many_connections
      C< (end)
      A> SYNC
      A< ENDSYNC
      B: half-close
      B< (end)
      C> CONNECT carl
      C< ACCEPT
    `,
    { settings: { exempt: [], maxSessionsPerAddress: 2 } }
  )

  transcript(
    "does not count those who are exempt",
    script`
      A> CONNECT alice
      A< ACCEPT
      B> CONNECT bob
      B< ACCEPT
    `,
    { settings: { maxSessionsPerAddress: 1, maxConnects: 1 } }
  )
})

describe("--max-connects", () => {
  transcript(
    "refuses who comes again and again",
    script`
      A> CONNECT alice
      A< ACCEPT
      A: half-close
      A< (end)
      A> CONNECT alice
      A< ACCEPT
      B: connect
      B< DECLINE too_many_connections
      B< (end)
    `,
    { settings: { exempt: [], maxConnects: 2 } }
  )
})

describe("--max-failed-logins", () => {
  transcript(
    "answers no guess any more, over all connections of an address",
    script`
      A> CONNECT alice
      A< ACCEPT
      B> CONNECT alice
      B< DECLINE username_taken
      B> CONNECT alice
      B< DECLINE username_taken
      B> CONNECT bob
      B< DECLINE rate_limited
      B< (end)
      C> CONNECT system
      C< DECLINE rate_limited
      C> SYNC
      C< DECLINE not_logged_in
      A> SYNC
      A< ENDSYNC
    `,
    { settings: { exempt: [], maxFailedLogins: 2 } }
  )
})

describe("who comes again and again", () => {
  /** Milliseconds until the last of these lines has come. */
  const took = (said: string, lines: ReadonlyArray<string>, settings: Parameters<typeof overTcp>[0]) =>
    Effect.gen(function*() {
      const world = yield* overTcp(settings)
      const connection = yield* world.connect
      const begin = performance.now()
      if (said !== "") yield* connection.say(Buffer.from(said))
      for (const line of lines) assert.strictEqual(yield* connection.hear, line)
      return performance.now() - begin
    })

  it.live("cannot do so faster than twice a second", () =>
    Effect.gen(function*() {
      const settings = { exempt: [], maxConnects: 0 }
      assert.isAtLeast(yield* took("", ["DECLINE too_many_connections", end], { settings }), 450)
    }))

  // Under TestClock the half second is never over
  it.effect("hears so, or that the server stops if that comes first", () =>
    Effect.gen(function*() {
      const world = yield* overTcp({ settings: { exempt: [], maxConnects: 0 } })
      const before = world.metrics.limitHits.of("max-connects")
      const connection = yield* world.connect
      while (world.metrics.limitHits.of("max-connects") === before) yield* Effect.promise(() => setImmediate())
      yield* world.stop
      assert.strictEqual(yield* connection.hear, "DECLINE shutting_down")
      assert.strictEqual(yield* connection.hear, end)
    }))

  it.live("nor try names faster", () =>
    Effect.gen(function*() {
      const settings = { exempt: [], maxFailedLogins: 1 }
      const said = "CONNECT system\nCONNECT system\nCONNECT system\n"
      const lines = ["DECLINE username_taken", "DECLINE rate_limited", "DECLINE rate_limited", end]
      assert.isAtLeast(yield* took(said, lines, { settings }), 900)
    }))
})

/** So many SENDs, in one go. */
const sends = (who: string, count: number, target = "g", from = 0): string =>
  `${who}>> ${Array.from({ length: count }, (_, i) => String.raw`SEND ${target} ${from + i}\n`).join("")}`

const acks = (who: string, count: number): string => `${who}< ACK\n`.repeat(count)
const rateLimited = (who: string, count: number): string => `${who}< DECLINE rate_limited\n`.repeat(count)

describe("--rate-limit", () => {
  timedTranscript(
    "lets a burst through at once, and slows down who goes on, in order, and without a loss",
    script`
      ${login}
      ${sends("A", 6)}
      ${acks("A", 3)}
      A: nothing more
      (999 ms)
      A: nothing more
      (1 ms)
      A< ACK
      A: nothing more
      (1 second)
      A< ACK
      A> SYNC g 0
      (1 second)
      A< ACK
      A: nothing more
      (1 second)
      A< MSG g alice <t0> 0
      A< MSG g alice <t1> 1
      A< MSG g alice <t2> 2
      A< MSG g alice <t3> 3
      A< MSG g alice <t4> 4
      A< MSG g alice <t5> 5
      A< ENDSYNC
    `,
    { settings: { rateBurst: 4, rateLimit: 1 } }
  )

  timedTranscript(
    "has as much again for who was quiet, and not more",
    script`
      ${login}
      (1 hour)
      ${sends("A", 5)}
      ${acks("A", 4)}
      A: nothing more
      (1 second)
      A< ACK
    `,
    { settings: { rateBurst: 4, rateLimit: 1 } }
  )

  timedTranscript(
    "slows nobody else, and who waits still gets what others say",
    script`
      ${login}
      B> CONNECT bob
      B< ACCEPT
      A> SYNC h 0
      A< ENDSYNC
      ${sends("A", 4)}
      ${acks("A", 2)}
      B> SEND h hi
      B< ACK
      B> SEND alice you there?
      B< ACK
      A< MSG h bob <t> hi
      A< MSG alice bob <u> you there?
      A: nothing more
      (2 seconds)
      ${acks("A", 2)}
    `,
    { settings: { rateBurst: 4, rateLimit: 1 } }
  )

  timedTranscript(
    "never refuses who waits for each answer, however long that goes on",
    script`
      ${login}
      ${"A> SEND g hi\n(1 second)\nA< ACK\n".repeat(60)}
    `,
    { settings: { rateBurst: 1, rateLimit: 1 } }
  )

  timedTranscript(
    "refuses who has pushed for ten seconds, and ends that after twenty declines (CPT 3.10)",
    script`
      ${login}
      ${sends("A", 100)}
      (9999 ms)
      ${acks("A", 9)}
      A: nothing more
      (1 ms)
      A< ACK
      ${rateLimited("A", 20)}
      A: half-close
      A< (end)
    `,
    { settings: { rateBurst: 1, rateLimit: 1 } }
  )

  timedTranscript(
    "goes on with who has stopped pushing",
    script`
      ${login}
      ${sends("A", 20)}
      (10 seconds)
      ${acks("A", 10)}
      ${rateLimited("A", 10)}
      (1 second)
      A> SEND g hi
      A< ACK
      (1 second)
      ${sends("A", 3)}
      A< ACK
      (2 seconds)
      ${acks("A", 2)}
      A> SYNC g 0
      (1 second)
      ${Array.from({ length: 14 }, (_, i) => `A< MSG g alice <t${i}> …`).join("\n")}
      A< ENDSYNC
    `,
    { settings: { rateBurst: 1, rateLimit: 1 } }
  )

  timedTranscript(
    "gives a large rate in portions",
    script`
      ${login}
      ${sends("A", 1000)}
      ${acks("A", 128)}
      A: nothing more
      (99 ms)
      A: nothing more
      (1 ms)
      ${acks("A", 100)}
      A: nothing more
      (772 ms)
      ${acks("A", 772)}
    `,
    { settings: { rateBurst: 129, rateLimit: 1000 } }
  )

  timedTranscript(
    "also counts what is no SEND",
    script`
      ${login}
      A>> SYNC g 0\nSYNC g 0\nHELLO\nCONNECT bob\n
      A< ENDSYNC
      A: nothing more
      (1 second)
      A< ENDSYNC
      (1 second)
      A< DECLINE invalid_command
      (1 second)
      A< DECLINE already_logged_in
    `,
    { settings: { rateBurst: 2, rateLimit: 1 } }
  )

  timedTranscript(
    "holds up nobody who wants to go, nor a server that stops: what was received is answered",
    script`
      ${login}
      ${sends("A", 5)}
      A< ACK
      A: nothing more
      server: stop
      ${acks("A", 4)}
      (1 second)
      A< DECLINE shutting_down
      A: half-close
      A< (end)
      server: has stopped
    `,
    { settings: { rateBurst: 2, rateLimit: 1 } }
  )

  timedTranscript(
    "holds what waits no longer than it takes to fill, also when a reload has made the burst smaller",
    script`
      ${login}
      ${sends("A", 300)}
      ${acks("A", 198)}
      A: nothing more
      server: settings {"rateBurst": 5}
      (3 seconds)
      ${acks("A", 102)}
    `,
    { settings: { rateBurst: 200, rateLimit: 100 } }
  )

  timedTranscript(
    "may be off",
    script`
      ${login}
      ${sends("A", 3000)}
      ${acks("A", 3000)}
    `,
    { settings: { rateBurst: 1, rateLimit: Infinity } }
  )
})

describe("--byte-limit", () => {
  timedTranscript(
    "reads on when what was read is due, and loses nothing",
    script`
      ${login}
      (1 second)
      A>> SEND g ${"x".repeat(192)}\n
      A< ACK
      A>> SEND g ${"x".repeat(392)}\n
      A< ACK
      A> SEND g hi
      (1999 ms)
      A: nothing more
      (1 ms)
      A< ACK
      (1 second)
    `,
    { settings: { byteLimit: 200 } }
  )

  timedTranscript(
    "holds for what is no line, and does not extend the time for the login",
    script`
      A: connect
      A>> ${"x".repeat(5000)}
      (1 second)
      A> CONNECT alice
      (9 seconds)
      A< DECLINE login_timeout
      A: half-close
      A< (end)
    `,
    { settings: { byteLimit: 100 } }
  )
})

describe("--max-new-names", () => {
  timedTranscript(
    "lets a session bring so many names into use in an hour, by SEND and by SYNC",
    script`
      ${login}
      B> CONNECT bob
      B< ACCEPT
      A>> SEND g1 a\nSEND g2 b\nSEND g1 c\nSEND bob d\nSYNC g3 0\nSEND g3 d\n
      ${acks("A", 4)}
      A< ENDSYNC
      A< ACK
      B< MSG bob alice <t> d
      A>> SEND g1 e\nSEND g4 f\nSEND g2 g\nSYNC g5 0\nSYNC g1 0\nSEND g4 h\n
      A< ACK
      A< DECLINE rate_limited
      A< ACK
      A< DECLINE rate_limited
      A< MSG g1 alice <a> a
      A< MSG g1 alice <c> c
      A< MSG g1 alice <e> e
      A< ENDSYNC
      A< DECLINE rate_limited
      B> SYNC g4 0
      B< ENDSYNC
      (20 minutes)
      A>> SEND g4 i\nSEND g5 j\nSEND g6 k\n
      A< ACK
      B< MSG g4 alice <i> i
      A< ACK
      A< DECLINE rate_limited
      B> SEND g6 k
      B< ACK
      A> SEND g6 l
      A< ACK
    `,
    { settings: { maxNewNames: 3 } }
  )

  transcript(
    "and holds for who is there when a reload makes it smaller",
    script`
      A> CONNECT alice
      A< ACCEPT
      A> SEND g1 a
      A< ACK
      server: settings {"maxNewNames": 1}
      A> SEND g2 b
      A< ACK
      A> SEND g3 c
      A< DECLINE rate_limited
      A> SEND g2 d
      A< ACK
    `
  )
})
