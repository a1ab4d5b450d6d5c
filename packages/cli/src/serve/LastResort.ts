/** How a server ends that something keeps from ending, as a disk that does not answer. */
import { Hangs } from "@cpt/server"
import { Cause, Duration, Effect, Exit } from "effect"
import * as Ending from "../Ending.ts"
import { exitStatus } from "../Failure.ts"

/** All that has a deadline is over by then; and systemd, as our unit tells it, has not ended the process yet. */
const stopWithin = Duration.seconds(13)

/** When what was logged has been written. */
const endNow = Effect.callback<never>(() => {
  setImmediate(() => Ending.now(exitStatus.failed))
})

/**
 * From a signal on, a server has so much time to end, be it still starting, as long as the scope lasts. Gives what says that
 * it stops for another reason.
 */
export const make = Effect.fnUntraced(function*() {
  const fork = Effect.runForkWith(yield* Effect.context())
  let timer: NodeJS.Timeout | undefined
  const end = Effect.andThen(Effect.logError("the server does not stop: its process is ended"), endNow)
  const begin = () => {
    // Of Node, and no fiber: what hangs may be the end of a scope, in which fibers are interrupted first. It keeps nobody
    timer ??= setTimeout(() => fork(end), Duration.toMillis(stopWithin)).unref()
  }
  const signals = ["SIGINT", "SIGTERM"] as const
  yield* Effect.acquireRelease(
    Effect.sync(() => signals.forEach((signal) => process.on(signal, begin))),
    () =>
      Effect.sync(() => {
        signals.forEach((signal) => process.off(signal, begin))
        clearTimeout(timer)
      })
  )
  return Effect.sync(begin)
})

/** Ends the process where a thread hangs that was to end, which has been said in the log. */
export const endIfHanging = <A, E, R>(server: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.onExit(server, (exit) => {
    const reasons = Exit.isFailure(exit) ? exit.cause.reasons : []
    const hangs = reasons.some((reason) => Cause.isDieReason(reason) && reason.defect instanceof Hangs)
    return hangs ? endNow : Effect.void
  })
