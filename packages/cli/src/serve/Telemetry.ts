/**
 * Traces, logs and metrics for a collector (OTLP over HTTP), by the standard variables of OpenTelemetry. What sends them is
 * loaded where these ask for it.
 */
import { Effect, Layer, type MutableRef } from "effect"
import { usage } from "../Failure.ts"
import { visible } from "../Visible.ts"
import type { Level } from "./Log.ts"

/** What can be sent, as in the names of the variables. */
const kinds = ["TRACES", "LOGS", "METRICS"] as const

export interface Signal {
  readonly kind: typeof kinds[number]
  readonly protocol: "http/protobuf" | "http/json"
}

export type Environment = Readonly<Record<string, string>>

/** An empty variable counts as none. */
const environment = (): Environment =>
  Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) =>
      name.startsWith("OTEL_") && value !== undefined && value !== "" ? [[name, value]] : []
    )
  )

export const refuse = (name: string, value: string, why: string) => usage(`${name} "${visible(value)}": ${why}`)

/** The variable of one kind, else the one for all. */
const lookUp = (env: Environment, kind: Signal["kind"], what: string) => {
  const name = [`OTEL_EXPORTER_OTLP_${kind}_${what}`, `OTEL_EXPORTER_OTLP_${what}`].find((name) => name in env)
  return name === undefined ? undefined : { name, value: env[name] ?? "" }
}

/** Whether something is to be sent, and how; undefined if it is not. */
const signalOf = Effect.fnUntraced(function*(env: Environment, kind: Signal["kind"]) {
  const exporter = env[`OTEL_${kind}_EXPORTER`]
  if (exporter !== undefined && exporter !== "otlp" && exporter !== "none") {
    return yield* refuse(`OTEL_${kind}_EXPORTER`, exporter, "expected otlp or none")
  }
  const endpoint = lookUp(env, kind, "ENDPOINT")
  if (exporter === "none" || (exporter ?? endpoint) === undefined) return undefined
  if (endpoint !== undefined && !(/^https?:/.test(endpoint.value) && URL.canParse(endpoint.value))) {
    return yield* refuse(endpoint.name, endpoint.value, "expected a URL, such as http://127.0.0.1:4318")
  }
  const protocol = lookUp(env, kind, "PROTOCOL") ?? { name: "", value: "http/protobuf" }
  if (protocol.value !== "http/protobuf" && protocol.value !== "http/json") {
    return yield* refuse(protocol.name, protocol.value, "expected http/protobuf or http/json")
  }
  const signal: Signal = { kind, protocol: protocol.value }
  return signal
})

/** Milliseconds, and how many go at once: an interval of 0 would be a request behind the other. */
const isNumber = /^OTEL_.*_(?:INTERVAL|DELAY|TIMEOUT|BATCH_SIZE)$/

/** Of which timers know no more. */
const most = 2 ** 31 - 1

const checkNumbers = (env: Environment) =>
  Effect.forEach(
    Object.entries(env).filter(([name]) => isNumber.test(name)),
    ([name, value]) =>
      /^\d+$/.test(value) && Number(value) >= 1 && Number(value) <= most
        ? Effect.void
        : refuse(name, value, `expected a whole number from 1 to ${most}`),
    { discard: true }
  )

const nothing = { layer: Layer.empty, hasMetrics: false }

/** Sends what was asked for; of the log, what `level` lets through. */
export const make = Effect.fnUntraced(function*(level: MutableRef.MutableRef<Level>) {
  const { OTEL_SDK_DISABLED: isDisabled = "", ...env } = environment()
  // A boolean of OpenTelemetry: in any case, and all that is not true is false
  if (isDisabled.toLowerCase() === "true") return nothing
  const all = yield* Effect.forEach(kinds, (kind) => signalOf(env, kind))
  const signals = all.filter((signal) => signal !== undefined)
  if (signals.length === 0) return nothing
  yield* checkNumbers(env)
  const { layer } = yield* Effect.promise(() => import("./Otlp.ts"))
  return { layer: layer(env, signals, level), hasMetrics: signals.some(({ kind }) => kind === "METRICS") }
})
