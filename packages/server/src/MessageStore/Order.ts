/**
 * Whose turn it is to lose a message: the one that has the oldest of all. A number a message, outside of the heap, where
 * the garbage collector need not look at a million of them.
 */
const chunkLength = 16_384

/** Of whoever is in no order. */
export const unnumbered = -1

export interface Member {
  /** In the order. */
  number: number
}

export class Order<A extends Member> {
  readonly #members: Array<A | undefined> = []
  readonly #free: Array<number> = []
  readonly #chunks: Array<Uint32Array> = []
  #first = 0 // in the first chunk
  #end = chunkLength // in the last one
  length = 0

  /** One more, which is the newest. */
  push(member: A): void {
    if (this.#end === chunkLength) {
      this.#chunks.push(new Uint32Array(chunkLength))
      this.#end = 0
    }
    this.#chunks.at(-1)![this.#end++] = this.#numberOf(member)
    this.length++
  }

  /** Whose is the oldest, which is taken off. */
  shift(): A | undefined {
    if (this.length === 0) return undefined
    const number = this.#chunks[0]![this.#first++]!
    if (this.#first === chunkLength) {
      this.#chunks.shift()
      this.#first = 0
    }
    this.length--
    return this.#members[number]
  }

  /** It has none left. */
  leave(member: A): void {
    const { number } = member
    if (number === unnumbered) return
    member.number = unnumbered
    this.#members[number] = undefined
    this.#free.push(number)
  }

  #numberOf(member: A): number {
    if (member.number === unnumbered) {
      member.number = this.#free.pop() ?? this.#members.length
      this.#members[member.number] = member
    }
    return member.number
  }
}
