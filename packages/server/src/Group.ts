/**
 * A group as an operator declares it: a name that is a group from the start (CPT 2.3), and rules for who may read what is
 * said in it, and say something. A rule that is not there does not hold.
 */
import { Name } from "@cpt/schema"
import { Effect, Schema } from "effect"
import { once } from "./Once.ts"

const Names = Schema.Array(Name.Username).pipe(Schema.decode(once((name) => name)))

export const Group = Schema.Struct({
  name: Name.GroupName,
  /** Only these read it, and say something in it. */
  members: Schema.optionalKey(Names),
  /** Only these say something in it; who does may also read it. */
  writers: Schema.optionalKey(Names)
})
export type Group = typeof Group.Type

/** Other rules for a group: what is not there stays as it is, and null lifts a rule. Members come and go one by one too. */
export const GroupChange = Schema.Struct({
  members: Schema.optionalKey(Schema.NullOr(Names)),
  writers: Schema.optionalKey(Schema.NullOr(Names)),
  invite: Schema.optionalKey(Names),
  expel: Schema.optionalKey(Names)
})

/** Members cannot come or go where everybody is one. */
export class OpenToAll extends Schema.TaggedError<OpenToAll>()("OpenToAll", {
  message: Schema.String
}, { httpApiStatus: 409 }) {}

/** A group with other rules; undefined for one that was not there, and would have none. */
export const changed = (
  name: Name.GroupName,
  before: Group | undefined,
  { expel = [], invite = [], ...change }: typeof GroupChange.Type
): Effect.Effect<Group | undefined, OpenToAll> => {
  const members = change.members === undefined ? before?.members : change.members ?? undefined
  const writers = change.writers === undefined ? before?.writers : change.writers ?? undefined
  if (before === undefined && members === undefined && writers === undefined) return Effect.undefined
  if (members === undefined && invite.length + expel.length > 0) {
    return Effect.fail(new OpenToAll({ message: `${name} is open to everybody: say who its members are` }))
  }
  const now = members && new Set([...members, ...invite])
  for (const member of expel) now?.delete(member)
  return Effect.succeed({
    name,
    ...now !== undefined && { members: [...now] },
    ...writers !== undefined && { writers }
  })
}

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
