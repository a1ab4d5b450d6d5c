/** Signals that do not end a server. */
import { Cause, Effect, Latch } from "effect"
import { isatty } from "node:tty"

const stdin = 0

/**
 * Does something at SIGHUP, as long as the scope lasts: somebody wants the settings read again. Those that come while it is
 * done are one, afterwards. A terminal that closes sends the same, and whoever was started on it then ends.
 */
export const onHangUp = Effect.fnUntraced(function*<R>(act: Effect.Effect<void, never, R>) {
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
  const next = Effect.andThen(heard.await, Effect.sync(() => heard.closeUnsafe()))
  // Whatever becomes of one, the next one is heard
  const acted = Effect.catchDefect(act, (defect) => Effect.logError("SIGHUP was in vain", Cause.die(defect)))
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(next, acted)))
})
