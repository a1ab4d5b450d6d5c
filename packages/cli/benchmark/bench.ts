/**
 * The whole table in one go: `cpt serve`, as users run it, beside the measuring stick (`stick.ts`), one after the other in
 * the same minute, so that only their ratio counts.
 *
 *     npm run bench -- [--runs 3] [--seconds 3] [--only WORD]
 *
 * Servers have one core and the generator another, where there is `taskset`. Close everything else first.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { cpus, tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { text } from "node:stream/consumers"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "3" },
    seconds: { type: "string", default: "3" },
    only: { type: "string", default: "" }
  }
})
const runs = Number(values.runs)
const here = (name: string) => fileURLToPath(new URL(name, import.meta.url))
const cpt = here("../bin/cpt.cjs")
const folder = mkdtempSync(join(tmpdir(), "cpt-bench-"))
const canPin = cpus().length > 1 && spawnSync("taskset", ["-c", "0", "true"]).status === 0
const pinned = (core: number, command: ReadonlyArray<string>) =>
  canPin ? ["taskset", "-c", String(core), ...command] : command

const started = (core: number, command: ReadonlyArray<string>): ChildProcess => {
  const [file = "", ...args] = pinned(core, command)
  return spawn(file, args, { stdio: ["ignore", "pipe", "inherit"] })
}

/** What a server is started with; it says a line when it listens. */
type Kind = "stick" | "stick with a log" | "memory" | "disk"

let port = 21_700
let data = 0

const commands: Record<Kind, (port: number) => ReadonlyArray<string>> = {
  stick: (port) => [process.execPath, here("stick.ts"), String(port)],
  "stick with a log": (port) => [process.execPath, here("stick.ts"), String(port), join(folder, "log")],
  memory: (port) => [process.execPath, cpt, "serve", "--memory", "--max-sessions", "20000", "--port", String(port)],
  disk: (port) => {
    const place = join(folder, `data${data++}`)
    return [process.execPath, cpt, "serve", "--data", place, "--max-sessions", "20000", "--port", String(port)]
  }
}

interface Result {
  readonly rate: number
  readonly p99?: number
  readonly p999?: number
  /** KB of memory that the server took for it. */
  readonly memory: number
}

const residentKb = (pid: number | undefined) =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0)

/** One run of a scenario against a fresh server. */
const run = async (kind: Kind, scenario: string, options: Readonly<Record<string, number>>): Promise<Result> => {
  const server = started(1, commands[kind](++port))
  if (server.stdout === null) throw new Error("no stdout")
  await once(createInterface(server.stdout), "line")
  await new Promise((resolve) => setTimeout(resolve, 300))
  const before = residentKb(server.pid)
  const given = Object.entries({ seconds: Number(values.seconds), ...options }).map(([name, value]) =>
    `${name}=${value}`
  )
  const load = started(0, [process.execPath, here("load.ts"), scenario, String(port), ...given])
  if (load.stdout === null) throw new Error("no stdout")
  const [line] = await once(createInterface(load.stdout), "line")
  if (scenario === "idle") await new Promise((resolve) => setTimeout(resolve, 1000))
  const memory = residentKb(server.pid) - before
  load.kill()
  server.kill("SIGKILL")
  await once(server, "exit")
  return { ...JSON.parse(String(line)), memory }
}

const median = (numbers: ReadonlyArray<number>) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? NaN

const short = (n: number) =>
  n >= 1e6
    ? `${(n / 1e6).toFixed(2)} M`
    : n >= 10_000
    ? `${Math.round(n / 1000)} k`
    : n >= 100
    ? String(Math.round(n))
    : n.toFixed(1)

const rows: Array<ReadonlyArray<string>> = []
const row = (...cells: ReadonlyArray<string>) => {
  rows.push(cells)
  console.error(cells.join(" | "))
}

interface Row {
  readonly name: string
  readonly scenario: string
  readonly options?: Readonly<Record<string, number>>
  readonly ours: Kind
  readonly stick: Kind
  /** What is compared; by default the rate. */
  readonly what?: "rate" | "p99" | "p999" | "memory"
  /** What one is of, for a figure a connection. */
  readonly per?: number
}

const compare = async ({ name, what = "rate", options = {}, ours, per = 1, scenario, stick }: Row) => {
  if (!name.includes(values.only)) return
  const results: Record<"ours" | "stick", Array<number>> = { ours: [], stick: [] }
  for (let i = 0; i < runs; i++) {
    results.stick.push((await run(stick, scenario, options))[what] ?? NaN)
    results.ours.push((await run(ours, scenario, options))[what] ?? NaN)
  }
  const ratios = results.ours.map((our, index) => our / (results.stick[index] ?? NaN))
  row(name, short(median(results.ours) / per), short(median(results.stick) / per), median(ratios).toFixed(2))
}

/** The whole time of a process, in ms. */
const processTime = (args: ReadonlyArray<string>): number => {
  const begin = performance.now()
  execFileSync(process.execPath, args, { stdio: "ignore", env: { ...process.env, XDG_CONFIG_HOME: folder } })
  return performance.now() - begin
}

const startUp = async (name: string, args: ReadonlyArray<string>) => {
  if (!name.includes(values.only)) return
  for (let i = 0; i < 3; i++) processTime(args)
  const pairs = Array.from({ length: 7 * runs }, () => ({ ours: processTime(args), node: processTime(["-e", "0"]) }))
  const ratio = median(pairs.map(({ node, ours }) => ours / node))
  row(
    name,
    `${median(pairs.map(({ ours }) => ours)).toFixed(0)} ms`,
    `${median(pairs.map(({ node }) => node)).toFixed(0)} ms`,
    ratio.toFixed(2)
  )
}

const memory = { ours: "memory", stick: "stick" } as const
const disk = { ours: "disk", stick: "stick with a log" } as const

try {
  await compare({ name: "ack, 50 connections", scenario: "acks", ...memory })
  await compare({ name: "ack, 50 connections, lines of 16 bytes", scenario: "acks", options: { size: 16 }, ...memory })
  await compare({ name: "ack, 50 connections, lines of 8 KB", scenario: "acks", options: { size: 8000 }, ...memory })
  await compare({
    name: "ack, 50 connections, 100,000 groups",
    scenario: "acks",
    options: { groups: 100_000 },
    ...memory
  })
  await compare({ name: "ack, 1,000 connections", scenario: "acks", options: { connections: 1000 }, ...memory })
  await compare({ name: "ack, 50 connections, on disk", scenario: "acks", ...disk })
  await compare({ name: "ack, 1 connection, on disk", scenario: "acks", options: { connections: 1 }, ...disk })
  await compare({ name: "pipelined x64", scenario: "acks", options: { window: 64 }, ...memory })
  await compare({ name: "pipelined x64, on disk", scenario: "acks", options: { window: 64 }, ...disk })
  for (const what of ["p99", "p999"] as const) {
    const options = { rate: 20_000 }
    await compare({ name: `ack, at 20,000 a second, ${what} µs`, scenario: "acks", options, what, ...memory })
  }
  await compare({ name: "fan-out to 100, 1 publisher", scenario: "fanOut", ...memory })
  await compare({ name: "fan-out to 100, 4 publishers", scenario: "fanOut", options: { publishers: 4 }, ...memory })
  const many = { subscribers: 500, groups: 50, publishers: 4 }
  await compare({ name: "fan-out to 500 in 50 groups", scenario: "fanOut", options: many, ...memory })
  await compare({
    name: "fan-out to 500 in 50 groups, and 500 asleep",
    scenario: "fanOut",
    options: { ...many, slow: 500 },
    ...memory
  })
  await compare({ name: "history, from memory", scenario: "history", ...memory })
  await compare({ name: "history, from disk", scenario: "history", ours: "disk", stick: "stick" })
  await compare({ name: "logins", scenario: "idle", options: { connections: 5000 }, ...memory })
  await compare({
    name: "idle connection, KB",
    scenario: "idle",
    options: { connections: 5000 },
    what: "memory",
    per: 5000,
    ...memory
  })
  const server = started(1, commands.memory(++port))
  if (server.stdout === null) throw new Error("no stdout")
  await once(createInterface(server.stdout), "line")
  await startUp("cpt send, whole process", [
    cpt,
    "send",
    "group1",
    "hi",
    "--as",
    "bench",
    "--server",
    `127.0.0.1:${port}`
  ])
  server.kill("SIGKILL")
  await startUp("cpt --help, whole process", [cpt, "--help"])

  const revision = spawn("git", ["describe", "--always", "--dirty"], {
    cwd: here("."),
    stdio: ["ignore", "pipe", "ignore"]
  })
  const version = (await text(revision.stdout)).trim()
  console.log(
    `${new Date().toISOString().slice(0, 10)}, ${version}, Node ${process.versions.node}, ${cpus().length} x ${
      cpus()[0]?.model
    }, medians of ${runs}\n`
  )
  const table = [["", "cpt", "stick", "ratio"], ...rows]
  const widths = table[0]?.map((_, column) => Math.max(...table.map((cells) => cells[column]?.length ?? 0))) ?? []
  table.forEach((cells, index) => {
    console.log(`| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`)
    if (index === 0) console.log(`| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`)
  })
} finally {
  rmSync(folder, { recursive: true, force: true })
}
