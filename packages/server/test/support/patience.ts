import { Effect } from "effect"

/** Seconds to wait for an event that never comes; a machine that stands still for a while does not count. */
const patience = 10

/** Waits for an event; instead of hanging, fails with `error`. Real time, also under TestClock. */
export const patiently = <A>(event: Effect.Effect<A>, error: () => never): Effect.Effect<A> =>
  Effect.raceFirst(
    event,
    Effect.callback<never>((resume) => {
      let seconds = 0
      const timer = setInterval(() => {
        if (++seconds === patience) resume(Effect.sync(error))
      }, 1000)
      return Effect.sync(() => clearInterval(timer))
    })
  )
