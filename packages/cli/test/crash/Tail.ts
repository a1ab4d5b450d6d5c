/**
 * `cpt tail --cursor-file FILE --json >> OUT` as a script has it: it must lose nothing, and what it printed again must
 * be the last lines of a process that was killed.
 */
import {
  appendFileSync,
  closeSync,
  existsSync,
  fstatSync,
  openSync,
  readFileSync,
  readSync,
  truncateSync
} from "node:fs"
import { join } from "node:path"
import { type Run, Violation } from "./Ledger.ts"
import { Process } from "./Process.ts"
import { sleep, within, type World } from "./World.ts"

export interface Options {
  readonly bin: string
  readonly folder: string
  readonly groups: ReadonlyArray<string>
  readonly port: number
  /** Holes are said on stderr, which is not read here. */
  readonly mayForget: boolean
}

export class Tail {
  readonly #world: World
  readonly #options: Options
  readonly #out: string
  readonly #places: ReadonlyMap<string, { cursor: number; from: number | undefined; received: Array<number> }>
  #process: Process
  #read = 0

  constructor(world: World, options: Options) {
    this.#world = world
    this.#options = options
    this.#out = join(options.folder, "tail.ndjson")
    appendFileSync(this.#out, "")
    this.#places = new Map(options.groups.map((group) => [group, { cursor: 0, from: 0, received: [] }]))
    this.#process = this.#start()
  }

  /** Ends it at some moment, and starts the next one on the same cursor file. */
  async restart(signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    this.#mustRun()
    this.#world.note("tail", signal)
    await this.#process.end(signal)
    if (signal === "SIGKILL") this.#dropHalfLine()
    this.check()
    // What a killed one has printed, and not noted in its cursor file, comes again: from the next that prints anything
    if (signal === "SIGKILL") { for (const place of this.#places.values()) place.from = undefined }
    this.#process = this.#start()
  }

  async stop(): Promise<void> {
    await this.#process.end("SIGKILL")
  }

  /** Waits until it has printed everything. */
  async catchUp(): Promise<void> {
    const isBehind = () =>
      [...this.#places].filter(([group, { cursor }]) => cursor < this.#world.ledger.head(group)).map(([group]) => group)
    const caughtUp = async () => {
      for (this.take(); isBehind().length > 0 && !this.#world.isBroken; this.take()) {
        this.#mustRun()
        await sleep(20)
      }
    }
    await within(30_000, `cpt tail at the head of ${isBehind().join(" and ")}; ${this.#process.stderr}`, caughtUp())
  }

  /** Reads what it has printed since the last time. */
  take(): void {
    const file = openSync(this.#out, "r")
    const bytes = Buffer.alloc(Math.max(0, fstatSync(file).size - this.#read))
    readSync(file, bytes, 0, bytes.length, this.#read)
    closeSync(file)
    const end = bytes.lastIndexOf(10) + 1
    this.#read += end
    for (const line of bytes.subarray(0, end).toString().split("\n").slice(0, -1)) this.#take(line)
  }

  /** Holds what was printed against the history, which must be known up to there. */
  check(): void {
    this.take()
    for (const [target, place] of this.#places) {
      const run: Run = {
        reader: "cpt tail",
        target,
        after: place.from ?? place.cursor,
        items: place.received,
        holeThrough: this.#options.mayForget ? this.#world.ledger.missingThrough(target) : 0
      }
      this.#world.ledger.run(run)
      if (place.received.length > 0) place.from = place.cursor
      place.received = []
    }
  }

  #take(line: string): void {
    const { group, message, sender, timestamp } = parse(line)
    const place = this.#places.get(group)
    if (place === undefined) throw new Violation(`cpt tail printed something of ${group}: ${line}`)
    this.#world.ledger.saw({ target: group, sender, timestamp, text: message })
    if (place.from === undefined) place.from = Math.min(place.cursor, timestamp - 1)
    place.received.push(timestamp)
    place.cursor = timestamp
  }

  /** A line that was cut by a kill is for nobody; its message comes again. */
  #dropHalfLine(): void {
    this.take()
    truncateSync(this.#out, this.#read)
  }

  #mustRun(): void {
    const { ending, stderr } = this.#process
    if (ending !== undefined) throw new Violation(`cpt tail ended with ${ending.signal ?? ending.status}: ${stderr}`)
  }

  #start(): Process {
    const { bin, folder, groups, port } = this.#options
    const cursorFile = join(folder, "tail.cursor")
    this.#world.note(
      "tail",
      `starts at ${existsSync(cursorFile) ? readFileSync(cursorFile, "utf8").trim() : "nothing"}`
    )
    return new Process(
      ["tail", ...groups, "--json", "--cursor-file", cursorFile, "--server", `127.0.0.1:${port}`, "--timeout", "60s"],
      { bin, appendTo: this.#out }
    )
  }
}

const parse = (line: string): { group: string; sender: string; message: string; timestamp: number } => {
  const value: unknown = JSON.parse(line)
  if (
    typeof value === "object" && value !== null && "group" in value && typeof value.group === "string" &&
    "sender" in value && typeof value.sender === "string" && "message" in value && typeof value.message === "string" &&
    "timestamp" in value && typeof value.timestamp === "number"
  ) return { group: value.group, sender: value.sender, message: value.message, timestamp: value.timestamp }
  throw new Violation(`cpt tail printed ${line}`)
}
