/** A run of many rounds: one data directory after the other, or several side by side. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Violation } from "./Ledger.ts"
import { Life } from "./Life.ts"
import * as Power from "./Power.ts"
import { Random } from "./Random.ts"
import { Tally } from "./Tally.ts"

export interface Options {
  readonly bin: string
  readonly rounds: number
  readonly seed: number
  /** Directories at the same time. */
  readonly jobs: number
  /** Rounds of one directory: a longer life is a longer history to check in each of its rounds. */
  readonly life: number
  /** The number of the first directory; a run with its number and the same seed begins with the same choices. */
  readonly first?: number | undefined
  /** Losses of power: in some directories, in all, or in none. */
  readonly power: "mixed" | "always" | "never"
  readonly onProgress?: ((tally: Tally) => void) | undefined
}

/** Gives what was done; fails with a `Violation` that says where to look. */
export const run = async (options: Options): Promise<Tally> => {
  const { bin, first = 1, jobs, onProgress, power, rounds, seed } = options
  const tally = new Tally()
  const root = mkdtempSync(join(tmpdir(), "cpt-crash-"))
  let begun = 0
  let next = first
  let isBroken = false
  const job = async () => {
    while (begun < rounds && !isBroken) {
      const many = Math.min(options.life, rounds - begun)
      begun += many
      const number = next++
      const random = new Random(seed, number)
      const folder = join(root, String(number))
      const hasPowerLoss = power === "always" || power === "mixed" && Power.isAvailable() && random.chance(0.4)
      const life = new Life({
        bin,
        folder,
        random,
        rounds: many,
        hasPowerLoss,
        tally,
        onRound: () => onProgress?.(tally),
        isOver: () => isBroken
      })
      try {
        await life.run()
      } catch (error) {
        isBroken = true
        const what = error instanceof Error ? error.message : String(error)
        throw new Violation(
          `seed ${seed}, directory ${number}, round ${life.round} of ${many}: ${what}\n` +
            `kept: ${folder} (events.log: what was said; data: the server's)`
        )
      }
    }
  }
  const ends = await Promise.allSettled(Array.from({ length: jobs }, job))
  const failed = ends.find((end) => end.status === "rejected")
  if (failed !== undefined) throw failed.reason
  rmSync(root, { recursive: true })
  return tally
}
