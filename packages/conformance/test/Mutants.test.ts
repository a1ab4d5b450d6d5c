/** The kit itself is tested by servers that are wrong on purpose, and by one that is not. */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { cases, select, start } from "../src/index.ts"
import { Inconclusive } from "../src/Outcome.ts"
import { type Mutant, mutants } from "./Mutants.ts"
import { Plain } from "./Plain.ts"

/** A server for a test, and what somebody can do for the kit there. */
const serving = Effect.fnUntraced(function*(make: new() => Plain) {
  const server = yield* Effect.acquireRelease(
    Effect.promise(async () => {
      const server = new make()
      await server.start()
      return server
    }),
    (server) => Effect.promise(() => server.stop(false))
  )
  const again = (isOrderly: boolean) =>
    Effect.promise(async () => {
      await server.stop(isOrderly)
      await server.start()
    })
  return {
    address: { host: "127.0.0.1", port: server.port },
    hands: {
      control: (args: ReadonlyArray<string>) => {
        const [verb = "", name = "", ...rest] = args
        return server.control(verb, name, ...rest)
          ? Effect.void
          : Effect.fail(new Inconclusive({ why: `it cannot ${verb}` }))
      },
      restart: again(true),
      kill: again(false)
    }
  }
})

/** What comes of cases, by their ids. */
const verdicts = Effect.fnUntraced(function*(make: new() => Plain, ids: ReadonlyArray<string>, timeout: number) {
  const { address, hands } = yield* serving(make)
  const some = select(cases, { profiles: [], ids })
  const seed = Math.floor(Math.random() * 1_000_000)
  const run = yield* start({ place: { address, tls: undefined }, cases: some, seed, timeout, hands })
  const results = yield* Stream.runCollect(run.results)
  return new Map(results.map(({ case: { id }, verdict, why }) => [id, { verdict, why, seed }]))
})

describe("a server without a fault", () => {
  it.live("passes every case", () =>
    Effect.gen(function*() {
      for (const [id, { verdict, why }] of yield* verdicts(Plain, [], 5000)) {
        assert.strictEqual(verdict, "pass", `${id}: ${JSON.stringify(why)}`)
      }
    }), 120_000)
})

describe("a server that", () => {
  const found = new Map<Mutant, Effect.Success<ReturnType<typeof verdicts>>>()

  // Mostly they wait for what does not come: many at a time
  beforeAll(() => {
    const running = Effect.forEach(
      mutants,
      (mutant) =>
        Effect.map(Effect.scoped(verdicts(mutant.server, mutant.caughtBy, 1500)), (them) => found.set(mutant, them)),
      { concurrency: 16, discard: true }
    )
    return Effect.runPromise(running)
  }, 240_000)

  it.each(mutants)("$fault does not pass", (mutant) => {
    for (const id of mutant.caughtBy) {
      const { verdict, why } = found.get(mutant)?.get(id) ?? assert.fail(`there is no case ${id}`)
      const isMay = cases.find((of) => of.id === id)?.level === "MAY"
      assert.include(isMay ? ["unsupported"] : ["fail", "non-strict"], verdict, `${id}: ${JSON.stringify(why)}`)
    }
  })
})

describe("the mutants", () => {
  it("are many, and there is one for each case", () => {
    assert.isAtLeast(mutants.length, 30)
    const caught = new Set(mutants.flatMap(({ caughtBy }) => caughtBy))
    assert.deepStrictEqual(cases.filter(({ id }) => !caught.has(id)).map(({ id }) => id), [])
  })
})
