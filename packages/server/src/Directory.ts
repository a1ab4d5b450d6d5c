/**
 * Who is online: one session a name (CPT 3.2). What a name is, beyond that, is settled in the store (CPT 2.2).
 */
import { Decline, type Name } from "@cpt/schema"
import { Context, Effect, Layer } from "effect"

export class Directory extends Context.Service<Directory, {
  /** Takes the name for a session. */
  readonly enter: (name: Name.Username) => Effect.Effect<void, Decline.UsernameTaken>
  /** The name is free again. */
  readonly exit: (name: Name.Username) => Effect.Effect<void>
}>()("@cpt/server/Directory") {
  static readonly layer: Layer.Layer<Directory> = Layer.sync(this, () => {
    const online = new Set<string>()
    return Directory.of({
      enter: (name) =>
        Effect.suspend(() => {
          if (online.has(name)) return Effect.fail(new Decline.UsernameTaken({}))
          online.add(name)
          return Effect.void
        }),
      exit: (name) => Effect.sync(() => online.delete(name))
    })
  })
}
