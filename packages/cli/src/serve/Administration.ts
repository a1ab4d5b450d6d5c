/** Where a server is looked after, and watched: the settings `--admin`, `--admin-token-file` and `--http`. */
import { Admin, Probes } from "@cpt/server"
import { Effect, Layer } from "effect"
import * as Data from "../Data.ts"
import { usage } from "../Failure.ts"
import * as Token from "../Token.ts"
import type { Settings } from "./Given.ts"
import type { Name, Values } from "./Table.ts"

const readToken = (file: string | undefined) =>
  file === undefined
    ? Effect.fail(usage("--admin http://… is open to the network: give it a token with --admin-token-file"))
    : Token.read(file, "--admin-token-file")

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
