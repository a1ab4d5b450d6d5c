/**
 * A group as an operator declares it: a name that is a group from the start (CPT 2.2), and rules for who may read what is
 * said in it, and say something. A rule that is not there does not hold.
 */
import { Name } from "@cpt/schema"
import { Schema } from "effect"

export const Group = Schema.Struct({
  name: Name.GroupName,
  /** Only these read it, and say something in it. */
  members: Schema.optionalKey(Schema.Array(Name.Username)),
  /** Only these say something in it; who does may also read it. */
  writers: Schema.optionalKey(Schema.Array(Name.Username))
})
export type Group = typeof Group.Type

/** Who may do what: it is looked up often. */
export class Rights {
  readonly #members: ReadonlySet<string> | undefined
  readonly #writers: ReadonlySet<string> | undefined

  constructor({ members, writers }: Group) {
    this.#members = members && new Set(members)
    this.#writers = writers && new Set(writers)
  }

  mayRead(username: string): boolean {
    return this.#members === undefined || this.#members.has(username) || this.#writers?.has(username) === true
  }

  maySend(username: string): boolean {
    return (this.#writers ?? this.#members)?.has(username) ?? true
  }
}
