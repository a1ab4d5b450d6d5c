/** Command lines that cannot be, help, and completions: without a process, except where it is about one. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs"
import { join } from "node:path"
import * as FakeServer from "../../client/test/FakeServer.ts"
import * as Cpt from "./support/Cpt.ts"
import { run } from "./support/Here.ts"

describe("usage", () => {
  const cases: ReadonlyArray<readonly [args: ReadonlyArray<string>, message: RegExp]> = [
    [["send"], /TARGET is missing/],
    [["send", "a b", "hi"], /TARGET "a b": a name has no white space/],
    [["send", "system", "hi"], /TARGET "system": .*reserved/],
    [["send", "g", ""], /MESSAGE "": .*empty/],
    [["send", "g", "one\ntwo"], /MESSAGE has a line break.*pipe/],
    [["send", "g", "\u00e9".repeat(32_769)], /^MESSAGE is longer than 65536 bytes$/],
    [["send", "g", "\u001b[2J"], /MESSAGE "\\u\{1b\}\[2J": /],
    [["send", "g", "hello", "world"], /unexpected "world".*quotes/],
    [["send", "g", "hi", "--colour"], /unknown flag --colour.*--/],
    [["send", "g", "hi", "--tiemout", "5s"], /unknown flag --tiemout \(did you mean --timeout\?\)/],
    [["send", "g", "hi", "--server"], /--server needs a value/],
    [["send", "g", "hi", "--server", "host:port"], /--server "host:port": expected HOST\[:PORT\]/],
    [["send", "g", "hi", "--server", "::1:70000:"], /--server/],
    [["send", "g", "hi", "--as", "System"], /--as "System": .*reserved/],
    [["send", "g", "hi", "--timeout", "5"], /--timeout "5": expected a duration/],
    [["send", "g", "hi", "--timeout", "0s"], /--timeout "0s"/],
    [["send", "g", "hi", "--tls-cert", "/dev/null"], /--tls-cert and --tls-key/],
    [["send", "g", "hi", "--tls-ca", "/nonexistent"], /--tls-ca "\/nonexistent": there is no such file/],
    [["send", "g", "hi", "--tls-ca", "/"], /^--tls-ca "\/": it is a directory$/],
    [["send", "g", "hi", "--as", "a", "--as", "b"], /^--as is given twice; see cpt send --help$/],
    [["send", "g", "--as", "a", "--as", "b", "--as", "c"], /^--as is given 3 times; see cpt send --help$/],
    [["--json", "sync", "g"], /^unknown flag --json; flags go behind the command; see cpt sync --help$/],
    [["-s", "host", "sync", "g"], /^unknown flag -s; flags go behind the command; see cpt --help$/],
    [
      ["admin", "--json", "sessions"],
      /^unknown flag --json; flags go behind the command; see cpt admin sessions --help$/
    ],
    [["sync", "g", "--colour"], /^unknown flag --colour; see cpt sync --help$/],
    [["sync", "g", "-hello"], /^unknown flag -hello; see cpt sync --help$/],
    [["conformance", "localhost", "--seed", "x"], /^--seed "x": expected a whole number$/],
    [["serve", "--log-ip", "maybe"], /^--log-ip "maybe": expected on or off$/],
    [["sync", "g", "--since", "yesterday"], /--since "yesterday": expected .*10m/],
    [["sync", "g", "h"], /unexpected "h"/],
    [["tail", "g", "--count", "0"], /--count "0"/],
    [["tail", "g", "--cursor-file", "/nonexistent/cursor"], /cursor file \/nonexistent\/cursor/],
    [["send", "g", "-1 from me, that is risky"], /unknown flag -1 from me.*behind --/],
    [["send", "g", "-1 vote"], /unknown flag -1 vote.*behind --/],
    [["send", "g", "--json", "-5 minutes"], /unknown flag -5 minutes.*behind --/],
    [["send", "g", "-5m"], /unknown flag -5m.*behind --/],
    [["send", "g", "hi", "--timeout", "-5h"], /^--timeout "-5h": expected a duration/],
    [["sync", "g", "--since", "-2h"], /^--since "-2h": expected a time back/],
    [["serve", "--resend-window", "-1s"], /^--resend-window "-1s": .*duration/],
    [["tail", "g", "--cursor-file", ""], /^the name of the cursor file is empty$/],
    [["send", "g", "hi", "--server", "cpts://localhost", "--tls=false"], /--tls "false": .*cpts:\/\//],
    [["bogus"], /unknown command "bogus"/],
    [["bogus", "--help"], /unknown command "bogus"/],
    [["tial", "-h"], /unknown command "tial" \(did you mean tail\?\)/],
    [["sned", "g", "hi"], /unknown command "sned" \(did you mean send\?\)/],
    [["admin", "nosuch", "--help"], /unknown command "nosuch".*; see cpt admin --help/],
    [["config", "chek", "-h"], /unknown command "chek" \(did you mean check\?\)/]
  ]

  it.live("is refused in one line, with 2, before anything is connected", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      for (const [args, message] of cases) {
        const { notes, status, stdout } = yield* run(args, { CPT_SERVER: `127.0.0.1:${server.port}` })
        assert.deepStrictEqual([status, stdout, notes.length], [2, "", 1], args.join(" "))
        assert.match(notes[0] ?? "", message)
        assert.notMatch(notes[0] ?? "", /[\n\u001b]/)
      }
      assert.strictEqual(yield* server.accepted, 0)
    }))

  it.live.skipIf(process.platform !== "linux")(
    "is one line too where the current directory is gone, and a relative path is nowhere",
    () =>
      Effect.gen(function*() {
        const cases = [
          ["check", "x"],
          ["backup", "x", "--data", "y"],
          ["config", "check", "x"],
          ["serve", "--port", "0", "--data", "x"],
          ["serve", "--port", "0", "--memory", "--accounts-file", "x"]
        ]
        for (const args of cases) {
          const gone = yield* Cpt.folder
          assert.deepStrictEqual(
            yield* Cpt.run(args, { as: `cd ${gone} && rmdir ${gone} &&`, shell: "" }),
            { status: 1, stdout: "", stderr: "cpt: the current directory is not there any more; go to another one\n" },
            args.join(" ")
          )
        }
      })
  )

  it.live("is the same for the process", () =>
    Effect.gen(function*() {
      const { status, stderr, stdout } = yield* Cpt.run(["send", "g", "hi", "--colour"])
      assert.deepStrictEqual([status, stdout], [2, ""])
      assert.match(stderr, /^cpt: unknown flag --colour.*; see cpt send --help\n$/)
    }))
})

describe("a signal", () => {
  /** The name of a thread; none, if it has ended since its folder was seen. */
  const nameOf = (thread: string): string => {
    try {
      return readFileSync(join(thread, "comm"), "utf8").trimEnd()
    } catch {
      return ""
    }
  }

  /** Whether Node has begun to read a file: it has started its threads for that. */
  const reads = (pid: number): boolean =>
    readdirSync(`/proc/${pid}/task`).some((id) => nameOf(`/proc/${pid}/task/${id}`) === "libuv-worker")

  it.live.skipIf(process.platform !== "linux")(
    "ends a command that waits for a file, such as a pipe that nobody writes",
    () =>
      Effect.gen(function*() {
        const home = yield* Cpt.folder
        const pipe = join(home, "cpt", "config.json")
        mkdirSync(join(home, "cpt"))
        execFileSync("mkfifo", [pipe])
        const serve = ["serve", "--memory", "--port", "0"]
        const cases = [
          [["send", "g", "hi"], 143, home],
          [["send", "g", "hi", "--tls-ca", pipe], 143],
          [["config", "check", pipe], 143],
          [[...serve, "--config", pipe], 0],
          [[...serve, "--accounts-file", pipe], 0]
        ] as const
        for (const [args, status, XDG_CONFIG_HOME = "/nonexistent"] of cases) {
          const waiting = yield* Cpt.start(args, { env: { XDG_CONFIG_HOME } })
          const hasBegun = Effect.sync(() => reads(waiting.child.pid ?? 0))
          yield* Effect.repeat(hasBegun, { schedule: Schedule.spaced("10 millis"), until: (hasBegun) => hasBegun })
          yield* waiting.signal("SIGTERM")
          assert.strictEqual(yield* waiting.status, status, args.join(" "))
        }
      })
  )
})

describe("what V8 has compiled", () => {
  it.live("is kept below the home directory, for its owner alone", () =>
    Effect.gen(function*() {
      const home = yield* Cpt.folder
      assert.strictEqual((yield* Cpt.run(["--version"], { env: { HOME: home } })).status, 0)
      for (const folder of [".cache", join(".cache", "cpt")]) {
        assert.strictEqual(statSync(join(home, folder)).mode & 0o777, 0o700)
      }
    }))

  it.live("is not kept where there can be no folder for it, or the one that it would be in is not there", () =>
    Effect.gen(function*() {
      const none = join(yield* Cpt.folder, "none")
      const wanted = yield* Cpt.run(["--version"])
      const folders = [{ HOME: "/proc" }, { HOME: none }, { XDG_CACHE_HOME: "/proc" }, {
        XDG_CACHE_HOME: join(none, "cache")
      }]
      for (const env of folders) assert.deepStrictEqual(yield* Cpt.run(["--version"], { env }), wanted)
      assert.isFalse(existsSync(none))
    }))
})

describe("help", () => {
  it.live("has an example for each command, and for those below it", () =>
    Effect.gen(function*() {
      const commands = ["cpt"]
      for (const command of commands) {
        const { notes, status, stdout } = yield* run([...command.split(" ").slice(1), "--help"])
        assert.deepStrictEqual([status, notes], [0, []])
        assert.match(stdout, new RegExp(`EXAMPLES\\n[^]*^  ${command}`, "m"))
        const [, below = ""] = /^SUBCOMMANDS\n([^]*)EXAMPLES$/m.exec(stdout) ?? []
        for (const [, name] of below.matchAll(/^ {2}(\S+)/gm)) commands.push(`${command} ${name}`)
      }
      assert.includeMembers(commands, ["cpt serve", "cpt admin log-level", "cpt group expel", "cpt config show"])
    }))

  it.live("is what cpt alone says", () =>
    Effect.gen(function*() {
      const { notes, status, stdout } = yield* run([])
      assert.deepStrictEqual([status, notes], [0, []])
      assert.include(stdout, "cpt tail group1")
    }))

  it.live("has the version of the package", () =>
    Effect.map(run(["--version"]), ({ stdout }) => assert.match(stdout, /^cpt v\d+\.\d+\.\d+\n$/)))

  it.live.skipIf(!existsSync("/dev/full"))(
    "fails where it cannot be written, and so do the version and completions",
    () =>
      Effect.forEach(
        [[], ["admin"], ["sync", "--help"], ["--version"], ["--completions", "bash"]],
        (args) =>
          Effect.map(Cpt.run(args, { shell: ">/dev/full" }), ({ status, stderr }) => {
            assert.strictEqual(status, 1, args.join(" "))
            assert.match(stderr, /^cpt: cannot write to stdout: no space left on device\n$/)
          }),
        { concurrency: 2 }
      )
  )

  it.live("ends quietly where nobody reads it", () =>
    Effect.map(
      Cpt.run(["serve", "--help"], { shell: "| true" }),
      (result) => assert.deepStrictEqual(result, { status: 0, stdout: "", stderr: "" })
    ))

  it.live("completes in bash, zsh and fish", () =>
    Effect.forEach(
      ["bash", "zsh", "fish"],
      (shell) =>
        Effect.map(run(["--completions", shell]), ({ status, stdout }) => {
          assert.strictEqual(status, 0)
          for (const word of ["send", "cursor-file", "tls-ca"]) assert.include(stdout, word)
        })
    ))

  it.live("has bash complete names of files where it has nothing itself", () =>
    Effect.map(run(["--completions", "bash"]), ({ stdout }) =>
      assert.strictEqual(
        execFileSync("bash", ["-c", "eval \"$0\"; complete -p cpt", stdout], { encoding: "utf8" }),
        "complete -o default -F _cpt cpt\n"
      )))
})
