/**
 * What the program around a server knows and can do, for an administrator to ask for: which version it is, how the places
 * are called where it listens, to read its settings again, and how much it logs. For whoever composes a server; `layerNone`
 * for who has nothing of it.
 */
import { Context, Effect, Layer } from "effect"
import { type LogLevel, NotDone } from "./Admin/Api.ts"
import type { Server } from "./Server.ts"

type Level = typeof LogLevel.Type

export class Program extends Context.Service<Program, {
  readonly version: string
  /** How the places are called where the server listens at these addresses. */
  readonly places: (addresses: Server["Service"]["addresses"]) => ReadonlyArray<string>
  /** Whether clients are asked for certificates in one of them; undefined if that is not known. */
  readonly asksForCertificates: boolean | undefined
  /** All that can change does, or nothing. Settings go by their names; what was read again with them, in words. */
  readonly reload: Effect.Effect<
    { readonly applied: ReadonlyArray<string>; readonly needsRestart: ReadonlyArray<string> },
    NotDone
  >
  readonly logLevel: () => Level
  readonly setLogLevel: (level: Level) => Effect.Effect<void, NotDone>
}>()("@cpt/server/Program") {
  static readonly layerNone: Layer.Layer<Program> = Layer.succeed(this, {
    version: "unknown",
    places: (addresses) => addresses.map(String),
    asksForCertificates: undefined,
    reload: Effect.fail(new NotDone({ message: "this server has no settings to read again" })),
    logLevel: () => "info",
    setLogLevel: () => Effect.fail(new NotDone({ message: "this server cannot log more or less" }))
  })
}
