/** The settings of a server: where they come from, `cpt config`, and another value for a server that runs. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Queue, Schedule } from "effect"
import { Buffer } from "node:buffer"
import { readFileSync, writeFileSync } from "node:fs"
import { open } from "node:fs/promises"
import { connect } from "node:net"
import { join } from "node:path"
import { text } from "node:stream/consumers"
import { fileURLToPath } from "node:url"
import * as Signals from "../src/serve/Signals.ts"
import * as Cpt from "./support/Cpt.ts"
import { run } from "./support/Here.ts"

const configured = (contents: string | Uint8Array) =>
  Effect.map(Cpt.folder, (folder) => {
    const file = join(folder, "serve.json")
    writeFileSync(file, contents)
    return file
  })

/** The rows of `cpt config show`, by name. */
const shown = Effect.fnUntraced(function*(args: ReadonlyArray<string>, env: Record<string, string> = {}) {
  const { notes, status, stdout } = yield* run(["config", "show", "--json", ...args], env)
  assert.deepStrictEqual([status, notes], [0, []])
  const rows = stdout.trim().split("\n").map((line) => JSON.parse(line))
  return (name: string) => {
    const { from, value } = rows.find((row) => row.name === name)
    return [value, from]
  }
})

describe("a setting of cpt serve", () => {
  it.live("comes from the flag, else the variable, else the file, else the table", () =>
    Effect.gen(function*() {
      const file = yield* configured(`{"max-sessions":5,"max-line-bytes":"100","port":7,"live":false}`)
      const row = yield* shown(["--config", file, "--max-sessions", "7"], {
        CPT_MAX_SESSIONS: "6",
        CPT_MAX_LINE_BYTES: "200"
      })
      assert.deepStrictEqual(row("max-sessions"), ["7", "--max-sessions"])
      assert.deepStrictEqual(row("max-line-bytes"), ["200", "CPT_MAX_LINE_BYTES"])
      assert.deepStrictEqual(row("port"), ["7", `"port" in ${file}`])
      assert.deepStrictEqual(row("live"), ["false", `"live" in ${file}`])
      assert.deepStrictEqual(row("login-deadline"), ["10s", "default"])
      assert.deepStrictEqual(row("keep"), [null, "default"])
    }))

  it.live("that says where messages are counts the more, the nearer it is to the command line", () =>
    Effect.gen(function*() {
      const file = yield* configured(`{"memory":true,"keep":"30d"}`)
      assert.deepStrictEqual((yield* shown(["--config", file]))("memory"), ["true", `"memory" in ${file}`])
      const onDisk = yield* shown(["--config", file, "--data", "/chat"])
      assert.deepStrictEqual([onDisk("memory")[0], onDisk("data"), onDisk("keep")[0]], [
        "false",
        ["/chat", "--data"],
        "30d"
      ])
      const inMemory = yield* shown(["--memory"], { CPT_DATA: "/chat" })
      assert.deepStrictEqual([inMemory("memory")[0], inMemory("data")[0]], ["true", null])
    }))

  it.live("may be in a file that begins with a byte order mark", () =>
    Effect.gen(function*() {
      const row = yield* shown(["--config", yield* configured(`\uFEFF{"max-sessions":5}`)])
      assert.strictEqual(row("max-sessions")[0], "5")
    }))

  it.live("that is wrong is refused by the name of the place that it came from", () =>
    Effect.gen(function*() {
      for (
        const [contents, message] of [
          [`{"port":"x"}`, /^"port" in .*serve\.json "x": expected a port/],
          [`{"max-sessions":0}`, /^"max-sessions" in .*serve\.json "0": expected a number/],
          [`{"live":"perhaps"}`, /^"live" in .*serve\.json "perhaps": expected on or off/],
          [`{"log-level":"loud"}`, /^"log-level" in .*serve\.json "loud": /],
          [`{"memory":true,"data":"/chat"}`, /^"memory" in .* and "data" in .*: messages are in one or the other$/],
          [`{"max-session":1}`, /^the config file .*serve\.json is not right: there is no setting "max-session"/],
          [`{"port":{}}`, /^the config file .*serve\.json is not right: .*port/],
          [`{`, /^the config file .*serve\.json is not right: it is no JSON$/],
          ["", /^the config file .*serve\.json is not right: it is no JSON$/],
          [
            Buffer.from(`{"data":"/J\xfcrgen"}`, "latin1"),
            /^the config file .*serve\.json is not right: it is not valid UTF-8$/
          ]
        ] as const
      ) {
        const file = yield* configured(contents)
        for (const args of [["config", "show", "--config", file], ["config", "check", file]]) {
          const { notes, status, stdout } = yield* run(args)
          assert.deepStrictEqual([status, stdout, notes.length], [2, "", 1], String(contents))
          assert.match(notes[0] ?? "", message)
        }
      }
      for (
        const args of [["config", "show", "--config", ""], ["config", "show", "--config="], ["config", "check", ""]]
      ) {
        assert.deepStrictEqual((yield* run(args)).notes, ["the name of the config file is empty"])
      }
      const missing = yield* run(["config", "check", "/nonexistent.json"])
      assert.deepStrictEqual(missing.notes, [
        "cannot read the config file /nonexistent.json: there is no such file or directory"
      ])
    }))
})

/** Files that are there, but not what they should be, and some that are right. */
const files = Effect.map(Cpt.folder, (folder) => {
  const put = (name: string, contents: string) => {
    writeFileSync(join(folder, name), contents)
    return join(folder, name)
  }
  return {
    none: join(folder, "none"),
    empty: put("empty", ""),
    accounts: put("accounts.json", `{"accounts":[{"name":"bob"}]}`),
    wrongAccounts: put("wrong.json", `{"accounts":[{"name":"bob","lock":true}]}`),
    token: put("token", "secret\n")
  }
})

const pem = (name: string) => fileURLToPath(new URL(`support/tls/${name}.pem`, import.meta.url))

describe("a size", () => {
  it.live("that is too large is refused like any that is none", () =>
    Effect.gen(function*() {
      for (
        const [name, value, expected] of [
          ["keep-bytes", "9PiB", "a size"],
          ["cache", "10PiB", "a size"],
          ["byte-limit", "9PiB/s", "bytes in a second"],
          ["memory-limit", "9PiB", "messages, bytes, or both"]
        ] as const
      ) {
        const memory = name === "memory-limit" ? { memory: true } : {}
        const file = yield* configured(JSON.stringify({ ...memory, [name]: value }))
        const message = new RegExp(`^(cpt: )?"${name}" in .*serve\\.json "${value}": expected ${expected}`)
        for (const args of [["config", "show", "--config", file], ["config", "check", file]]) {
          const { notes, status } = yield* run(args)
          assert.strictEqual(status, 2)
          assert.match(notes.join("\n"), message)
        }
        const { status, stderr } = yield* Cpt.run(["serve"], { env: { CPT_CONFIG: file } })
        assert.strictEqual(status, 2)
        assert.match(stderr, message)
      }
    }))
})

describe("cpt config check", () => {
  it.live("names all that is wrong", () =>
    Effect.gen(function*() {
      const { none } = yield* files
      const file = yield* configured(JSON.stringify({
        prot: 1,
        port: "x",
        "max-session": 7,
        "max-sessions": 0,
        host: "here",
        listen: "cpts://127.0.0.1",
        memory: true,
        data: "/chat",
        live: {},
        admin: "http://127.0.0.1:1",
        "accounts-file": none
      }))
      const { notes, status } = yield* run(["config", "check", file])
      const expected = [
        /^the config file .* is not right: there is no setting "prot"; /,
        /^the config file .* is not right: there is no setting "max-session"; /,
        /^the config file .* is not right: "live": expected a text, a number, /,
        /^"port" in .* "x": expected a port/,
        /^"max-sessions" in .* "0": expected a number/,
        /^"listen" in .* and "host" in .*: say where in one of them/,
        /^"listen" in .* and "port" in .*: say where in one of them/,
        /^"memory" in .* and "data" in .*: messages are in one or the other$/,
        /^--admin http:.* token/,
        /none: there is no such file/
      ]
      assert.deepStrictEqual([status, notes.length], [2, expected.length], notes.join("\n"))
      for (const [index, pattern] of expected.entries()) assert.match(notes[index] ?? "", pattern)
    }))

  it.live("names each file that is not right", () =>
    Effect.gen(function*() {
      const { empty, none } = yield* files
      const tls = { "tls-cert": none, "tls-key": empty, "tls-client-ca": none }
      for (
        const [listen, expected] of [
          ["cpts://127.0.0.1", /^"(tls-\w+(?:-ca)?)" in .*": (?:there is no such file|expected a private key .*)$/],
          ["cpt://127.0.0.1", /^"(tls-\w+(?:-ca)?)" in .*: TLS is spoken nowhere; /]
        ] as const
      ) {
        const file = yield* configured(JSON.stringify({ listen, ...tls }))
        const { notes } = yield* run(["config", "check", file])
        assert.deepStrictEqual(notes.map((note) => expected.exec(note)?.[1]), Object.keys(tls))
      }
      const { notes } = yield* run(["config", "check", yield* configured(JSON.stringify({ "accounts-file": empty }))])
      assert.deepStrictEqual(notes, [`${empty} is not right: it is no JSON`])
    }))

  it.live("refuses what a server with the file alone would refuse at its start", () =>
    Effect.gen(function*() {
      const { accounts, empty, none, token, wrongAccounts } = yield* files
      const secure = { listen: "cpts://127.0.0.1:0", "tls-cert": pem("server"), "tls-key": pem("server.key") }
      const http = { admin: "http://127.0.0.1:1" }
      const cases = [
        [{ listen: secure.listen }, /^TLS needs a certificate and its key: /],
        [{ ...secure, "tls-cert": none }, /^"tls-cert" in .*none": there is no such file$/],
        [{ ...secure, "tls-cert": empty }, /^"tls-cert" in .*empty": expected a certificate in PEM$/],
        [{ ...secure, "tls-key": pem("alice.key") }, /^"tls-key" in .*: it is not the key of the certificate$/],
        [{ "tls-cert": pem("server") }, /^"tls-cert" in .*: TLS is spoken nowhere; /],
        [http, /^--admin http:.* token/],
        [{ ...http, "admin-token-file": none }, /none": there is no such file/],
        [{ ...http, "admin-token-file": empty }, /empty": there is no token in it$/],
        [{ "accounts-file": none }, /none: there is no such file$/],
        [{ "accounts-file": wrongAccounts }, /wrong\.json is not right: accounts\[0\]\.lock: /]
      ] as const
      for (const [contents, message] of cases) {
        const file = yield* configured(JSON.stringify(contents))
        const { notes, status } = yield* run(["config", "check", file])
        assert.deepStrictEqual([status, notes.length], [2, 1], notes.join("\n"))
        assert.match(notes[0] ?? "", message)
        const started = yield* Cpt.run(["serve"], { env: { CPT_CONFIG: file, XDG_STATE_HOME: yield* Cpt.folder } })
        assert.deepStrictEqual(started, { status: 2, stdout: "", stderr: `cpt: ${notes[0]}\n` })
      }
      const right = { ...secure, ...http, "admin-token-file": token, "accounts-file": accounts, "memory-limit": "5" }
      const file = yield* configured(JSON.stringify(right))
      assert.deepStrictEqual((yield* run(["config", "check", file])).notes, [])
    }))

  it.live("warns of a certificate that has expired: a server starts with it", () =>
    Effect.gen(function*() {
      const expired = pem("expired")
      const secure = { listen: "cpts://127.0.0.1:0", "tls-cert": expired, "tls-key": pem("server.key") }
      const file = yield* configured(JSON.stringify(secure))
      const { notes, status, stdout } = yield* run(["config", "check", file])
      assert.deepStrictEqual([status, stdout, notes], [0, `${file} is right: 3 settings\n`, [
        `warning: the certificate in ${expired} has expired, on Jan  1 00:00:00 2025 GMT: clients that check it do not connect`
      ]])
    }))

  it.live("says so when all is right", () =>
    Effect.gen(function*() {
      const file = yield* configured(`{"port":1,"max-sessions":2}`)
      const { notes, status, stdout } = yield* run(["config", "check", file])
      assert.deepStrictEqual([status, notes, stdout], [0, [], `${file} is right: 2 settings\n`])
      writeFileSync(file, "{\"port\":7}")
      assert.strictEqual((yield* run(["config", "check", file])).stdout, `${file} is right: 1 setting\n`)
    }))
})

describe("cpt config show", () => {
  it.live("prints what is in force, also where that is not a value of its own", () =>
    Effect.gen(function*() {
      const data = yield* Cpt.folder
      const onDisk = yield* shown(["--data", data])
      assert.deepStrictEqual(onDisk("cache"), ["64MiB", "default"])
      assert.deepStrictEqual(onDisk("memory-limit"), [null, "default"])
      assert.deepStrictEqual(onDisk("admin"), [`unix://${join(data, "admin.sock")}`, "default"])
      assert.deepStrictEqual(onDisk("host"), ["127.0.0.1", "default"])
      const inMemory = yield* shown(["--memory"])
      assert.deepStrictEqual(inMemory("cache"), [null, "default"])
      assert.deepStrictEqual(inMemory("memory-limit"), ["1000000,256MiB", "default"])
      assert.deepStrictEqual(inMemory("admin"), ["off", "default"])
      const elsewhere = yield* shown(["--listen", "unix:///cpt", "--admin", "http://[::1]:1", "--log-format", "json"])
      assert.deepStrictEqual(elsewhere("host"), [null, "default"])
      assert.deepStrictEqual(elsewhere("port"), [null, "default"])
      assert.deepStrictEqual(elsewhere("admin"), ["http://[::1]:1", "--admin"])
      assert.deepStrictEqual(elsewhere("log-format"), ["json", "--log-format"])
      const { stdout } = yield* Cpt.run(["config", "show"], { env: { CPT_LISTEN: "unix:///cpt" } })
      assert.match(stdout, /^log-format +json +default$/m) // to a pipe
      assert.match(stdout, /^host +- +default\nport +- +default\nlisten +unix:\/\/\/cpt +CPT_LISTEN$/m)
    }))
})

describe("SIGHUP", () => {
  it.live("is heard again, whatever became of the last one", () =>
    Effect.gen(function*() {
      const heard = yield* Queue.unbounded<number>()
      let count = 0
      const act = Effect.suspend(() => {
        Queue.offerUnsafe(heard, ++count)
        return Effect.die("a defect")
      })
      yield* Signals.onHangUp(yield* Signals.hangUps(), act)
      for (const time of [1, 2]) {
        process.emit("SIGHUP", "SIGHUP")
        assert.strictEqual(yield* Queue.take(heard), time)
      }
    }))

  const canWaitForSignal = process.platform === "linux" // whose /proc says what is heard
  it.live.skipIf(!canWaitForSignal)(
    "does not end a server that is still starting, and is heard by it when it has",
    () =>
      Effect.gen(function*() {
        const accounts = join(yield* Cpt.folder, "accounts.json")
        yield* Cpt.shell(`mkfifo ${accounts}`) // so it is starting as long as nobody writes
        const { child, line, note, signal } = yield* Cpt.start([
          "serve",
          "--memory",
          "--port",
          "0",
          "--accounts-file",
          accounts
        ])
        const hears = (signals: string) => (BigInt(`0x${/^SigCgt:\s*(.*)$/m.exec(signals)?.[1]}`) & 1n) === 1n
        const status = Effect.sync(() => readFileSync(`/proc/${child.pid}/status`, "latin1"))
        yield* Effect.repeat(status, { schedule: Schedule.spaced("10 millis"), until: hears })
        yield* signal("SIGHUP")
        yield* Effect.sync(() => writeFileSync(accounts, "{}"))
        assert.match(yield* line, /^cpt: listening on /)
        yield* Cpt.shell(`echo '{}' > ${accounts}`)
        assert.strictEqual(JSON.parse(yield* note).message, "settings reloaded")
      })
  )

  it.live.skipIf(process.platform === "win32")(
    "is unlike SIGTERM and SIGINT: they end a server that is still starting, as one that has started",
    () =>
      Effect.gen(function*() {
        for (const name of ["SIGTERM", "SIGINT"] as const) {
          const config = join(yield* Cpt.folder, "serve.json")
          yield* Cpt.shell(`mkfifo ${config}`)
          const { signal, status } = yield* Cpt.start(["serve", "--memory", "--port", "0", "--config", config])
          const file = yield* Effect.promise(() => open(config, "w")) // when it has come to read it
          yield* signal(name)
          // EPIPE, where it has ended already
          yield* Effect.ignore(Effect.tryPromise(() => file.writeFile("{}")))
          yield* Effect.promise(() => file.close())
          assert.strictEqual(yield* status, 0, name)
        }
      })
  )

  it.live("refuses what would keep a server from starting again, and goes on", () =>
    Effect.gen(function*() {
      const { none, token } = yield* files
      const file = yield* configured("{}")
      const { line, note, signal } = yield* Cpt.start(["serve", "--memory", "--port", "0", "--config", file])
      yield* line
      const reload = Effect.fnUntraced(function*(contents: unknown) {
        writeFileSync(file, JSON.stringify(contents))
        yield* signal("SIGHUP")
        return JSON.parse(yield* note).message
      })
      const http = { admin: "http://127.0.0.1:1" }
      const cases = [
        [{ "accounts-file": none }, /none: there is no such file$/],
        [{ ...http, "admin-token-file": none }, /none": there is no such file/],
        [http, /--admin http:.* token/],
        [{ "tls-cert": pem("server") }, /"tls-cert" in .*: TLS is spoken nowhere; /],
        [{ "keep-bytes": "9PiB", "byte-limit": "9PiB/s" }, /"byte-limit" in .* "9PiB\/s": expected bytes in a second/]
      ] as const
      for (const [contents, why] of cases) {
        const message = yield* reload(contents)
        assert.match(message, /^settings are not reloaded, all stay as they are: /)
        assert.match(message, why)
      }
      assert.strictEqual(yield* reload({ ...http, "admin-token-file": token }), "settings reloaded")
      assert.match(JSON.parse(yield* note).message, /^a restart is needed for the change of: admin, admin-token-file$/)
    }))

  it.live("gives a running server other settings, all or none, and says what needs a restart", () =>
    Effect.gen(function*() {
      const file = yield* configured(`{"max-line-bytes":50,"live":"on"}`)
      const { line, note, signal } = yield* Cpt.start(["serve", "--memory", "--port", "0", "--config", file])
      const logged = Effect.map(note, (line) => JSON.parse(line)).pipe(
        Effect.repeat({ until: ({ message }) => message !== "session ended" && message !== "a limit is reached" })
      )
      const port = Number(/:(\d+);/.exec(yield* line)?.[1])
      const answer = (line: string) =>
        Effect.promise(async () => {
          const socket = connect(port, "127.0.0.1")
          socket.end(`${line}\n`)
          return text(socket)
        })
      const long = `CONNECT ${"a".repeat(60)}`
      assert.strictEqual(yield* answer(long), "DECLINE line_too_long\n")

      writeFileSync(file, `{"max-line-bytes":100,"live":"off","max-sessions":7}`)
      yield* signal("SIGHUP")
      assert.deepInclude(yield* logged, {
        level: "info",
        message: "settings reloaded, changed: max-line-bytes, max-sessions"
      })
      assert.deepInclude(yield* logged, { level: "warn", message: "a restart is needed for the change of: live" })
      assert.strictEqual(yield* answer(long), "ACCEPT\n")

      writeFileSync(file, `{"max-line-bytes":50,"max-sessions":"many"}`)
      yield* signal("SIGHUP")
      const { level, message } = yield* logged
      assert.strictEqual(level, "error")
      assert.match(message, /^settings are not reloaded, .*"max-sessions" in .* "many": expected a number/)
      assert.strictEqual(yield* answer(long), "ACCEPT\n")
    }))
})
