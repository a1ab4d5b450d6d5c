/** Members in the order in which they came, each of which may leave. The links are theirs, so it does not have to grow. */
export interface Link<A> {
  /** Who came before it, and who came after. */
  older: A | undefined
  newer: A | undefined
}

export class Chain<A extends Link<A>> {
  oldest: A | undefined
  #newest: A | undefined
  length = 0

  has(member: A): boolean {
    return member === this.oldest || member.older !== undefined
  }

  /** It must not be there yet. */
  add(member: A): void {
    member.older = this.#newest
    if (this.#newest === undefined) this.oldest = member
    else this.#newest.newer = member
    this.#newest = member
    this.length++
  }

  delete(member: A): void {
    if (!this.has(member)) return
    const { newer, older } = member
    if (older === undefined) this.oldest = newer
    else older.newer = newer
    if (newer === undefined) this.#newest = older
    else newer.older = older
    member.older = member.newer = undefined
    this.length--
  }
}
