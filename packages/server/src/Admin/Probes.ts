/** What a machine asks a server: the numbers that it has counted. */
import { Context, Effect, Metric } from "effect"
import { PrometheusMetrics } from "effect/observability"
import { Metrics } from "../Metrics.ts"
import * as Instruments from "./Instruments.ts"

/** What the probes answer. */
export const answers = Effect.gen(function*() {
  const registry = Context.make(Metric.MetricRegistry, Instruments.make(yield* Metrics))
  return {
    metrics: () => Effect.sync(() => PrometheusMetrics.formatUnsafe(registry))
  }
})
