import { Effect } from "effect"

/** For an event that never comes: nothing here is about how long something takes. */
const patience = 10_000

/** Waits for an event; instead of hanging, fails with `error`. Real time, also under TestClock. */
export const patiently = <A>(event: Effect.Effect<A>, error: () => never): Effect.Effect<A> =>
  Effect.raceFirst(
    event,
    Effect.callback<never>((resume) => {
      const timer = setTimeout(() => resume(Effect.sync(error)), patience)
      return Effect.sync(() => clearTimeout(timer))
    })
  )
