/**
 * Who may log in, as which name, from where (CPT 3.2), and what an operator has declared for that. A rule of one's own is
 * one function; what it fails with goes out as the `DECLINE` of the `CONNECT`, a custom word as `Decline.Declined`.
 */
import { type Decline } from "@cpt/schema"
import { Context, Effect, Exit, Layer } from "effect"
import { type Login, type Refusal, refusal } from "./Account.ts"
import * as Declared from "./Declared.ts"
import { type CannotLoad, Keeper } from "./Keeper.ts"
import * as File from "./Keeper/File.ts"
import { layerFor } from "./LayerFor.ts"
import { MessageStore } from "./MessageStore.ts"

export type { Login, Refusal } from "./Account.ts"

type CannotStart = CannotLoad | Decline.StorageUnavailable

export class Accounts extends Context.Service<Accounts, {
  /** Whether somebody may log in. Asked again when what is declared for the name changes. */
  readonly authorize: (login: Login) => Effect.Effect<void, Refusal>
  readonly declared: Declared.Declared
}>()("@cpt/server/Accounts") {
  /** A rule of one's own. It has until the login deadline. */
  static readonly layerOf = (authorize: (login: Login) => Effect.Effect<void, Refusal>): Layer.Layer<Accounts> =>
    Layer.succeed(this, { authorize, declared: Declared.nothing })

  /** Anyone may be anyone. */
  static readonly layerOpen: Layer.Layer<Accounts> = this.layerOf(() => Exit.void)

  /** What is declared in the database of the messages; anyone may be anyone else. */
  static readonly layerDatabase: Layer.Layer<Accounts, CannotStart, MessageStore | Keeper> = layerFor(
    Keeper,
    () => Layer.effect(this, make)
  )

  /** The same, of what is declared while the server runs. */
  static readonly layerMemory: Layer.Layer<Accounts, CannotStart, MessageStore> = layerFor(
    MessageStore,
    () => Layer.effect(this, make).pipe(Layer.provide(Keeper.layerMemory))
  )

  /** The same, of what is declared in a file, also when that changes. */
  static readonly layerFile = (path: string): Layer.Layer<Accounts, CannotStart, MessageStore> =>
    layerFor(MessageStore, () => Layer.effect(this, make).pipe(Layer.provide(File.layer(path))))

  /** Whether such a file is right, as far as that can be seen without the names in a store. */
  static readonly checkFile: (path: string) => Effect.Effect<void, CannotLoad> = File.check
}

const make = Effect.map(Declared.make, (declared) =>
  Accounts.of({
    declared,
    authorize: (login) => {
      const account = declared.accounts.get(login.username)
      const why = account === undefined ? undefined : refusal(account, login)
      return why === undefined ? Exit.void : Exit.fail(why)
    }
  }))
