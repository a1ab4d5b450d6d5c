/** Where a server is looked after, and watched: the settings `--admin`, `--admin-token-file` and `--http`. */
import { Admin, Probes } from "@cpt/server"
import { Effect, FileSystem, Layer, Redacted } from "effect"
import * as Data from "../Data.ts"
import { explainFile, usage } from "../Failure.ts"
import { visible } from "../Visible.ts"
import type { Settings } from "./Given.ts"
import type { Name, Values } from "./Table.ts"

/** The token, which is all of its file. */
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

/** Where that is if nothing is said of it: beside the messages, if those are on disk. */
export const defaultPlace = Effect.fnUntraced(function*(directory: string | undefined) {
  return directory === undefined ? "off" : { path: yield* Data.adminSocketIn(directory) }
})

/** What `faultsOf` looks at. */
export const checked: ReadonlyArray<Name> = ["admin", "admin-token-file"]

/** Whether who looks after it has no token to show, where one is needed. */
export const faultsOf = ({ values: { admin, "admin-token-file": tokenFile } }: Settings) =>
  admin === undefined || admin === "off" || "path" in admin
    ? Effect.succeed([])
    : Effect.match(readToken(tokenFile), { onFailure: (fault) => [fault], onSuccess: () => [] })

const administration = Effect.fnUntraced(function*(
  { admin, "admin-token-file": tokenFile }: Values,
  directory: string | undefined
) {
  const place = admin ?? (yield* defaultPlace(directory))
  if (place === "off") return Layer.empty
  if ("path" in place) return Admin.layerUnix(place.path)
  return Admin.layerTcp({ ...place, token: yield* readToken(tokenFile) })
})

export const layer = Effect.fnUntraced(function*(values: Values, directory: string | undefined) {
  const probes = values.http === undefined ? Layer.empty : Probes.layerTcp(values.http)
  return Layer.merge(yield* administration(values, directory), probes)
})
