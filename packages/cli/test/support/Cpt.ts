/** `cpt` as users and scripts have it: a process, with nothing of the machine's own settings in its environment. */
import { Effect, type Scope } from "effect"
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { connect, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { text } from "node:stream/consumers"
import { fileURLToPath } from "node:url"

const bin = fileURLToPath(new URL("../../bin/cpt.cjs", import.meta.url))

export interface Result {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Options {
  readonly env?: Readonly<Record<string, string>> | undefined
  /** All of stdin; without it, stdin stays open. */
  readonly stdin?: string | Uint8Array | undefined
  /** What a shell does with it, such as `| head -1`; the exit status is that of cpt nevertheless. */
  readonly shell?: string | undefined
  /** Files and sockets that it may have open. */
  readonly descriptors?: number | undefined
  /** What the shell has before it, such as `env -i`. */
  readonly as?: string | undefined
  /** Flags of Node itself. */
  readonly node?: ReadonlyArray<string> | undefined
  /** Another user of the system; only root may be one. */
  readonly user?: number | undefined
}

interface Process {
  readonly child: ChildProcessWithoutNullStreams
  readonly writes: (text: string) => Effect.Effect<void>
  /** The next line of stdout. */
  readonly line: Effect.Effect<string>
  /** The next line of stderr. */
  readonly note: Effect.Effect<string>
  readonly signal: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** Waits for the end; gives the exit status. */
  readonly status: Effect.Effect<number | null>
}

/** A folder that goes when the test is over. */
export const folder: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "cpt-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

const spawned = (args: ReadonlyArray<string>, { as = "", descriptors, env, node = [], shell, user }: Options) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const inherited = Object.entries(process.env).filter(([name]) => !/^(CPT_|NO_COLOR|FORCE_COLOR|XDG_)/.test(name))
      const command = [...node, bin, ...args]
      const line = shell === undefined ? `exec "$0" "$@"` : `${as} "$0" "$@" ${shell}; exit "\${PIPESTATUS[0]}"`
      const limited = descriptors === undefined ? line : `ulimit -n ${descriptors}; ${line}`
      const [file, argv] = shell === undefined && descriptors === undefined
        ? [process.execPath, command]
        : ["bash", ["-c", limited, process.execPath, ...command]]
      return spawn(file, argv, {
        env: { ...Object.fromEntries(inherited), XDG_CONFIG_HOME: "/nonexistent", TZ: "UTC", ...env },
        uid: user
      })
    }),
    (child) =>
      Effect.promise(async () => {
        if (child.exitCode !== null || child.signalCode !== null) return
        child.kill("SIGKILL")
        await once(child, "exit")
      })
  )

const ended = async (child: ChildProcessWithoutNullStreams): Promise<number | null> => {
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit")
  return child.exitCode
}

const nextLine = (stream: NodeJS.ReadableStream): Effect.Effect<string> => {
  const lines = createInterface(stream)[Symbol.asyncIterator]()
  return Effect.promise(async () => {
    const { done, value } = await lines.next()
    return done === true ? "(end)" : value
  })
}

/** Starts a process that is talked with. */
export const start = Effect.fnUntraced(function*(args: ReadonlyArray<string>, options: Options = {}) {
  const child = yield* spawned(args, options)
  const started: Process = {
    child,
    writes: (text) =>
      Effect.callback((resume) => {
        child.stdin.write(text, () => resume(Effect.void))
      }),
    line: nextLine(child.stdout),
    note: nextLine(child.stderr),
    signal: (signal) =>
      Effect.sync(() => {
        child.kill(signal)
      }),
    status: Effect.promise(() => ended(child))
  }
  return started
})

/** Runs a process to its end. */
export const run = (args: ReadonlyArray<string>, options: Options = {}): Effect.Effect<Result> =>
  Effect.scoped(Effect.gen(function*() {
    const child = yield* spawned(args, options)
    child.stdin.on("error", () => {})
    if (options.stdin !== undefined) child.stdin.end(options.stdin)
    return yield* Effect.promise(async () => {
      const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
      return { stdout, stderr, status: await ended(child) }
    })
  }))

/** Runs a command line of a shell to its end; it must succeed. What it leaves in the background goes on. */
export const shell = (command: string): Effect.Effect<void> =>
  Effect.promise(async () => {
    const child = spawn("sh", ["-c", command], { stdio: "ignore" })
    const [status] = await once(child, "exit")
    if (status !== 0) throw new Error(`${command}: ${status}`)
  })

/** What a command does while a server follows its script. */
export const during = <A, E, R>(
  command: Effect.Effect<A, E, R>,
  script: Effect.Effect<unknown>
): Effect.Effect<A, E, R> => Effect.map(Effect.all([command, script], { concurrency: 2 }), ([result]) => result)

/** A connection to a server on this machine, which speaks the protocol by hand. */
export const connected = (port: number) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const socket = connect({ port, host: "127.0.0.1" })
      await once(socket, "connect")
      return socket
    }),
    (socket) => Effect.sync(() => socket.destroy())
  ).pipe(Effect.map((socket) => ({
    socket,
    write: (text: string) => {
      socket.write(text)
    },
    /** The next line that the server says. */
    line: nextLine(socket)
  })))

/** A port that nobody has now. */
export const freePort: Effect.Effect<number> = Effect.promise(async () => {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  server.close()
  await once(server, "close")
  return typeof address === "object" ? address?.port ?? 0 : 0
})
