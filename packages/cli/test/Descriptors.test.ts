/** `cpt serve` where it may not have as many files and sockets open as it would like to. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Queue } from "effect"
import { once } from "node:events"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import * as Cpt from "./support/Cpt.ts"

const pem = (name: string) => fileURLToPath(new URL(`support/tls/${name}.pem`, import.meta.url))

const descriptors = 120

/** What there is room for then. */
const [sessions, arrivals] = [22, 5]

/** So many come. */
const crowd = Array.from({ length: 140 }, (_, index) => index)

/** A server with few descriptors that listens: its log, and where it is. */
const serving = Effect.fnUntraced(function*(args: ReadonlyArray<string>) {
  const data = yield* Cpt.folder
  const all = ["serve", "--data", data, "--http", "127.0.0.1:0", ...args]
  const server = yield* Cpt.start(all, { descriptors })
  const port = Number(/:(\d+);/.exec(yield* server.line)?.[1])
  const entry = Effect.map(server.note, (line) => JSON.parse(line))
  const warnings: Array<string> = []
  let first = yield* entry
  for (; first.level === "warn"; first = yield* entry) warnings.push(first.message)
  const [, http = ""] = /^probes at (.*)$/.exec(first.message) ?? []
  return { ...server, data, port, entry, warnings, http }
})

/** Whoever looks after the server still can. */
const isLookedAfter = Effect.fnUntraced(function*(
  { data, http }: { readonly data: string; readonly http: string },
  there: number
) {
  const { status, stderr, stdout } = yield* Cpt.run(["status", "--json", "--data", data])
  assert.deepStrictEqual([status, stderr], [0, ""])
  const seen = JSON.parse(stdout)
  assert.deepStrictEqual([seen.sessions, seen.maxSessions], [there, sessions])
  const healthz = yield* Effect.promise(() => fetch(`${http}/healthz`).then(({ status }) => status))
  assert.strictEqual(healthz, 200)
  return yield* Effect.promise(() => fetch(`${http}/metrics`).then((response) => response.text()))
})

describe("cpt serve with few descriptors", () => {
  it.live("warns, lets in fewer sessions, tells all others why not, and can be looked after", () =>
    Effect.gen(function*() {
      const server = yield* serving(["--port", "0"])
      const warning = new RegExp(
        `^max-sessions is 10000, and .* ${descriptors} files .* ${sessions} sessions.*ulimit -n, LimitNOFILE= .* 13526,`
      )
      assert.strictEqual(server.warnings.length, 1)
      assert.match(server.warnings.join(), warning)
      const answers = yield* Queue.unbounded<string>()
      const waiting = new Set<number>()
      const all = yield* Effect.forEach(crowd, (index) =>
        Effect.gen(function*() {
          const connection = yield* Cpt.connected(server.port)
          waiting.add(index)
          yield* connection.line.pipe(
            Effect.tap((line) => {
              waiting.delete(index)
              return Queue.offer(answers, line)
            }),
            Effect.forkScoped
          )
          return connection
        }), { concurrency: "unbounded" })
      const refused = yield* Queue.takeN(answers, crowd.length - sessions)
      assert.deepStrictEqual(new Set(refused), new Set(["DECLINE server_full"]))
      for (const index of waiting) all[index]?.write(`CONNECT user${index}\n`)
      assert.deepStrictEqual(new Set(yield* Queue.takeN(answers, sessions)), new Set(["ACCEPT"]))
      const metrics = yield* isLookedAfter(server, sessions)
      assert.include(metrics, `cpt_limit_hits_total{limit="max-sessions"} ${refused.length}\n`)
      const { level, limit, message } = yield* server.entry
      assert.deepStrictEqual([level, message, limit], ["warn", "a limit is reached", "max-sessions"])
    }))

  it.live("has its administration beside a crowd that begins no handshake", () =>
    Effect.gen(function*() {
      const tls = ["--tls-cert", pem("server"), "--tls-key", pem("server.key")]
      const server = yield* serving(["--listen", "cpts://127.0.0.1:0", ...tls])
      const cut = yield* Queue.unbounded<unknown>()
      yield* Effect.forEach(crowd, () =>
        Effect.gen(function*() {
          const { socket } = yield* Cpt.connected(server.port)
          socket.on("error", () => {})
          yield* Effect.forkScoped(
            Effect.andThen(Effect.promise(() => once(socket, "close")), Queue.offer(cut, undefined))
          )
        }), { concurrency: "unbounded" })
      yield* Queue.takeN(cut, crowd.length - arrivals)
      yield* isLookedAfter(server, 0)
    }))

  it.live("warns at a reload too, of what does not fit, and of nothing else", () =>
    Effect.gen(function*() {
      const config = join(yield* Cpt.folder, "serve.json")
      const configure = (maxSessions: number) => writeFileSync(config, JSON.stringify({ "max-sessions": maxSessions }))
      configure(sessions)
      const server = yield* serving(["--port", "0", "--config", config])
      assert.deepStrictEqual(server.warnings, [])
      yield* server.signal("SIGHUP")
      assert.strictEqual((yield* server.entry).message, "settings reloaded")
      configure(sessions + 1)
      yield* server.signal("SIGHUP")
      assert.match((yield* server.entry).message, /^max-sessions is 23, and .* 22 sessions/)
      assert.strictEqual((yield* server.entry).message, "settings reloaded, changed: max-sessions")
    }))
})
