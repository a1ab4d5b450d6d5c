/** TestClock, but for the time of day, which can be set while no time passes, as an administrator or NTP does. */
import { type Clock, Effect } from "effect"
import { TestClock } from "effect/testing"

/** The clock to be provided, and how its time of day jumps by so many milliseconds. `TestClock` still moves it on. */
export const jumpingClock: Effect.Effect<{
  readonly clock: Clock.Clock
  readonly jump: (millis: number) => Effect.Effect<void>
}> = TestClock.testClockWith((testClock) =>
  Effect.sync(() => {
    let ahead = 0
    const millis = () => testClock.currentTimeMillisUnsafe() + ahead
    const nanos = () => testClock.currentTimeNanosUnsafe() + BigInt(ahead) * 1_000_000n
    const clock = {
      ...testClock,
      currentTimeMillisUnsafe: millis,
      currentTimeMillis: Effect.sync(millis),
      currentTimeNanosUnsafe: nanos,
      currentTimeNanos: Effect.sync(nanos)
    }
    const jump = (by: number) =>
      Effect.sync(() => {
        ahead += by
      })
    return { clock, jump }
  })
)
