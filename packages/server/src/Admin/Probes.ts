/** What machines ask a server: whether it is fit, and what it has counted. */
import { Duration, Effect, Layer, Metric } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { PrometheusMetrics } from "effect/observability"
import { MessageStore } from "../MessageStore.ts"
import { Server } from "../Server.ts"
import { AdminApi, type Health, ProbesApi } from "./Api.ts"
import { Instruments } from "./Instruments.ts"

/** Whether somebody who comes now can be served. */
export const health = Effect.gen(function*() {
  const [{ isDraining }, { failure }] = [yield* Server, yield* MessageStore]
  return (): Health => isDraining() ? "draining" : failure() === undefined ? "ready" : "storage_failing"
})

/** How long what was counted is told to all who ask, as it was then. */
const shared = Duration.millis(100)

const answers = Effect.gen(function*() {
  const [now, all, ours] = [yield* health, yield* Metric.MetricRegistry, yield* Instruments]
  // With what the program counts beside, and not what another server does under the same names
  const text = Effect.suspend(() =>
    Effect.provideService(PrometheusMetrics.format(), Metric.MetricRegistry, new Map([...all, ...ours]))
  )
  const metrics = yield* Effect.cachedWithTTL(text, shared)
  return {
    healthz: () =>
      Effect.sync(() => {
        const status = now()
        return status === "ready" ? { status } : { status }
      }),
    metrics: () => metrics
  }
})

/** Among all that an administrator may ask. */
export const ofAdmin = HttpApiBuilder.group(
  AdminApi,
  "probes",
  (handlers) => Effect.map(answers, (answers) => handlers.handleAll(answers))
)

/** By themselves. */
export const layer = HttpApiBuilder.layer(ProbesApi).pipe(
  Layer.provide(
    HttpApiBuilder.group(
      ProbesApi,
      "probes",
      (handlers) => Effect.map(answers, (answers) => handlers.handleAll(answers))
    )
  )
)
