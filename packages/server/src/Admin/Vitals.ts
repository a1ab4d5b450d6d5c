/** How the process does: how late its event loop is, what it uses, and how much happened in the last seconds. */
import { Context, Effect, Layer } from "effect"
import { readdir } from "node:fs/promises"
import * as Descriptors from "../Descriptors.ts"
import { layerFor } from "../LayerFor.ts"
import { Histogram, latencies, Metrics } from "../Metrics.ts"
import { Server } from "../Server.ts"

/** Milliseconds between two looks at the event loop: to wake an idle process is most of what one costs. */
const every = 50

/** Looks that make a second, and seconds that are recent. */
const [looksInSecond, recentSeconds] = [1000 / every, 10]

/** Seconds between two counts of descriptors, of which there may be thousands. */
const countEvery = 5

interface Recent {
  readonly messagesPerSecond: number
  readonly deliveriesPerSecond: number
  /** Processors in use. */
  readonly processors: number
  /** Seconds. */
  readonly eventLoopDelay: { readonly p99: number; readonly max: number }
}

export class Vitals extends Context.Service<Vitals, {
  /** Seconds by which the event loop was late. */
  readonly eventLoopDelay: Histogram
  /** Of the last ten seconds. */
  readonly recent: () => Recent
  /** Files and sockets that are open; 0 if that is not known. */
  readonly descriptors: () => number
  /** How many may be; 0 if that is not known. */
  readonly maxDescriptors: number
}>()("@cpt/server/Admin/Vitals") {
  static readonly layer: Layer.Layer<Vitals, never, Server> = layerFor(Server, () => Layer.effect(this, make))
}

/** What is counted, at one moment. */
interface Snapshot {
  readonly at: number
  readonly messages: number
  readonly deliveries: number
  readonly cpu: number
}

const countDescriptors = (): Promise<number> => readdir("/proc/self/fd").then((fds) => fds.length, () => 0)

const make = Effect.gen(function*() {
  const metrics = yield* Metrics
  const eventLoopDelay = new Histogram(latencies)
  const delays = new Float64Array(looksInSecond * recentSeconds)
  const snapshot = (): Snapshot => {
    const { system, user } = process.cpuUsage()
    const { deliveries, messages } = metrics
    return { at: performance.now(), messages, deliveries, cpu: (system + user) / 1000 }
  }
  let before = [snapshot()] // one a second, the oldest first
  let descriptors = yield* Effect.promise(countDescriptors)

  let looks = 0
  let due = performance.now() + every
  const look = () => {
    const now = performance.now()
    const delay = Math.max(0, now - due) / 1000
    due = now + every
    eventLoopDelay.observe(delay)
    delays[++looks % delays.length] = delay
    if (looks % looksInSecond === 0) before = [...before.slice(-recentSeconds + 1), snapshot()]
    if (looks % (countEvery * looksInSecond) === 0) {
      void countDescriptors().then((count) => {
        descriptors = count
      })
    }
  }
  // Not a fiber: waking one takes several times as long
  yield* Effect.acquireRelease(
    Effect.sync(() => setInterval(look, every)),
    (timer) => Effect.sync(() => clearInterval(timer))
  )

  return Vitals.of({
    eventLoopDelay,
    recent: () => {
      const [now, then] = [snapshot(), before[0]!]
      const seconds = Math.max(every, now.at - then.at) / 1000
      const sorted = delays.toSorted()
      return {
        messagesPerSecond: (now.messages - then.messages) / seconds,
        deliveriesPerSecond: (now.deliveries - then.deliveries) / seconds,
        processors: (now.cpu - then.cpu) / 1000 / seconds,
        eventLoopDelay: { p99: sorted[Math.floor(sorted.length * 0.99)] ?? 0, max: sorted.at(-1) ?? 0 }
      }
    },
    descriptors: () => descriptors,
    maxDescriptors: Descriptors.limit() ?? 0
  })
})
