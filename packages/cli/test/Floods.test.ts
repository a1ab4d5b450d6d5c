/**
 * Floods of every kind, by a process of their own: whoever does nothing wrong is served all the same, and nothing is left of
 * it when it is over. How long that takes, and what memory, is for `npm run floods` to measure.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { spawn } from "node:child_process"
import { readdirSync } from "node:fs"
import { text } from "node:stream/consumers"
import { fileURLToPath } from "node:url"
import { attacks, prepare } from "./flood/Attacks.ts"
import * as Cpt from "./support/Cpt.ts"

const attacker = fileURLToPath(new URL("flood/Attacker.ts", import.meta.url))

/** A twentieth of the crowd of `npm run floods`. */
const scale = 0.05

/** An attack that goes on; gives how to end it, and what the attackers have seen then. */
const attacking = (name: string, port: number) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, ["--conditions=source", attacker, name, String(port), String(scale)], {
          stdio: ["pipe", "pipe", "inherit"]
        })
      ),
      (child) => Effect.sync(() => child.kill("SIGKILL"))
    ),
    (child) =>
      Effect.promise(async () => {
        child.stdin.end()
        return JSON.parse(await text(child.stdout))
      })
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
      for (const { name } of attacks) {
        yield* Effect.scoped(Effect.gen(function*() {
          const end = yield* attacking(name, port)
          // It has begun, and is in the middle of it
          yield* Effect.repeat(descriptors, { until: (now) => now > before, schedule: Schedule.spaced("5 millis") })
          for (let serial = 0; serial < 30; serial++) {
            yield* Effect.sleep("10 millis")
            victim.write(`SEND lobby ${serial}\n`)
            assert.strictEqual(yield* victim.line, "ACK", name)
          }
          const seen = yield* end
          assert.isAbove(seen.connections, 0, name)
        }))
        yield* Effect.repeat(descriptors, { until: (now) => now <= before, schedule: Schedule.spaced("20 millis") })
      }
    }), 120_000)
})
