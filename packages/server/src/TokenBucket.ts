/**
 * A token bucket: so many tokens at once, and so many more each second. It has no clock and waits for nothing: whoever asks
 * says what time it is, in milliseconds on a clock that nobody sets, and how fast it fills, which a reload may change.
 */
export class TokenBucket {
  #tokens: number
  #at: number

  /** A full one. */
  constructor(burst: number, now: number) {
    this.#tokens = burst
    this.#at = now
  }

  /** To be called before the others: adds what has come since the last time. */
  fill(perSecond: number, burst: number, now: number): void {
    const elapsed = now - this.#at
    if (elapsed > 0) {
      this.#tokens += elapsed * perSecond / 1000
      this.#at = now
    }
    if (this.#tokens > burst) this.#tokens = burst
  }

  has(count: number): boolean {
    return this.#tokens >= count
  }

  /** Takes so many, if they are there. */
  take(count: number): boolean {
    if (this.#tokens < count) return false
    this.#tokens -= count
    return true
  }

  /** Takes so many in any case: what was not there is owed. */
  owe(count: number): void {
    this.#tokens -= count
  }

  /** Milliseconds until so many are there. */
  wait(count: number, perSecond: number): number {
    return this.#tokens >= count ? 0 : Math.ceil((count - this.#tokens) * 1000 / perSecond)
  }
}
