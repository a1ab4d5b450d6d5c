/** Pauses in what takes long and is no session's, such as reading thousands of accounts: everybody else is served in them. */
import { Effect } from "effect"

/** Milliseconds that may be worked in one go. */
const atOnce = 4

/** To be run between any two small pieces of work: goes on at once, or, when it is time, in a later turn of the event loop. */
export const make = (): Effect.Effect<void> => {
  let began = performance.now()
  const pause = Effect.map(Effect.yieldNow, () => {
    began = performance.now()
  })
  return Effect.suspend(() => performance.now() - began < atOnce ? Effect.void : pause)
}
