/** Many at a time, told of in their order. */
import { Effect, Fiber, Semaphore, Stream } from "effect"

/**
 * Runs what is asked for, and gives what comes of each in its turn. Who takes long holds up nobody but the telling; who
 * is idle begins with the first, and takes nobody's place.
 */
export const inOrder = <A, B>(
  all: ReadonlyArray<A>,
  run: (one: A) => Effect.Effect<B>,
  concurrency: number,
  isIdle: (one: A) => boolean = () => false
): Stream.Stream<B> =>
  Stream.unwrap(Effect.gen(function*() {
    const places = yield* Semaphore.make(concurrency)
    const running = yield* Effect.forEach(
      all,
      (one) => Effect.forkScoped(isIdle(one) ? run(one) : places.withPermits(1)(run(one)))
    )
    return Stream.mapEffect(Stream.fromIterable(running), Fiber.join)
  }))
