/**
 * The seam to where it is kept what an operator has declared: the accounts and groups of `Declared`. In memory
 * (`layerMemory`), in a file (`Keeper/File.ts`), or in the database, beside the messages (`layerSqlite` provides it).
 */
import type { Decline, Name } from "@cpt/schema"
import { Context, Effect, Layer, Schema } from "effect"
import { Account } from "./Account.ts"
import { Group } from "./Group.ts"

/** All of it. */
export const Kept = Schema.Struct({
  accounts: Schema.Array(Account),
  groups: Schema.Array(Group)
})
export type Kept = typeof Kept.Type

/** One of it: an account or a group; without rules, it is no longer declared. */
export type Entry =
  | { readonly kind: "user"; readonly name: Name.Name; readonly rules: Account | undefined }
  | { readonly kind: "group"; readonly name: Name.Name; readonly rules: Group | undefined }

/** What is kept cannot be used: the message says where it is, and what is wrong. */
export class CannotLoad extends Schema.TaggedError<CannotLoad>()("CannotLoad", { message: Schema.String }) {}

/** It is declared elsewhere, and not to be changed here: the message says where. */
export class DeclaredElsewhere extends Schema.TaggedError<DeclaredElsewhere>()("DeclaredElsewhere", {
  message: Schema.String
}, { httpApiStatus: 409 }) {}

export class Keeper extends Context.Service<Keeper, {
  /** For the operator: where. */
  readonly description: string
  readonly load: Effect.Effect<Kept, CannotLoad | Decline.StorageUnavailable>
  /** Done when it is as safe as this keeper makes it. */
  readonly save: (entry: Entry) => Effect.Effect<void, DeclaredElsewhere | Decline.StorageUnavailable>
  /** Waits until somebody else may have changed what is kept; undefined where nobody else does. */
  readonly changed: Effect.Effect<void> | undefined
  /** What was loaded last could not be taken, and not for its own sake: it counts as changed. */
  readonly notTaken: Effect.Effect<void>
}>()("@cpt/server/Keeper") {
  /** Nowhere: what is declared is gone when the server stops. */
  static readonly layerMemory: Layer.Layer<Keeper> = Layer.succeed(this, {
    description: "memory",
    load: Effect.succeed({ accounts: [], groups: [] }),
    save: () => Effect.void,
    changed: undefined,
    notTaken: Effect.void
  })
}
