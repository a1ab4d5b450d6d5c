/** `cpt serve` as a service of systemd: with sockets that are open already, and with somebody to tell how it is. */
import { MessageStore } from "@cpt/server"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Layer, Queue } from "effect"
import { TestClock } from "effect/testing"
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { BoundSocket, type BoundSocketOptions, connect as connectInClear } from "node:net"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { text } from "node:stream/consumers"
import { connect } from "node:tls"
import { fileURLToPath } from "node:url"
import { jumpingClock } from "../../server/src/testing/JumpingClock.ts"
import * as Systemd from "../src/serve/Systemd.ts"
import * as Cpt from "./support/Cpt.ts"

const bin = fileURLToPath(new URL("../bin/cpt.cjs", import.meta.url))
const pem = (name: string) => fileURLToPath(new URL(`support/tls/${name}.pem`, import.meta.url))

const killed = (child: ChildProcess) =>
  Effect.promise(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill("SIGKILL")
    await once(child, "exit")
  })

/** Node takes a path, too, of which its types do not know yet. */
const bound = (place: BoundSocketOptions & { readonly path?: string }) =>
  Effect.acquireRelease(Effect.sync(() => new BoundSocket(place)), (socket) => Effect.sync(() => socket.close()))

const port = bound({ host: "127.0.0.1", port: 0 })

/** As systemd starts it: its own process, with the sockets from descriptor 3 on. Gives its first line. */
const activated = (sockets: ReadonlyArray<BoundSocket>, names: string, ...args: ReadonlyArray<string>) =>
  told(`LISTEN_FDS=${names.split(":").length} LISTEN_FDNAMES=${names}`, sockets, ...args)

/** The same, with these variables. */
const told = (variables: string, sockets: ReadonlyArray<BoundSocket>, ...args: ReadonlyArray<string>) =>
  Effect.map(started(variables, sockets, ...args), ({ line }) => line)

/** The same, and its process. */
const started = Effect.fnUntraced(function*(
  variables: string,
  sockets: ReadonlyArray<BoundSocket>,
  ...args: ReadonlyArray<string>
) {
  const command = `LISTEN_PID=$$ ${variables} exec "$0" "$@"`
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn("sh", ["-c", command, process.execPath, bin, "serve", "--memory", ...args], {
        stdio: ["ignore", "pipe", "pipe", ...sockets.map((socket) => socket.fd())],
        env: { ...process.env, XDG_CONFIG_HOME: "/nonexistent" }
      })
    ),
    killed
  )
  const [, stdout, stderr] = child.stdio
  if (stdout === null || stderr === null) return assert.fail("no pipes")
  const first = Promise.race([once(createInterface(stdout), "line").then(String), text(stderr)])
  return { child, line: yield* Effect.promise(() => first) }
})

/** How many connections Linux keeps waiting, at the most, until somebody accepts them. */
const mostWaiting = process.platform === "linux" ? Number(readFileSync("/proc/sys/net/core/somaxconn", "latin1")) : 0

const sent = { status: 0, stdout: "", stderr: "" }

describe("sockets of systemd", () => {
  it.live("are listened on instead of the default", () =>
    Effect.gen(function*() {
      const socket = yield* port
      const { port: number } = socket.address()
      assert.match(
        yield* activated([socket], "cpt.socket"),
        new RegExp(`^cpt: listening on 127\\.0\\.0\\.1:${number};`)
      )
      assert.deepStrictEqual(yield* Cpt.run(["send", "-s", `127.0.0.1:${number}`, "g", "hi"]), sent)
    }))

  it.live("are listened on beside what was asked for, and with TLS if they are called so", () =>
    Effect.gen(function*() {
      const [clear, secure] = [yield* port, yield* port]
      const uri = `cpts://127.0.0.1:${secure.address().port}`
      const certificate = ["--tls-cert", pem("server"), "--tls-key", pem("server.key")]
      const line = yield* activated([clear, secure], "chat:cpts", "--listen", "cpt://127.0.0.1:0", ...certificate)
      const places = `cpt://127\\.0\\.0\\.1:\\d+ and cpt://127\\.0\\.0\\.1:${clear.address().port} and ${uri}`
      assert.match(line, new RegExp(`^cpt: listening on ${places};`))
      assert.deepStrictEqual(yield* Cpt.run(["send", "-s", uri, "--tls-ca", pem("ca"), "g", "hi"]), sent)
    }))

  it.live("may be Unix sockets, and speak TLS too", () =>
    Effect.gen(function*() {
      const path = join(yield* Cpt.folder, "sock")
      const certificate = ["--tls-cert", pem("server"), "--tls-key", pem("server.key")]
      assert.include(yield* activated([yield* bound({ path })], "cpts", ...certificate), `listening on `)
      for (const line of ["CONNECT ann\n", "CONNECT bob\n"]) {
        const socket = connect({ path, ca: readFileSync(pem("ca")), servername: "localhost" })
        socket.end(line)
        assert.strictEqual(yield* Effect.promise(() => text(socket)), "ACCEPT\n")
      }
    }))

  it.live.runIf(mostWaiting >= 1000)(
    "keep as many waiting as others of the server do, while it is busy",
    () =>
      Effect.gen(function*() {
        const socket = yield* port
        const { port: number } = socket.address()
        const { child } = yield* started("LISTEN_FDS=1", [socket])
        child.kill("SIGSTOP")
        const clients = yield* Effect.acquireRelease(
          Effect.sync(() => Array.from({ length: 800 }, () => connectInClear(number, "127.0.0.1"))),
          (clients) => Effect.sync(() => clients.forEach((client) => client.destroy()))
        )
        yield* Effect.promise(() => Promise.all(clients.map((client) => once(client, "connect"))))
        child.kill("SIGCONT")
        assert.deepStrictEqual(yield* Cpt.run(["send", "-s", `127.0.0.1:${number}`, "g", "hi"]), sent)
      })
  )

  it.live("have who comes while a server stops wait for the next one", () =>
    Effect.gen(function*() {
      const socket = yield* port
      const { port: number } = socket.address()
      const first = (yield* started("LISTEN_FDS=1", [socket])).child
      const comes = Effect.acquireRelease(
        Effect.sync(() => connectInClear(number, "127.0.0.1")),
        (socket) => Effect.sync(() => socket.destroy())
      )
      const ann = yield* comes
      const said = text(ann)
      const slow = yield* comes
      slow.pause()
      slow.write(`CONNECT slow\n${`SEND g ${"x".repeat(8000)}\n`.repeat(2000)}SYNC g 0\n`)
      yield* Effect.promise(() => once(slow, "drain"))
      const ended = once(first, "exit")
      first.kill("SIGTERM")
      assert.strictEqual(yield* Effect.promise(() => said), "DECLINE shutting_down\n")
      const waits = Effect.gen(function*() {
        const late = yield* comes
        late.end("CONNECT late\n")
        return yield* Effect.promise(() => text(late))
      })
      const answer = yield* Effect.forkChild(
        Effect.repeat(waits, { until: (answer) => answer !== "DECLINE shutting_down\n" })
      )
      yield* Effect.promise(() => ended)
      yield* started("LISTEN_FDS=1", [socket])
      assert.strictEqual(yield* Fiber.join(answer), "ACCEPT\n")
    }))

  it.live("that are not there are said in one line, and those for another process are none", () =>
    Effect.gen(function*() {
      const line = yield* activated([], "chat")
      assert.match(line, /^cpt: cannot listen on the socket "chat" of systemd, descriptor 3: .*\n$/)
      const other = { LISTEN_FDS: "1", LISTEN_PID: "1", LISTEN_FDNAMES: "chat" }
      const child = yield* Cpt.start(["serve", "--memory", "--port", "0"], { env: other })
      assert.match(yield* child.line, /^cpt: listening on 127\.0\.0\.1:\d+;/)
    }))
})

describe("variables of systemd", () => {
  it.live("that tell of far more sockets than there are keep no server from saying so", () =>
    Effect.gen(function*() {
      const line = yield* told("LISTEN_FDS=10000000", [])
      assert.match(line, /^cpt: cannot listen on the socket "unknown" of systemd, descriptor \d+: .*\n$/)
    }))

  it.live("that are empty count as none", () =>
    Effect.gen(function*() {
      const socket = yield* port
      const { port: number } = socket.address()
      const empty = "NOTIFY_SOCKET= WATCHDOG_USEC= WATCHDOG_PID= LISTEN_FDNAMES="
      assert.match(yield* told(`LISTEN_FDS=1 ${empty}`, [socket]), new RegExp(`:${number};`))
      const env = { LISTEN_FDS: "", LISTEN_PID: "", NOTIFY_SOCKET: "", WATCHDOG_USEC: "" }
      const server = yield* Cpt.start(["serve", "--memory", "--port", "0"], { env })
      const logged = text(server.child.stderr)
      assert.match(yield* server.line, /^cpt: listening on 127\.0\.0\.1:\d+;/)
      yield* server.signal("SIGTERM")
      assert.strictEqual(yield* server.status, 0)
      assert.strictEqual(yield* Effect.promise(() => logged), "")
    }))
})

describe("the watchdog of systemd", () => {
  it.live("asks nothing of a store that closes: a stop in good order logs no error", () =>
    Effect.gen(function*() {
      const env = { WATCHDOG_USEC: "1000" } // so that it asks all the time
      const server = yield* Cpt.start(["serve", "--data", yield* Cpt.folder, "--port", "0"], { env })
      const logged = text(server.child.stderr)
      assert.match(yield* server.line, /^cpt: listening on /)
      yield* server.signal("SIGTERM")
      assert.strictEqual(yield* server.status, 0)
      assert.strictEqual(yield* Effect.promise(() => logged), "")
    }))
})

const has = (command: string): boolean => spawnSync("sh", ["-c", `command -v ${command}`]).status === 0
const canHear = has("systemd-notify") && has("python3")
if (!canHear) console.warn("Without systemd-notify and python3, what cpt serve tells systemd is not tested here")

const receiver = `
import socket, sys
socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
try: socket.bind(sys.argv[1])
finally: print("bound", flush=True)
while True: print(socket.recv(65536).decode().replace("\\n", " "), flush=True)
`

/** What systemd would hear, message by message. */
const hearing = Effect.gen(function*() {
  const path = join(yield* Cpt.folder, "notify")
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => spawn("python3", ["-c", receiver, path], { stdio: ["ignore", "pipe", "inherit"] })),
    killed
  )
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const next = Effect.promise(async () => {
    for (;;) {
      const { value } = await lines.next()
      if (value !== "BARRIER=1") return String(value)
    }
  })
  assert.strictEqual(yield* next, "bound")
  return { path, next }
})

/** One that answers when this is done. */
const store = (append: Effect.Effect<void>) =>
  Layer.mock(MessageStore, {
    description: "",
    failure: () => undefined,
    kindOf: () => Effect.undefined,
    append: () => Effect.uninterruptible(Effect.as(append, 0))
  })

describe.skipIf(!canHear)("systemd", () => {
  it.live("hears that the server is ready, reloads and stops", () =>
    Effect.gen(function*() {
      const { next, path } = yield* hearing
      const server = yield* Cpt.start(["serve", "--memory", "--port", "0"], { env: { NOTIFY_SOCKET: path } })
      const [, address] = /^cpt: listening on (.*);/.exec(yield* server.line) ?? []
      assert.strictEqual(yield* next, `READY=1 STATUS=listening on ${address}`)
      yield* server.signal("SIGHUP")
      assert.match(yield* next, /^RELOADING=1 MONOTONIC_USEC=\d+$/)
      assert.strictEqual(yield* next, "READY=1")
      yield* server.signal("SIGTERM")
      assert.strictEqual(yield* next, "STOPPING=1 STATUS=stopping")
      assert.strictEqual(yield* server.status, 0)
    }))

  it.live("hears that it is alive, twice in the time of its watchdog, and no longer when it stands still", () =>
    Effect.gen(function*() {
      const { next, path } = yield* hearing
      const data = yield* Cpt.folder
      const env = { NOTIFY_SOCKET: path, WATCHDOG_USEC: "1000000" }
      const server = yield* Cpt.start(["serve", "--data", data, "--port", "0"], { env })
      assert.match(yield* next, /^READY=1/)
      assert.strictEqual(yield* next, "WATCHDOG=1")
      const before = performance.now()
      assert.strictEqual(yield* next, "WATCHDOG=1")
      assert.isBelow(performance.now() - before, 1000)
      yield* server.signal("SIGSTOP")
      const after = yield* Effect.timeoutOption(Effect.andThen(next, next), "1500 millis") // one may be under way
      assert.strictEqual(after._tag, "None")
      yield* server.signal("SIGCONT")
      assert.strictEqual(yield* next, "WATCHDOG=1")
    }))

  it.live("does not hear that a server is alive whose store does not answer", () =>
    Effect.gen(function*() {
      const { next, path } = yield* hearing
      const systemd = yield* Systemd.make({ ...process.env, NOTIFY_SOCKET: path, WATCHDOG_USEC: "100000" })
      yield* Effect.raceFirst(next, Effect.provide(systemd.alive, store(Effect.void)))
      yield* systemd.ready("standing still")
      yield* Effect.raceFirst(Effect.provide(systemd.alive, store(Effect.never)), Effect.sleep("500 millis"))
      yield* systemd.stopping
      const said = yield* Effect.repeat(next, { until: (said) => !said.startsWith("WATCHDOG") })
      assert.strictEqual(said, "READY=1 STATUS=standing still")
      assert.strictEqual(yield* next, "STOPPING=1 STATUS=stopping")
    }))

  it.effect("hears that it is alive as often as ever while the machine is set to another time", () =>
    Effect.gen(function*() {
      const { next, path } = yield* hearing
      const systemd = yield* Systemd.make({ ...process.env, NOTIFY_SOCKET: path, WATCHDOG_USEC: "10000000" })
      yield* TestClock.setTime(7_200_000)
      const { clock, jump } = yield* jumpingClock
      const asked = yield* Queue.unbounded<void>()
      yield* Effect.forkScoped(systemd.alive).pipe(
        Effect.provide(store(Effect.asVoid(Queue.offer(asked, undefined)))),
        Effect.provideService(Clock.Clock, clock)
      )
      const hearsIt = Effect.gen(function*() {
        yield* Queue.take(asked)
        assert.strictEqual(yield* next, "WATCHDOG=1")
      })
      yield* hearsIt
      for (const millis of [-7000, 3_600_000, -7_200_000, 0]) {
        yield* jump(millis)
        yield* TestClock.adjust("5 seconds")
        yield* hearsIt
      }
    }))
})
