/** Where a server keeps messages, in a directory or nowhere, and with them who has an account, unless that is in a file. */
import { Accounts, layerMemory, layerSqlite } from "@cpt/server"
import { Console, Duration, Effect, Layer, Option, Path } from "effect"
import * as Data from "../Data.ts"
import { usage } from "../Failure.ts"
import { visible } from "../Visible.ts"
import type * as Reload from "./Reload.ts"
import type { Values } from "./Table.ts"

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

/** What is declared in a file is read again with the settings; if it is not right, that is said at once. */
export const reload = Effect.map(
  Accounts,
  ({ declared }): Reload.Part => () =>
    Effect.as(Effect.mapError(declared.reload, ({ message }) => usage(visible(message))), Effect.void)
)
