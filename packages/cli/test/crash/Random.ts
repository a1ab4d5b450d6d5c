/** Numbers that look random, and are the same in each run with the same seed: all that the harness chooses. */
export class Random {
  #state: number

  constructor(...seed: ReadonlyArray<number>) {
    this.#state = 0
    for (const part of seed) this.#state = scramble(this.#state ^ part)
  }

  /** From 0 to 1, without 1. */
  next(): number {
    this.#state = (this.#state + 0x6d_2b_79_f5) | 0
    return (scramble(this.#state) >>> 0) / 4_294_967_296
  }

  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1))
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<const A>(choices: readonly [A, ...ReadonlyArray<A>]): A {
    return choices[Math.floor(this.next() * choices.length)] ?? choices[0]
  }

  /** Numbers of their own for one who acts beside others, so that timing changes nobody's choices. */
  fork(): Random {
    return new Random(this.between(0, 0x7f_ff_ff_ff))
  }
}

const scramble = (n: number): number => {
  n = Math.imul(n ^ (n >>> 16), 0x85_eb_ca_6b)
  n = Math.imul(n ^ (n >>> 13), 0xc2_b2_ae_35)
  return n ^ (n >>> 16)
}
