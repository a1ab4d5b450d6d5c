import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { LimitHits } from "../src/LimitHits.ts"
import { Metrics } from "../src/Metrics.ts"

describe("LimitHits", () => {
  it.effect("count each, and say each limit and address once a minute, however many addresses reach another", () =>
    Effect.gen(function*() {
      const metrics = yield* Metrics
      const said: Array<string> = []
      let now = 0
      const hits = new LimitHits(metrics, () => now, (limit, address) => said.push(`${limit} ${address}`))
      const before = metrics.limitHits.of("max-connects")
      for (let round = 0; round < 2; round++) {
        for (let from = 0; from < 5000; from++) hits.hit("max-connects", `10.0.${from >> 8}.${from & 255}`)
      }
      assert.strictEqual(metrics.limitHits.of("max-connects") - before, 10_000)
      assert.isBelow(said.length, 1000)
      assert.strictEqual(new Set(said).size, said.length)
      const many = said.length
      for (let time = 0; time < 2; time++) hits.hit("rate-limit", "10.0.0.1")
      hits.hit("max-sessions")
      assert.deepStrictEqual(said.slice(many), ["rate-limit 10.0.0.1", "max-sessions undefined"])
      now = 60_000
      hits.hit("max-connects", "10.0.99.99")
      assert.strictEqual(said.at(-1), "max-connects 10.0.99.99")
    }))
})
