/**
 * Random programs of several clients against the real server, over TCP and in memory, and a model of it: `model/`. Deterministic by
 * seed; `CPT_MODEL_PROGRAMS` says how many (the default takes some seconds), `CPT_MODEL_SEED` where to begin.
 */
import { describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { runProgram } from "./model/Program.ts"

const number = (name: string, otherwise: number): number => Number(process.env[name] ?? otherwise)

const programs = number("CPT_MODEL_PROGRAMS", 80)
const firstSeed = number("CPT_MODEL_SEED", 1)
const steps = number("CPT_MODEL_STEPS", 40)

describe("the server is the model", () => {
  it.live(
    `in ${programs} programs from seed ${firstSeed} on`,
    () =>
      Effect.forEach(
        Array.from({ length: programs }, (_, index) => firstSeed + index),
        (seed) => Effect.scoped(runProgram(seed, steps)),
        { concurrency: 4, discard: true }
      ),
    10_000 + programs * 1000
  )
})
