import { type Clock, Effect } from "effect"

/** The same clock as everybody's, but for what time it is, and how many milliseconds more have passed. */
export const clockAt = (live: Clock.Clock, now: () => number, passed: () => number = () => 0): Clock.Clock => ({
  currentTimeMillisUnsafe: now,
  currentTimeMillis: Effect.sync(now),
  currentTimeNanosUnsafe: () => BigInt(now()) * 1_000_000n,
  currentTimeNanos: Effect.sync(() => BigInt(now()) * 1_000_000n),
  monotonicTimeNanosUnsafe: () => live.monotonicTimeNanosUnsafe() + BigInt(passed()) * 1_000_000n,
  monotonicTimeNanos: Effect.map(live.monotonicTimeNanos, (nanos) => nanos + BigInt(passed()) * 1_000_000n),
  sleep: (duration) => live.sleep(duration)
})
