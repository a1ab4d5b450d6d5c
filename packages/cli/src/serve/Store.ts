/** Where a server keeps messages, in a directory or nowhere, and with them who has an account, unless that is in a file. */
import { Accounts, type Change, layerMemory, layerSqlite } from "@cpt/server"
import { Console, Duration, Effect, Layer, Option, Path, type Scope } from "effect"
import * as Data from "../Data.ts"
import { type Failure, usage } from "../Failure.ts"
import { visible } from "../Visible.ts"
import type { Settings } from "./Given.ts"
import type { Name, Values } from "./Table.ts"

export const layer = Effect.fnUntraced(function*(values: Values, directory: string | undefined) {
  const path = yield* Path.Path
  const inFile = Option.map(
    Option.fromUndefinedOr(values["accounts-file"]),
    (file) => Accounts.layerFile(path.resolve(file))
  )
  const resendWindow = Duration.toMillis(values["resend-window"])
  if (directory === undefined) {
    return Layer.provideMerge(
      Option.getOrElse(inFile, () => Accounts.layerMemory),
      layerMemory({ ...values["memory-limit"], resendWindow })
    )
  }
  const age = values.keep === undefined ? undefined : Duration.toMillis(values.keep)
  return Layer.provideMerge(
    Option.getOrElse(inFile, () => Accounts.layerDatabase),
    layerSqlite({
      file: yield* Data.fileIn(directory),
      resendWindow,
      cache: values.cache,
      keep: { age, messages: values["keep-messages"], bytes: values["keep-bytes"] }
    })
  )
})

/** A server that lets nobody in does what it was told, and maybe not what was meant. */
export const warnIfClosed = Effect.fnUntraced(function*({ accounts }: Values) {
  if (accounts === "open" || (yield* Accounts).declared.accounts.all().length > 0) return
  yield* Console.error("cpt: warning: only who has an account may log in, and nobody has one; see cpt account --help")
})

const cannotLoad = ({ message }: { readonly message: string }): Failure => usage(visible(message))

/** What `faultsOf` looks at. */
export const checked: ReadonlyArray<Name> = ["accounts-file"]

/** What is wrong with the file of accounts, if they are in one. */
export const faultsOf = Effect.fnUntraced(function*({ values }: Settings) {
  const path = yield* Path.Path
  const file = values["accounts-file"]
  if (file === undefined) return []
  return yield* Effect.match(Accounts.checkFile(path.resolve(file)), {
    onFailure: (why) => [cannotLoad(why)],
    onSuccess: () => []
  })
})

const nothing: Change = { names: new Set(), commit: () => {} }

/**
 * What is declared in a file is read again with the settings, to hold with them; if it is not right, that is said at once.
 * Another file takes a restart; until then the one from before is followed.
 */
export const reload = Effect.map(
  Accounts,
  ({ declared }) => (changed: ReadonlySet<Name>): Effect.Effect<Change, Failure, Scope.Scope> =>
    changed.has("accounts-file") ? Effect.succeed(nothing) : Effect.mapError(declared.prepare, cannotLoad)
)
