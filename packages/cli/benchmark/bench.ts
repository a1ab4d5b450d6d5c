/**
 * The whole table in one go: `cpt serve`, as users run it, beside the measuring stick (`stick.ts`). Both are up at the
 * same time and get their load (`load.ts`) in turns, so that whatever else the machine does hits both; a ratio is the
 * median of those of two turns that followed each other. What the rows mean: docs/performance.md.
 *
 *     npm run bench -- [--turns 8] [--only WORD] [--large]
 *
 * Servers have one core and the generator another, where there is `taskset`. Close everything else first.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, openSync, readFileSync, rmSync } from "node:fs"
import { cpus, release, tmpdir, type } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"

const { values } = parseArgs({
  options: {
    turns: { type: "string", default: "8" },
    only: { type: "string", default: "" },
    large: { type: "boolean", default: false }
  }
})
const turns = Number(values.turns)
const here = (name: string) => fileURLToPath(new URL(name, import.meta.url))
const cpt = here("../bin/cpt.cjs")
const folder = mkdtempSync(join(tmpdir(), "cpt-bench-"))
const canPin = cpus().length > 1 && spawnSync("taskset", ["-c", "0", "true"]).status === 0

/** Where processes log to, as they would for an operator; the table stays readable. */
const logFile = join(folder, "log")
const log = openSync(logFile, "a")

/** A process that says a line when it is ready. */
const started = async (core: number, args: ReadonlyArray<string>) => {
  const [file = "", ...rest] = [...(canPin ? ["taskset", "-c", String(core)] : []), process.execPath, ...args]
  const child: ChildProcess = spawn(file, rest, { stdio: ["ignore", "pipe", log] })
  if (child.stdout === null) throw new Error("no stdout")
  const line = await Promise.race([once(createInterface(child.stdout), "line"), once(child, "exit")])
  if (typeof line[0] !== "string") {
    throw new Error(`${args.join(" ")} ends with ${line[0]}: ${readFileSync(logFile, "utf8").slice(-1000)}`)
  }
  return { child, line: line[0] }
}

const ended = async (children: ReadonlyArray<ChildProcess>) => {
  await Promise.all(children.map((child) => child.kill("SIGKILL") && once(child, "exit")))
}

type Kind = "stick" | "stickWithAllKept" | "stickWithLog" | "memory" | "disk"

let port = 21_700
let data = 0

const stick = (port: string, keep: number, ...log: ReadonlyArray<string>) => [here("stick.ts"), port, `${keep}`, ...log]
/** The generator says more than one client may. */
const unlimited = ["--rate-limit", "off", "--max-new-names", "off"]
const serve = (
  port: string,
  ...where: ReadonlyArray<string>
) => [cpt, "serve", ...unlimited, "--max-sessions", "20000", "--port", port, ...where]
const commands: Record<Kind, (port: string) => ReadonlyArray<string>> = {
  stick: (port) => stick(port, 2 ** 20),
  stickWithAllKept: (port) => stick(port, 2 ** 28),
  stickWithLog: (port) => stick(port, 2 ** 20, join(folder, `log${data++}`)),
  memory: (port) => serve(port, "--memory"),
  disk: (port) => serve(port, "--data", join(folder, `data${data++}`))
}

type Figure = "rate" | "p99" | "p999" | "memory"
/** What one turn of a server has come to: see load.ts. */
type Turn = Readonly<Record<Figure | "count" | "seconds" | "cpu" | "own", number>>
type Options = Readonly<Record<string, number>>

/** A scenario against two fresh servers, the first of which is ours. */
const measure = async (scenario: string, options: Options, kinds: ReadonlyArray<Kind>, held: number) => {
  const children: Array<ChildProcess> = []
  const up = async (core: number, args: ReadonlyArray<string>) => {
    const { child, line } = await started(core, args)
    children.push(child)
    return { child, line }
  }
  try {
    const servers: Array<string> = []
    for (const kind of kinds) {
      const at = String(++port)
      const { child } = await up(1, commands[kind](at))
      servers.push(`${at}:${child.pid}`)
      if (held > 0) await up(0, [here("load.ts"), "hold", `${at}:${child.pid}`, `connections=${held}`])
    }
    const given = Object.entries({ turns, ...options }).map(([name, value]) => `${name}=${value}`)
    const { line } = await up(0, [here("load.ts"), scenario, servers.join(","), ...given])
    const lanes: ReadonlyArray<ReadonlyArray<Turn>> = JSON.parse(line)
    return { ours: lanes[0] ?? [], stick: lanes[1] ?? [] }
  } finally {
    await ended(children)
  }
}

const quantile = (numbers: ReadonlyArray<number>, at: number) =>
  numbers.toSorted((a, b) => a - b)[Math.min(numbers.length - 1, Math.floor(at * numbers.length))] ?? NaN
const median = (numbers: ReadonlyArray<number>) => quantile(numbers, 0.5)
const sum = (turns: ReadonlyArray<Turn>, of: "count" | "seconds" | "cpu" | "own") =>
  turns.reduce((sum, turn) => sum + turn[of], 0)

const short = (n: number) =>
  Number.isNaN(n)
    ? ""
    : n >= 1e6
    ? `${(n / 1e6).toFixed(2)} M`
    : n >= 10_000
    ? `${(n / 1000).toFixed(1)} k`
    : n >= 100
    ? n.toFixed(0)
    : n.toFixed(n >= 10 ? 1 : 2)

const table: Array<ReadonlyArray<string>> = [
  ["", "cpt", "stick", "ratio", "middle half", "cpt, µs of CPU", "stick, µs of CPU", "ratio by CPU"]
]
const row = (...cells: ReadonlyArray<string>) => {
  table.push(cells)
  console.error(cells.join(" | "))
}
const ratioOf = (ratios: ReadonlyArray<number>) => [
  median(ratios).toFixed(2),
  `${quantile(ratios, 0.25).toFixed(2)} – ${quantile(ratios, 0.75).toFixed(2)}`
]

interface Row {
  readonly name: string
  readonly scenario: string
  readonly options?: Options
  readonly kinds: readonly [ours: Kind, stick: Kind]
  readonly figures?: ReadonlyArray<Figure>
  /** Connections that do nothing meanwhile, to each of the servers. */
  readonly held?: number
}

const compare = async ({ figures = ["rate"], held = 0, kinds, name, options = {}, scenario }: Row) => {
  const { ours, stick } = await measure(scenario, options, kinds, held)
  for (const figure of figures) {
    const shown = (turns: ReadonlyArray<Turn>) => {
      // Who sends at a fixed rate looks at the clock all the time
      const isBound = scenario !== "paced" && sum(turns, "own") / sum(turns, "seconds") > 0.95
      const isLate = scenario === "paced" && median(turns.map(({ rate }) => rate)) < (options["rate"] ?? 0) * 0.95
      return `${short(median(turns.map((turn) => turn[figure])))}${isBound ? " *" : ""}${isLate ? " (late)" : ""}`
    }
    const micros = (turns: ReadonlyArray<Turn>) => sum(turns, "cpu") / sum(turns, "count") * 1e6
    const cpu = figure === "rate"
      ? [short(micros(ours)), short(micros(stick)), short(micros(stick) / micros(ours))]
      : ["", "", ""]
    row(
      figures.length > 1 ? `${name}, ${figure === "p99" ? "p99" : "p99.9"} µs` : name,
      shown(ours),
      shown(stick),
      ...ratioOf(ours.map((our, index) => our[figure] / (stick[index]?.[figure] ?? NaN))),
      ...cpu
    )
  }
}

/** The whole time of a process, in ms. */
const processTime = (args: ReadonlyArray<string>): number => {
  const begin = performance.now()
  execFileSync(process.execPath, args, { stdio: "ignore", env: { ...process.env, XDG_CONFIG_HOME: folder } })
  return performance.now() - begin
}

const startUp = (name: string, args: ReadonlyArray<string>) => {
  for (let i = 0; i < 3; i++) processTime(args)
  const pairs = Array.from({ length: 3 * turns }, () => ({ ours: processTime(args), node: processTime(["-e", "0"]) }))
  const shown = (of: "ours" | "node") => median(pairs.map((pair) => pair[of])).toFixed(1)
  row(`${name}, ms`, shown("ours"), shown("node"), ...ratioOf(pairs.map(({ node, ours }) => ours / node)), "", "", "")
}

const memory = ["memory", "stick"] as const
const disk = ["disk", "stickWithLog"] as const
const acks = (name: string, options: Options, kinds: Row["kinds"], held = 0): Row => ({
  name,
  scenario: "acks",
  options,
  kinds,
  held
})
const fanOut = (name: string, options: Options): Row => ({ name, scenario: "fanOut", options, kinds: memory })
const inGroups = { groups: 50, publishers: 4 }

const rows: ReadonlyArray<Row> = [
  acks("ack, 50 connections", {}, memory),
  acks("ack, 50 connections, lines of 16 bytes", { line: 16 }, memory),
  acks("ack, 50 connections, lines of 8 KB", { line: 8192 }, memory),
  acks("ack, 50 connections, over 100,000 groups", { groups: 100_000 }, memory),
  acks("ack, 1,000 connections", { connections: 1000 }, memory),
  acks("ack, 50 connections, and 10,000 that do nothing", {}, memory, 10_000),
  acks("pipelined x64, 50 connections", { window: 64 }, memory),
  acks("on disk: ack, 1 connection", { connections: 1 }, disk),
  acks("on disk: ack, 50 connections", {}, disk),
  acks("on disk: pipelined x64, 50 connections", { window: 64 }, disk),
  // Half of its turns have something in them that the machine does by itself
  {
    name: "ack at half of full load",
    scenario: "paced",
    options: { turns: 5 * turns },
    kinds: memory,
    figures: ["p99", "p999"]
  },
  fanOut("fan-out to 100, 1 publisher", {}),
  fanOut("fan-out to 100, 4 publishers", { publishers: 4 }),
  fanOut("fan-out to 1,000 in 50 groups", { subscribers: 1000, ...inGroups }),
  // What is stored beforehand makes those who sleep slow, and by itself costs 5 %: V8 has made the code for large lines
  fanOut("fan-out to 500 in 50 groups", { subscribers: 500, stored: 512, ...inGroups }),
  fanOut("fan-out to 500 in 50 groups, and 500 who sleep", { subscribers: 500, asleep: 500, stored: 512, ...inGroups }),
  { name: "history of 200,000, from memory", scenario: "history", kinds: ["memory", "stickWithAllKept"] },
  {
    name: "history of 200,000, from disk (stick: memory)",
    scenario: "history",
    kinds: ["disk", "stickWithAllKept"]
  },
  { name: "logins", scenario: "loggingIn", kinds: memory },
  {
    name: "idle connection, KB",
    scenario: "idle",
    options: { turns: 1, warmUps: 0 },
    kinds: memory,
    figures: ["memory"]
  }
]

try {
  for (const row of rows.filter(({ name }) => name.includes(values.only))) {
    if (row.scenario === "paced") {
      // What is full load has to be known of this minute
      const { ours } = await measure("acks", {}, row.kinds, 0)
      const half = Math.round(median(ours.map(({ rate }) => rate)) / 2000) * 1000
      const name = `${row.name} (${half.toLocaleString("en")} a second)`
      await compare({ ...row, name, options: { ...row.options, rate: half } })
    } else await compare(row)
  }
  if ("cpt send".includes(values.only)) {
    const { child } = await started(1, commands.memory(String(++port)))
    startUp("cpt send", [cpt, "send", "group1", "hi", "--as", "bench", "--server", `127.0.0.1:${port}`])
    await ended([child])
  }
  if ("cpt --help".includes(values.only)) startUp("cpt --help", [cpt, "--help"])

  const { stdout } = spawnSync("git", ["describe", "--always", "--dirty"], { cwd: here("."), encoding: "utf8" })
  const machine = `${cpus().length} x ${cpus()[0]?.model}, ${type()} ${release()}, Node ${process.versions.node}`
  console.log(`${new Date().toISOString().slice(0, 10)}, ${stdout?.trim()}, ${machine}, medians of ${turns} turns\n`)
  const widths = table[0]?.map((_, column) => Math.max(...table.map((cells) => cells[column]?.length ?? 0))) ?? []
  for (const [index, cells] of table.entries()) {
    console.log(`| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`)
    if (index === 0) console.log(`| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`)
  }
  console.log(
    "\nWith a `*`, the generator had no time left: the server could have had more to do. Late: not at the rate that was asked for."
  )
  if (values.large) spawnSync(process.execPath, ["--conditions=@cpt/source", here("large.ts")], { stdio: "inherit" })
} finally {
  rmSync(folder, { recursive: true, force: true })
}
