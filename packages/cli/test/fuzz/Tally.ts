/** What a run has done, for its progress and its summary. */
import type { Course } from "./Peer.ts"
import type { Look, Store } from "./Server.ts"

export class Tally {
  rounds = 0
  connections = 0
  lines = 0
  bytes = 0
  heard = 0
  declined = 0
  readonly #looks = new Map<Store, { readonly first: Look; readonly last: Look }>()

  add(store: Store, courses: ReadonlyArray<Course>, look: Look): void {
    this.rounds++
    this.connections += courses.length
    for (const { asks, heard, said } of courses) {
      this.lines += asks.length
      for (const { bytes } of said) this.bytes += bytes.length
      this.heard += heard.length
      for (const { line } of heard) if (line.startsWith("DECLINE")) this.declined++
    }
    this.#looks.set(store, { first: this.#looks.get(store)?.first ?? look, last: look })
  }

  toString(): string {
    const mib = (bytes: number) => Math.round(bytes / 1024 / 1024)
    const looks = Array.from(
      this.#looks,
      ([store, { first, last }]) =>
        `${store}: ${mib(first.memory)} to ${
          mib(last.memory)
        } MiB, ${first.descriptors} to ${last.descriptors} descriptors`
    )
    return `${this.rounds} rounds, ${this.connections} connections, ${this.lines} lines said (${
      mib(this.bytes)
    } MiB), ` +
      `${this.heard} heard, ${this.declined} of them declines; ${looks.join("; ")}`
  }
}
