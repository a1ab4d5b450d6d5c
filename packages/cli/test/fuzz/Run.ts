/** A run of many rounds against one server a store, and what becomes of a finding. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Violation } from "../crash/Ledger.ts"
import * as Acts from "./Acts.ts"
import { Round } from "./Round.ts"
import { type Script, write } from "./Script.ts"
import { type Look, Server, type Store } from "./Server.ts"
import { Tally } from "./Tally.ts"
import { transcriptOf } from "./Transcript.ts"

/** Milliseconds in which a finding is made smaller. */
const shrinkFor = 60_000

/** Rounds from which on memory has to stay what it is, and by how much it may grow from a quarter of a run to a later one. */
const warm = 80
const growth = (bytes: number) => 1.25 * bytes + 16 * 1024 * 1024

export interface Options {
  readonly bin: string
  readonly seed: number
  readonly stores: ReadonlyArray<Store>
  /** The first round. */
  readonly from: number
  /** How many there are, or for how many milliseconds it goes on. */
  readonly rounds?: number | undefined
  readonly millis?: number | undefined
  /** Of each round, only the acts with these numbers. */
  readonly only?: ReadonlySet<number> | undefined
  readonly onProgress?: ((tally: Tally) => void) | undefined
}

/** Gives what was done; fails with a `Violation` that says where to look. */
export const run = async (options: Options): Promise<Tally> => {
  const { bin, from, millis = Infinity, onProgress, rounds = Infinity, seed, stores } = options
  const folder = mkdtempSync(join(tmpdir(), "cpt-fuzz-"))
  const begin = performance.now()
  const tally = new Tally()
  const servers: Array<Server> = []
  const looks = new Map<Store, Array<Look>>()
  try {
    for (const store of stores) servers.push(await Server.start(bin, store, join(folder, store)))
    for (let round = from; round < from + rounds && performance.now() - begin < millis; round++) {
      for (const server of servers) {
        const script = options.only === undefined ? write(seed, round) : Acts.only(write(seed, round), options.only)
        const played = new Round(server, script)
        try {
          const look = await played.run()
          tally.add(server.store, played.peers, look)
          const before = looks.get(server.store) ?? []
          looks.set(server.store, [...before, look])
          if (before.length % warm === warm - 1) mustBeFlat(before)
        } catch (error) {
          throw new Violation(await report(options, { folder, round, script, server, played, error }))
        }
        onProgress?.(tally)
      }
    }
    for (const server of servers.splice(0)) await server.stop()
    rmSync(folder, { recursive: true })
    return tally
  } finally {
    for (const server of servers) await server.kill()
  }
}

/** Memory: what it is in the middle in a late part of the run, against what it was in an early one. */
const mustBeFlat = (looks: ReadonlyArray<Look>): void => {
  const quarter = Math.floor(looks.length / 4)
  const middle = (some: ReadonlyArray<Look>) =>
    some.map(({ memory }) => memory).toSorted((a, b) => a - b)[some.length >> 1] ?? 0
  const [early, late] = [middle(looks.slice(quarter, 2 * quarter)), middle(looks.slice(-quarter))]
  if (looks.length < 2 * warm || late < growth(early)) return
  const mib = (bytes: number) => `${Math.round(bytes / 1024 / 1024)} MiB`
  throw new Violation(`the server's memory grows: ${mib(early)}, and ${mib(late)} ${looks.length / 2} rounds later`)
}

interface Finding {
  readonly folder: string
  readonly round: number
  readonly script: Script
  readonly server: Server
  readonly played: Round
  readonly error: unknown
}

/** Keeps a finding as a transcript, as small as it can be made. Gives what is to be said of it. */
const report = async ({ bin, only, seed }: Options, finding: Finding): Promise<string> => {
  const { folder, round, script, server: { store } } = finding
  let { error, played } = finding
  const fails = async (numbers: ReadonlySet<number>): Promise<boolean> => {
    for (let time = 0; time < 3; time++) {
      const data = mkdtempSync(join(folder, "again-"))
      const server = await Server.start(bin, store, data)
      const again = new Round(server, Acts.only(write(seed, round), numbers))
      try {
        await again.run()
      } catch (anotherError) {
        error = anotherError
        played = again
        return true
      } finally {
        await server.kill()
        rmSync(data, { recursive: true, force: true })
      }
    }
    return false
  }
  const all = Array.from({ length: Acts.countOf(write(seed, round)) }, (_, index) => index + 1)
  const acts = await Acts.shrink(all.filter((number) => only?.has(number) ?? true), fails, shrinkFor)
  const part = acts.length === all.length ? "" : ` --acts ${Acts.textOf(acts)}`
  const again = `npm run fuzz -- --seed ${seed} --round ${round} --store ${store}${part}`
  const what = error instanceof Violation
    ? error.message
    : `the fuzzer failed: ${error instanceof Error ? error.stack : error}`
  const file = join(folder, `finding-${seed}-${round}-${store}.txt`)
  const head = [
    `seed ${seed}, round ${round}, store ${store}: ${acts.length} of ${Acts.countOf(script)} acts`,
    `again: ${again}`,
    what
  ]
  writeFileSync(file, `${head.join("\n")}\n\n${transcriptOf(played.peers)}`)
  return `${what}\nagain: ${again}\nkept: ${file}`
}
