/**
 * What need not wait is done at the call, and is there as an `Exit`: no fiber has to be woken for it, and no Effect to be
 * made and taken apart. Whoever calls such a function runs what it gives, once and at once.
 */
import { Effect, Exit, Option } from "effect"

/** Nothing is left to do, whatever came of it. */
export const isDone = <A, E>(effect: Effect.Effect<A, E>): effect is Exit.Exit<A, E> => Exit.isExit(effect)

/** The value, if it is there already. */
export const isThere = <A, E>(effect: Effect.Effect<A, E>): effect is Exit.Success<A, E> =>
  isDone(effect) && Exit.isSuccess(effect)

/** What it has failed with, if that is known already. */
export const failure = <A, E>(effect: Effect.Effect<A, E>): E | undefined =>
  isDone(effect) && Exit.isFailure(effect) ? Option.getOrUndefined(Exit.findErrorOption(effect)) : undefined

/** As `Effect.flatMap`; at once, if the first is done. */
export const flatMap = <A, E, B, E2>(
  first: Effect.Effect<A, E>,
  next: (value: A) => Effect.Effect<B, E2>
): Effect.Effect<B, E | E2> => {
  if (!isDone(first)) return Effect.flatMap(first, next)
  return Exit.isSuccess(first) ? next(first.value) : Exit.failCause(first.cause)
}

/** As `Effect.map`; at once, if the first is done. */
export const map = <A, E, B>(first: Effect.Effect<A, E>, f: (value: A) => B): Effect.Effect<B, E> => {
  if (!isDone(first)) return Effect.map(first, f)
  return Exit.isSuccess(first) ? Exit.succeed(f(first.value)) : Exit.failCause(first.cause)
}

/** As `Effect.onError`; at once, if the first is done and has not failed. */
export const onError = <A, E>(
  first: Effect.Effect<A, E>,
  cleanUp: () => Effect.Effect<void>
): Effect.Effect<A, E> => isThere(first) ? first : Effect.onError(first, cleanUp)
