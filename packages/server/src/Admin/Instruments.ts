/**
 * What a server counts, as metrics with names: made over its record, and read when somebody looks, so that whoever knows
 * Effect's metrics (Prometheus, OTLP) can show them.
 */
import { Context, Effect, Layer, Metric } from "effect"
import { layerFor } from "../LayerFor.ts"
import { MessageStore } from "../MessageStore.ts"
import { type Histogram, Metrics, type Tally } from "../Metrics.ts"
import { Program } from "../Program.ts"
import { Server } from "../Server.ts"
import { Vitals } from "./Vitals.ts"

/** Nothing is written to these: they show what has been counted elsewhere. */
const unused = () => {}

type Registry = Context.Service.Shape<typeof Metric.MetricRegistry>

/** Every metric of a server, and none of another's. */
export class Instruments extends Context.Service<Instruments, Registry>()("@cpt/server/Admin/Instruments") {
  static readonly layer: Layer.Layer<Instruments, never, Server | MessageStore | Program> = layerFor(
    Server,
    () => Layer.effect(this, make).pipe(Layer.provide(Vitals.layer))
  )
}

const make = Effect.gen(function*() {
  const [metrics, vitals, { version }] = [yield* Metrics, yield* Vitals, yield* Program]
  const [{ isDraining }, store] = [yield* Server, yield* MessageStore]
  const ours: Registry = new Map()

  const put = (
    type: Metric.Metric.Type,
    id: string,
    description: string,
    get: () => unknown,
    attributes: Metric.Metric.AttributeSet = {}
  ): void => {
    const hooks = { get, update: unused, modify: unused }
    ours.set(`${id} ${JSON.stringify(attributes)}`, { id, type, description, attributes, hooks })
  }
  const counter = (id: string, description: string, read: () => number) =>
    put("Counter", id, description, () => ({ count: read(), incremental: true }))
  const tally = <Kind extends string>(id: string, label: string, description: string, tally: Tally<Kind>) => {
    for (const kind of tally.kinds) {
      const get = () => ({ count: tally.of(kind), incremental: true })
      put("Counter", id, description, get, { [label]: kind })
    }
  }
  const gauge = (id: string, description: string, read: () => number) =>
    put("Gauge", id, description, () => ({ value: read() }))
  const histogram = (id: string, description: string, histogram: Histogram) =>
    put("Histogram", id, description, () => stateOf(histogram))

  const flag = (id: string, description: string, read: () => boolean) => gauge(id, description, () => read() ? 1 : 0)

  put("Gauge", "cpt_info", "Which cpt this is.", () => ({ value: 1 }), { version })
  flag("cpt_draining", "1 while nobody new is served.", isDraining)
  flag("cpt_storage_failing", "1 while messages cannot be stored or read.", () => store.failure() !== undefined)
  gauge("cpt_sessions", "Connections that are there.", () => metrics.sessions())
  gauge("cpt_users", "Sessions that are logged in.", () => metrics.users())
  counter("cpt_connections_total", "Connections that came.", () => metrics.connections)
  counter("cpt_cut_connections_total", "Connections cut before their first line.", () => metrics.cutConnections)
  tally("cpt_logins_total", "result", "Logins that were accepted, or declined for a reason.", metrics.logins)
  tally("cpt_declines_total", "reason", "Commands and connections that were declined.", metrics.declines)
  tally("cpt_limit_hits_total", "limit", "How often a limit was reached.", metrics.limitHits)
  counter("cpt_messages_total", "Messages that were acknowledged.", () => metrics.messages)
  counter("cpt_deliveries_total", "Messages that were handed to somebody.", () => metrics.deliveries)
  counter("cpt_syncs_total", "SYNCs that were asked for.", () => metrics.syncs)
  counter("cpt_received_bytes_total", "Bytes that came from clients.", () => metrics.receivedBytes)
  counter("cpt_sent_bytes_total", "Bytes that were written to clients.", () => metrics.sentBytes)
  histogram("cpt_ack_seconds", "From when a message may be stored to its ACK.", metrics.ackSeconds)
  histogram("cpt_commit_seconds", "How long a commit takes.", metrics.commitSeconds)
  histogram("cpt_commit_messages", "Messages of a commit.", metrics.commitMessages)
  counter("cpt_failed_commits_total", "Commits that have failed.", () => metrics.failedCommits)
  gauge("cpt_followed_targets", "Groups and inboxes that somebody follows.", () => metrics.followedTargets())
  gauge("cpt_late_sessions", "Sessions that have not been told of everything yet.", () => metrics.lateSessions())
  gauge("cpt_follower_lag_seconds", "By how much the last of them lags behind.", () => metrics.followerLag())
  gauge("cpt_untaken_bytes", "Bytes that clients were written and have not taken.", () => metrics.untakenBytes())
  gauge("cpt_queued_bytes", "Bytes of messages that wait for the disk.", () => metrics.queuedBytes())
  gauge("cpt_cached_bytes", "Bytes of memory of messages.", () => metrics.cachedBytes())
  gauge("cpt_stored_bytes", "Bytes of all messages that are kept.", () => metrics.storedBytes())
  histogram("cpt_event_loop_delay_seconds", "How late the event loop is, looked at every 50 ms.", vitals.eventLoopDelay)
  counter("process_cpu_seconds_total", "Processor time of all threads.", cpuSeconds)
  gauge("process_resident_memory_bytes", "Memory of the process.", () => process.memoryUsage.rss())
  gauge("process_open_fds", "Files and sockets that are open.", vitals.descriptors)
  gauge("process_max_fds", "How many may be.", () => vitals.maxDescriptors)
  gauge("process_start_time_seconds", "When the process began.", () => performance.timeOrigin / 1000)
  return ours
})

/** In Effect's registry as long as the scope lasts; of several servers, those of the last. */
const register = Effect.gen(function*() {
  const [registry, ours] = [yield* Metric.MetricRegistry, yield* Instruments]
  yield* Effect.acquireRelease(
    Effect.sync(() => ours.forEach((metric, key) => registry.set(key, metric))),
    () => Effect.sync(() => ours.forEach((metric, key) => registry.get(key) === metric && registry.delete(key)))
  )
})

/** Shows them to whoever knows Effect's metrics. */
export const layer: Layer.Layer<never, never, Server | MessageStore | Program> = layerFor(
  Server,
  () => Layer.effectDiscard(register).pipe(Layer.provide(Instruments.layer))
)

const cpuSeconds = (): number => {
  const { system, user } = process.cpuUsage()
  return (system + user) / 1e6
}

/** With what is within each bound, as its readers want it: so many up to it. */
const stateOf = ({ bounds, count, counts, max, min, sum }: Histogram): Metric.HistogramState => {
  let within = 0
  return { buckets: bounds.map((bound, index) => [bound, within += counts[index] ?? 0]), count, max, min, sum }
}
