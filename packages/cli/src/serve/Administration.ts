/** Where a server is looked after: the settings `--admin` and `--admin-token-file`. */
import { Admin } from "@cpt/server"
import { Effect, FileSystem, Layer, Redacted } from "effect"
import * as Address from "../Address.ts"
import * as Data from "../Data.ts"
import { explainFile, usage } from "../Failure.ts"
import { visible } from "../Visible.ts"
import type { Values } from "./Table.ts"

/** The token, which is the first line of its file. */
const readToken = Effect.fnUntraced(function*(file: string | undefined) {
  if (file === undefined) {
    return yield* usage("--admin http://… is open to the network: give it a token with --admin-token-file")
  }
  const fs = yield* FileSystem.FileSystem
  const text = yield* Effect.mapError(
    fs.readFileString(file),
    (error) => usage(`--admin-token-file "${visible(file)}": ${explainFile(error)}`)
  )
  if (text.trim() === "") return yield* usage(`--admin-token-file "${visible(file)}": the file is empty`)
  return Redacted.make(text.trim())
})

/** The administration: by default beside the messages, if those are on disk. */
export const layer = Effect.fnUntraced(function*(
  { admin: uri, "admin-token-file": tokenFile }: Values,
  directory: string | undefined
) {
  if (uri === "off") return Layer.empty
  if (uri === undefined) {
    return directory === undefined ? Layer.empty : Admin.layerUnix(yield* Data.adminSocketIn(directory))
  }
  if (uri.startsWith("unix://")) return Admin.layerUnix(uri.slice("unix://".length))
  const address = Address.parse(uri.slice("http://".length).replace(/\/$/, ""))
  if (address === undefined) return yield* usage(`--admin "${visible(uri)}": expected http://HOST:PORT`)
  return Admin.layerTcp({ ...address, token: yield* readToken(tokenFile) })
})
