/** What a run has done, for its progress and its summary; and whether the server has grown by it. */
import { Violation } from "../crash/Ledger.ts"
import type { Course } from "./Peer.ts"
import type { Look, Store } from "./Server.ts"

/** Rounds after which memory has to stay what it is, and by how much it may differ all the same, in bytes. */
const warm = 160
const mayBecome = (memory: number) => 1.25 * memory + 16 * 1024 * 1024

const mib = (bytes: number) => Math.round(bytes / 1024 / 1024)

export class Tally {
  rounds = 0
  connections = 0
  lines = 0
  bytes = 0
  heard = 0
  declined = 0
  readonly #looks = new Map<Store, Array<Look>>()

  add(store: Store, courses: ReadonlyArray<Course>, look: Look): void {
    this.rounds++
    this.connections += courses.length
    for (const { asks, heard, said } of courses) {
      this.lines += asks.length
      for (const { bytes } of said) this.bytes += bytes.length
      this.heard += heard.length
      for (const { line } of heard) if (line.startsWith("DECLINE")) this.declined++
    }
    const looks = this.#looks.get(store) ?? []
    this.#looks.set(store, looks)
    looks.push(look)
    const { early, late } = growthOf(looks)
    if (looks.length < warm || looks.length % 10 > 0 || late < mayBecome(early)) return
    throw new Violation(`the server grows: ${mib(early)} MiB, and ${mib(late)} MiB after ${looks.length} rounds`)
  }

  toString(): string {
    const looks = Array.from(this.#looks, ([store, looks]) => {
      const { early, late } = growthOf(looks)
      return `${store}: ${mib(early)} to ${mib(late)} MiB, ${looks[0]?.descriptors} to ${
        looks.at(-1)?.descriptors
      } descriptors`
    })
    return `${this.rounds} rounds, ${this.connections} connections, ${this.lines} lines said (${
      mib(this.bytes)
    } MiB), ` +
      `${this.heard} heard, ${this.declined} of them declines; ${looks.join("; ")}`
  }
}

/** What its memory was in the second quarter of the rounds, and in the last one: in the middle of each. */
const growthOf = (looks: ReadonlyArray<Look>) => {
  const quarter = Math.ceil(looks.length / 4)
  const middle = (some: ReadonlyArray<Look>) =>
    some.map(({ memory }) => memory).toSorted((a, b) => a - b)[some.length >> 1] ?? 0
  return { early: middle(looks.slice(quarter - 1, 2 * quarter)), late: middle(looks.slice(-quarter)) }
}
