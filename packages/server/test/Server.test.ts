/** What a server does at its limits and at its end, over TCP. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber } from "effect"
import { Buffer } from "node:buffer"
import { transcript } from "./support/Transcript.ts"
import { end, overTcp } from "./support/World.ts"

const script = String.raw

/** More than the network holds between two ends that do not read. */
const history = Array.from({ length: 800 }, (_, index) => `${index} ${"x".repeat(8000)}`)
const sendsHistory = script`
      A>> CONNECT alice\n${history.map((text) => `SEND g ${text}\\n`).join("")}
      A< ACCEPT
      ${history.map(() => "A< ACK\n").join("")}
    `

describe("CPT 3.8: a server that is full", () => {
  transcript(
    "says so before anything is asked, and has room again when somebody goes",
    script`
      A> CONNECT alice
      A< ACCEPT
      B> SYNC
      B< DECLINE not_logged_in
      C: connect
      C< DECLINE server_full
      C< (end)
      D>> CONNECT dan\nSYNC\n
      D< DECLINE server_full
      D< (end)
      A> SYNC
      A< ENDSYNC
      B: cut
      D> CONNECT dan
      D< ACCEPT
      C: connect
      C< DECLINE server_full
      C< (end)
      A: cut
      C> CONNECT alice
      C< ACCEPT
    `,
    { settings: { maxSessions: 2 } }
  )
})

describe("CPT 5.8: who takes nothing for the write deadline", () => {
  transcript(
    "is given up, and leaves no trace",
    script`
      ${sendsHistory}
      B> CONNECT bob
      B< ACCEPT
      B: stop reading
      B> SYNC g 0
      B: is given up
      C> CONNECT bob
      C< ACCEPT
      C: half-close
      C< (end)
      B: cut
    `,
    { settings: { writeDeadline: Duration.millis(200), maxSessions: 2 } }
  )
})

describe("a server that stops", () => {
  transcript(
    "answers what it has heard, says so, and ends every session in good order",
    script`
      A> CONNECT alice
      A< ACCEPT
      B> CONNECT bob
      B< ACCEPT
      N: connect
      A>> ${"SEND bob hi\\nSEND g ho\\n".repeat(200)}SYNC g 0\n?\n
      A< ACK
      server: stop
      ${"A< ACK\n".repeat(399)}
      ${Array.from({ length: 200 }, (_, index) => `A< MSG g alice <g${index}> ho\n`).join("")}
      A< ENDSYNC
      A< DECLINE invalid_command
      A< DECLINE shutting_down
      A< (end)
      ${Array.from({ length: 200 }, (_, index) => `B< MSG bob alice <b${index}> hi\n`).join("")}
      B< DECLINE shutting_down
      B< (end)
      N< DECLINE shutting_down
      N< (end)
      server: has stopped
    `
  )

  transcript(
    "ends though a peer never reads, by its deadline",
    script`
      ${sendsHistory}
      B> CONNECT bob
      B< ACCEPT
      B> SYNC g 999999999999999
      B< ENDSYNC
      C> CONNECT cat
      C< ACCEPT
      B: stop reading
      B> SYNC g 0
      C> SYNC g 0
      C< MSG g alice <t0> ${history[0] ?? ""}
      C: stop reading
      N: connect
      server: stop
      A< DECLINE shutting_down
      A< (end)
      N< DECLINE shutting_down
      N< (end)
      server: has stopped
      B: cut
      C: cut
    `,
    { settings: { shutdownDeadline: Duration.millis(300) } }
  )

  transcript(
    "finishes the answer of a peer that is slow, if there is time",
    script`
      ${sendsHistory}
      B> CONNECT bob
      B< ACCEPT
      B> SYNC g 0
      B< MSG g alice <t0> ${history[0] ?? ""}
      B: stop reading
      server: stop
      A< DECLINE shutting_down
      A< (end)
      B: read on
      ${history.slice(1).map((text, index) => `B< MSG g alice <t${index + 1}> ${text}\n`).join("")}
      B< ENDSYNC
      B< DECLINE shutting_down
      B< (end)
      server: has stopped
    `,
    { settings: { shutdownDeadline: Duration.seconds(20) } }
  )

  it.live("says so to hundreds as fast as to one", () =>
    Effect.gen(function*() {
      const world = yield* overTcp()
      const everybody = yield* Effect.forEach(
        Array.from({ length: 300 }, (_, index) => `user${index}`),
        Effect.fnUntraced(function*(name) {
          const connection = yield* world.connect
          yield* connection.say(Buffer.from(`CONNECT ${name}\n`))
          assert.strictEqual(yield* connection.hear, "ACCEPT")
          return connection
        }),
        { concurrency: 50 }
      )
      const stopping = yield* Effect.forkChild(world.stop)
      for (const { hear } of everybody) {
        assert.deepStrictEqual([yield* hear, yield* hear], ["DECLINE shutting_down", end])
      }
      yield* Fiber.join(stopping)
    }))
})
