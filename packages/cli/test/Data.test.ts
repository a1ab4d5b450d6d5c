/** What a server keeps on disk, as operators and users have it: `cpt serve`, `backup`, `check`, and readers over restarts. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { execFileSync } from "node:child_process"
import { once } from "node:events"
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync
} from "node:fs"
import { connect } from "node:net"
import { dirname, join } from "node:path"
import { createInterface } from "node:readline"
import { DatabaseSync } from "node:sqlite"
import { text } from "node:stream/consumers"
import { folder, run, start } from "./support/Cpt.ts"

/** A server on a directory, which listens. */
const serving = Effect.fnUntraced(function*(data: string, args: ReadonlyArray<string> = []) {
  const cpt = yield* start(["serve", "--data", data, ...args.includes("--port") ? [] : ["--port", "0"], ...args])
  const port = Number(/:(\d+);/.exec(yield* cpt.line)?.[1])
  return {
    port,
    pid: cpt.child.pid ?? 0,
    killed: Effect.andThen(cpt.signal("SIGKILL"), cpt.status),
    stopped: Effect.andThen(cpt.signal("SIGTERM"), cpt.status)
  }
})

/** Says lines, ends its side, and gives all that is answered. */
const exchange = (port: number, lines: string) =>
  Effect.promise(async () => {
    const socket = connect({ port, host: "127.0.0.1" })
    socket.end(lines)
    return text(socket)
  })

const sends = (group: string, count: number, from = 0) =>
  Array.from({ length: count }, (_, index) => `SEND ${group} message ${from + index}\n`).join("")

/** The texts of a group in a database, in order. */
const textsIn = (file: string) => {
  const db = new DatabaseSync(file, { readOnly: true })
  try {
    return [
      ...db.prepare("SELECT CAST(lines AS TEXT) AS lines FROM blocks ORDER BY target, first").all(),
      ...db.prepare("SELECT CAST(lines AS TEXT) AS lines FROM recent ORDER BY id").all()
    ].flatMap(({ lines }) => String(lines).split("\n").slice(0, -1).map((line) => line.split(" ").slice(4).join(" ")))
  } finally {
    db.close()
  }
}

const messages = (count: number) => Array.from({ length: count }, (_, index) => `message ${index}`)

describe("--data", () => {
  it.live("and a file have to have names", () =>
    Effect.forEach([["check", ""], ["backup", ""]], (args) =>
      Effect.map(run(args), ({ status, stderr }) => {
        assert.deepStrictEqual([stderr, status], ["cpt: \"\": expected a file\n", 2], args.join(" "))
      })))

  it.live.skipIf(process.platform !== "linux" || process.getuid?.() !== 0)(
    "has to be given where nobody's home is known",
    () =>
      Effect.forEach(
        [["serve"], ["status"], ["check"], ["account", "list"], ["backup", "copy"], ["config", "show"]],
        (args) =>
          Effect.map(
            run(args, { as: "setpriv --reuid 54321 --regid 54321 --clear-groups env -i", shell: "" }),
            (result) =>
              assert.deepStrictEqual(result, {
                status: 2,
                stdout: "",
                stderr: "cpt: your home directory is not known; name a directory with --data, or set HOME\n"
              })
          ),
        { concurrency: 2 }
      )
  )
})

describe.skipIf(process.platform === "win32")("a database of somebody else", () => {
  // Root may open everything
  const user = process.getuid?.() === 0 ? 65_534 : undefined
  const modes = [["messages.db", 0o000], ["messages.db", 0o444], ["messages.db.lock", 0o000]] as const
  for (const [name, mode] of modes) {
    it.live(`is refused by the name of what this user may not write, and nothing is left there: ${name}, 0${mode.toString(8)}`, () =>
      Effect.gen(function*() {
        const data = join(yield* folder, "data")
        yield* (yield* serving(data)).stopped
        const file = join(data, name)
        chmodSync(dirname(data), 0o755)
        chmodSync(data, 0o777)
        for (const other of readdirSync(data)) chmodSync(join(data, other), 0o666)
        chmodSync(file, mode)
        const before = readdirSync(data)
        const { status, stderr } = yield* run(["serve", "--data", data, "--port", "0"], { user })
        const why = `EACCES: permission denied, access '${file}'`
        assert.deepStrictEqual([stderr, status], [`cpt: cannot open ${join(data, "messages.db")}: ${why}\n`, 1])
        assert.deepStrictEqual(readdirSync(data), before)
      }))
  }
})

describe.skipIf(process.platform === "win32")(
  "a database that this user may only read, in a directory that they may write",
  () => {
    it.live("is checked and copied, and nothing is left there", () =>
      Effect.gen(function*() {
        const data = join(yield* folder, "data")
        yield* (yield* serving(data)).stopped
        chmodSync(dirname(data), 0o777)
        chmodSync(data, 0o777)
        chmodSync(join(data, "messages.db"), 0o444)
        const before = readdirSync(data)
        // Root may write everything
        const user = process.getuid?.() === 0 ? 65_534 : undefined
        for (const args of [["check"], ["backup", join(dirname(data), "copy.db")]]) {
          const { status, stderr } = yield* run([...args, "--data", data], { user })
          assert.deepStrictEqual([status, readdirSync(data)], [0, before], stderr)
        }
      }))
  }
)

describe("cpt backup", () => {
  it.live("copies what a running server has ACKed, for its owner alone; the copy serves as the original does", () =>
    Effect.gen(function*() {
      const root = yield* folder
      const data = join(root, "data")
      const server = yield* serving(data)
      yield* exchange(server.port, `CONNECT ann\n${sends("red", 500)}`)
      const copy = join(root, "copy.db")
      const { status, stderr, stdout } = yield* run(["backup", copy], { env: { CPT_DATA: data } })
      assert.deepStrictEqual([status, stdout], [0, ""])
      assert.strictEqual(stderr, `cpt: ${join(data, "messages.db")} is copied to ${copy}\n`)
      assert.strictEqual(statSync(copy).mode & 0o777, 0o600)
      assert.deepStrictEqual(textsIn(copy), messages(500))
      assert.deepStrictEqual(readdirSync(root).filter((name) => name.startsWith(".")), [], "nothing else is left")

      const restored = join(root, "restored")
      mkdirSync(restored)
      copyFileSync(copy, join(restored, "messages.db"))
      const second = yield* serving(restored)
      assert.strictEqual((yield* exchange(second.port, "CONNECT bob\nSYNC red 0\n")).split("\n").length, 503)
    }))

  it.live("does not write over anything, and says what it cannot do", () =>
    Effect.gen(function*() {
      const root = yield* folder
      const data = join(root, "data")
      yield* (yield* serving(data)).stopped
      const taken = join(root, "taken")
      writeFileSync(taken, "mine")
      const cases = [
        [["backup", taken, "--data", data], `cannot copy ${join(data, "messages.db")}: ${taken} is there already`],
        [["backup", join(root, "new"), "--data", root], `there is no ${join(root, "messages.db")}; name the directory`],
        [["backup", join(root, "no", "folder"), "--data", data], "cannot copy"]
      ] as const
      for (const [args, why] of cases) {
        const { status, stderr, stdout } = yield* run(args)
        assert.deepStrictEqual([status, stdout, stderr.split("\n").length], [1, "", 2])
        assert.include(stderr, why)
      }
      assert.strictEqual(readFileSync(taken, "utf8"), "mine")
      assert.isFalse(existsSync(join(root, "new")))
    }))
})

describe("cpt backup of a damaged database", () => {
  it.live("says so, and leaves nothing behind", () =>
    Effect.gen(function*() {
      const root = yield* folder
      const data = join(root, "data")
      const server = yield* serving(data)
      yield* exchange(server.port, `CONNECT ann\n${sends("red", 500)}`)
      yield* server.stopped
      const file = join(data, "messages.db")
      const bytes = readFileSync(file)
      bytes.fill(0x55, 4096)
      writeFileSync(file, bytes)
      const { status, stderr, stdout } = yield* run(["backup", join(root, "copy.db"), "--data", data])
      assert.deepStrictEqual([status, stdout], [1, ""])
      assert.match(stderr, /^cpt: cannot copy .*messages\.db: it is damaged: .+\n$/)
      assert.deepStrictEqual(readdirSync(root), ["data"])
    }))
})

describe("cpt check", () => {
  it.live("says that all is well, and what there is, also of a running server", () =>
    Effect.gen(function*() {
      const data = join(yield* folder, "data")
      const server = yield* serving(data)
      yield* exchange(server.port, "CONNECT ann\nSEND red hi\nSEND bob psst\nSYNC blue 0\nSEND blue é\n")
      yield* exchange(server.port, "CONNECT bob\n")
      const { status, stderr, stdout } = yield* run(["check", "--data", data])
      assert.deepStrictEqual([status, stderr], [0, ""])
      assert.match(
        stdout,
        /messages\.db: all is well\n3 messages \(8 bytes of text\) from 20.*Z to 20.*Z\n1 group, 1 inbox, 1 name that has only been sent to\n$/
      )
      yield* server.stopped
      const json: unknown = JSON.parse((yield* run(["check", "--json", "--data", data])).stdout)
      assert.deepInclude(json, { messages: 3, bytes: 8, groups: 1, users: 1, open: 1, problems: [] })
    }))

  it.live("says what is wrong, and exits with 1", () =>
    Effect.gen(function*() {
      const root = yield* folder
      const data = join(root, "data")
      const server = yield* serving(data)
      yield* exchange(server.port, `CONNECT ann\n${sends("red", 100)}`)
      yield* server.stopped
      const file = join(data, "messages.db")
      const db = new DatabaseSync(file)
      db.exec("UPDATE blocks SET lines = substr(lines, instr(lines, x'0a') + 1) WHERE id = 1")
      db.close()
      const { status, stdout } = yield* run(["check", file])
      assert.strictEqual(status, 1)
      assert.include(stdout, "things are wrong")
      assert.include(stdout, "counts: red has count 99, and 100 is written")
      assert.strictEqual((yield* run(["check", file], { shell: "| true" })).status, 1) // also to who does not read why

      const bytes = readFileSync(file)
      bytes.fill(0x55, 4096)
      writeFileSync(file, bytes)
      const damaged = yield* run(["check", file, "--json"])
      assert.deepStrictEqual([damaged.status, damaged.stderr], [1, ""])
      const { problems } = JSON.parse(damaged.stdout)
      assert.match(problems.at(-1), /^structure: what comes then cannot be read/)
      writeFileSync(file, "my diary")
      const none = yield* run(["check", file])
      assert.deepStrictEqual([none.status, none.stderr], [1, `cpt: cannot check ${file}: it is not a database\n`])
    }))

  it.live("says so where there is no file, and makes none", () =>
    Effect.gen(function*() {
      const none = join(yield* folder, "none")
      const { status, stderr } = yield* run(["check", none])
      assert.deepStrictEqual([status, stderr], [1, `cpt: there is no ${none}\n`])
      assert.isFalse(existsSync(none))
    }))

  it.live.skipIf(process.platform === "win32")("does not wait for a pipe", () =>
    Effect.gen(function*() {
      const root = yield* folder
      const pipe = join(root, "messages.db")
      execFileSync("mkfifo", [pipe])
      for (const args of [["check", pipe], ["check", "--data", root], ["backup", join(root, "copy"), "--data", root]]) {
        const { status, stderr } = yield* run(args)
        assert.strictEqual(status, 1)
        assert.match(stderr, /^cpt: cannot .*messages\.db.*: it is no regular file\n$/)
      }
    }))
})

describe("cpt tail --cursor-file", () => {
  it.live("goes on where it was, whichever side is killed", () =>
    Effect.gen(function*() {
      const root = yield* folder
      const data = join(root, "data")
      let server = yield* serving(data)
      const { port } = server
      const seen: Array<string> = []
      const tail = () =>
        start([
          "tail",
          "red",
          "--json",
          "--as",
          "bob",
          "--server",
          `127.0.0.1:${port}`,
          "--cursor-file",
          join(root, "at")
        ])
      const takes = Effect.fnUntraced(function*(tailing: { readonly line: Effect.Effect<string> }, count: number) {
        for (let i = 0; i < count; i++) {
          const event: unknown = JSON.parse(yield* tailing.line)
          seen.push(typeof event === "object" && event !== null && "message" in event ? String(event.message) : "?")
        }
      })
      yield* exchange(port, `CONNECT ann\n${sends("red", 3)}`)
      let tailing = yield* tail()
      yield* takes(tailing, 3)
      yield* server.killed
      assert.match(yield* tailing.note, /connection lost/)
      server = yield* serving(data, ["--port", String(port)])
      yield* exchange(port, `CONNECT ann\n${sends("red", 3, 3)}`)
      yield* takes(tailing, 3)
      // The place is written after stdout took the message: killed in between, it would say that again
      yield* Effect.sync(() => readFileSync(join(root, "at"), "utf8")).pipe(
        Effect.repeat({
          until: (place) => {
            const stored = readdirSync(root).some((name) => name.endsWith(".tmp"))
            return !stored && Number(/"timestamp":(\d+)/.exec(place)?.[1]) > 0
          },
          schedule: Schedule.spaced("10 millis")
        })
      )
      yield* tailing.signal("SIGTERM")
      yield* tailing.status
      yield* exchange(port, `CONNECT ann\n${sends("red", 3, 6)}`)
      yield* server.stopped
      server = yield* serving(data, ["--port", String(port)])
      tailing = yield* tail()
      yield* takes(tailing, 3)
      assert.deepStrictEqual(seen, messages(9))
    }))
})

describe("cpt sync of a large group", () => {
  const hasScript = process.platform === "linux" && existsSync("/usr/bin/script")

  it.live.skipIf(!hasScript)(
    "shows how far it has come on a terminal, apart from the messages",
    () =>
      Effect.gen(function*() {
        const root = yield* folder
        const server = yield* serving(join(root, "data"))
        yield* exchange(server.port, `CONNECT ann\n${sends("red", 2000)}`)
        const bin = new URL("../src/bin.ts", import.meta.url).pathname
        // A reader who takes his time, so that there is something to be seen
        const command =
          `${process.execPath} --conditions=@cpt/source ${bin} sync red --json --server 127.0.0.1:${server.port} | ` +
          `(read -r line; echo "$line"; sleep 1.2; cat) > ${join(root, "out")}`
        const screen = execFileSync("/usr/bin/script", ["-qec", command, "/dev/null"], {
          env: { ...process.env, XDG_CONFIG_HOME: "/nonexistent", TERM: "xterm" },
          encoding: "utf8",
          timeout: 30_000
        })
        assert.strictEqual(readFileSync(join(root, "out"), "utf8").trimEnd().split("\n").length, 2000)
        const shown = screen.split("\r").find((line) => line.includes("messages"))
        assert.match(shown ?? "", /^[\d,]+ messages, [\d,]+ a second\u001B\[K$/)
        assert.isTrue(screen.endsWith("\r\u001B[K"), "the line goes away")
      })
  )
})

describe("a follower that sleeps", () => {
  it.live(
    "wakes and gets all, at constant memory of the server, and nobody has noticed (CPT 5.8)",
    () =>
      Effect.gen(function*() {
        const data = join(yield* folder, "data")
        const server = yield* serving(data, ["--write-deadline", "1h", "--cache", "1MiB"])
        const sleeper = yield* Effect.acquireRelease(
          Effect.promise(async () => {
            const socket = connect({ port: server.port, host: "127.0.0.1" })
            const answer = createInterface(socket)[Symbol.asyncIterator]()
            socket.write("CONNECT sleeper\nSYNC red 0\n")
            await answer.next()
            await answer.next()
            socket.pause()
            return { socket, answer }
          }),
          ({ socket }) => Effect.sync(() => socket.destroy())
        )
        const memory = () =>
          Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, "utf8"))?.[1]) / 1024
        const rounds = 10
        const each = 10_000
        let settled = 0
        for (let round = 0; round < rounds; round++) {
          const answer = yield* exchange(server.port, `CONNECT ann\n${sends("red", each, round * each)}`)
          assert.strictEqual(answer, `ACCEPT\n${"ACK\n".repeat(each)}`)
          if (round === 1 && process.platform === "linux") settled = memory()
        }
        if (settled > 0) {
          assert.isBelow(memory() - settled, 100, "MiB for what it sleeps through, 8 times as much as that")
        }
        const heard = yield* Effect.promise(async () => {
          sleeper.socket.resume()
          const texts: Array<string> = []
          while (texts.length < rounds * each) {
            const { value } = await sleeper.answer.next()
            texts.push(String(value).split(" ").slice(4).join(" "))
          }
          return texts
        })
        assert.deepStrictEqual(heard, messages(rounds * each))
        yield* Effect.promise(async () => {
          sleeper.socket.end()
          await once(sleeper.socket, "close")
        })
      }),
    120_000
  )
})
