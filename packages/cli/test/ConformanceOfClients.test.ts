/** `cpt conformance --client`: our own client, as a process, passes every case; and how the command is called. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { fileURLToPath } from "node:url"
import * as Cpt from "./support/Cpt.ts"
import { run } from "./support/Here.ts"

const cpt = fileURLToPath(new URL("../bin/cpt.cjs", import.meta.url))

/** A client that says what it has to say, and listens to nothing. */
const deaf = [
  process.execPath,
  "-e",
  "const [host, port, ...rest] = process.argv.slice(1); require('net').connect(port, host).end(rest.join('\\n') + '\\n', () => process.exit())",
  "{host}",
  "{port}",
  "CONNECT {user}",
  "SEND {target} {message}"
]

describe("cpt send, cpt sync and cpt tail", () => {
  it.live("pass every case for clients", () =>
    Effect.gen(function*() {
      const { status, stderr, stdout } = yield* Cpt.run([
        "conformance",
        "--client",
        "--strict",
        "--timeout",
        "3s",
        "--json",
        "--",
        process.execPath,
        cpt
      ])
      const results = stdout.trimEnd().split("\n").map((line) => JSON.parse(line))
      const others = results.filter(({ type, verdict }) => type === "case" && verdict !== "pass")
      assert.deepStrictEqual(others, [])
      assert.deepStrictEqual([status, stderr], [0, ""])
      assert.isAtLeast(results.length, 50)
    }), 120_000)
})

describe("cpt conformance --client", () => {
  it.live("says what a client did wrong, with all that was said, and how to repeat it", () =>
    Effect.gen(function*() {
      const id = "client/send/6.2/waits-for-ack"
      const { status, stdout } = yield* run(["conformance", "--client", "--case", id, "--seed", "7", "--", ...deaf])
      assert.strictEqual(status, 1)
      for (
        const expected of [
          /^\S+node.*: 1 case, seed 7\n/,
          /\n {2}FAIL +client\/send\/6\.2\/waits-for-ack +it waits for the ACK before it ends /,
          /\n {4}"The client MUST wait for an ACK response before doing another interaction\."\n/,
          /\n {2}expected {2}the client waits, for 500 ms\n {2}came {6}the client exits with 0\n/,
          /\n +\d\.\d{3} {2}server < {2}SEND target\w+ one\w+\n/,
          /\n {2}again {5}cpt conformance --client --case client\/send\/6\.2\/waits-for-ack --seed 7 -- .*'SEND \{target\} \{message\}'\n/
        ]
      ) assert.match(stdout, expected)
    }))

  it.live("runs a command as it stands that says itself what it does, whatever it sends to whom", () =>
    Effect.gen(function*() {
      const words = [process.execPath, cpt, "send", "room", "hi"]
      const ids = ["--case", "client/send/4.1/form", "--case", "client/send/6.3/sends-again"]
      const { status, stdout } = yield* run(["conformance", "--client", "--strict", ...ids, "--", ...words])
      assert.strictEqual(status, 0, stdout)
      assert.match(stdout, /\n2 of 2 cases passed /)
    }))

  it.live("leaves out what a client does not do", () =>
    Effect.gen(function*() {
      const only = [process.execPath, "-e", `if (process.argv[1] !== "send") process.exit(2); ${deaf[2]}`]
      const words = [...only.slice(0, 2), (only[2] ?? "").replace("slice(1)", "slice(2)"), "{do}", ...deaf.slice(3)]
      const ids = ["--case", "client/send/6.2/waits-for-ack", "--case", "client/sync/5.1/prints"]
      const { status, stdout } = yield* run(["conformance", "--client", ...ids, "--json", "--", ...words])
      assert.strictEqual(status, 1)
      const verdicts = stdout.trimEnd().split("\n").map((line) => JSON.parse(line)).map((
        { verdict, why }
      ) => [verdict, why])
      assert.deepStrictEqual(verdicts.slice(0, 2), [
        ["fail", null],
        ["unsupported", "told to do this (sync), it exited with 2, and did not connect"]
      ])
    }))

  it.live("lists its cases", () =>
    Effect.gen(function*() {
      const { status, stdout } = yield* run([
        "conformance",
        "--client",
        "--list",
        "--case",
        "client/tail/6.3/last-timestamp"
      ])
      assert.strictEqual(status, 0)
      assert.match(stdout, /^client\/tail\/6\.3\/last-timestamp +our reading +delivery\n/)
    }))

  it.live("says in one line what is wrong with a command line, or that there is no client", () =>
    Effect.gen(function*() {
      const refused = Effect.fnUntraced(function*(status: number, note: RegExp, ...args: ReadonlyArray<string>) {
        const result = yield* run(["conformance", ...args])
        assert.deepStrictEqual([result.status, result.stdout], [status, ""])
        assert.lengthOf(result.notes, 1)
        assert.match(result.notes[0] ?? "", note)
      })
      yield* refused(2, /^CMD is missing/, "--client")
      yield* refused(2, /^--client "both": expected send, lines, sync, tail, or nothing$/, "--client=both", "--", "cpt")
      yield* refused(2, /^what does "mine \{group\}" do\?/, "--client", "--", "mine", "{group}")
      yield* refused(2, /^there is no case "send\/"/, "--client", "--case", "send/", "--", "cpt")
      yield* refused(
        2,
        /^no case that is meant is for a client that does sync$/,
        "--client=sync",
        "--case",
        "client/send/",
        "--",
        "cpt"
      )
      yield* refused(4, /^no client: nosuchprogram: cannot be run: /, "--client", "--", "nosuchprogram")
      yield* refused(4, /^no client: false: exited with 1, and did not connect$/, "--client", "--", "false")
    }))
})
