/** What is done when an administrator asks for accounts and declared groups. */
import { Decline } from "@cpt/schema"
import { Effect, Layer } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import * as Account from "../Account.ts"
import { Accounts } from "../Accounts.ts"
import { AlreadyDeclared, NotDeclared } from "../Declared.ts"
import * as Group from "../Group.ts"
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

const orNotStored = <A, E>(change: Effect.Effect<A, E | Decline.StorageUnavailable>) =>
  Effect.mapError(change, (error) => error instanceof Decline.StorageUnavailable ? new NotStored({}) : error)

const accounts = HttpApiBuilder.group(
  AdminApi,
  "accounts",
  Effect.fnUntraced(function*(handlers) {
    const { accounts } = (yield* Accounts).declared
    return handlers.handleAll({
      list: () => Effect.sync(accounts.all),
      show: ({ params: { name } }) => orNotDeclared(accounts.get(name), "account", name),
      add: ({ payload }) =>
        orNotStored(
          accounts.change(payload.name, (before) => unlessDeclared(before, payload, "an account", payload.name))
        ),
      change: ({ params: { name }, payload }) =>
        orNotStored(
          accounts.change(name, (before) => orNotDeclared(Account.changed(name, before, payload), "account", name))
        ),
      remove: ({ params }) => orNotStored(accounts.remove(params.name))
    })
  })
)

const declaredGroups = HttpApiBuilder.group(
  AdminApi,
  "declaredGroups",
  Effect.fnUntraced(function*(handlers) {
    const { groups } = (yield* Accounts).declared
    return handlers.handleAll({
      list: () => Effect.sync(groups.all),
      show: ({ params: { name } }) => orNotDeclared(groups.get(name), "declared group", name),
      add: ({ payload }) =>
        orNotStored(
          groups.change(payload.name, (before) => unlessDeclared(before, payload, "a declared group", payload.name))
        ),
      change: ({ params: { name }, payload }) =>
        orNotStored(groups.change(name, (before) =>
          Effect.flatMap(
            Group.changed(name, before, payload),
            (group) => orNotDeclared(group, "declared group", name)
          ))),
      remove: ({ params }) => orNotStored(groups.remove(params.name))
    })
  })
)

export const layer = Layer.mergeAll(accounts, declaredGroups)
