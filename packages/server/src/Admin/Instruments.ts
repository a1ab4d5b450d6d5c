/**
 * What a server counts, as metrics with names: made over its record, and read when somebody looks, so that whoever knows
 * Effect's metrics (Prometheus, OTLP) can show them.
 */
import type { Metric } from "effect"
import type { Counted, Histogram, Tally } from "../Metrics.ts"

type Registry = typeof Metric.MetricRegistry.Service

/** Nothing is written to these: they show what has been counted elsewhere. */
const unused = () => {}

const put = (
  registry: Registry,
  type: Metric.Metric.Type,
  id: string,
  description: string,
  get: () => unknown,
  attributes: Metric.Metric.AttributeSet = {}
): void => {
  const hooks = { get, update: unused, modify: unused }
  registry.set(`${id} ${JSON.stringify(attributes)}`, { id, type, description, attributes, hooks })
}

/** Every metric of a server. */
export const make = (metrics: Counted): Registry => {
  const registry: Registry = new Map()

  const counter = (id: string, description: string, read: () => number) =>
    put(registry, "Counter", id, description, () => ({ count: read(), incremental: true }))
  const tally = <Kind extends string>(id: string, label: string, description: string, tally: Tally<Kind>) => {
    for (const kind of tally.kinds) {
      const get = () => ({ count: tally.of(kind), incremental: true })
      put(registry, "Counter", id, description, get, { [label]: kind })
    }
  }
  const gauge = (id: string, description: string, read: () => number) =>
    put(registry, "Gauge", id, description, () => ({ value: read() }))
  const histogram = (id: string, description: string, histogram: Histogram) =>
    put(registry, "Histogram", id, description, () => stateOf(histogram))

  gauge("cpt_sessions", "Connections that are there.", () => metrics.sessions())
  gauge("cpt_users", "Sessions that are logged in.", () => metrics.users())
  counter("cpt_connections_total", "Connections that came.", () => metrics.connections)
  tally("cpt_logins_total", "result", "Logins that were accepted, or declined for a reason.", metrics.logins)
  tally("cpt_declines_total", "reason", "Commands and connections that were declined.", metrics.declines)
  tally("cpt_limit_hits_total", "limit", "How often a limit was reached.", metrics.limitHits)
  counter("cpt_messages_total", "Messages that were acknowledged.", () => metrics.messages)
  counter("cpt_deliveries_total", "Messages that were handed to somebody.", () => metrics.deliveries)
  counter("cpt_syncs_total", "SYNCs that were asked for.", () => metrics.syncs)
  counter("cpt_received_bytes_total", "Bytes that came from clients.", () => metrics.receivedBytes)
  counter("cpt_sent_bytes_total", "Bytes that were written to clients.", () => metrics.sentBytes)
  histogram("cpt_ack_seconds", "From the arrival of a message to its ACK.", metrics.ackSeconds)
  histogram("cpt_commit_seconds", "How long a commit takes.", metrics.commitSeconds)
  histogram("cpt_commit_messages", "Messages of a commit.", metrics.commitMessages)
  counter("cpt_failed_commits_total", "Commits that have failed.", () => metrics.failedCommits)
  gauge("cpt_followed_targets", "Groups and inboxes that somebody follows.", () => metrics.followedTargets())
  gauge("cpt_late_sessions", "Sessions that have not been told of everything yet.", () => metrics.lateSessions())
  gauge("cpt_follower_lag_seconds", "By how much the last of them lags behind.", () => metrics.followerLag())
  gauge("cpt_untaken_bytes", "Bytes that clients were written and have not taken.", () => metrics.untakenBytes())
  gauge("cpt_queued_bytes", "Bytes of messages that wait for the disk.", () => metrics.queuedBytes())
  gauge("cpt_cached_bytes", "Bytes of memory of messages.", () => metrics.cachedBytes())
  return registry
}

/** With what is within each bound, as its readers want it: so many up to it. */
const stateOf = ({ bounds, count, counts, max, min, sum }: Histogram): Metric.HistogramState => {
  let within = 0
  return { buckets: bounds.map((bound, index) => [bound, within += counts[index] ?? 0]), count, max, min, sum }
}
