/** A run of many rounds, against one server a store. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Acts from "./Acts.ts"
import { findingOf } from "./Finding.ts"
import { Round } from "./Round.ts"
import { write } from "./Script.ts"
import { type Look, Server, type Store } from "./Server.ts"
import { Tally } from "./Tally.ts"

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
  const { bin, from, millis = Infinity, onProgress, only, rounds = Infinity, seed, stores } = options
  const folder = mkdtempSync(join(tmpdir(), "cpt-fuzz-"))
  const begin = performance.now()
  const tally = new Tally()
  const servers: Array<Server> = []
  try {
    for (const store of stores) servers.push(await Server.start(bin, store, join(folder, store)))
    for (let round = from; round < from + rounds && performance.now() - begin < millis; round++) {
      for (const server of servers) {
        const { store } = server
        const script = write(seed, round)
        const played = new Round(server, only === undefined ? script : Acts.only(script, only))
        let look: Look
        try {
          look = await played.run()
        } catch (error) {
          throw await findingOf({ bin, folder, seed, round, store, only, peers: played.peers, error })
        }
        tally.add(store, played.peers, look)
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
