/** What servers are told to keep in one data directory, and whether they have kept as much. */
import { Violation } from "./Ledger.ts"
import type { Random } from "./Random.ts"
import type { History } from "./Witness.ts"

/** What counts for a message beside its text; and more than any text here has. */
const [overhead, largest] = [32, 8192]

export class Retention {
  readonly #random: Random
  readonly #kind: "messages" | "bytes" | "age" | "all of them"
  /** The least that any server was told to keep. */
  #least = Infinity

  constructor(random: Random) {
    this.#random = random
    this.#kind = random.pick(["messages", "bytes", "age", "all of them"])
  }

  /** How the next server is told. */
  flags(): ReadonlyArray<string> {
    if (this.#random.chance(0.2)) return []
    const [messages, kibibytes, seconds] = [[3, 300], [5, 200], [1, 8]].map(([low = 0, high = 0]) =>
      this.#random.between(low, high)
    )
    const all = {
      messages: ["--keep-messages", String(messages)],
      bytes: ["--keep-bytes", `${kibibytes}KiB`],
      age: ["--keep", `${seconds}s`]
    }
    switch (this.#kind) {
      case "messages":
        this.#note(messages)
        return all.messages
      case "bytes":
        this.#note((kibibytes ?? 0) * 1024)
        return all.bytes
      case "age":
        this.#note((seconds ?? 0) * 1000)
        return all.age
      default:
        return [...all.messages, ...all.bytes, ...all.age]
    }
  }

  /**
   * Whether what is left is as much as was to be kept.
   * @param seen how many messages of a target are known to have been there
   */
  check(histories: ReadonlyMap<string, History>, seen: (target: string) => number): void {
    const kept = Array.from(histories, ([target, items]) => {
      const messages = items.flatMap((item) => "missingThrough" in item ? [] : [item])
      const holes = items.flatMap((item) => "missingThrough" in item ? [item.missingThrough] : [])
      return { target, messages, through: Math.max(0, ...holes) }
    })
    switch (this.#kind) {
      case "messages":
        for (const { messages, target } of kept) {
          if (messages.length < Math.min(this.#least, seen(target))) {
            throw new Violation(`${target} has ${messages.length} messages left, of ${seen(target)}: ${this.#told()}`)
          }
        }
        return
      case "age":
        for (const { target, through } of kept) {
          if (through > 0 && through > Date.now() - this.#least) {
            throw new Violation(`${target} has nothing up to ${through}, at ${Date.now()}: ${this.#told()}`)
          }
        }
        return
      case "bytes": {
        if (kept.every(({ through }) => through === 0)) return
        const bytes = kept.flatMap(({ messages }) => messages).reduce(
          (sum, { text }) => sum + Buffer.byteLength(text) + overhead,
          0
        )
        if (bytes < this.#least - largest) throw new Violation(`${bytes} bytes are left: ${this.#told()}`)
      }
    }
  }

  #note(limit: number | undefined): void {
    this.#least = Math.min(this.#least, limit ?? Infinity)
  }

  #told(): string {
    return `of ${this.#kind}, ${this.#least} were to be kept`
  }
}
