/**
 * Who is here, by what they are known by, in the order in which they came: a `Map` for those who come and go by the
 * thousand. A `Map` or `Set` lets nobody go: a table that it has outgrown keeps all who were in it then, and the next table
 * too, until V8 has looked through its whole heap. So each of a thousand logins a second was copied twice, with all that
 * belongs to it, and others waited for that: 3 ms, ten times a second. Here, tables have places only, and a place lets go.
 */

interface Place<A> {
  who: A | undefined
}

export class Roll<K, A> implements Iterable<A> {
  readonly #places = new Map<K, Place<A>>()

  get size(): number {
    return this.#places.size
  }

  has(key: K): boolean {
    return this.#places.has(key)
  }

  get(key: K): A | undefined {
    return this.#places.get(key)?.who
  }

  /** Instead of whoever has that key. */
  set(key: K, who: A): void {
    const place = this.#places.get(key)
    if (place === undefined) this.#places.set(key, { who })
    else place.who = who
  }

  /** False if there was none. */
  delete(key: K): boolean {
    const place = this.#places.get(key)
    if (place === undefined) return false
    place.who = undefined
    return this.#places.delete(key)
  }

  *[Symbol.iterator](): Generator<A, void> {
    for (const { who } of this.#places.values()) if (who !== undefined) yield who
  }
}
