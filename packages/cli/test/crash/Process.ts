/** `cpt` as it is shipped, in a process of its own that can be killed; none is left when the harness ends. */
import { type ChildProcess, spawn } from "node:child_process"
import { closeSync, openSync } from "node:fs"

export interface Ending {
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
}

export interface Options {
  /** What is run: `bin/cpt.cjs`. */
  readonly bin: string
  readonly env?: Readonly<Record<string, string>> | undefined
  /** A file that stdout is added to; without it, stdout is kept. */
  readonly appendTo?: string | undefined
  /** Hears stderr, of which only the end is kept. */
  readonly onNote?: ((text: string) => void) | undefined
}

const alive = new Set<ChildProcess>()
process.on("exit", () => {
  for (const child of alive) child.kill("SIGKILL")
})

const keptOutput = 20_000

export class Process {
  readonly ended: Promise<Ending>
  #child: ChildProcess
  #ending: Ending | undefined
  #stdout = ""
  #stderr = ""
  #onOutput = () => {}

  constructor(args: ReadonlyArray<string>, { appendTo, bin, env, onNote }: Options) {
    const inherited = Object.entries(process.env).filter(([name]) => !/^(CPT_|NODE_OPTIONS|NO_COLOR|XDG_)/.test(name))
    const stdout = appendTo === undefined ? "pipe" : openSync(appendTo, "a")
    const child = spawn(process.execPath, [bin, ...args], {
      env: { ...Object.fromEntries(inherited), XDG_CONFIG_HOME: "/nonexistent", ...env },
      stdio: ["ignore", stdout, "pipe"]
    })
    if (typeof stdout === "number") closeSync(stdout)
    alive.add(child)
    this.#child = child
    child.stdout?.on("data", (bytes: Buffer) => {
      this.#stdout = (this.#stdout + bytes.toString()).slice(-keptOutput)
      this.#onOutput()
    })
    child.stderr?.on("data", (bytes: Buffer) => {
      this.#stderr = (this.#stderr + bytes.toString()).slice(-keptOutput)
      onNote?.(bytes.toString())
    })
    this.ended = new Promise((resolve) => {
      child.once("close", (status, signal) => {
        alive.delete(child)
        this.#ending = { status, signal }
        this.#onOutput()
        resolve(this.#ending)
      })
    })
  }

  /** How it ended, if it has. */
  get ending(): Ending | undefined {
    return this.#ending
  }

  get stdout(): string {
    return this.#stdout
  }

  get stderr(): string {
    return this.#stderr
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Sends a signal, and waits for the end. */
  async end(signal: NodeJS.Signals): Promise<Ending> {
    this.#child.kill(signal)
    return this.ended
  }

  /** Waits until stdout has this, or the process has ended: then it is undefined. */
  async says(pattern: RegExp): Promise<string | undefined> {
    return new Promise((resolve) => {
      this.#onOutput = () => {
        const found = pattern.exec(this.#stdout)
        if (found === null && this.#ending === undefined) return
        this.#onOutput = () => {}
        resolve(found?.[1])
      }
      this.#onOutput()
    })
  }
}
