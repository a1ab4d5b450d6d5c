/**
 * `npm run soak -- --minutes N`: a server at full load, with clients that come, go and are killed, reloads and retention,
 * to see whether anything grows: memory, descriptors, the delay of its event loop. Exits with 1 if a promise is broken.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { Process } from "../crash/Process.ts"
import { Traffic } from "./Traffic.ts"

const { values } = parseArgs({ options: { minutes: { type: "string", default: "30" } } })
const minutes = Number(values.minutes)
if (!(minutes > 0)) {
  console.error("npm run soak -- [--minutes 30]")
  process.exit(2)
}

const bin = fileURLToPath(new URL("../../bin/cpt.cjs", import.meta.url))
const folder = mkdtempSync(join(tmpdir(), "cpt-soak-"))
process.on("exit", () => rmSync(folder, { recursive: true, force: true }))
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1))

const freePort = () =>
  new Promise<number>((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() => resolve(typeof address === "object" ? address?.port ?? 0 : 0))
    })
  })

const [port, http] = [await freePort(), await freePort()]
const config = join(folder, "serve.json")
const configure = (lineBytes: number) => writeFileSync(config, JSON.stringify({ "max-line-bytes": lineBytes }))
configure(8192)
const args = [
  ["serve", "--data", join(folder, "data"), "--port", String(port), "--http", `127.0.0.1:${http}`],
  ["--config", config, "--keep-messages", "20000", "--rate-limit", "off", "--log-level", "warn"]
]
const server = new Process(args.flat(), { bin })
if (await server.says(/(listening)/) === undefined) throw new Error(`the server does not start: ${server.stderr}`)

/** Of the buckets of a histogram that came since the last look: the bound below which 99 % of them are, in ms. */
const delays = (() => {
  let before = new Map<number, number>()
  return async () => {
    const text = await (await fetch(`http://127.0.0.1:${http}/metrics`)).text()
    const rows = text.matchAll(/^cpt_event_loop_delay_seconds_bucket\{le="([^"]+)"\} (\d+)/gm)
    const now = new Map([...rows].map(([, le, count]) => [Number(le === "+Inf" ? Infinity : le), Number(count)]))
    const since = [...now].map(([le, count]) => [le, count - (before.get(le) ?? 0)] as const)
    before = now
    const total = since.at(-1)?.[1] ?? 0
    return (since.find(([, count]) => count >= 0.99 * total)?.[0] ?? 0) * 1000
  }
})()

const traffic = new Traffic(port)
await traffic.start()

interface Look {
  readonly seconds: number
  readonly memory: number
  readonly descriptors: number
  readonly acks: number
  readonly p50: number
  readonly p99: number
  readonly loop: number
}

const every = 10_000
const looks: Array<Look> = []
const begin = performance.now()
const end = begin + minutes * 60_000
let [ackedBefore, reloads, tails] = [0, 0, 0]

const look = async () => {
  const waits = traffic.waits.toSorted((a, b) => a - b)
  traffic.waits = []
  const status = readFileSync(`/proc/${server.pid}/status`, "latin1")
  looks.push({
    seconds: Math.round((performance.now() - begin) / 1000),
    memory: Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024,
    descriptors: readdirSync(`/proc/${server.pid}/fd`).length,
    acks: (traffic.acked - ackedBefore) / (every / 1000),
    p50: waits[Math.floor(waits.length / 2)] ?? 0,
    p99: waits[Math.floor(waits.length * 0.99)] ?? 0,
    loop: await delays()
  })
  ackedBefore = traffic.acked
}

const row = ({ acks, descriptors, loop, memory, p50, p99, seconds }: Look) =>
  `| ${seconds} s | ${memory.toFixed(0)} | ${descriptors} | ${acks.toFixed(0)} | ${p50.toFixed(1)} | ${
    p99.toFixed(1)
  } | ${loop.toFixed(1)} |`

const heading = [
  "| after | memory, MiB | descriptors | ACKs/s | a user waits, p50 ms | p99 ms | event loop delay, p99 ms |",
  "| --- | --- | --- | --- | --- | --- | --- |"
].join("\n")

/** The middle one of each column. */
const median = (some: ReadonlyArray<Look>): Look => {
  const of = (key: keyof Look) => some.map((look) => look[key]).toSorted((a, b) => a - b)[some.length >> 1] ?? 0
  return {
    seconds: some.at(-1)?.seconds ?? 0,
    memory: of("memory"),
    descriptors: of("descriptors"),
    acks: of("acks"),
    p50: of("p50"),
    p99: of("p99"),
    loop: of("loop")
  }
}

const timers = [
  setInterval(() => {
    void look().then(() => {
      const last = looks.at(-1)
      if (last !== undefined) console.error(row(last))
    })
  }, every),
  setInterval(() => {
    configure(8192 + (++reloads % 2))
    server.signal("SIGHUP")
  }, 7000),
  setInterval(() => {
    const args = ["tail", `group${tails++ % 20}`, "--server", `127.0.0.1:${port}`, "--as", `tail${tails}`]
    const tail = new Process(args, { bin, appendTo: "/dev/null" })
    setTimeout(() => void tail.end("SIGKILL"), 9000)
  }, 15_000)
]
setTimeout(() => traffic.stop(), end - begin)
console.error(heading)
let status = 0
try {
  await Promise.race([
    traffic.over,
    server.ended.then(({ signal, status }) => {
      throw new Error(`the server ended with ${signal ?? status}: ${server.stderr}`)
    })
  ])
} catch (error) {
  status = 1
  console.log(`soak: VIOLATION: ${error instanceof Error ? error.message : String(error)}`)
}
for (const timer of timers) clearInterval(timer)
const share = Math.max(1, Math.floor(looks.length / 10))
console.log(`${heading}\n${row(median(looks.slice(1, 1 + share)))}\n${row(median(looks.slice(-share)))}`)
console.log(
  `soak: ${minutes} min, ${traffic.acked} ACKs, ${traffic.logins} clients came and went, ${reloads} reloads, ${tails} cpt tail killed`
)
const { signal, status: ended } = await server.end("SIGTERM")
if (ended !== 0) {
  console.log(`soak: the server ended with ${signal ?? ended}: ${server.stderr}`)
  status = 1
}
process.exit(status)
