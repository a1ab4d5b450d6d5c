/** Where a server is looked after, and watched: the settings `--admin`, `--admin-token-file` and `--http`. */
import { Admin, Probes } from "@cpt/server"
import { warnIfShortToken } from "@cpt/server/admin"
import { Effect, Equal, type FileSystem, Layer, MutableRef, Result } from "effect"
import { NetAddress } from "effect/net"
import * as Data from "../Data.ts"
import { usage } from "../Failure.ts"
import * as Token from "../Token.ts"
import type { Settings } from "./Given.ts"
import type { Part } from "./Reload.ts"
import type { Name } from "./Table.ts"

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

/** Whether other machines can ask there. Which address a name has was looked up at the start, and is not again. */
const isOpen = (host: string): boolean =>
  Result.match(NetAddress.ipFromString(host), {
    onSuccess: (ip) => !NetAddress.isLoopback(ip),
    onFailure: () => host !== "localhost"
  })

const administration = Effect.fnUntraced(function*(settings: Settings, directory: string | undefined) {
  const { admin, "admin-token-file": tokenFile } = settings.values
  const place = admin ?? (yield* defaultPlace(directory))
  if (place === "off") return { layer: Layer.empty, reload: nothing }
  if ("path" in place) return { layer: Admin.layerUnix(place.path), reload: nothing }
  const token = MutableRef.make(yield* readToken(tokenFile))
  const context = yield* Effect.context<FileSystem.FileSystem>()
  // Another place, or another file, takes a restart; until then the token from before holds
  const reload: Part = (_, changed) =>
    checked.some((name) => changed.has(name)) ? nothing() : readToken(tokenFile).pipe(
      Effect.map((next) =>
        Effect.suspend(() => {
          const before = MutableRef.getAndSet(token, next)
          if (Equal.equals(before, next)) return Effect.undefined
          return Effect.as(isOpen(place.host) ? warnIfShortToken(next) : Effect.void, "admin token")
        })
      ),
      Effect.provideContext(context)
    )
  return { layer: Admin.layerTcp({ ...place, token: () => MutableRef.get(token) }), reload }
})

const nothing = () => Effect.succeed(Effect.void)

/** With what reads the token again. */
export const make = Effect.fnUntraced(function*(settings: Settings, directory: string | undefined) {
  const { http } = settings.values
  const { layer, reload } = yield* administration(settings, directory)
  return { layer: Layer.merge(layer, http === undefined ? Layer.empty : Probes.layerTcp(http)), reload }
})
