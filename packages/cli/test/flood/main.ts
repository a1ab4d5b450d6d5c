/**
 * `npm run floods`: every attack on a server of its own, with its defaults, and what comes of it: for somebody who does
 * nothing wrong, and for the server's memory and descriptors. Prints a table.
 *
 *     npm run floods -- [--only WORD] [--seconds 15] [--disk | --stick] [--again | --turns N] [--scale 1] [-- FLAGS OF cpt serve]
 *
 * A server that has just started is slower than it will be: V8 has not compiled for speed yet what the attack makes it
 * run, and does so meanwhile. With `--again` the attack happens twice, and the second time is measured. With `--turns` it
 * stops and goes on so many times, and what is measured while it has stopped is "before": machines have slow minutes.
 *
 * Where there are `taskset` and `chrt`, the server has one core, attackers another, and who measures goes first.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs"
import { cpus, tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface, type Interface } from "node:readline"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { sleep } from "../crash/World.ts"
import { attacks, prepare } from "./Attacks.ts"

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: "string", default: "" },
    seconds: { type: "string", default: "15" },
    settle: { type: "string", default: "35" },
    scale: { type: "string", default: "1" },
    again: { type: "boolean", default: false },
    turns: { type: "string", default: "0" },
    disk: { type: "boolean", default: false },
    stick: { type: "boolean", default: false } // the measuring stick of the benchmark, which has no limits
  }
})
const here = (name: string) => fileURLToPath(new URL(name, import.meta.url))
const wait = (seconds: number) => sleep(seconds * 1000)
const seconds = Number(values.seconds)

/** Seconds of a turn, and what passes before it is measured: what has begun goes on for a moment. */
const [window, lull] = [2, 0.4]

const does = (...command: ReadonlyArray<string>) => spawnSync(command[0] ?? "", command.slice(1)).status === 0
const canPin = cpus().length > 1 && does("taskset", "-c", "0", "true")
const canGoFirst = does("chrt", "-f", "10", "true") // only root may

const running = new Set<ChildProcess>()
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL")
})
process.once("SIGINT", () => process.exit(130))
process.once("SIGTERM", () => process.exit(143))

class Helper {
  readonly child: ChildProcess
  readonly #lines: AsyncIterator<string>
  constructor(before: ReadonlyArray<string>, args: ReadonlyArray<string>) {
    const [file = "", ...rest] = [...before, process.execPath, ...args]
    const child = spawn(file, rest, { stdio: ["pipe", "pipe", "ignore"] })
    this.child = child
    running.add(child)
    child.once("exit", () => running.delete(child))
    const lines: Interface = createInterface(child.stdout)
    this.#lines = lines[Symbol.asyncIterator]()
  }

  async line(): Promise<string> {
    const { done, value } = await this.#lines.next()
    if (done === true) throw new Error(`${this.child.spawnargs.join(" ")} has ended`)
    return value
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    if (!running.has(this.child)) return
    this.child.kill(signal)
    await once(this.child, "exit")
  }
}

const on = (core: number) => canPin ? ["taskset", "-c", String(core)] : []

/** MB of memory, and descriptors. */
const stateOf = ({ pid }: ChildProcess) => ({
  memory: Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1]) / 1024,
  // To list thousands of them would keep the server waiting
  descriptors: statSync(`/proc/${pid}/fd`).size || readdirSync(`/proc/${pid}/fd`).length
})

const table: Array<ReadonlyArray<string>> = [[
  "attack",
  "ACK before: p50, p99",
  "during: p50, p99",
  "p99 ratio",
  "delivery p99, before and during",
  "memory MB: before, most, after",
  "descriptors",
  "what the attackers saw"
]]

interface Measured {
  readonly acks: ReadonlyArray<number>
  readonly deliveries: ReadonlyArray<number>
}

const together = (all: ReadonlyArray<Measured>): Measured => ({
  acks: all.flatMap(({ acks }) => acks),
  deliveries: all.flatMap(({ deliveries }) => deliveries)
})

const quantile = (numbers: ReadonlyArray<number>, at: number): number =>
  numbers.toSorted((a, b) => a - b)[Math.min(numbers.length - 1, Math.floor(at * numbers.length))] ?? NaN

const quantiles = (numbers: ReadonlyArray<number>) => `${quantile(numbers, 0.5)} ${quantile(numbers, 0.99)}`

const shown = ([reason, times]: [string, unknown]) => `${reason || "cut"} ${times}`

const run = async (name: string) => {
  const folder = mkdtempSync(join(tmpdir(), "cpt-floods-"))
  const place = values.disk ? ["--data", folder] : ["--memory"]
  const command = values.stick
    ? [here("../../benchmark/stick.ts"), "0", String(2 ** 20)]
    : [here("../../bin/cpt.cjs"), "serve", "--port", "0", "--exempt", "127.0.0.1", ...place, ...positionals]
  const server = new Helper(on(1), command)
  try {
    const port = Number(/:(\d+)/.exec(await server.line())?.[1])
    if (name.includes("SYNC")) await prepare(port, 100_000)
    const victim = new Helper([...on(0), ...canGoFirst ? ["chrt", "-f", "10"] : []], [
      "--conditions=@cpt/source",
      "--single-threaded", // of V8's threads, the one that goes first would wait for those that cannot run: for a second
      fileURLToPath(new URL("Victim.ts", import.meta.url)),
      String(port)
    ])
    await victim.line()
    const attack = () =>
      new Helper(on(0), [
        "--conditions=@cpt/source",
        "--max-old-space-size=2048",
        fileURLToPath(new URL("Attacker.ts", import.meta.url)),
        name,
        String(port),
        values.scale
      ])
    const ended = async (attacker: Helper) => {
      attacker.child.stdin?.end()
      return JSON.parse(await attacker.line())
    }
    if (values.again) {
      const attacker = attack()
      await wait(seconds)
      await ended(attacker)
      await wait(2)
    }
    const said = async (): Promise<Measured> => {
      victim.child.stdin?.write("\n")
      return JSON.parse(await victim.line())
    }
    let most = 0
    let descriptors = 0
    const measured = async (seconds: number) => {
      await said()
      for (let tenths = 0; tenths < seconds * 10; tenths++) {
        await wait(0.1)
        const state = stateOf(server.child)
        most = Math.max(most, state.memory)
        descriptors = Math.max(descriptors, state.descriptors)
      }
      return said()
    }
    await wait(2)
    const quiet = [await measured(seconds)]
    const before = stateOf(server.child)
    const attacker = attack()
    const attacked = [await measured(seconds)]
    for (let turn = 0; turn < Number(values.turns); turn++) {
      if (turn === 0) quiet.length = attacked.length = 0 // they were for the server to get warm
      attacker.child.kill("SIGSTOP")
      await wait(lull)
      quiet.push(await measured(window))
      attacker.child.kill("SIGCONT")
      await wait(lull)
      attacked.push(await measured(window))
    }
    const [calm, during] = [together(quiet), together(attacked)]
    const seen = await ended(attacker)
    await wait(Number(values.settle))
    const after = stateOf(server.child)
    table.push([
      name,
      quantiles(calm.acks),
      `${quantiles(during.acks)} (${during.acks.length})`,
      (quantile(during.acks, 0.99) / quantile(calm.acks, 0.99)).toFixed(1),
      `${quantile(calm.deliveries, 0.99)} ${quantile(during.deliveries, 0.99)}`,
      [before.memory, most, after.memory].map((mb) => mb.toFixed(0)).join(" "),
      `${before.descriptors} ${descriptors} ${after.descriptors}`,
      `${seen.connections} connections, ${seen.acks} ACKs, ${Object.entries(seen.declines).map(shown).join(", ")}`
    ])
    console.error(table.at(-1)?.join(" | "))
    await victim.end("SIGKILL")
  } finally {
    await server.end("SIGKILL")
    rmSync(folder, { recursive: true, force: true })
  }
}

const chosen = attacks.filter(({ name }) => name.includes(values.only))
if (chosen.length === 0) {
  console.error(`no attack is called "${values.only}": ${attacks.map(({ name }) => name).join("; ")}`)
  process.exit(2)
}
for (const { name } of chosen) await run(name)
const widths = table[0]?.map((_, column) => Math.max(...table.map((cells) => cells[column]?.length ?? 0))) ?? []
for (const [index, cells] of table.entries()) {
  console.log(`| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`)
  if (index === 0) console.log(`| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`)
}
process.exit()
