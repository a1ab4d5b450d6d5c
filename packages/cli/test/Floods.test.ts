/**
 * Floods of every kind: whoever does nothing wrong is served all the same, and nothing is left of
 * it when it is over. How long that takes, and what memory, is for `npm run floods` to measure.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { readdirSync } from "node:fs"
import { type Attack, attacks, nothingSeen, prepare } from "./flood/Attacks.ts"
import * as Cpt from "./support/Cpt.ts"

/** A twentieth of the crowd of `npm run floods`. */
const scale = 0.05

/** An attack that goes on until the scope ends; gives what the attackers have seen so far. */
const attacking = ({ begin }: Attack, port: number) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const seen = nothingSeen()
        return { seen, end: begin({ port, scale, seen }) }
      }),
      ({ end }) => Effect.sync(end)
    ),
    ({ seen }) => seen
  )

describe("a flood hurts only itself", () => {
  it.live("whatever it is: others are served, and nothing is left of it", () =>
    Effect.gen(function*() {
      const server = yield* Cpt.start(["serve", "--memory", "--port", "0", "--exempt", "127.0.0.1"])
      const port = Number(/:(\d+);/.exec(yield* server.line)?.[1])
      const descriptors = Effect.sync(() => readdirSync(`/proc/${server.child.pid}/fd`).length)
      yield* Effect.promise(() => prepare(port, 2000))
      const victim = yield* Cpt.connected(port)
      victim.write("CONNECT victim\n")
      assert.strictEqual(yield* victim.line, "ACCEPT")
      const before = yield* descriptors
      for (const attack of attacks) {
        yield* Effect.scoped(Effect.gen(function*() {
          const seen = yield* attacking(attack, port)
          // It has begun, and is in the middle of it
          yield* Effect.repeat(descriptors, { until: (now) => now > before, schedule: Schedule.spaced("5 millis") })
          for (let serial = 0; serial < 30; serial++) {
            yield* Effect.sleep("10 millis")
            victim.write(`SEND lobby ${serial}\n`)
            assert.strictEqual(yield* victim.line, "ACK", attack.name)
          }
          assert.isAbove(seen.connections, 0, attack.name)
        }))
        yield* Effect.repeat(descriptors, { until: (now) => now <= before, schedule: Schedule.spaced("20 millis") })
      }
    }), 120_000)
})
