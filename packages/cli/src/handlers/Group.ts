/** `cpt group`: which groups there are on a running server, and for whom. */
import { Name } from "@cpt/schema"
import type { DeclaredGroup, GroupChange } from "@cpt/server/admin"
import { Effect, Schema } from "effect"
import type * as Commands from "../commands/Group.ts"
import { ask, forEachRow, print, said, shown } from "../Declaring.ts"
import { usage } from "../Failure.ts"
import type * as Flags from "../Flags.ts"
import { Output } from "../Output.ts"
import { visible } from "../Visible.ts"

const decodeName = Schema.decodeUnknownEffect(Name.GroupName)
const decodeUser = Schema.decodeUnknownEffect(Name.Username)

const nameOf = (name: string) =>
  Effect.mapError(decodeName(name), (error) => usage(`NAME "${visible(name)}": ${visible(error.message)}`))

const userOf = (name: string) =>
  Effect.mapError(decodeUser(name), (error) => usage(`USER "${visible(name)}": ${visible(error.message)}`))

const listed = (names: ReadonlyArray<string>) => names.length === 0 ? "nobody" : names.join(" ")

const rulesOf = ({ members, writers }: DeclaredGroup): ReadonlyArray<string> => [
  ...members === undefined ? [] : [`for ${listed(members)} only`],
  ...writers === undefined ? [] : [`read-only, but for ${listed(writers)}`]
]

const line = (group: DeclaredGroup) => shown(group.name, rulesOf(group))

const state = (group: DeclaredGroup) =>
  shown(group.name, rulesOf(group).length === 0 ? ["open to everybody"] : rulesOf(group))

export const list = Effect.fnUntraced(function*({ json, ...flags }: Commands.OfAll) {
  const count = yield* forEachRow(
    flags,
    (client, query) =>
      Effect.map(client.declaredGroups.list({ query }), ({ groups, ...rest }) => ({ rows: groups, ...rest })),
    (group) => print(json, line(group), group)
  )
  if (count === 0) yield* (yield* Output).note("there are no declared groups")
})

export const show = Effect.fnUntraced(function*({ json, names, ...flags }: Commands.OfNames) {
  for (const name of yield* Effect.forEach(names, nameOf)) {
    const group = yield* ask(flags, (client) => client.declaredGroups.show({ query: { name } }))
    yield* print(json, line(group), group)
  }
})

export const add = Effect.fnUntraced(function*({ json, names, ...flags }: Commands.OfNames) {
  for (const name of yield* Effect.forEach(names, nameOf)) {
    const group = yield* ask(flags, (client) => client.declaredGroups.add({ payload: { name } }))
    yield* said(json, state(group), group)
  }
})

const change = Effect.fnUntraced(function*(
  flags: Flags.Administration,
  json: boolean,
  text: string,
  payload: typeof GroupChange.Type
) {
  const name = yield* nameOf(text)
  const group = yield* ask(flags, (client) => client.declaredGroups.change({ query: { name }, payload }))
  yield* said(json, state(group), group)
})

/** For whom a rule is; null for everybody. */
const whom = Effect.fnUntraced(function*({ anybody, nobody, users }: Commands.Users) {
  if (Number(anybody) + Number(nobody) + Number(users.length > 0) !== 1) {
    return yield* usage("name one USER or more, or say --anybody or --nobody")
  }
  return anybody ? null : yield* Effect.forEach(users, userOf)
})

export const members = Effect.fnUntraced(function*(input: Commands.Users) {
  yield* change(input, input.json, input.name, { members: yield* whom(input) })
})

export const writers = Effect.fnUntraced(function*(input: Commands.Users) {
  yield* change(input, input.json, input.name, { writers: yield* whom(input) })
})

export const invite = Effect.fnUntraced(function*({ json, name, users, ...flags }: Commands.Some) {
  yield* change(flags, json, name, { invite: yield* Effect.forEach(users, userOf) })
})

export const expel = Effect.fnUntraced(function*({ json, name, users, ...flags }: Commands.Some) {
  yield* change(flags, json, name, { expel: yield* Effect.forEach(users, userOf) })
})

export const remove = Effect.fnUntraced(function*({ json, names, ...flags }: Commands.OfNames) {
  for (const name of yield* Effect.forEach(names, nameOf)) {
    yield* ask(flags, (client) => client.declaredGroups.remove({ query: { name } }))
    yield* said(json, visible(`${name} is no longer declared; its messages stay`), { name, removed: true })
  }
})
