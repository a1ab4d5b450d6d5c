/** `cpt status`, `/healthz` and `/metrics`, of a server that is a process. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Cpt from "./support/Cpt.ts"

/** A server whose probes are at a port. */
const serving = Effect.fnUntraced(function*(env: Record<string, string>) {
  const http = yield* Cpt.freePort
  const server = yield* Cpt.start(["serve", "--port", "0", "--http", `127.0.0.1:${http}`], { env })
  const port = Number(/:(\d+);/.exec(yield* server.line)?.[1])
  const get = (path: string) =>
    Effect.promise(async () => {
      const response = await fetch(`http://127.0.0.1:${http}${path}`)
      return { status: response.status, type: response.headers.get("content-type"), text: await response.text() }
    })
  return { ...server, port, http, get }
})

describe("cpt status", () => {
  it.live("shows a server at a glance, and to a program all there is", () =>
    Effect.gen(function*() {
      const env = { CPT_DATA: yield* Cpt.folder }
      const { child, port } = yield* serving(env)
      const ann = yield* Cpt.connected(port)
      ann.write("CONNECT ann\nSYNC red 0\nSEND red hi\n")
      for (const answer of ["ACCEPT", "ENDSYNC", "ACK"]) assert.strictEqual(yield* ann.line, answer)
      const people = yield* Cpt.run(["status"], { env })
      assert.deepStrictEqual([people.status, people.stderr], [0, ""])
      assert.match(people.stdout, /^health +well\n/)
      assert.match(people.stdout, /\nsessions +1 of 10,000, 1 logged in\n/)
      assert.match(people.stdout, new RegExp(`\nlistens on +127\\.0\\.0\\.1:${port}\n`))
      const program = yield* Cpt.run(["status", "--json"], { env })
      assert.deepInclude(JSON.parse(program.stdout), {
        health: "ready",
        pid: child.pid,
        addresses: [`127.0.0.1:${port}`],
        sessions: 1,
        users: 1,
        messages: 1,
        deliveries: 0,
        logLevel: "info"
      })
    }))

  it.live("is 4 where there is no server", () =>
    Effect.gen(function*() {
      const { status, stderr, stdout } = yield* Cpt.run(["status", "--data", yield* Cpt.folder])
      assert.deepStrictEqual([status, stdout], [4, ""])
      assert.match(stderr, /^cpt: no server at .*\n$/)
    }))

  it.live("watches in a pipe without moving the cursor, through a restart, until it is interrupted", () =>
    Effect.gen(function*() {
      const env = { CPT_DATA: yield* Cpt.folder }
      const first = yield* serving(env)
      const watching = yield* Cpt.start(["status", "--watch", "--json"], { env })
      assert.strictEqual(JSON.parse(yield* watching.line).pid, first.child.pid)
      assert.strictEqual(JSON.parse(yield* watching.line).pid, first.child.pid)
      yield* first.signal("SIGTERM")
      assert.strictEqual(yield* first.status, 0)
      assert.match(yield* watching.note, /^cpt: no server at /)
      const second = yield* serving(env)
      assert.strictEqual(JSON.parse(yield* watching.line).pid, second.child.pid)
      yield* watching.signal("SIGINT")
      assert.strictEqual(yield* watching.status, 130)
      const other = yield* Cpt.start(["status", "--watch", "--json"], { env })
      yield* other.line
      yield* other.signal("SIGTERM")
      assert.strictEqual(yield* other.status, 143)
    }))
})

describe("the probes", () => {
  it.live("say that it is ready, and that it drains", () =>
    Effect.gen(function*() {
      const env = { CPT_DATA: yield* Cpt.folder }
      const { get, port } = yield* serving(env)
      const ready = { status: 200, type: "application/json", text: `{"status":"ready"}` }
      assert.deepStrictEqual(yield* get("/healthz"), ready)
      const ann = yield* Cpt.connected(port)
      ann.write("CONNECT ann\n")
      assert.strictEqual(yield* ann.line, "ACCEPT")
      yield* Cpt.run(["admin", "drain"], { env })
      assert.deepStrictEqual(yield* get("/healthz"), { ...ready, status: 503, text: `{"status":"draining"}` })
    }))

  it.live("are all that there is for everybody", () =>
    Effect.gen(function*() {
      const { get } = yield* serving({ CPT_DATA: yield* Cpt.folder })
      for (const path of ["/", "/status", "/sessions", "/groups", "/openapi.json"]) {
        assert.strictEqual((yield* get(path)).status, 404)
      }
    }))

  it.live("cut who asks and takes no answers, whose place is then free", () =>
    Effect.gen(function*() {
      const { get, http } = yield* serving({ CPT_DATA: yield* Cpt.folder })
      const { socket, write } = yield* Cpt.connected(http)
      socket.pause()
      const ask = (times: number) => write("GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n".repeat(times))
      const cut = Effect.callback<string | undefined>((resume) => {
        socket.once("error", ({ code }: NodeJS.ErrnoException) => resume(Effect.succeed(code)))
      })
      // In the end more than buffers take
      const asking = Effect.forever(Effect.andThen(Effect.sync(() => ask(50)), Effect.sleep("200 millis")))
      assert.include(["ECONNRESET", "EPIPE"], yield* Effect.raceFirst(cut, asking))
      assert.strictEqual((yield* get("/healthz")).status, 200)
    }), 60_000)
})
