/**
 * A map for a million names. One table of that size takes 60 ms to grow, in which nobody is served; so it is many small
 * ones.
 */
const tables = 64 // a power of 2

export class NameMap<A> {
  readonly #tables = Array.from({ length: tables }, () => new Map<string, A>())
  size = 0

  get(name: string): A | undefined {
    return this.#tableOf(name).get(name)
  }

  /** Of a name that it has not yet. */
  add(name: string, value: A): void {
    this.#tableOf(name).set(name, value)
    this.size++
  }

  delete(name: string): void {
    if (this.#tableOf(name).delete(name)) this.size--
  }

  *values(): Generator<A, void> {
    for (const table of this.#tables) yield* table.values()
  }

  /** By what names of one kind mostly differ in: their ends. */
  #tableOf(name: string): Map<string, A> {
    const { length } = name
    const sum = name.charCodeAt(length - 1) + 7 * name.charCodeAt(length - 2) + 31 * name.charCodeAt(length >> 1)
    return this.#tables[(sum + length) & tables - 1]!
  }
}
