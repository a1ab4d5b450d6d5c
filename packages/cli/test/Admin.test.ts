/** The administration of a running server: `cpt serve` and `cpt admin` as processes, over a real socket. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber } from "effect"
import { Buffer } from "node:buffer"
import { once } from "node:events"
import { existsSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs"
import { get } from "node:http"
import { connect } from "node:net"
import { join } from "node:path"
import { text } from "node:stream/consumers"
import * as Cpt from "./support/Cpt.ts"

/** A server that listens; gives its port. */
const serving = Effect.fnUntraced(function*(args: ReadonlyArray<string>, env: Record<string, string> = {}) {
  const server = yield* Cpt.start(["serve", "--port", "0", ...args], { env })
  const port = Number(/:(\d+);/.exec(yield* server.line)?.[1])
  return { ...server, port }
})

/** Says lines, and hears these; … at the end of one stands for any rest. */
const say = Effect.fnUntraced(function*(
  connection: Effect.Success<ReturnType<typeof Cpt.connected>>,
  lines: ReadonlyArray<string>,
  answers: ReadonlyArray<string>
) {
  connection.write(lines.map((line) => `${line}\n`).join(""))
  for (const answer of answers) {
    const line = yield* connection.line
    if (answer.endsWith("…")) assert.isTrue(line.startsWith(answer.slice(0, -1)), `${line} is ${answer}`)
    else assert.strictEqual(line, answer)
  }
})

/** The objects that a command has printed. */
const jsonLines = ({ status, stdout }: Cpt.Result) =>
  Effect.sync((): ReadonlyArray<Record<string, unknown>> => {
    assert.strictEqual(status, 0)
    return stdout.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line))
  })

describe("cpt admin", () => {
  it.live("announces to everybody who is logged in, in the server's own name; the log has how many, and not what", () =>
    Effect.gen(function*() {
      const data = yield* Cpt.folder
      const { note, port } = yield* serving(["--data", data])
      const nobody = yield* Cpt.run(["admin", "announce", "--data", data, "Anybody here?"])
      assert.deepStrictEqual(nobody, { status: 0, stdout: "", stderr: "cpt: 0 sessions told\n" })
      const ann = yield* Cpt.connected(port)
      ann.write("CONNECT ann\n")
      assert.strictEqual(yield* ann.line, "ACCEPT")
      const somebody = yield* Cpt.run(["admin", "announce", "Back in five minutes"], { env: { CPT_DATA: data } })
      assert.deepStrictEqual(somebody, { status: 0, stdout: "", stderr: "cpt: 1 session told\n" })
      assert.strictEqual(yield* ann.line, "MSG system system 0 Back in five minutes") // CPT 5.9
      for (const sessions of [0, 1]) {
        const { time: _, ...line } = JSON.parse(yield* note)
        assert.deepStrictEqual(line, { level: "info", message: "announcement by an administrator", sessions })
      }
    }))

  it.live("announces what is as long as a line of theirs may be, and nothing longer", () =>
    Effect.gen(function*() {
      const data = yield* Cpt.folder
      const { port } = yield* serving(["--data", data])
      const ann = yield* Cpt.connected(port)
      yield* say(ann, ["CONNECT ann"], ["ACCEPT"])
      const announce = (text: string) => Cpt.run(["admin", "announce", "--data", data, text])
      const longest = "é".repeat((8192 - "MSG system system 0 ".length) / 2)
      assert.deepStrictEqual(yield* announce(`${longest}x`), {
        status: 2,
        stdout: "",
        stderr: "cpt: TEXT is refused: it has 8173 bytes, and a line has room for 8172\n"
      })
      assert.strictEqual((yield* announce(longest)).stderr, "cpt: 1 session told\n")
      assert.strictEqual(yield* ann.line, `MSG system system 0 ${longest}`)
    }))

  it.live("has a document, which on the Unix socket is for whoever may open that", () =>
    Effect.gen(function*() {
      const data = yield* Cpt.folder
      yield* serving(["--data", data])
      const document = yield* Effect.promise(async () => {
        const [response] = await once(get({ socketPath: join(data, "admin.sock"), path: "/openapi.json" }), "response")
        return JSON.parse(await text(response))
      })
      assert.strictEqual(document.openapi, "3.1.0")
      assert.strictEqual(`cpt v${document.info.version}\n`, (yield* Cpt.run(["--version"])).stdout)
      assert.include(Object.keys(document.paths), "/sessions/close")
    }))

  it.live("is for the owner alone, goes with the server, and takes over from one that was killed", () =>
    Effect.gen(function*() {
      // Longer than the path of a Unix socket may be
      const data = join(yield* Cpt.folder, "d".repeat(120))
      const socket = join(data, "admin.sock")
      const announce = Cpt.run(["admin", "announce", "--data", data, "hello"])
      const first = yield* serving(["--data", data])
      assert.strictEqual(statSync(socket).mode & 0o777, 0o600)
      assert.strictEqual((yield* announce).status, 0)
      yield* first.signal("SIGKILL")
      yield* first.status
      assert.isTrue(existsSync(socket))
      assert.strictEqual((yield* announce).status, 4)
      const second = yield* serving(["--data", data])
      assert.strictEqual((yield* announce).status, 0)
      yield* second.signal("SIGTERM")
      assert.strictEqual(yield* second.status, 0)
      assert.isFalse(existsSync(socket))
    }))

  it.live("on TCP wants the token", () =>
    Effect.gen(function*() {
      const folder = yield* Cpt.folder
      const [token, other] = [join(folder, "token"), join(folder, "other")]
      writeFileSync(token, "secret\n")
      writeFileSync(other, "guess\n")
      const port = yield* Cpt.freePort
      const uri = `http://127.0.0.1:${port}`
      yield* serving(["--memory", "--admin", uri, "--admin-token-file", token])
      const announce = (args: ReadonlyArray<string>, env: Record<string, string> = {}) =>
        Cpt.run(["admin", "announce", "--admin", uri, ...args, "hello"], { env })
      assert.strictEqual((yield* announce(["--admin-token-file", token])).status, 0)
      assert.strictEqual((yield* announce([], { CPT_ADMIN_TOKEN: "secret" })).status, 0)
      for (const args of [[], ["--admin-token-file", other]]) {
        const { status, stderr } = yield* announce(args)
        assert.strictEqual(status, 3)
        assert.match(stderr, /^cpt: declined: unauthorized: .*\n$/)
      }
    }))

  it.live("on TCP tells nobody anything without the token", () =>
    Effect.gen(function*() {
      const token = join(yield* Cpt.folder, "token")
      writeFileSync(token, "secret\n")
      const uri = `http://127.0.0.1:${yield* Cpt.freePort}`
      yield* serving(["--memory", "--admin", uri, "--admin-token-file", token])
      const asked = (path: string, init: RequestInit) =>
        Effect.promise(() => fetch(`${uri}${path}`, init).then(({ status }) => status))
      for (const path of ["/status", "/sessions", "/groups", "/accounts", "/healthz", "/metrics", "/openapi.json"]) {
        assert.strictEqual(yield* asked(path, {}), 401)
        assert.strictEqual(yield* asked(path, { headers: { authorization: "Bearer secre" } }), 401)
        assert.strictEqual(yield* asked(path, { headers: { authorization: "Bearer secret" } }), 200)
      }
      for (const path of ["/announce", "/drain", "/reload", "/sessions/close"]) {
        const post = { method: "POST", body: "{}", headers: { "content-type": "application/json" } }
        assert.strictEqual(yield* asked(path, post), 401)
      }
    }))

  it.live("on TCP for other machines says so in the log, and that its token is short", () =>
    Effect.gen(function*() {
      const file = join(yield* Cpt.folder, "token")
      const warnings = Effect.fnUntraced(function*(host: string, token: string) {
        writeFileSync(file, token)
        const uri = `http://${host}:${yield* Cpt.freePort}`
        const server = yield* serving(["--memory", "--admin", uri, "--admin-token-file", file])
        yield* server.signal("SIGTERM")
        const said: Array<string> = []
        for (let line = yield* server.note; line !== "(end)"; line = yield* server.note) {
          const { level, message } = JSON.parse(line)
          if (level === "warn") said.push(message)
        }
        return said
      })
      const open = /^the administration at http:\/\/0\.0\.0\.0:\d+ is open to other machines, and .* in clear text$/
      const [isOpen = "", isShort = "", ...more] = yield* warnings("0.0.0.0", "fifteen-letters")
      assert.match(isOpen, open)
      assert.strictEqual(
        isShort,
        "the token of the administration is short enough to be guessed: give it 16 characters or more"
      )
      assert.deepStrictEqual(more, [])
      const long = yield* warnings("0.0.0.0", "sixteen-letters.")
      assert.strictEqual(long.length, 1)
      assert.match(long.join(), open)
      assert.deepStrictEqual(yield* warnings("127.0.0.1", "x"), [])
    }))

  it.live("takes the scheme of the token in any case of its letters", () =>
    Effect.gen(function*() {
      const token = join(yield* Cpt.folder, "token")
      writeFileSync(token, "secret\n")
      const uri = `http://127.0.0.1:${yield* Cpt.freePort}`
      yield* serving(["--memory", "--admin", uri, "--admin-token-file", token])
      for (const scheme of ["bearer", "BEARER"]) { // RFC 9110, 11.1
        const headers = { authorization: `${scheme} secret` }
        assert.strictEqual((yield* Effect.promise(() => fetch(`${uri}/status`, { headers }))).status, 200)
      }
    }))

  it.live("refuses a request with a key that it does not know, and says which", () =>
    Effect.gen(function*() {
      const token = join(yield* Cpt.folder, "token")
      writeFileSync(token, "secret\n")
      const uri = `http://127.0.0.1:${yield* Cpt.freePort}`
      yield* serving(["--memory", "--admin", uri, "--admin-token-file", token])
      const asked = (method: string, path: string, body?: unknown) =>
        Effect.promise(async () => {
          const headers = { authorization: "Bearer secret", "content-type": "application/json" }
          const text = body === undefined || typeof body === "string" ? body : JSON.stringify(body)
          const answer = await fetch(`${uri}${path}`, { method, headers, body: text ?? null })
          return { status: answer.status, said: await answer.text() }
        })
      const cases = [
        ["POST", "/account", { name: "typo", lock: true }, ["payload", "lock"]],
        ["POST", "/account?dry=1", { name: "typo" }, ["query", "dry"]],
        ["PATCH", "/account?name=bob", { lock: true }, ["payload", "lock"]],
        ["PATCH", "/account?name=bob&locked=true", {}, ["query", "locked"]],
        ["DELETE", "/account?name=bob", { dry: true }, ["payload"]],
        ["POST", "/declared-group", { name: "staff", member: ["bob"] }, ["payload", "member"]],
        ["POST", "/drain", { within: 1000 }, ["payload", "within"]],
        ["POST", "/drain?withinMillis=500", {}, ["query", "withinMillis"]],
        ["POST", "/announce", { text: "hi", to: "red" }, ["payload", "to"]],
        ["POST", "/announce?to", { text: "hi" }, ["query", "to"]],
        ["POST", "/reload", { dry: true }, ["payload"]],
        ["POST", "/reload", "garbage", ["payload"]],
        ["POST", "/reload?dry=1", undefined, ["query", "dry"]],
        ["PUT", "/log-level?for=1h", { level: "error" }, ["query", "for"]],
        ["GET", "/sessions?behind=1", undefined, ["query", "behind"]],
        ["GET", "/status?of=1", undefined, ["query", "of"]]
      ] as const
      for (const [method, path, body, key] of cases) {
        const { said, status } = yield* asked(method, path, body)
        assert.strictEqual(status, 400, path)
        assert.deepStrictEqual(JSON.parse(said).errors[0].path, key)
      }
      assert.deepStrictEqual(JSON.parse((yield* asked("GET", "/accounts")).said), { accounts: [] })
      const { health, logLevel } = JSON.parse((yield* asked("GET", "/status")).said)
      assert.deepStrictEqual([health, logLevel], ["ready", "info"])
      for (const body of [undefined, {}, "\n"]) assert.strictEqual((yield* asked("POST", "/reload", body)).status, 200)
      // Machines add to a query what others want to see
      for (const path of ["/healthz", "/metrics", "/openapi.json"]) {
        assert.strictEqual((yield* asked("GET", `${path}?format=text&format=%ff`)).status, 200)
      }
    }))

  it.live("refuses what is not UTF-8, in a body or a query, and does nothing (CPT 1.2)", () =>
    Effect.gen(function*() {
      const token = join(yield* Cpt.folder, "token")
      writeFileSync(token, "secret\n")
      const uri = `http://127.0.0.1:${yield* Cpt.freePort}`
      const { port } = yield* serving(["--memory", "--admin", uri, "--admin-token-file", token])
      const ann = yield* Cpt.connected(port)
      yield* say(ann, ["CONNECT ann"], ["ACCEPT"])
      const asked = (method: string, path: string, body?: string) =>
        Effect.promise(async () => {
          const headers = { authorization: "Bearer secret", "content-type": "application/json" }
          const bytes = body === undefined ? null : Buffer.from(body, "latin1")
          const answer = await fetch(`${uri}${path}`, { method, headers, body: bytes })
          return { status: answer.status, said: await answer.text() }
        })
      const cases = [
        ["POST", "/announce", `{"text":"caf\xe9 ok"}`, "payload"],
        ["POST", "/account", `{"name":"b\xffb"}`, "payload"],
        ["PATCH", "/account?name=bob", `{"certificates":["CN=b\xff"]}`, "payload"],
        ["PATCH", "/account?name=b%ffb", `{"locked":true}`, "query"],
        ["GET", "/sessions?after=%e9", undefined, "query"]
      ] as const
      for (const [method, path, body, slot] of cases) {
        const { said, status } = yield* asked(method, path, body)
        assert.deepStrictEqual([status, JSON.parse(said).errors], [
          400,
          [{ path: [slot], message: "Expected UTF-8" }]
        ], path)
      }
      assert.deepStrictEqual(JSON.parse((yield* asked("GET", "/accounts")).said), { accounts: [] })
      assert.strictEqual((yield* asked("POST", "/announce", `{"text":"caf\xc3\xa9"}`)).status, 200)
      assert.strictEqual(yield* ann.line, "MSG system system 0 café")
    }))

  it.live("does not keep a server that has to end", () =>
    Effect.gen(function*() {
      const data = yield* Cpt.folder
      const server = yield* serving(["--data", data])
      const asking = yield* Effect.acquireRelease(
        Effect.promise(async () => {
          const socket = connect(join(data, "admin.sock"))
          await once(socket, "connect")
          return socket
        }),
        (socket) => Effect.sync(() => socket.destroy())
      )
      asking.on("error", () => {})
      asking.write("POST /announce HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
      assert.strictEqual((yield* Cpt.run(["status", "--data", data])).status, 0)
      const stopping = performance.now()
      yield* server.signal("SIGTERM")
      assert.strictEqual(yield* server.status, 0)
      assert.isBelow(performance.now() - stopping, 10_000) // it is 5 seconds in the contract; the machine may be busy
    }))

  it.live("says in one line where there is no server, and what is wrong with what it was given", () =>
    Effect.gen(function*() {
      const folder = yield* Cpt.folder
      const cases = [
        [["--data", folder, "hi"], {}, 4, /^cpt: no server at .*admin\.sock: there is no such socket; .*\n$/],
        [["--admin", "http://127.0.0.1:1", "hi"], {}, 4, /^cpt: no server at http:\/\/127\.0\.0\.1:1: .*\n$/],
        [["hi"], { CPT_ADMIN: "off" }, 2, /^cpt: CPT_ADMIN "off": .*\n$/],
        [["--admin", "here", "hi"], {}, 2, /^cpt: --admin "here": expected .*\n$/],
        [["--admin", "unix://x", "hi"], {}, 2, /^cpt: --admin "unix:\/\/x": expected .*\n$/],
        [["--data", folder, "two\nlines"], {}, 2, /^cpt: TEXT "two\\nlines": .*\n$/],
        [["--data", folder, "hi"], { CPT_TIMEOUT: "5" }, 2, /^cpt: CPT_TIMEOUT "5": .*\n$/]
      ] as const
      yield* Effect.forEach(
        cases,
        ([args, env, status, message]) =>
          Effect.map(Cpt.run(["admin", "announce", ...args], { env }), (result) => {
            assert.deepStrictEqual([result.status, result.stdout], [status, ""])
            assert.match(result.stderr, message)
          }),
        { concurrency: 2 }
      )
    }))

  it.live("is not there with --memory, nor with --admin off", () =>
    Effect.gen(function*() {
      const data = yield* Cpt.folder
      yield* serving(["--data", data, "--admin", "off"])
      assert.isFalse(existsSync(join(data, "admin.sock")))
      yield* serving(["--memory"], { XDG_STATE_HOME: data })
      assert.isFalse(existsSync(join(data, "cpt")))
    }))

  it.live("leaves alone what it finds in its place", () =>
    Effect.gen(function*() {
      const folder = yield* Cpt.folder
      const file = join(folder, "file")
      writeFileSync(file, "precious")
      const { status, stderr } = yield* Cpt.run(["serve", "--memory", "--port", "0", "--admin", `unix://${file}`])
      assert.strictEqual(status, 1)
      assert.match(stderr, /^cpt: no administration at .*: something else is there already\n$/)
      const socket = `unix://${join(folder, "sock")}`
      yield* serving(["--memory", "--admin", socket])
      const second = yield* Cpt.run(["serve", "--memory", "--port", "0", "--admin", socket])
      assert.strictEqual(second.status, 1)
      assert.match(second.stderr, /^cpt: no administration at .*: somebody listens there already\n$/)
    }))

  it.live("lists who is connected, and closes a session by its user or its id", () =>
    Effect.gen(function*() {
      const env = { CPT_DATA: yield* Cpt.folder }
      const { port } = yield* serving([], env)
      const [ann, bob, nobody] = [yield* Cpt.connected(port), yield* Cpt.connected(port), yield* Cpt.connected(port)]
      yield* say(ann, ["CONNECT ann", "SYNC red 0"], ["ACCEPT", "ENDSYNC"])
      yield* say(bob, ["CONNECT bob", "SEND red one", "SEND red two"], ["ACCEPT", "ACK", "ACK"])
      yield* say(nobody, ["SEND red x"], ["DECLINE not_logged_in"])
      const told = [yield* ann.line, yield* ann.line]
      const listed = yield* jsonLines(yield* Cpt.run(["admin", "sessions", "--json"], { env }))
      const [first, second, third] = listed
      const sent = (lines: ReadonlyArray<string>) => lines.map((line) => `${line}\n`).join("").length
      assert.deepInclude(first, {
        user: "ann",
        address: "127.0.0.1",
        groups: 1,
        lagSeconds: 0,
        messages: 0,
        delivered: 2,
        receivedBytes: sent(["CONNECT ann", "SYNC red 0"]),
        sentBytes: sent(["ACCEPT", "ENDSYNC", ...told])
      })
      assert.deepInclude(second, { user: "bob", groups: 0, messages: 2, delivered: 0 })
      assert.notProperty(third, "user")
      assert.isBelow(Math.abs(Date.parse(String(first?.["since"])) - Date.now()), 60_000)
      const table = yield* Cpt.run(["admin", "sessions"], { env })
      assert.match(table.stdout, /^ID +USER .*\n *\d+ +ann +127\.0\.0\.1 .*\n *\d+ +bob .*\n *\d+ +- .*\n$/)

      const missing = yield* Cpt.run(["admin", "close", "zed"], { env })
      assert.strictEqual(missing.status, 1)
      assert.match(missing.stderr, /^cpt: there is no session of "zed"; .*\n$/)
      const byName = yield* Cpt.run(["admin", "close", "ann"], { env })
      assert.deepStrictEqual([byName.status, byName.stdout], [0, ""])
      assert.match(byName.stderr, /^cpt: session \d+ of ann from 127\.0\.0\.1 is closed\n$/)
      assert.deepStrictEqual([yield* ann.line, yield* ann.line], ["DECLINE shutting_down", "(end)"])
      const byId = yield* Cpt.run(["admin", "close", String(third?.["id"])], { env })
      assert.strictEqual(byId.status, 0)
      assert.deepStrictEqual([yield* nobody.line, yield* nobody.line], ["DECLINE shutting_down", "(end)"])
      yield* say(bob, ["SEND red three"], ["ACK"]) // nobody else has noticed
      // Its user may come again
      const again = yield* Cpt.connected(port)
      yield* say(again, ["CONNECT ann"], ["ACCEPT"])
    }))

  it.live("lists more sessions and groups than one page has, each once", () =>
    Effect.gen(function*() {
      const env = { CPT_DATA: yield* Cpt.folder }
      const { port } = yield* serving(["--login-deadline", "5m"], env)
      const ann = yield* Cpt.connected(port)
      const names = Array.from({ length: 2500 }, (_, n) => `group${n}`)
      yield* say(ann, ["CONNECT ann", ...names.map((name) => `SEND ${name} hi`)], ["ACCEPT", ...names.map(() => "ACK")])
      yield* say(ann, ["SYNC red 0", "SYNC group7 0"], ["ENDSYNC", "MSG group7 ann …", "ENDSYNC"])
      const listed = yield* Cpt.run(["admin", "groups", "--json"], { env }).pipe(
        Effect.flatMap(jsonLines),
        // They are as they were a moment ago
        Effect.repeat({ until: (groups) => groups.length === names.length + 1, times: 20 })
      )
      const expected = [...names, "red"].toSorted().map((name) => ({
        name,
        followers: name === "red" || name === "group7" ? 1 : 0,
        messages: name === "red" ? 0 : 1
      }))
      assert.deepStrictEqual(listed, expected)
      const others = yield* Effect.forEach(Array.from({ length: 1100 }), () => Cpt.connected(port), { concurrency: 50 })
      yield* Effect.forEach(others, (other) => say(other, ["SYNC"], ["DECLINE not_logged_in"]))
      const sessions = yield* jsonLines(yield* Cpt.run(["admin", "sessions", "--json"], { env }))
      assert.strictEqual(new Set(sessions.map(({ id }) => id)).size, 1101)
      assert.strictEqual(sessions.length, 1101)
    }))

  it.live("drains: nobody new is served, who is there goes on, and the server ends when the last has gone", () =>
    Effect.gen(function*() {
      const env = { CPT_DATA: yield* Cpt.folder }
      const server = yield* serving([], env)
      const [ann, bob] = [yield* Cpt.connected(server.port), yield* Cpt.connected(server.port)]
      yield* say(ann, ["CONNECT ann", "SYNC red 0"], ["ACCEPT", "ENDSYNC"])
      yield* say(bob, ["CONNECT bob"], ["ACCEPT"])
      const dan = yield* Cpt.connected(server.port)
      yield* say(dan, ["SYNC"], ["DECLINE not_logged_in"])
      const drain = yield* Cpt.run(["admin", "drain"], { env })
      assert.deepStrictEqual(drain, {
        status: 0,
        stdout: "",
        stderr: "cpt: 3 sessions left: the server ends when they have gone\n"
      })
      const eve = yield* Cpt.connected(server.port)
      assert.deepStrictEqual([yield* eve.line, yield* eve.line], ["DECLINE shutting_down", "(end)"])
      // Whoever has not logged in yet is new
      yield* say(dan, ["CONNECT dan", "SEND red hi"], ["DECLINE shutting_down", "(end)"])
      yield* say(bob, ["SEND red hi"], ["ACK"])
      assert.match(yield* ann.line, /^MSG red bob \d+ hi$/)
      const status = yield* Cpt.run(["status", "--json"], { env })
      assert.strictEqual(status.status, 1)
      assert.strictEqual(JSON.parse(status.stdout).health, "draining")
      ann.socket.end()
      bob.socket.end()
      assert.strictEqual(yield* server.status, 0)
    }))

  it.live("does not let anybody in when the server stops, be it that somebody is still asking over HTTP", () =>
    Effect.gen(function*() {
      const probes = yield* Cpt.freePort
      const server = yield* serving(["--memory", "--http", `127.0.0.1:${probes}`])
      const [ann, eve, asking] = [
        yield* Cpt.connected(server.port),
        yield* Cpt.connected(server.port),
        yield* Cpt.connected(probes)
      ]
      yield* say(ann, ["CONNECT ann"], ["ACCEPT"])
      yield* say(eve, ["SYNC"], ["DECLINE not_logged_in"])
      asking.write("GET /healthz HTTP/1.1\r\n")
      yield* server.signal("SIGTERM")
      // It stops: nobody is heard any more at the probes
      yield* Effect.repeat(Effect.exit(Effect.scoped(Cpt.connected(probes))), { until: Exit.isFailure })
      yield* say(eve, ["CONNECT eve"], ["DECLINE shutting_down", "(end)"])
      const late = yield* Effect.exit(Cpt.connected(server.port))
      if (Exit.isSuccess(late)) yield* say(late.value, ["CONNECT late"], ["DECLINE shutting_down"])
      yield* say(ann, [], ["DECLINE shutting_down", "(end)"])
      assert.strictEqual(yield* server.status, 0)
    }))

  it.live("drains within a time, whoever is still there", () =>
    Effect.gen(function*() {
      const env = { CPT_DATA: yield* Cpt.folder }
      const server = yield* serving([], env)
      const ann = yield* Cpt.connected(server.port)
      yield* say(ann, ["CONNECT ann"], ["ACCEPT"])
      const drain = yield* Cpt.run(["admin", "drain", "--within", "100ms"], { env })
      assert.strictEqual(drain.status, 0)
      assert.deepStrictEqual([yield* ann.line, yield* ann.line], ["DECLINE shutting_down", "(end)"])
      assert.strictEqual(yield* server.status, 0)
    }))

  it.live("reloads the settings, and says what would take a restart; or keeps the old ones, and says why", () =>
    Effect.gen(function*() {
      const folder = yield* Cpt.folder
      const file = join(folder, "serve.json")
      writeFileSync(file, "{}")
      const env = { CPT_DATA: folder, CPT_CONFIG: file }
      yield* serving([], env)
      const reload = Cpt.run(["admin", "reload"], { env })
      assert.deepStrictEqual(yield* reload, { status: 0, stdout: "nothing has changed\n", stderr: "" })
      writeFileSync(file, JSON.stringify({ "max-sessions": 7, live: "off" }))
      const changed = "changed: max-sessions\na restart is needed for: live\n"
      assert.deepStrictEqual(yield* reload, { status: 0, stdout: changed, stderr: "" })
      writeFileSync(file, JSON.stringify({ "max-sessions": 0 }))
      const { status, stderr } = yield* reload
      assert.strictEqual(status, 2)
      assert.match(stderr, /^cpt: settings are not reloaded, all stay as they are: "max-sessions" in .*\n$/)
      const now = yield* Cpt.run(["status", "--json"], { env })
      assert.strictEqual(JSON.parse(now.stdout).maxSessions, 7)
    }))

  it.live("says when what the settings name was read again, and is other than before", () =>
    Effect.gen(function*() {
      const folder = yield* Cpt.folder
      const [cert, accounts] = [join(folder, "cert.pem"), join(folder, "accounts.json")]
      const put = (file: string, contents: string) => {
        writeFileSync(`${file}.new`, contents)
        renameSync(`${file}.new`, file)
      }
      const pem = (name: string) => readFileSync(new URL(`support/tls/${name}.pem`, import.meta.url), "utf8")
      const key = join(folder, "key.pem")
      writeFileSync(key, pem("server.key"))
      put(cert, pem("server"))
      put(accounts, "{}")
      const env = { CPT_DATA: folder }
      const args = ["--listen", "cpts://127.0.0.1:0", "--tls-cert", cert, "--tls-key", key, "--accounts-file", accounts]
      const server = yield* Cpt.start(["serve", ...args], { env })
      yield* server.line
      const reload = Cpt.run(["admin", "reload", "--timeout", "1m"], { env })
      // The server sees by itself what has changed, so it stands still until it is asked; that may take longer
      const says = Effect.fnUntraced(function*(expected: string, change: (time: number) => void) {
        let [time, stdout] = [0, ""]
        while (stdout !== expected && time++ < 5) {
          yield* server.signal("SIGSTOP")
          change(time)
          const asked = yield* Effect.forkChild(reload)
          yield* Effect.sleep(Duration.seconds(time))
          yield* server.signal("SIGCONT")
          stdout = (yield* Fiber.join(asked)).stdout
        }
        assert.strictEqual(stdout, expected)
      })
      const rename = (time: number) => put(accounts, `{"accounts":[{"name":"bob${time}"}]}`)
      const renew = () => put(cert, pem("server"))
      yield* says("changed: accounts and groups\n", rename)
      yield* says("changed: certificate\n", renew)
      yield* says("changed: certificate, accounts and groups\n", (time) => {
        renew()
        rename(time + 100)
      })
      assert.strictEqual((yield* reload).stdout, "nothing has changed\n")
    }))

  it.live("has more logged, or less", () =>
    Effect.gen(function*() {
      const env = { CPT_DATA: yield* Cpt.folder }
      const server = yield* serving([], env)
      const level = (...args: ReadonlyArray<string>) => Cpt.run(["admin", "log-level", ...args], { env })
      assert.strictEqual((yield* level()).stdout, "info\n")
      assert.deepStrictEqual(yield* level("error"), { status: 0, stdout: "", stderr: "" })
      assert.strictEqual((yield* level()).stdout, "error\n")
      assert.strictEqual((yield* level("loud")).status, 2)
      const quiet = yield* Cpt.connected(server.port)
      yield* say(quiet, ["CONNECT quiet"], ["ACCEPT"])
      quiet.socket.end()
      assert.strictEqual(yield* quiet.line, "(end)")
      yield* level("warn")
      yield* level("info")
      yield* level("info") // which changes nothing
      const ann = yield* Cpt.connected(server.port)
      yield* say(ann, ["CONNECT ann"], ["ACCEPT"])
      ann.socket.end()
      // Said by the level that has it logged, the one before or the one after
      for (const [from, to] of [["info", "error"], ["warn", "info"]]) {
        assert.deepInclude(JSON.parse(yield* server.note), { message: "log level changed", from, to })
      }
      assert.deepInclude(JSON.parse(yield* server.note), { message: "session ended", user: "ann" })
      yield* level("debug")
      yield* server.note
      const bob = yield* Cpt.connected(server.port)
      yield* say(bob, ["CONNECT bob"], ["ACCEPT"])
      const { session: _, time: _time, ...line } = JSON.parse(yield* server.note)
      assert.deepStrictEqual(line, {
        level: "debug",
        message: "session logged in",
        user: "bob",
        address: "127.0.0.1"
      })
    }))

  it.live("logs as much as the settings say once these are read again, and says that this is other than before", () =>
    Effect.gen(function*() {
      const folder = yield* Cpt.folder
      const file = join(folder, "serve.json")
      writeFileSync(file, `{"log-level":"error"}`)
      const env = { CPT_DATA: folder, CPT_CONFIG: file }
      const server = yield* serving([], env)
      const level = (...args: ReadonlyArray<string>) => Cpt.run(["admin", "log-level", ...args], { env })
      const reload = Effect.map(Cpt.run(["admin", "reload"], { env }), ({ stdout }) => stdout)
      const notes = Effect.fnUntraced(function*(...expected: ReadonlyArray<Record<string, string>>) {
        for (const one of expected) assert.deepInclude(JSON.parse(yield* server.note), one)
      })
      const [changed, reloaded] = ["log level changed", "settings reloaded, changed: log-level"]
      yield* level("debug")
      yield* notes({ message: changed, from: "error", to: "debug" })
      assert.strictEqual(yield* reload, "changed: log-level\n")
      assert.strictEqual((yield* level()).stdout, "error\n")
      yield* notes({ message: changed, from: "debug", to: "error" })
      assert.strictEqual(yield* reload, "nothing has changed\n")
      writeFileSync(file, `{"log-level":"info"}`)
      assert.strictEqual(yield* reload, "changed: log-level\n")
      yield* notes({ message: changed, from: "error", to: "info" }, { message: reloaded })
      yield* level("debug")
      yield* notes({ message: changed, from: "info", to: "debug" })
      assert.strictEqual(yield* reload, "changed: log-level\n")
      yield* notes({ message: changed, from: "debug", to: "info" }, { message: reloaded })
    }))
})
