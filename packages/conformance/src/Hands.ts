/**
 * What the kit cannot do over the protocol, and somebody does for it by a command line: an administrator's acts
 * (`--control`), and restarts of the server (`--restart`, `--kill`).
 */
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { Inconclusive } from "./Outcome.ts"

export interface Hands {
  /**
   * `lock NAME`, `unlock NAME`, `allow-ip NAME CIDR…`, `members GROUP NAME…`, `remove NAME`, `announce TEXT`,
   * `refuse REASON`, `accept REASON`.
   */
  readonly control?: ((args: ReadonlyArray<string>) => Effect.Effect<void, Inconclusive>) | undefined
  /** Ends the server in good order, and starts it again on the same data. */
  readonly restart?: Effect.Effect<void, Inconclusive> | undefined
  /** The same, without an end: as after a loss of power, or `kill -9`. */
  readonly kill?: Effect.Effect<void, Inconclusive> | undefined
}

/** How long such a command may take. */
const patience = 30_000

/** Of what a command said, as much as is of use in a report. */
const shown = 300

/** Runs a command line of a shell, with arguments behind it. Whatever it starts may go on running. */
const run = (command: string, args: ReadonlyArray<string>): Effect.Effect<void, Inconclusive> =>
  Effect.callback((resume) => {
    const what = [command, ...args].join(" ")
    const child = spawn("sh", ["-c", `${command} "$@"`, "sh", ...args], { stdio: ["ignore", "ignore", "pipe"] })
    let said = ""
    const end = (why: string | undefined) => {
      clearTimeout(timer)
      child.stderr.destroy() // what was started in the background may keep it
      resume(why === undefined ? Effect.void : Effect.fail(new Inconclusive({ why: `"${what}" ${why}` })))
    }
    const timer = setTimeout(() => {
      child.kill("SIGKILL")
      end(`was not done within ${patience / 1000} s`)
    }, patience)
    child.stderr.on("data", (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(0, shown)
    })
    child.once("error", (error) => end(`could not be run: ${error.message}`))
    child.once("exit", (status, signal) => {
      const why = said.trim().replaceAll(/\s+/g, " ")
      end(status === 0 ? undefined : `ended with ${status ?? signal}${why === "" ? "" : `: ${why}`}`)
    })
    return Effect.sync(() => {
      clearTimeout(timer)
      child.kill("SIGKILL")
    })
  })

export const fromCommands = (
  { control, kill, restart }: { readonly [K in keyof Hands]: string | undefined }
): Hands => ({
  control: control === undefined ? undefined : (args) => run(control, args),
  restart: restart === undefined ? undefined : run(restart, []),
  kill: kill === undefined ? undefined : run(kill, [])
})
