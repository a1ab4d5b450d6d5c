/** What is done when an administrator asks for accounts and declared groups. */
import { Decline, Name } from "@cpt/schema"
import { Effect, Layer, Schema } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import * as Account from "../Account.ts"
import { Accounts } from "../Accounts.ts"
import { AlreadyDeclared, NotDeclared } from "../Declared.ts"
import * as Group from "../Group.ts"
import { Server } from "../Server.ts"
import type { Settings } from "../ServerConfig.ts"
import { AdminApi } from "./Api.ts"
import { NotStored } from "./DeclaredApi.ts"

const orNotDeclared = <A>(found: A | undefined, what: string, name: string) =>
  found === undefined
    ? Effect.fail(new NotDeclared({ message: `there is no ${what} ${name}` }))
    : Effect.succeed(found)

const unlessDeclared = <A>(before: A | undefined, next: A, what: string, name: string) =>
  before === undefined
    ? Effect.succeed(next)
    : Effect.fail(new AlreadyDeclared({ message: `there is ${what} ${name} already` }))

/** What one page lists. */
const pageSize = 1000

/** Those behind a name. */
const pageOf = <A extends { readonly name: string }>(all: ReadonlyArray<A>, after: string) => {
  const from = after === "" ? 0 : all.findIndex(({ name }) => Name.compare(name, after) > 0)
  const page = from === -1 ? [] : all.slice(from, from + pageSize)
  const last = from + pageSize < all.length ? page.at(-1) : undefined
  return { page, ...last !== undefined && { through: last.name } }
}

/** Carries out a change, and leaves a trace of it in the log. */
const carriedOut = <A, E>(
  change: Effect.Effect<A, E | Decline.StorageUnavailable>,
  what: string,
  fieldsOf: (after: A) => object
) =>
  change.pipe(
    Effect.mapError((error) => error instanceof Decline.StorageUnavailable ? new NotStored({}) : error),
    Effect.tap((after) => Effect.annotateLogs(Effect.logInfo(what), { ...fieldsOf(after) }))
  )

/** Characters of a list in the log. */
const mostCharacters = 1000

const leftOut = (list: ReadonlyArray<string>): ReadonlyArray<string> => [`${list.length} left out`]

/** What a list is in the log: a group may have more members than anybody wants to read there. */
const brief = (list: ReadonlyArray<string>): ReadonlyArray<string> =>
  list.join().length > mostCharacters ? leftOut(list) : list

const encodeAccount = Schema.encodeSync(Account.Account)

const fieldsOfAccount = ({ logAddresses }: Settings) => (account: Account.Account) => {
  const { certificates, ranges, ...rules } = encodeAccount(account)
  return {
    ...rules,
    ...ranges !== undefined && { ranges: logAddresses ? brief(ranges) : leftOut(ranges) },
    ...certificates !== undefined && { certificates: brief(certificates) }
  }
}

const fieldsOfGroup = ({ members, name, writers }: Group.Group) => ({
  name,
  ...members !== undefined && { members: brief(members) },
  ...writers !== undefined && { writers: brief(writers) }
})

/** Who has come and who has gone, beside the rules that hold now. */
const fieldsOfChange = ({ expel = [], invite = [] }: typeof Group.GroupChange.Type) => (group: Group.Group) => ({
  ...fieldsOfGroup(group),
  ...invite.length > 0 && { invited: brief(invite) },
  ...expel.length > 0 && { expelled: brief(expel) }
})

const accounts = HttpApiBuilder.group(
  AdminApi,
  "accounts",
  Effect.fnUntraced(function*(handlers) {
    const { accounts } = (yield* Accounts).declared
    const { settings } = yield* Server
    return handlers.handleAll({
      list: ({ query: { after = "" } }) =>
        Effect.sync(() => {
          const { page, ...rest } = pageOf(accounts.all(), after)
          return { accounts: page, ...rest }
        }),
      show: ({ query: { name } }) => orNotDeclared(accounts.get(name), "account", name),
      add: ({ payload }) =>
        carriedOut(
          accounts.change(payload.name, (before) => unlessDeclared(before, payload, "an account", payload.name)),
          "account declared",
          fieldsOfAccount(settings)
        ),
      change: ({ payload, query: { name } }) =>
        carriedOut(
          accounts.change(name, (before) => orNotDeclared(Account.changed(name, before, payload), "account", name)),
          "account changed",
          fieldsOfAccount(settings)
        ),
      remove: ({ query: { name } }) => carriedOut(accounts.remove(name), "account removed", () => ({ name }))
    })
  })
)

const declaredGroups = HttpApiBuilder.group(
  AdminApi,
  "declaredGroups",
  Effect.fnUntraced(function*(handlers) {
    const { groups } = (yield* Accounts).declared
    return handlers.handleAll({
      list: ({ query: { after = "" } }) =>
        Effect.sync(() => {
          const { page, ...rest } = pageOf(groups.all(), after)
          return { groups: page, ...rest }
        }),
      show: ({ query: { name } }) => orNotDeclared(groups.get(name), "declared group", name),
      add: ({ payload }) =>
        carriedOut(
          groups.change(payload.name, (before) => unlessDeclared(before, payload, "a declared group", payload.name)),
          "group declared",
          fieldsOfGroup
        ),
      change: ({ payload, query: { name } }) =>
        carriedOut(
          groups.change(name, (before) =>
            Effect.flatMap(
              Group.changed(name, before, payload),
              (group) => orNotDeclared(group, "declared group", name)
            )),
          "group changed",
          fieldsOfChange(payload)
        ),
      remove: ({ query: { name } }) => carriedOut(groups.remove(name), "group no longer declared", () => ({ name }))
    })
  })
)

export const layer = Layer.mergeAll(accounts, declaredGroups)
