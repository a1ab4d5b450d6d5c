/** What has gone over the wire in a case, and when: the main part of the report of a failure. */
import * as Bytes from "./Bytes.ts"

export interface Entry {
  /** Milliseconds since the case began. */
  readonly at: number
  readonly who: string
  /** `>` says a line, `>>` bytes, `>.` one byte at a time; `<` hears; empty: does something. */
  readonly how: string
  readonly what: string
}

/** Of a long transcript the beginning and the end are kept. */
const kept = { first: 100, last: 200 }

/** Characters of a line that are shown. */
const maxWidth = 300

/** A text of a length that can be shown. */
export const cutShort = (text: string): string =>
  text.length > maxWidth ? `${text.slice(0, maxWidth)}… (${text.length} characters)` : text

export class Transcript {
  readonly #start = performance.now()
  readonly #first: Array<Entry> = []
  #last: Array<Entry> = []
  #dropped = 0

  add(who: string, how: string, what: string): void {
    const entry = { at: this.elapsed, who, how, what: cutShort(what) }
    if (this.#first.length < kept.first) this.#first.push(entry)
    else if (this.#last.push(entry) > 2 * kept.last) {
      this.#dropped += kept.last
      this.#last = this.#last.slice(kept.last)
    }
  }

  /** As much of them as is shown. */
  addBytes(who: string, how: string, bytes: Uint8Array): void {
    const text = Bytes.toText(bytes.subarray(0, maxWidth))
    this.add(who, how, bytes.length > maxWidth ? `${text}… (${bytes.length} bytes)` : text)
  }

  get elapsed(): number {
    return performance.now() - this.#start
  }

  get entries(): ReadonlyArray<Entry> {
    if (this.#dropped === 0) return [...this.#first, ...this.#last]
    const [next] = this.#last
    const gap = { at: next?.at ?? 0, who: "", how: "", what: `… ${this.#dropped} lines are left out here …` }
    return [...this.#first, gap, ...this.#last]
  }
}

// A space at the end of a line cannot be seen
const visible = (line: string): string => line.replace(/ +$/, (spaces) => "\\x20".repeat(spaces.length))

/** Lines of text, for people. */
export const print = (entries: ReadonlyArray<Entry>): ReadonlyArray<string> => {
  const width = Math.max(0, ...entries.map(({ who }) => who.length))
  return entries.map(({ at, how, what, who }) =>
    `${(at / 1000).toFixed(3).padStart(8)}  ${who.padEnd(width)} ${how.padEnd(2)} ${visible(what)}`
  )
}
