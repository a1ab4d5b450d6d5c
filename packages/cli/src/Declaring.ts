/** What `cpt account` and `cpt group` share: how they ask, how they answer, and what a refusal means. */
import type { AdminClient } from "@cpt/server/admin"
import { Effect } from "effect"
import * as Administration from "./Administration.ts"
import { failed, type Failure } from "./Failure.ts"
import type * as Flags from "./Flags.ts"
import { type Closed, Output } from "./Output.ts"
import { json, visible } from "./Visible.ts"

/** What the server says of a name, in words of its own. */
interface Refused {
  readonly _tag:
    | "AlreadyDeclared"
    | "DeclaredElsewhere"
    | "NameConflict"
    | "NotDeclared"
    | "OpenToAll"
    | "NotStored"
  readonly message: string
}

const isRefused = (error: AdminClient.Failure | Refused): error is Refused => {
  switch (error._tag) {
    case "AlreadyDeclared":
    case "DeclaredElsewhere":
    case "NameConflict":
    case "NotDeclared":
    case "OpenToAll":
    case "NotStored":
      return true
    default:
      return false
  }
}

export const ask = <A>(
  flags: Flags.Administration,
  question: (client: AdminClient.Client) => Effect.Effect<A, AdminClient.Failure | Refused>
) =>
  Administration.ask<A>(flags, (client) =>
    Effect.mapError(
      question(client),
      (error): AdminClient.Failure | Failure => isRefused(error) ? failed(visible(error.message)) : error
    ))

/** A name and the rules that hold for it: what there is to see of an account or a group. */
export const shown = (name: string, rules: ReadonlyArray<string>): string =>
  visible(rules.length === 0 ? name : `${name}: ${rules.join("; ")}`)

/** Prints what was asked for. */
export const print = Effect.fnUntraced(function*(isJson: boolean, line: string, value: unknown) {
  const { write } = yield* Output
  yield* write(`${isJson ? json(value) : line}\n`)
})

/** Says what has been done; to a program, in data. */
export const said = Effect.fnUntraced(function*(isJson: boolean, line: string, value: unknown) {
  const { note, write } = yield* Output
  yield* isJson ? write(`${json(value)}\n`) : note(line)
})

/** A page of a list, and where the next one begins, if there may be one. */
interface Page<A> {
  readonly rows: ReadonlyArray<A>
  readonly through?: string
}

/** Carries something out for each row of a list, page after page; gives how many there were. */
export const forEachRow = Effect.fnUntraced(function*<A>(
  flags: Flags.Administration,
  page: (
    client: AdminClient.Client,
    query: { readonly after: string }
  ) => Effect.Effect<Page<A>, AdminClient.Failure | Refused>,
  each: (row: A) => Effect.Effect<void, Closed | Failure, Output>
) {
  let count = 0
  for (let after: string | undefined = ""; after !== undefined;) {
    const query: { readonly after: string } = { after }
    const { rows, through }: Page<A> = yield* ask(flags, (client) => page(client, query))
    yield* Effect.forEach(rows, each, { discard: true })
    count += rows.length
    after = through
  }
  return count
})
