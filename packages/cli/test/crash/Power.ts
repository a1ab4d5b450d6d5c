/** The disk under the data directory, when the power may go: see `support/Disk.ts`. */
import { renameSync, rmSync } from "node:fs"
import * as Disk from "../support/Disk.ts"
import type { Random } from "./Random.ts"

export const isAvailable = (): boolean => !Disk.isMissing()

export class Power {
  readonly #data: string
  readonly #log: string

  constructor(data: string) {
    this.#data = data
    this.#log = `${data}.log`
  }

  /** What puts the next server on the disk; what the one before it left is there, and as durable as it was. */
  environment(): Record<string, string> {
    return Disk.environment({ directory: this.#data, log: this.#log })
  }

  /** The power goes, while no server runs: of the directory there is what a disk may hold then. */
  lose(random: Random): void {
    const left = `${this.#data}.left`
    Disk.powerLoss(this.#log, left, () => random.next())
    rmSync(this.#data, { recursive: true })
    renameSync(left, this.#data)
    rmSync(this.#log)
  }
}
