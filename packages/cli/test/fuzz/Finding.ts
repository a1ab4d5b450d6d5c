/** What becomes of a finding: it is made as small as it can be, and kept as a transcript, with the command that does it again. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Violation } from "../crash/Ledger.ts"
import * as Acts from "./Acts.ts"
import type { Course } from "./Peer.ts"
import { Round } from "./Round.ts"
import { write } from "./Script.ts"
import { Server, type Store } from "./Server.ts"
import { transcriptOf } from "./Transcript.ts"

/** Milliseconds in which a finding is made smaller. */
const shrinkFor = 60_000

/** How often something is tried before it counts for right: not all depends on what is said, some on when. */
const tries = 3

interface Found {
  readonly bin: string
  /** Where it is kept. */
  readonly folder: string
  readonly seed: number
  readonly round: number
  readonly store: Store
  readonly only: ReadonlySet<number> | undefined
  readonly peers: ReadonlyArray<Course>
  readonly error: unknown
}

export const findingOf = async ({ bin, folder, only, round, seed, store, ...found }: Found): Promise<Violation> => {
  let { error, peers } = found
  const script = write(seed, round)
  const fails = async (numbers: ReadonlySet<number>): Promise<boolean> => {
    for (let time = 0; time < tries; time++) {
      const data = mkdtempSync(join(folder, "again-"))
      const server = await Server.start(bin, store, data)
      const again = new Round(server, Acts.only(script, numbers))
      try {
        await again.run()
      } catch (anotherError) {
        error = anotherError
        peers = again.peers
        return true
      } finally {
        await server.kill()
        rmSync(data, { recursive: true, force: true })
      }
    }
    return false
  }
  const count = Acts.countOf(script)
  const all = Array.from({ length: count }, (_, index) => index + 1).filter((number) => only?.has(number) ?? true)
  const acts = await Acts.shrink(all, fails, shrinkFor)
  const again = `npm run fuzz -- --seed ${seed} --round ${round} --store ${store}` +
    (acts.length === count ? "" : ` --acts ${Acts.textOf(acts)}`)
  const what = error instanceof Violation
    ? error.message
    : `the fuzzer failed: ${error instanceof Error ? error.stack : String(error)}`
  const file = join(folder, `finding-${seed}-${round}-${store}.txt`)
  const about = `seed ${seed}, round ${round}, store ${store}: ${acts.length} of ${count} acts`
  writeFileSync(file, `${about}\nagain: ${again}\n${what}\n\n${transcriptOf(peers)}`)
  return new Violation(`${what}\nagain: ${again}\nkept: ${file}`)
}
