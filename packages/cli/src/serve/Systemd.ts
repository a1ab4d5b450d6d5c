/**
 * What systemd wants to know of a service, sd_notify(3): that it is ready, reloads, stops, and is alive. It listens on a
 * datagram socket, which Node cannot write to, so its program `systemd-notify` does. One small process starts that for
 * each message, since starting a process holds up one that is large.
 */
import { Name } from "@cpt/schema"
import { Batch, MessageStore } from "@cpt/server"
import { Effect, Fiber } from "effect"
import { Buffer } from "node:buffer"

/** Says some assignments, as one message. */
type Say = (...assignments: ReadonlyArray<string>) => Effect.Effect<void>

/** A line is a message, its assignments parted by tabs. Ends when there are no more, and not by a signal to all. */
const script = `trap '' HUP INT TERM
command -v systemd-notify > /dev/null || exit 127
set -f
while IFS= read -r line; do IFS='\t'; systemd-notify $line; done`

const open = Effect.fnUntraced(function*(env: NodeJS.ProcessEnv) {
  const { spawn } = process.getBuiltinModule("node:child_process") // few who serve need it
  const fork = Effect.runForkWith(yield* Effect.context())
  let helper: { readonly write: (line: string) => void } | undefined
  let isMissing = false

  const start = () => {
    const child = spawn("sh", ["-c", script], { env, stdio: ["pipe", "ignore", "inherit"] })
    child.unref()
    child.stdin.on("error", () => {}) // "close" follows
    child.on("error", () => {})
    child.on("close", (status) => {
      helper = undefined // there will be another one
      isMissing = status === 127 || (status ?? 0) < 0 // null: somebody has killed it
      if (isMissing) fork(Effect.logError("systemd cannot be told how this service is: there is no systemd-notify"))
    })
    return { write: (line: string) => child.stdin.write(line) }
  }

  const say: Say = (...assignments) =>
    Effect.sync(() => {
      if (isMissing) return
      helper ??= start()
      helper.write(`${assignments.map((text) => text.replaceAll(/[\t\n]/g, " ")).join("\t")}\n`)
    })
  return say
})

const probe = Name.Username.make("watchdog")

/** Waits until the store has answered: who reads, and who writes; that it can do neither now is an answer too. */
const storeAnswers = Effect.gen(function*() {
  const store = yield* MessageStore
  yield* Effect.ignore(store.kindOf(probe))
  // To write cannot be interrupted, and who stops does not wait for it
  yield* Fiber.join(yield* Effect.forkDetach(Effect.ignore(store.append(probe, new Batch(Buffer.alloc(0))))))
})

export interface Systemd {
  /** It serves; and what it does, in words. */
  readonly ready: (status: string) => Effect.Effect<void>
  /** Says when that begins and when it is over. */
  readonly reloading: <A, E, R>(reload: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  readonly stopping: Effect.Effect<void>
  /** Says that it is alive, as often as it is asked to: its event loop turns, and its store answers. */
  readonly alive: Effect.Effect<void, never, MessageStore>
}

/** Where nobody listens, nothing is said. */
export const make = Effect.fnUntraced(function*(env: NodeJS.ProcessEnv = process.env): Effect.fn.Return<Systemd> {
  const say: Say = (env["NOTIFY_SOCKET"] ?? "") === "" ? () => Effect.void : yield* open(env)
  const pid = String(process.pid)
  const watched = Number(env["WATCHDOG_USEC"] ?? 0) / 1000
  const isWatched = watched > 0 && ["", pid].includes(env["WATCHDOG_PID"] ?? "")
  return {
    ready: (status) => say("READY=1", `STATUS=${status}`),
    reloading: (reload) =>
      Effect.suspend(() => say("RELOADING=1", `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`)).pipe(
        Effect.andThen(reload),
        Effect.ensuring(say("READY=1"))
      ),
    stopping: say("STOPPING=1", "STATUS=stopping"),
    // Schedule.fixed goes by the time of day, and would be late where that is set back
    alive: isWatched
      ? Effect.all([Effect.andThen(storeAnswers, say("WATCHDOG=1")), Effect.sleep(watched / 2)], {
        concurrency: 2,
        discard: true
      }).pipe(Effect.forever)
      : Effect.void
  }
})
