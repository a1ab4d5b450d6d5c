/** `cpt backup` of a server that runs: what completes, and what is there at all, is whole. */
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs"
import { join } from "node:path"
import { Violation } from "./Ledger.ts"
import { Process } from "./Process.ts"
import { Server } from "./Server.ts"
import { type Names, readAll } from "./Witness.ts"
import type { World } from "./World.ts"

export class Backup {
  readonly process: Process
  readonly #world: World
  readonly #bin: string
  readonly #folder: string
  readonly #file: string
  readonly #askedAt: number

  constructor(world: World, options: { readonly bin: string; readonly data: string; readonly folder: string }) {
    this.#world = world
    this.#bin = options.bin
    this.#folder = join(options.folder, "backup")
    this.#file = join(options.folder, "backup.db")
    this.#askedAt = world.ledger.tick()
    this.process = new Process(["backup", this.#file, "--data", options.data], { bin: options.bin })
  }

  /** To be asked when the whole history is known up to the backup's end. Whether there was anything to check. */
  async check(names: Names, mustBeThere: boolean): Promise<boolean> {
    const { ending, stderr } = this.process
    const isThere = existsSync(this.#file)
    if (mustBeThere && (ending?.status !== 0 || !isThere)) {
      throw new Violation(`cpt backup ended with ${ending?.signal ?? ending?.status}: ${stderr}`)
    }
    if (!isThere) return false
    await checkFile(this.#bin, [this.#file])
    mkdirSync(this.#folder)
    renameSync(this.#file, join(this.#folder, "messages.db"))
    const server = new Server({ bin: this.#bin, data: this.#folder, flags: [] })
    const histories = await readAll(this.#world, await server.port(), names)
    await server.kill()
    for (const [target, items] of histories) {
      for (const item of items) {
        if ("missingThrough" in item) this.#world.ledger.sawHole(target, item)
        else this.#world.ledger.saw(item)
      }
      const run = items.map((item) => "missingThrough" in item ? item : item.timestamp)
      this.#world.ledger.run({ reader: "a backup", target, after: 0, items: run, askedAt: this.#askedAt })
    }
    rmSync(this.#folder, { recursive: true })
    return true
  }
}

/** `cpt check`, of a file or of a directory whose server is down. */
export const checkFile = async (bin: string, args: ReadonlyArray<string>): Promise<void> => {
  const process = new Process(["check", ...args], { bin })
  const { signal, status } = await process.ended
  if (status !== 0) {
    throw new Violation(
      `cpt check ${args.join(" ")} ended with ${signal ?? status}: ${process.stdout}${process.stderr}`
    )
  }
}
