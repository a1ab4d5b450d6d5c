/**
 * Sends traces, logs and metrics to a collector. However slow that is, and whether it is there at all, the server does
 * not wait for it, and does not keep for it more than a few batches.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import {
  Config,
  ConfigProvider,
  Context,
  Duration,
  Effect,
  Fiber,
  Layer,
  Logger,
  type MutableRef,
  References,
  Schema,
  SchemaIssue,
  Scope,
  Tracer
} from "effect"
import { HttpClient, HttpClientError } from "effect/http"
import { OtlpLogger, OtlpMetrics, OtlpSerialization, OtlpTracer } from "effect/observability"
import packageJson from "../../package.json" with { type: "json" }
import { type Failure, usage } from "../Failure.ts"
import { visible } from "../Visible.ts"
import { isLogged, type Level } from "./Log.ts"
import { sampled } from "./Sampler.ts"
import type { Environment, Signal } from "./Telemetry.ts"

/** Requests that are under way at the same time; with more the collector is too slow, and what is to be sent is lost. */
const maxUnderWay = 8

/** For the collector's answer. */
const answerWithin = Duration.seconds(10)

/** What is left to be sent when the server has ended has so long. */
const lastWords = Duration.seconds(1)

/** What a variable says where it does not stand; the exporters are those that were asked for. */
const defaults = {
  OTEL_EXPORTER_OTLP_ENDPOINT: "http://localhost:4318",
  OTEL_TRACES_EXPORTER: "otlp",
  OTEL_LOGS_EXPORTER: "otlp",
  OTEL_METRICS_EXPORTER: "otlp"
}

/** Of an attribute that is there twice the last one counts, and the variables of its own before that. */
const resource = `service.name=cpt,service.version=${packageJson.version}`

const variables = ({ OTEL_RESOURCE_ATTRIBUTES: given, ...env }: Environment): Environment => ({
  ...defaults,
  ...env,
  OTEL_RESOURCE_ATTRIBUTES: given === undefined ? resource : `${resource},${given}`
})

const bounded = (client: HttpClient.HttpClient): HttpClient.HttpClient => {
  let underWay = 0
  let isFailing = false
  /** Once when it begins, and once when it is over. */
  const note = (why: string | undefined) => {
    if ((why === undefined) !== isFailing) return Effect.void
    isFailing = !isFailing
    return why === undefined
      ? Effect.logInfo("telemetry is sent again")
      : Effect.logWarning(`telemetry cannot be sent, and is lost: ${why}`)
  }
  return HttpClient.transform(client, (effect, request) => {
    const fail = (description: string) =>
      new HttpClientError.HttpClientError({ reason: new HttpClientError.TransportError({ request, description }) })
    return Effect.suspend(() => {
      if (underWay >= maxUnderWay) return Effect.fail(fail("the collector is too slow"))
      underWay++
      return effect.pipe(
        Effect.tap((response) => response.arrayBuffer),
        Effect.timeoutOrElse({ duration: answerWithin, orElse: () => Effect.fail(fail("no answer in time")) }),
        Effect.ensuring(Effect.sync(() => underWay--))
      )
    }).pipe(
      Effect.tap(({ status }) => note(status < 300 ? undefined : `${request.url} answers with ${status}`)),
      Effect.tapError((error) => note(explain(error)))
    )
  })
}

const explain = ({ message, reason }: HttpClientError.HttpClientError): string =>
  visible(reason._tag === "TransportError" && reason.cause instanceof Error ? reason.cause.message : message)

const http = Layer.effect(HttpClient.HttpClient, Effect.map(HttpClient.HttpClient, bounded)).pipe(
  Layer.provide(NodeHttpClient.layerNodeHttp)
)

/** Sends what is logged, as far as that is wanted; it goes to stderr as well. */
const logs = (level: MutableRef.MutableRef<Level>) =>
  Layer.unwrap(Effect.gen(function*() {
    // Apart from what this gives: that would be without the loggers that are there, and have one more, which sends all
    const sending = yield* Layer.build(OtlpLogger.layerFromConfig({ mergeWithExisting: false }))
    const loggers = Context.get(sending, Logger.CurrentLoggers)
    const wanted = isLogged(level)
    const logger = Logger.make<unknown, void>((entry) => {
      if (wanted(entry.logLevel)) { for (const logger of loggers) logger.log(entry) }
    })
    return Logger.layer([logger], { mergeWithExisting: true })
  }))

/** Spans are off in every command (`bin.ts`), but here. */
const spans = (env: Environment) =>
  Layer.effect(Tracer.Tracer, Effect.flatMap(Tracer.Tracer, (tracer) => sampled(tracer, env))).pipe(
    Layer.provide(OtlpTracer.layerFromConfig()),
    Layer.merge(Layer.succeed(References.TracerEnabled, true))
  )

const senders = (env: Environment, level: MutableRef.MutableRef<Level>) => ({
  TRACES: spans(env),
  LOGS: logs(level),
  METRICS: OtlpMetrics.layerFromConfig()
})

const serializations = {
  "http/protobuf": OtlpSerialization.layerProtobuf,
  "http/json": OtlpSerialization.layerJson
}

export const layer = (
  env: Environment,
  signals: ReadonlyArray<Signal>,
  level: MutableRef.MutableRef<Level>
): Layer.Layer<never, Failure> =>
  signals.map(({ kind, protocol }) => Layer.provide(senders(env, level)[kind], serializations[protocol])).reduce(
    (all, one) => Layer.merge(all, one),
    Layer.empty
  ).pipe(
    Layer.provide(http),
    Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env: variables(env) }))),
    endingSoon
  )

/** A collector that does not answer must not keep the process. */
const endingSoon = <A, R>(layer: Layer.Layer<A, Failure, R>): Layer.Layer<A, Failure, R> =>
  Layer.effectContext(Effect.gen(function*() {
    const scope = yield* Scope.make()
    yield* Effect.addFinalizer((exit) =>
      Effect.flatMap(
        Effect.forkDetach(Scope.close(scope, exit)),
        (closing) => Effect.timeoutOption(Fiber.await(closing), lastWords)
      )
    )
    // What the other variables say is read there, and what is wrong with one is a defect to it
    return yield* Effect.catchDefect(
      Layer.buildWithScope(layer, scope),
      (defect) => usage(visible(whatIsWrong(defect)))
    )
  }))

/** Without the value, which may be a secret. */
const whatIsWrong = (defect: unknown): string => {
  const isOfSchema = defect instanceof Config.ConfigError && Schema.isSchemaError(defect.cause)
  const issue = isOfSchema ? issues(defect.cause.issue).issues.at(-1) : undefined
  return issue === undefined ? `OTEL_…: ${String(defect)}` : `${String(issue.path?.[0])}: ${issue.message}`
}

const issues = SchemaIssue.makeFormatterStandardSchemaV1()
