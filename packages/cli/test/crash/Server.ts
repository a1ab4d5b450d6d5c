/** The server as operators have it: `cpt serve` in a process, on a directory. */
import { Violation } from "./Ledger.ts"
import { type Ending, Process } from "./Process.ts"
import { within } from "./World.ts"

const startDeadline = 60_000
/** `cpt serve` gives its peers 3 seconds; a busy machine gets some more. */
const stopDeadline = 15_000

export interface Options {
  readonly bin: string
  readonly data: string
  readonly flags: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string>> | undefined
}

export class Server {
  readonly process: Process

  constructor({ bin, data, env, flags }: Options) {
    this.process = new Process(["serve", "--port", "0", "--data", data, ...flags], { bin, env })
  }

  /** The port, when it listens. It must come up, whatever happened to the one before it. */
  async port(): Promise<number> {
    const port = await within(
      startDeadline,
      "server that listens",
      this.process.says(/listening on 127\.0\.0\.1:(\d+);/)
    )
    if (port !== undefined) return Number(port)
    throw new Violation(`the server did not come up: ${this.#ending()}`)
  }

  async kill(): Promise<void> {
    this.#mustRun()
    await this.process.end("SIGKILL")
  }

  /** A stop in good order, whatever its clients do. */
  async stop(): Promise<void> {
    this.#mustRun()
    const { status } = await within(stopDeadline, "end of the server after SIGTERM", this.process.end("SIGTERM"))
    if (status !== 0) throw new Violation(`after SIGTERM ${this.#ending()}`)
  }

  #mustRun(): void {
    if (this.process.ending !== undefined) throw new Violation(`the server ended by itself: ${this.#ending()}`)
  }

  #ending(): string {
    const { signal, status }: Ending = this.process.ending ?? { status: null, signal: null }
    return `it ended with ${signal ?? status ?? "nothing yet"}: ${this.process.stderr}`
  }
}
