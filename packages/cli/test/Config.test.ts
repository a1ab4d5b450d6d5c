/** The settings of a server: where they come from, `cpt config`, and another value for a server that runs. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Queue } from "effect"
import { writeFileSync } from "node:fs"
import { connect } from "node:net"
import { join } from "node:path"
import { text } from "node:stream/consumers"
import * as Signals from "../src/serve/Signals.ts"
import * as Cpt from "./support/Cpt.ts"
import { run } from "./support/Here.ts"

const configured = (contents: string) =>
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
          [`{`, /^the config file .*serve\.json is not right: /]
        ] as const
      ) {
        const file = yield* configured(contents)
        for (const args of [["config", "show", "--config", file], ["config", "check", file]]) {
          const { notes, status, stdout } = yield* run(args)
          assert.deepStrictEqual([status, stdout, notes.length], [2, "", 1], contents)
          assert.match(notes[0] ?? "", message)
        }
      }
      const missing = yield* run(["config", "check", "/nonexistent.json"])
      assert.deepStrictEqual(missing.notes, [
        "cannot read the config file /nonexistent.json: there is no such file or directory"
      ])
    }))
})

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
      const file = yield* configured(`{"port":"x","max-sessions":0,"host":"here"}`)
      const { notes, status } = yield* run(["config", "check", file])
      assert.deepStrictEqual([status, notes.map((note) => note.split(" ")[0])], [2, [`"port"`, `"max-sessions"`]])
    }))

  it.live("says so when all is right", () =>
    Effect.gen(function*() {
      const file = yield* configured(`{"port":1,"max-sessions":2}`)
      const { notes, status, stdout } = yield* run(["config", "check", file])
      assert.deepStrictEqual([status, notes, stdout], [0, [], `${file} is right: 2 settings\n`])
    }))
})

describe("SIGHUP", () => {
  it.live("is heard again, whatever became of the last one", () =>
    Effect.gen(function*() {
      const heard = yield* Queue.unbounded<number>()
      let count = 0
      yield* Signals.onHangUp(Effect.suspend(() => {
        Queue.offerUnsafe(heard, ++count)
        return Effect.die("a defect")
      }))
      for (const time of [1, 2]) {
        process.emit("SIGHUP", "SIGHUP")
        assert.strictEqual(yield* Queue.take(heard), time)
      }
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
