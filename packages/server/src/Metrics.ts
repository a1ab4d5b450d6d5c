/**
 * What a server counts: plain numbers, so that counting costs nothing where much happens; who wants to see them collects
 * them (`Admin/Instruments.ts` has their names). None of it tells one user or group from another.
 *
 * One record a server: without a layer, the servers of a process share one, in which much is what the last of them says.
 */
import { Decline } from "@cpt/schema"
import { Context, Layer } from "effect"

/** How often something happened, by its kind. All kinds are known before. */
export class Tally<Kind extends string> {
  readonly #counts: Map<Kind, number>

  constructor(kinds: ReadonlyArray<Kind>) {
    this.#counts = new Map(kinds.map((kind) => [kind, 0]))
  }

  add(kind: Kind, times = 1): void {
    this.#counts.set(kind, this.of(kind) + times)
  }

  of(kind: Kind): number {
    return this.#counts.get(kind) ?? 0
  }

  get kinds(): ReadonlyArray<Kind> {
    return [...this.#counts.keys()]
  }
}

/** How many values were up to which bound. */
export class Histogram {
  readonly bounds: ReadonlyArray<number>
  /** Values within each bound that were not within the one before; at the end, those beyond all. */
  readonly counts: Array<number>
  count = 0
  sum = 0
  min = 0
  max = 0

  constructor(bounds: ReadonlyArray<number>) {
    this.bounds = bounds
    this.counts = [...bounds, Infinity].map(() => 0)
  }

  /** Counts a value, so many times. */
  observe(value: number, times = 1): void {
    const { bounds } = this
    let index = 0
    while (index < bounds.length && value > bounds[index]!) index++
    this.counts[index]! += times
    if (this.count === 0 || value < this.min) this.min = value
    if (value > this.max) this.max = value
    this.count += times
    this.sum += value * times
  }
}

/** Bounds for what takes a while, in seconds. */
export const latencies = [
  0.000_1,
  0.000_25,
  0.000_5,
  0.001,
  0.002_5,
  0.005,
  0.01,
  0.025,
  0.05,
  0.1,
  0.25,
  0.5,
  1,
  2.5,
  5,
  10
]

/** The word of a decline; `other` is any of an account rule of somebody's own. */
export type Reason = Decline.KnownReason | "other"

const reasons: ReadonlyArray<Reason> = [...Decline.knownReasons, "other"]

export const reasonOf = (error: Decline.DeclineError): Reason => error._tag === "Declined" ? "other" : error.reason

/** What is bounded, by the names of the settings; `http-connections` has none. A bound that is reached is a hit. */
const limits = [
  "max-sessions",
  "max-sessions-per-address",
  "max-connects",
  "login-deadline",
  "idle-deadline",
  "max-failed-logins",
  "rate-limit",
  "byte-limit",
  "max-line-bytes",
  "max-followed-groups",
  "max-syncs",
  "max-new-names",
  "write-deadline",
  "http-connections"
] as const
export type Limit = (typeof limits)[number]

const nothing = () => 0

/** The record. What can be seen at any time is a function, set by who knows it. */
class Counted {
  connections = 0
  /** Those among them that were cut before their first line, in the handshake of TLS or the header of a proxy. */
  cutConnections = 0
  readonly logins = new Tally<Reason | "accepted">(["accepted", ...reasons])
  readonly declines = new Tally(reasons)
  /** SENDs that were acknowledged, re-sends among them. */
  messages = 0
  /** Messages that were handed over to those who follow or sync. */
  deliveries = 0
  syncs = 0
  receivedBytes = 0
  sentBytes = 0
  readonly limitHits = new Tally(limits)
  /** From when a SEND may be stored to its ACK; 0 where the store does not wait. */
  readonly ackSeconds = new Histogram(latencies)
  readonly commitSeconds = new Histogram(latencies)
  readonly commitMessages = new Histogram([1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000])
  failedCommits = 0

  /** Connections that are there, and those among them that are logged in. */
  sessions = nothing
  users = nothing
  /** Targets that somebody follows. */
  followedTargets = nothing
  /** Sessions that have not been told of everything yet, and by how many seconds the last of them lags. */
  lateSessions = nothing
  followerLag = nothing
  /** Bytes that peers have been sent, and have not taken. */
  untakenBytes = nothing
  /** Bytes that wait for the disk. */
  queuedBytes = nothing
  /** Bytes of memory of messages. */
  cachedBytes = nothing
  /** Bytes of all that is kept. */
  storedBytes = nothing
}

export type { Counted }

export const Metrics = Context.Reference<Counted>("@cpt/server/Metrics", { defaultValue: () => new Counted() })

/** One of its own, for each whom it is provided to: to be provided to a server, with its store and administration, at once. */
export const layer: Layer.Layer<never> = Layer.fresh(Layer.sync(Metrics, () => new Counted()))
