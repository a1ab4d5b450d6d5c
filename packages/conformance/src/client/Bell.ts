/** Rings whenever something has happened that somebody may wait for. */
import { Effect } from "effect"
import * as Timer from "../Timer.ts"

export class Bell {
  readonly #wakers = new Set<() => void>()

  readonly ring = (): void => {
    for (const wake of this.#wakers) wake()
  }

  /** Waits until `isTrue`, which is asked again at each ring; false if it took too long. */
  until(isTrue: () => boolean, millis: number): Effect.Effect<boolean> {
    return Effect.suspend(() =>
      isTrue() ? Effect.succeed(true) : Effect.callback<boolean>((resume) => {
        const done = (result: boolean) => {
          clearTimeout(timer)
          this.#wakers.delete(look)
          resume(Effect.succeed(result))
        }
        const look = () => {
          if (isTrue()) done(true)
        }
        const timer = Timer.after(millis, () => done(isTrue()))
        this.#wakers.add(look)
        return Effect.sync(() => {
          clearTimeout(timer)
          this.#wakers.delete(look)
        })
      })
    )
  }
}
