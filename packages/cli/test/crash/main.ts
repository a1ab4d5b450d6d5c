/**
 * `npm run crash`: the server is killed thousands of times while clients work with it, and has to keep the promise of
 * README.md. Exits with 1, and says where to look, if it does not.
 */
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { report } from "./Report.ts"
import { run } from "./Run.ts"

const usage =
  `npm run crash -- [--rounds 200] [--seed N] [--jobs 2] [--life 40] [--first 1] [--power | --no-power] [--bin FILE]

  --rounds N   starts of a server, most of which end with a kill
  --seed N     what the clients do and when the server dies is chosen from this; timing is the machine's
  --jobs N     data directories at the same time
  --life N     rounds of one data directory
  --first N    number of the first directory, to begin with one that a violation was found in (with the same --seed)
  --power      each data directory is on a disk that loses its power; --no-power: none; otherwise some, where there is cc
  --bin FILE   the cpt to run (packages/cli/bin/cpt.cjs)`

const { values } = parseArgs({
  allowNegative: true,
  options: {
    rounds: { type: "string", default: "200" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    jobs: { type: "string", default: "2" },
    life: { type: "string", default: "40" },
    first: { type: "string", default: "1" },
    power: { type: "boolean" },
    bin: { type: "string", default: fileURLToPath(new URL("../../bin/cpt.cjs", import.meta.url)) },
    help: { type: "boolean" }
  }
})

const numbers = [values.rounds, values.seed, values.jobs, values.life, values.first].map(Number)
const [rounds = 0, seed = 0, jobs = 0, life = 0, first = 0] = numbers
if (
  values.help === true || !numbers.every((n) => Number.isSafeInteger(n) && n >= 0) ||
  Math.min(rounds, jobs, life, first) < 1
) {
  console.error(usage)
  process.exit(values.help === true ? 0 : 2)
}

const power = values.power === undefined ? "mixed" : values.power ? "always" : "never"
await report(
  "crash",
  seed,
  (onProgress) => run({ bin: values.bin, rounds, seed, jobs, life, first, power, onProgress })
)
