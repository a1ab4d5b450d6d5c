/**
 * What there is one of for each of another service, as the timelines of a store. A Layer that is a constant is built once
 * in a graph of Layers, whatever it stands on: there a second server would get what belongs to the store of the first.
 */
import { type Context, Effect, Layer } from "effect"

/** @param make makes the Layer for a service that has none yet */
export const layerFor = <I, S extends object, A, E, R>(
  service: Context.Key<I, S>,
  make: () => Layer.Layer<A, E, R>
): Layer.Layer<A, E, R | I> => {
  const layers = new WeakMap<S, Layer.Layer<A, E, R>>()
  return Layer.fromBuild((memoMap, scope) =>
    Effect.flatMap(Effect.service(service), (of) => {
      const layer = layers.get(of) ?? make()
      layers.set(of, layer)
      return Layer.buildWithMemoMap(layer, memoMap, scope)
    })
  )
}
