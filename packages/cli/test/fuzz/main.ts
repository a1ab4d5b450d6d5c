/**
 * `npm run fuzz`: many connections say almost valid commands to a server, in cuts and all at once, and the model of the
 * server judges what they hear. Exits with 1, and says where to look, if something is wrong.
 */
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { report } from "../crash/Report.ts"
import * as Acts from "./Acts.ts"
import { run } from "./Run.ts"
import type { Store } from "./Server.ts"

const usage = `npm run fuzz -- [--minutes 1] [--seed N] [--store memory|disk] [--round N [--acts LIST]] [--bin FILE]

  --minutes N   for so long
  --seed N      what the connections do is chosen from this; timing is the machine's
  --store NAME  only with this store; otherwise each round is played with both
  --round N     only this round, …
  --acts LIST   … and in it only the acts with these numbers (1-4,7), as a finding says
  --bin FILE    the cpt to run (packages/cli/bin/cpt.cjs)`

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "1" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    store: { type: "string" },
    round: { type: "string" },
    acts: { type: "string" },
    bin: { type: "string", default: fileURLToPath(new URL("../../bin/cpt.cjs", import.meta.url)) },
    help: { type: "boolean" }
  }
})

const [minutes, seed, round] = [Number(values.minutes), Number(values.seed), Number(values.round ?? 1)]
const stores: ReadonlyArray<Store> = (["memory", "disk"] as const).filter((store) => (values.store ?? store) === store)
if (values.help === true || !(minutes > 0) || ![seed, round].every(Number.isSafeInteger) || stores.length === 0) {
  console.error(usage)
  process.exit(values.help === true ? 0 : 2)
}

await report("fuzz", seed, (onProgress) =>
  run({
    bin: values.bin,
    seed,
    stores,
    from: round,
    rounds: values.round === undefined ? undefined : 1,
    millis: minutes * 60_000,
    only: values.acts === undefined ? undefined : Acts.parse(values.acts),
    onProgress
  }))
