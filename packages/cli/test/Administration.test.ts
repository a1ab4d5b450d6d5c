/** How a command finds the server that it asks, and what it makes of an answer that is another one, or is none. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { once } from "node:events"
import { chmodSync, rmSync, writeFileSync } from "node:fs"
import { createServer, type RequestListener } from "node:http"
import * as Net from "node:net"
import { join } from "node:path"
import * as Cpt from "./support/Cpt.ts"

/** Somebody who listens; gives where. */
const listening = (server: Net.Server) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      await once(server.listen(0, "127.0.0.1"), "listening")
      const address = server.address()
      return `http://127.0.0.1:${address !== null && typeof address === "object" ? address.port : 0}`
    }),
    () => Effect.sync(() => server.close())
  )

/** Another web server. */
const web = (answer: RequestListener) => listening(createServer(answer))

/** A server that does something else when it has heard a request. */
const heedless = (act: (socket: Net.Socket) => void) =>
  listening(Net.createServer((socket) => {
    socket.on("error", () => {})
    socket.once("data", () => act(socket))
  }))

/** One that changes something, and one that reads. */
const commands = [["admin", "announce", "hi"], ["account", "lock", "bob"], ["status"], ["account", "list"]] as const

/** How these end there, and what they say. */
const ends = Effect.fnUntraced(function*(uri: string, ...args: ReadonlyArray<string>) {
  const results = yield* Effect.forEach(commands, (command) => Cpt.run([...command, "--admin", uri, ...args]), {
    concurrency: 2
  })
  for (const { stderr, stdout } of results) {
    assert.strictEqual(stdout, "")
    assert.match(stderr, /^cpt: .*\n$/)
    assert.notInclude(stderr, "start one")
  }
  return { statuses: results.map(({ status }) => status), said: results.map(({ stderr }) => stderr) }
})

describe("the server that a command asks", () => {
  it.live("is none of ours where somebody else answers: that is no want of a server", () =>
    Effect.gen(function*() {
      const probes = yield* Cpt.freePort
      const server = yield* Cpt.start(["serve", "--memory", "--port", "0", "--http", `127.0.0.1:${probes}`])
      const chat = Number(/:(\d+);/.exec(yield* server.line)?.[1])
      const places = [
        `http://127.0.0.1:${probes}`,
        `http://127.0.0.1:${chat}`,
        yield* web((_, response) => response.end("<p>hello")),
        yield* web((_, response) => response.writeHead(401, { "content-type": "text/html" }).end("<p>Who are you?")),
        yield* web((_, response) => response.writeHead(502).end())
      ]
      for (const place of places) {
        const { said, statuses } = yield* ends(place)
        assert.deepStrictEqual(statuses, [1, 1, 1, 1], place)
        for (const line of said) {
          assert.strictEqual(line, `cpt: ${place} answers something else: is it a cpt server of this version?\n`)
        }
      }
    }))

  it.live("may have done what it was told before the connection was lost; what is only read is asked again", () =>
    Effect.gen(function*() {
      const places = [
        yield* heedless((socket) => socket.end()),
        yield* heedless((socket) => socket.resetAndDestroy()),
        yield* heedless((socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"))
      ]
      for (const place of places) {
        const { said, statuses } = yield* ends(place)
        assert.deepStrictEqual(statuses, [5, 5, 4, 4], place)
        const lost = `cpt: ${place}: the connection was lost before there was an answer`
        const look = `${lost}, and it may have been done; look before you try again\n`
        assert.deepStrictEqual(said, [look, look, `${lost}; try again\n`, `${lost}; try again\n`])
      }
    }))

  it.live("may have done what it was told, also where it says nothing in time", () =>
    Effect.gen(function*() {
      const place = yield* heedless(() => {})
      const halfway = yield* heedless((socket) => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"))
      for (const uri of [place, halfway]) {
        const { said, statuses } = yield* ends(uri, "--timeout", "300ms")
        assert.deepStrictEqual(statuses, [5, 5, 4, 4])
        assert.match(said[0] ?? "", /: no answer in time, and it may have been done; look before you try again\n$/)
        assert.match(said[2] ?? "", /: no answer in time; try again, or wait longer with --timeout\n$/)
      }
    }))

  it.live("is not to be reached by who may not open its socket", () =>
    Effect.gen(function*() {
      const folder = yield* Cpt.folder
      // The other path is longer than that of a Unix socket may be
      for (const data of [folder, join(folder, "d".repeat(120))]) {
        const server = yield* Cpt.start(["serve", "--port", "0", "--data", data])
        yield* server.line
        const socket = join(data, "admin.sock")
        chmodSync(socket, 0)
        // Root may open everything
        const user = process.getuid?.() === 0 ? 65_534 : undefined
        const { status, stderr } = yield* Cpt.run(["status", "--data", data], { user })
        assert.strictEqual(status, 4)
        assert.strictEqual(
          stderr,
          `cpt: no connection to ${socket}: it is not open to this user; a server is its owner's to look after\n`
        )
      }
    }))

  it.live("is where the command line says, before where the environment says; CPT_ADMIN says more than CPT_DATA", () =>
    Effect.gen(function*() {
      const [data, other] = [yield* Cpt.folder, yield* Cpt.folder]
      const first = yield* Cpt.start(["serve", "--port", "0", "--data", data])
      yield* first.line
      const second = yield* Cpt.start(["serve", "--port", "0", "--data", other])
      yield* second.line
      const uri = `unix://${join(other, "admin.sock")}`
      const asked = (args: ReadonlyArray<string>, env: Record<string, string>) =>
        Effect.map(Cpt.run(["status", "--json", ...args], { env }), ({ stdout }) => JSON.parse(stdout).pid)
      assert.strictEqual(yield* asked(["--data", data], { CPT_ADMIN: uri }), first.child.pid)
      assert.strictEqual(yield* asked(["--data", data], { CPT_ADMIN: "off" }), first.child.pid)
      assert.strictEqual(yield* asked(["--admin", uri], { CPT_DATA: data }), second.child.pid)
      assert.strictEqual(yield* asked([], { CPT_ADMIN: uri, CPT_DATA: data }), second.child.pid)
      const both = yield* Cpt.run(["status", "--admin", uri, "--data", data])
      const message = "cpt: --admin and --data: say where in one of them\n"
      assert.deepStrictEqual(both, { status: 2, stdout: "", stderr: message })
    }))
})

describe("the token", () => {
  it.live("is one line that fits into a header, and else is refused by server and command alike", () =>
    Effect.gen(function*() {
      const file = join(yield* Cpt.folder, "token")
      const uri = `http://127.0.0.1:${yield* Cpt.freePort}`
      const place = ["--admin", uri, "--admin-token-file", file]
      for (const text of [" \n", "two\nlines\n", "a\ttab", "\u2603"]) {
        writeFileSync(file, text)
        const said = text.trim() === "" ? "there is no token in it" : "a token is one line, of printable characters .*"
        const commands = [["serve", "--memory", "--port", "0"], ["admin", "announce", "hi"]]
        const results = yield* Effect.forEach(commands, (command) => Cpt.run([...command, ...place]), {
          concurrency: 2
        })
        for (const { status, stderr, stdout } of results) {
          assert.deepStrictEqual([status, stdout], [2, ""])
          assert.match(stderr, new RegExp(`^cpt: --admin-token-file "${file}": ${said}\n$`))
        }
      }
      const given = yield* Cpt.run(["status", "--admin", uri], { env: { CPT_ADMIN_TOKEN: "two\nlines" } })
      assert.strictEqual(given.status, 2)
      assert.match(given.stderr, /^cpt: CPT_ADMIN_TOKEN: a token is one line, .*\n$/)
      assert.notInclude(given.stderr, "two")
    }))

  it.live("may have every printable character of Latin-1", () =>
    Effect.gen(function*() {
      const file = join(yield* Cpt.folder, "token")
      writeFileSync(file, "  my schl\u00fcssel ~!\u00ff\n")
      const place = ["--admin", `http://127.0.0.1:${yield* Cpt.freePort}`, "--admin-token-file", file]
      const server = yield* Cpt.start(["serve", "--memory", "--port", "0", ...place])
      yield* server.line
      assert.strictEqual((yield* Cpt.run(["status", ...place])).status, 0)
    }))

  it.live("is another one once its file was read again; where that cannot be, nothing is, and the old one opens", () =>
    Effect.gen(function*() {
      const folder = yield* Cpt.folder
      const [file, config] = [join(folder, "token"), join(folder, "serve.json")]
      writeFileSync(file, "first\n")
      writeFileSync(config, "{}")
      const uri = `http://127.0.0.1:${yield* Cpt.freePort}`
      const args = ["--admin", uri, "--admin-token-file", file, "--config", config]
      const server = yield* Cpt.start(["serve", "--memory", "--port", "0", ...args])
      yield* server.line
      const asks = (command: string, token: string) =>
        Cpt.run([...command.split(" "), "--admin", uri], { env: { CPT_ADMIN_TOKEN: token } })
      const opens = (token: string) => Effect.map(asks("status", token), ({ status }) => status === 0)

      writeFileSync(file, "second\n")
      const reloaded = yield* asks("admin reload", "first")
      assert.deepStrictEqual(reloaded, { status: 0, stdout: "changed: admin token\n", stderr: "" })
      assert.deepStrictEqual([yield* opens("first"), yield* opens("second")], [false, true])
      assert.strictEqual((yield* asks("admin reload", "second")).stdout, "nothing has changed\n")

      // All or nothing
      writeFileSync(config, JSON.stringify({ "max-sessions": 7 }))
      for (const text of ["\n", "two\nlines\n"]) {
        writeFileSync(file, text)
        const { status, stderr } = yield* asks("admin reload", "second")
        assert.strictEqual(status, 2)
        assert.include(stderr, `cpt: settings are not reloaded, all stay as they are: --admin-token-file "${file}": `)
      }
      rmSync(file)
      assert.strictEqual((yield* asks("admin reload", "second")).status, 2)
      const { maxSessions } = JSON.parse((yield* asks("status --json", "second")).stdout)
      assert.strictEqual(maxSessions, 10_000)
      writeFileSync(file, "third\n")
      writeFileSync(config, JSON.stringify({ "max-sessions": 0 }))
      assert.strictEqual((yield* asks("admin reload", "second")).status, 2)
      assert.deepStrictEqual([yield* opens("second"), yield* opens("third")], [true, false])
      writeFileSync(config, "{}")
      assert.strictEqual((yield* asks("admin reload", "second")).stdout, "changed: admin token\n")
    }))

  it.live("that is short is warned of when its file was read again too, where other machines may show it", () =>
    Effect.gen(function*() {
      const file = join(yield* Cpt.folder, "token")
      for (const [host, isOpen] of [["0.0.0.0", true], ["127.0.0.1", false], ["localhost", false]] as const) {
        writeFileSync(file, "sixteen-letters.")
        const place = ["--admin", `http://${host}:${yield* Cpt.freePort}`, "--admin-token-file", file]
        const server = yield* Cpt.start(["serve", "--memory", "--port", "0", ...place])
        yield* server.line
        const said: Array<string> = []
        for (const token of ["another-long-one", "short", "short"]) { // the same again is not warned of again
          writeFileSync(file, token)
          yield* server.signal("SIGHUP")
          let line = yield* server.note
          for (; !line.includes("settings reloaded"); line = yield* server.note) said.push(JSON.parse(line).message)
          said.push(token)
        }
        const warning = "the token of the administration is short enough to be guessed: give it 16 characters or more"
        const reloaded = ["another-long-one", ...isOpen ? [warning] : [], "short", "short"]
        assert.deepStrictEqual(said.slice(said.indexOf("another-long-one")), reloaded)
      }
    }))

  it.live("that is wrong is said in the log, once a minute, and with --log-ip=false without saying who showed it", () =>
    Effect.gen(function*() {
      const file = join(yield* Cpt.folder, "token")
      writeFileSync(file, "secret\n")
      for (const flags of [[], ["--log-ip=false"]]) {
        const uri = `http://127.0.0.1:${yield* Cpt.freePort}`
        const place = ["--admin", uri, "--admin-token-file", file]
        const server = yield* Cpt.start(["serve", "--memory", "--port", "0", ...place, ...flags])
        yield* server.line
        const shown = (headers: Record<string, string>) =>
          Effect.promise(() => fetch(`${uri}/status`, { headers }).then(({ status }) => status))
        assert.strictEqual(yield* shown({}), 401) // which is no guess
        for (const guess of ["secre", "guess", "secrets"]) {
          assert.strictEqual(yield* shown({ authorization: `Bearer ${guess}` }), 401)
        }
        assert.strictEqual(yield* shown({ authorization: "Bearer secret" }), 200)
        yield* server.signal("SIGTERM")
        const lines: Array<string> = []
        for (let line = yield* server.note; line !== "(end)"; line = yield* server.note) lines.push(line)
        const warnings = lines.map((line) => JSON.parse(line)).filter(({ level }) => level === "warn")
        assert.strictEqual(warnings.length, 1)
        assert.strictEqual(warnings[0].message, "a wrong token was shown to the administration")
        assert.strictEqual(warnings[0].address, flags.length === 0 ? "127.0.0.1" : undefined)
        assert.notInclude(lines.join(), "guess")
      }
    }))
})
