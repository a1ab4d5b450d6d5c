/** Signals that do not end a server. */
import { Cause, Effect, Latch } from "effect"
import { isatty } from "node:tty"

const stdin = 0

/**
 * Hears SIGHUP from now on, as long as the scope lasts: somebody wants the settings read again. Gives what waits for the
 * next one; those that have come since the last time are one. A terminal that closes sends the same, and whoever was
 * started on it then ends.
 */
export const hangUps = Effect.fnUntraced(function*() {
  const heard = Latch.makeUnsafe(false)
  const isOnTerminal = isatty(stdin)
  const hear = () => {
    if (isOnTerminal && !isatty(stdin)) process.kill(process.pid, "SIGTERM")
    else heard.openUnsafe()
  }
  // Without a listener, be it for a moment, the signal ends the process
  yield* Effect.acquireRelease(
    Effect.sync(() => process.on("SIGHUP", hear)),
    () => Effect.sync(() => process.off("SIGHUP", hear))
  )
  return Effect.andThen(heard.await, Effect.sync(() => heard.closeUnsafe()))
})

/** Does something at each SIGHUP, as long as the scope lasts. */
export const onHangUp = <R>(next: Effect.Effect<void>, act: Effect.Effect<void, never, R>) => {
  // Whatever becomes of one, the next one is heard
  const acted = Effect.catchDefect(act, (defect) => Effect.logError("SIGHUP was in vain", Cause.die(defect)))
  return Effect.forkScoped(Effect.forever(Effect.andThen(next, acted)))
}
