/** What `cpt serve` is and can do, beside the server that it runs: for its administrator, and for SIGHUP. */
import { Program } from "@cpt/server"
import { NotDone } from "@cpt/server/admin"
import { Effect, Layer, MutableRef } from "effect"
import packageJson from "../../package.json" with { type: "json" }
import type { Failure } from "../Failure.ts"
import type { Listening } from "./Listen.ts"
import { change, type Level } from "./Log.ts"
import * as Reload from "./Reload.ts"
import * as Signals from "./Signals.ts"

/**
 * @param make makes what reads the settings again
 * @param hangUp waits for the next SIGHUP
 */
export const layer = <R, E, R2>(
  listening: Listening,
  make: Effect.Effect<Effect.Effect<Reload.Report, Failure, R>, E, R2>,
  level: MutableRef.MutableRef<Level>,
  hangUp: Effect.Effect<void>
): Layer.Layer<Program, E, R | R2> =>
  Layer.effect(
    Program,
    Effect.gen(function*() {
      const reload = Effect.provideContext(Reload.logged(yield* make), yield* Effect.context<R>())
      yield* Signals.onHangUp(hangUp, Effect.ignore(reload))
      return Program.of({
        version: packageJson.version,
        places: (addresses) => listening.print(addresses).all,
        asksForCertificates: listening.asksForCertificates,
        reload: Effect.mapError(reload, ({ message }) => new NotDone({ message })),
        logLevel: () => MutableRef.get(level),
        setLogLevel: (to) => Effect.asVoid(change(level, to))
      })
    })
  )
