/** Cases of one's own may have mistakes: that is said of them, and ends nothing. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { fileURLToPath } from "node:url"
import { type Case, type ClientCase, ClientCommand, start, startClient } from "../src/index.ts"
import { Plain } from "./Plain.ts"

const about = { title: "one's own", level: "MUST", profiles: ["core"], quote: "" } as const
const described = { ...about, needs: [], asks: [], isAlone: false, isIdle: false }
const played = (id: string, script: string): Case => ({
  ...described,
  id,
  script,
  run: (stage) => stage.play(script)
})

const resultsOf = Effect.fnUntraced(function*(...cases: ReadonlyArray<Case>) {
  const server = yield* Effect.acquireRelease(
    Effect.promise(async () => {
      const server = new Plain()
      await server.start()
      return server
    }),
    (server) => Effect.promise(() => server.stop(false))
  )
  const place = { address: { host: "127.0.0.1", port: server.port }, tls: undefined }
  const { results } = yield* start({ place, cases, seed: 1, timeout: 5000 })
  return yield* Stream.runCollect(results)
})

describe("a case of one's own", () => {
  it.live("that throws is inconclusive, and the others are run", () =>
    Effect.gen(function*() {
      const thrown: Case = {
        ...described,
        id: "own/throws",
        script: "",
        run: () => {
          throw new Error("thrown by it")
        }
      }
      const alone = { ...played("own/alone", "alice: login"), isAlone: true }
      const results = yield* resultsOf(played("own/good", "alice: login"), thrown, alone)
      assert.deepStrictEqual(
        results.map(({ case: { id }, verdict }) => [id, verdict]),
        [["own/good", "pass"], ["own/throws", "inconclusive"], ["own/alone", "pass"]]
      )
      assert.include(results[1]?.why, "thrown by it")
    }))

  it.live("with a line that is no step is said to be wrong", () =>
    Effect.gen(function*() {
      const [result] = yield* resultsOf(played("own/typo", "alice: login\n---\nalice? what"))
      assert.strictEqual(result?.verdict, "inconclusive")
      assert.strictEqual(result?.why, "the case own/typo is wrong: not a step: alice? what")
    }))

  it.live("of clients, too", () =>
    Effect.gen(function*() {
      const client = fileURLToPath(new URL("ClientMutants.ts", import.meta.url))
      const command = ClientCommand.read([process.execPath, client, "-1"], undefined) ??
        assert.fail("it cannot be told what it does")
      const typo: ClientCase = { ...about, id: "own/typo", role: "send", script: "client: starts\nserver? what" }
      const [result] = yield* Stream.runCollect(
        yield* startClient({ command, cases: [typo], seed: 1, timeout: 10_000 })
      )
      assert.strictEqual(result?.verdict, "inconclusive")
      assert.strictEqual(result?.why, "the case own/typo is wrong: not a step: server? what")
    }))
})
