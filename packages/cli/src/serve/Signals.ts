/** Signals that do not end a server. */
import { Effect } from "effect"
import { isatty } from "node:tty"

const stdin = 0

/**
 * Waits for SIGHUP: somebody wants the settings read again. A terminal that closes sends the same, and whoever was
 * started on it then ends.
 */
export const hangUp: Effect.Effect<void> = Effect.callback((resume) => {
  const isOnTerminal = isatty(stdin)
  const heard = () => isOnTerminal && !isatty(stdin) ? process.kill(process.pid, "SIGTERM") : resume(Effect.void)
  process.once("SIGHUP", heard)
  return Effect.sync(() => process.off("SIGHUP", heard))
})
