/** Milliseconds on a clock that nobody sets. */
import type { Clock } from "effect"

export const uptime = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)
