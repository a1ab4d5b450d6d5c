/**
 * What the stores take, without sessions and sockets: messages a second with so many appends in flight, each to a target
 * of its own; and the disk by itself, a log file with the same bytes and one `fdatasync` for all that wait.
 *
 *     npx node --conditions=@cpt/source packages/server/benchmark/store.ts
 */
import { Message, Name } from "@cpt/schema"
import { Batch, layerMemory, layerSqlite, MessageStore } from "@cpt/server"
import { Effect, type Layer } from "effect"
import { fdatasync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const seconds = 2
const folder = mkdtempSync(join(tmpdir(), "cpt-store-"))
const text = "x".repeat(64)

/** Messages a second, and microseconds of all threads for each. */
const report = (what: string, count: number, since: { readonly at: number; readonly cpu: NodeJS.CpuUsage }) => {
  const { system, user } = process.cpuUsage(since.cpu)
  const rate = Math.round(count / ((performance.now() - since.at) / 1000))
  console.log(`${what}: ${rate.toLocaleString("en")} a second, ${((user + system) / count).toFixed(1)} µs of CPU each`)
}
const begin = () => ({ at: performance.now(), cpu: process.cpuUsage() })

const store = (what: string, layer: Layer.Layer<MessageStore, unknown>, flights: number, batch: number) =>
  Effect.gen(function*() {
    const store = yield* MessageStore
    const until = performance.now() + seconds * 1000
    const since = begin()
    let count = 0
    const flight = Effect.fnUntraced(function*(index: number) {
      const sender = Name.Username.make(`user${index}`)
      const target = Name.Target.make(`group${index}`)
      const sent = Batch.of(
        ...Array.from({ length: batch }, (_, index) => [target, Message.Message.make(`${text}${index}`)] as const)
      )
      while (performance.now() < until) {
        yield* store.confirm(sender)
        yield* store.append(sender, sent)
        count += batch
        yield* Effect.yieldNow
      }
    })
    yield* Effect.forEach(Array.from({ length: flights }, (_, index) => index), flight, {
      concurrency: "unbounded",
      discard: true
    })
    report(`${what}, ${flights} x ${batch}`, count, since)
  }).pipe(Effect.provide(layer), Effect.scoped)

/** As many at once as the store would get in a commit. */
const disk = (flights: number, batch: number) =>
  Effect.promise(async () => {
    const file = openSync(join(folder, "log"), "w")
    const bytes = Buffer.from(`MSG group user 1700000000000 ${text}\n`.repeat(flights * batch))
    const until = performance.now() + seconds * 1000
    const since = begin()
    let count = 0
    while (performance.now() < until) {
      writeSync(file, bytes)
      await new Promise<void>((resolve) => fdatasync(file, () => resolve()))
      count += flights * batch
    }
    report(`disk, ${flights} x ${batch}`, count, since)
  })

try {
  for (const [flights, batch] of [[1, 1], [50, 1], [50, 64]] as const) {
    await Effect.runPromise(Effect.gen(function*() {
      yield* store("memory", layerMemory(), flights, batch)
      yield* store("sqlite", layerSqlite({ file: join(folder, `${flights}x${batch}.db`) }), flights, batch)
      yield* disk(flights, batch)
    }))
  }
} finally {
  rmSync(folder, { recursive: true })
}
