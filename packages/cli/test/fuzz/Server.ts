/** The server that is fuzzed: `cpt serve` in a process, with what can be seen of it from outside. */
import { readdirSync, readFileSync } from "node:fs"
import { get, type IncomingMessage } from "node:http"
import { createServer } from "node:net"
import { text } from "node:stream/consumers"
import { Violation } from "../crash/Ledger.ts"
import { Process } from "../crash/Process.ts"
import { sleep, within } from "../crash/World.ts"

export type Store = "memory" | "disk"

/** Milliseconds in which it answers, and in which what has ended is gone from everywhere, on a busy machine. */
const patience = 20_000

export const loginDeadline = 2000
export const writeDeadline = 4000

const freePort = () =>
  new Promise<number>((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() => resolve(typeof address === "object" ? address?.port ?? 0 : 0))
    })
  })

/** Whether a line of its log tells of a fault of its own: an error, a session that failed, or what is no line of a log. */
const isFault = (line: string): boolean => {
  if (line === "") return false
  if (!line.startsWith("{")) return true
  const { level, why } = JSON.parse(line)
  return level === "error" || level === "fatal" || why === "failed"
}

/** What it takes of the machine. */
export interface Look {
  /** Bytes. */
  readonly memory: number
  readonly descriptors: number
}

export class Server {
  readonly store: Store
  readonly port: number
  readonly #http: number
  readonly #process: Process
  readonly #faults: Array<string> = []
  #unfinished = ""
  #descriptors: number | undefined // when nobody is there

  private constructor(
    store: Store,
    [port, http]: readonly [number, number],
    bin: string,
    flags: ReadonlyArray<string>
  ) {
    this.store = store
    this.port = port
    this.#http = http
    this.#process = new Process(flags, {
      bin,
      onNote: (text) => {
        const lines = (this.#unfinished + text).split("\n")
        this.#unfinished = lines.pop() ?? ""
        this.#faults.push(...lines.filter(isFault))
      }
    })
  }

  /** @param data the directory of a store on disk */
  static async start(bin: string, store: Store, data: string): Promise<Server> {
    const [port, http] = [await freePort(), await freePort()]
    const flags = [
      ["serve", "--port", String(port), "--http", `127.0.0.1:${http}`, "--log-format", "json"],
      store === "memory" ? ["--memory", "--memory-limit", "100000,32MiB"] : ["--data", data, "--keep-bytes", "32MiB"],
      ["--login-deadline", `${loginDeadline}ms`, "--write-deadline", `${writeDeadline}ms`]
    ]
    const server = new Server(store, [port, http], bin, flags.flat())
    await within(patience, "server that listens", server.#process.says(/(listening)/))
    server.mustBeWell()
    return server
  }

  /** It runs, and has nothing to say against itself. */
  mustBeWell(): void {
    const { ending, stderr } = this.#process
    if (ending !== undefined) throw new Violation(`the server ended with ${ending.signal ?? ending.status}: ${stderr}`)
    this.#mustBeFaultless()
  }

  #mustBeFaultless(): void {
    if (this.#faults.length > 0) throw new Violation(`the log of the server says: ${this.#faults.join("\n")}`)
  }

  /** Waits until it has noticed that no more connections are there than these. */
  async mustHave(open: () => number): Promise<void> {
    const until = performance.now() + patience
    for (;;) {
      const { sessions } = await this.#gauges()
      if (sessions === open()) return
      if (performance.now() > until) {
        throw new Violation(`the server has ${sessions} sessions, of ${open()} connections`)
      }
      await sleep(5)
    }
  }

  /** Waits until nobody is there, and nothing is left of those who were. */
  async mustBeIdle(): Promise<Look> {
    const until = performance.now() + patience
    for (;;) {
      const left = await this.#left()
      this.mustBeWell()
      if (left === "") return this.#look()
      if (performance.now() > until) throw new Violation(`when all had gone, the server still had ${left}`)
      await sleep(20)
    }
  }

  /** It ends in good order. */
  async stop(): Promise<void> {
    const { signal, status } = await within(patience, "end of the server", this.#process.end("SIGTERM"))
    if (status !== 0) throw new Violation(`the server ended with ${signal ?? status}: ${this.#process.stderr}`)
    this.#mustBeFaultless()
  }

  async kill(): Promise<void> {
    await this.#process.end("SIGKILL")
  }

  #look(): Look {
    const { pid } = this.#process
    const status = readFileSync(`/proc/${pid}/status`, "latin1")
    return {
      memory: Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024,
      descriptors: readdirSync(`/proc/${pid}/fd`).length
    }
  }

  /** What is not 0, in words. */
  async #left(): Promise<string> {
    const gauges = await this.#gauges()
    const { descriptors } = this.#look()
    this.#descriptors ??= descriptors
    const left = Object.entries(gauges).filter(([, value]) => value !== 0).map(([gauge, value]) => `${value} ${gauge}`)
    if (descriptors > this.#descriptors) left.push(`${descriptors} descriptors, where ${this.#descriptors} had been`)
    return left.join(", ")
  }

  async #gauges() {
    const response = await within(
      patience,
      "answer of /metrics",
      new Promise<IncomingMessage>((resolve, reject) => {
        get({ host: "127.0.0.1", port: this.#http, path: "/metrics", agent: false }, resolve).once("error", reject)
      })
    )
    const metrics = await text(response)
    const of = (name: string) => Number(new RegExp(`^cpt_${name} (\\S+)`, "m").exec(metrics)?.[1])
    return {
      sessions: of("sessions"),
      users: of("users"),
      "followed names": of("followed_targets"),
      "late sessions": of("late_sessions"),
      "bytes not taken": of("untaken_bytes"),
      "bytes queued": of("queued_bytes")
    }
  }
}
