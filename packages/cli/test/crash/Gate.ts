/** Where clients wait while there is no server, and learn where the next one is. */
export class Gate {
  #port: number | undefined
  #isOver = false
  #waiting: Array<{ readonly who: string; readonly go: () => void }> = []

  /** Whether these all wait here, and so do nothing else. */
  hasAll(names: ReadonlyArray<string>): boolean {
    const waiting = new Set(this.#waiting.map(({ who }) => who))
    return names.every((name) => waiting.has(name))
  }

  open(port: number): void {
    this.#port = port
    this.#release()
  }

  close(): void {
    this.#port = undefined
  }

  /** There will be no server any more. */
  end(): void {
    this.#port = undefined
    this.#isOver = true
    this.#release()
  }

  /** The port of the server, when there is one; undefined if there will be none. */
  async pass(who: string): Promise<number | undefined> {
    while (this.#port === undefined && !this.#isOver) {
      await new Promise<void>((go) => this.#waiting.push({ who, go }))
    }
    return this.#port
  }

  #release(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const { go } of waiting) go()
  }
}
