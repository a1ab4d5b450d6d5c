/** `cpt conformance`: how it is called, and in which forms it tells what it has found. */
import { Accounts, layerMemory, Listener, Server } from "@cpt/server"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { readFileSync } from "node:fs"
import { createServer } from "node:net"
import { join } from "node:path"
import * as Cpt from "./support/Cpt.ts"
import { run } from "./support/Here.ts"

/** Where a server of ours listens. */
const ours = Effect.map(
  Layer.build(Server.layer(Listener.tcp({ port: 0 })).pipe(Layer.provide([Accounts.layerOpen, layerMemory()]))),
  (context) => String(Context.get(context, Server).addresses[0])
)

/** Where a server listens that says the same to every line. */
const saying = (answer: string) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly address: string; readonly close: () => void }>((resume) => {
      const server = createServer({ allowHalfOpen: true }, (socket) => {
        socket.on("error", () => {})
        socket.on("end", () => socket.end())
        socket.on("data", (chunk) => socket.write(answer.repeat(chunk.filter((byte) => byte === 10).length)))
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        const port = typeof address === "object" ? address?.port : undefined
        resume(Effect.succeed({ address: `127.0.0.1:${port}`, close: () => server.close() }))
      })
    }),
    ({ close }) => Effect.sync(close)
  ).pipe(Effect.map(({ address }) => address))

const lines = (text: string) => text.trimEnd().split("\n")

describe("cpt conformance", () => {
  it.live("passes a server of ours: a row a case, and a sum", () =>
    Effect.gen(function*() {
      const { notes, status, stdout } = yield* run(["conformance", yield* ours, "send/4.1", "connect/3.2/accept"])
      assert.deepStrictEqual([status, notes], [0, []])
      assert.match(stdout, /^127\.0\.0\.1:\d+: \d+ cases, seed \d+\n/)
      assert.match(stdout, /\n {2}pass +send\/4\.1\/each +each SEND has one answer +\d+ ms\n/)
      assert.match(stdout, /\ncore +\d+ +0 +0 +0 +0\n\n(\d+) of \1 cases passed in [\d.]+ s\n$/)
    }))

  it.live("has as much patience as it is told, also more than a timer of Node can be", () =>
    Effect.gen(function*() {
      const { notes, status } = yield* run(["conformance", yield* ours, "connect/3.2/accept", "--timeout", "25d"])
      assert.deepStrictEqual([status, notes], [0, []])
    }))

  it.live("says of a failure which sentence is not kept, what came, all that was said, and how to repeat it", () =>
    Effect.gen(function*() {
      const address = yield* saying("ACCEPT\n")
      const args = ["--seed", "7", "--timeout", "200ms"]
      const { status, stdout } = yield* run(["conformance", address, "--case", "send/4.1/group", ...args])
      assert.strictEqual(status, 1)
      for (
        const expected of [
          /\n {2}FAIL +send\/4\.1\/group /,
          /\n {4}"The server MUST respond with either an ACK to confirm the message delivery, or a DECLINE to\n {4}indicate an error"\n/,
          /\n {2}expected {2}alice hears ACK \| DECLINE …\n {2}came {6}ACCEPT\n/,
          /\n +\d\.\d{3} {2}alice > {2}SEND group\w+ hi\n/,
          new RegExp(`\n  again     cpt conformance ${address} --case send/4.1/group --seed 7 --timeout 200ms\n`),
          /; 1 MUST is not kept\n$/
        ]
      ) assert.match(stdout, expected)
    }))

  it.live("has not passed where nobody reads on what it tells", () =>
    Effect.gen(function*() {
      const args = ["conformance", yield* ours, "send/4.1", "connect/3.2"]
      assert.strictEqual((yield* Cpt.run(args, { shell: "| head -1" })).status, 1)
    }))

  it.live("takes unsupported_command for what it is", () =>
    Effect.gen(function*() {
      const address = yield* saying("DECLINE unsupported_command\n")
      const { status, stdout } = yield* run(["conformance", address, "connect/3.2/accept", "--json"])
      assert.strictEqual(status, 0)
      assert.strictEqual(JSON.parse(lines(stdout)[0] ?? "").verdict, "unsupported")
    }))

  it.live("names the seed's names anew on a server that knows them", () =>
    Effect.gen(function*() {
      const address = yield* ours
      const again = ["conformance", address, "sync/5.1/after", "--seed", "7"]
      assert.notInclude((yield* run(again)).stdout, "knows names")
      const { status, stdout } = yield* run(again)
      assert.strictEqual(status, 0)
      assert.include(stdout, "seed 7; the server knows names of this seed, so these are others (2)\n")
    }))

  it.live("has forms for programs: JSON, JUnit, TAP, HTML; on stdout or in files", () =>
    Effect.gen(function*() {
      const address = yield* saying("ACCEPT\n")
      const folder = yield* Cpt.folder
      const file = (name: string) => join(folder, name)
      const files = ["--json", `--junit=${file("a.xml")}`, `--tap=${file("a.tap")}`, `--html=${file("a.html")}`]
      const ids = ["send/4.1/group", "connect/3.2/accept", "connect/3.2/taken"]
      const { status, stdout } = yield* run(["conformance", address, ...ids, "--timeout", "200ms", ...files])
      assert.strictEqual(status, 1)
      const [accept, taken, group, summary, ...more] = lines(stdout).map((line) => JSON.parse(line))
      assert.deepStrictEqual(more, [])
      assert.deepStrictEqual([accept.id, accept.verdict, accept.transcript], ["connect/3.2/accept", "pass", []])
      assert.deepStrictEqual([taken.verdict, taken.level, taken.profiles], ["fail", "MUST", ["core"]])
      assert.deepStrictEqual([group.expected, group.came], ["alice hears ACK | DECLINE …", "ACCEPT"])
      assert.deepStrictEqual([summary.type, summary.cases, summary.pass, summary.fail], ["summary", 3, 1, 2])

      const [xml, tap, html] = ["a.xml", "a.tap", "a.html"].map((name) => readFileSync(file(name), "utf8"))
      assert.match(
        xml ?? "",
        /^<\?xml.*\n<testsuites name="cpt conformance" tests="3" failures="2" errors="0" skipped="0"/
      )
      assert.match(
        xml ?? "",
        /name="send\/4\.1\/group" time="[\d.]+"><failure type="fail" message="expected alice hears/
      )
      assert.match(
        tap ?? "",
        /^TAP version 14\n1\.\.3\n.*\nok 1 - connect\/3\.2\/accept a free name is accepted\nnot ok 2 - /
      )
      assert.match(html ?? "", /^<!doctype html>/)
      assert.notMatch(html ?? "", /<(?:script|link|img)|https?:/)
      assert.include(html, "<dd><code>ACCEPT</code></dd>")
    }))

  it.live("lists what there is, without a server", () =>
    Effect.gen(function*() {
      const { status, stdout } = yield* run(["conformance", "--list", "send/4.1/each"])
      assert.strictEqual(status, 0)
      assert.match(stdout, /^send\/4\.1\/each +MUST +core\n {4}each SEND has one answer\n {4}CPT\.md: "The server MUST/)
      const listed = yield* run(["conformance", "--list", "--json", "--profile", "core"])
      assert.deepStrictEqual([listed.status, listed.notes], [0, []])
      assert.isAbove(lines(listed.stdout).length, 30)
      for (const line of lines(listed.stdout)) assert.include(JSON.parse(line).profiles, "core")
    }))

  it.live("says in one line what is wrong with a command line, or that there is no server", () =>
    Effect.gen(function*() {
      const refused = Effect.fnUntraced(function*(status: number, note: RegExp, ...args: ReadonlyArray<string>) {
        const result = yield* run(["conformance", ...args])
        assert.deepStrictEqual([result.status, result.stdout], [status, ""])
        assert.lengthOf(result.notes, 1)
        assert.match(result.notes[0] ?? "", note)
      })
      yield* refused(2, /^HOST\[:PORT\] is missing/)
      yield* refused(2, /^"a b": expected HOST/, "a b")
      yield* refused(2, /^there is no case "nonsense"/, "localhost", "nonsense")
      yield* refused(2, /as in --html=out\.html$/, "localhost", "--html", "out.html")
      yield* refused(2, /^--profile "everything": expected core,/, "localhost", "--profile", "everything")
      yield* refused(2, /^--json and --tap cannot both go to stdout/, "localhost", "--json", "--tap")
      yield* refused(4, /^no server at 127\.0\.0\.1:1: connection refused$/, "127.0.0.1:1")
      yield* refused(4, /^no server at unix:\/\/\/nowhere: there is no such socket$/, "unix:///nowhere")
    }))
})
