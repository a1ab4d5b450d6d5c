/** The two servers beside the kit, written straight from the specification in other languages, keep every MUST. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { execFileSync, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { cases, differences, select, start } from "../src/index.ts"

const source = (name: string) => fileURLToPath(new URL(`../servers/${name}`, import.meta.url))

const isMissing = (command: string) => spawnSync(command, ["--version"]).error !== undefined

/** What comes of every MUST, with a server that prints its port. */
const tested = Effect.fnUntraced(function*(command: string, ...args: ReadonlyArray<string>) {
  const server = yield* Effect.acquireRelease(
    Effect.sync(() => spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] })),
    (server) => Effect.sync(() => server.kill("SIGKILL"))
  )
  const [port] = yield* Effect.promise(() => once(createInterface(server.stdout), "line"))
  const address = { host: "127.0.0.1", port: Number(port) }
  const core = select(cases, { profiles: ["core"], ids: [] })
  const seed = Math.floor(Math.random() * 1_000_000)
  const { dialect, results } = yield* start({ place: { address, tls: undefined }, cases: core, seed, timeout: 5000 })
  for (const { case: { id }, verdict, why } of yield* Stream.runCollect(results)) {
    assert.strictEqual(verdict, "pass", `${id}: ${JSON.stringify(why)}`)
  }
  return differences(dialect).map((sentence) => sentence.replace(/ \(READING.*$/, ""))
})

describe("the server in Python", () => {
  it.live.skipIf(isMissing("python3"))("keeps every MUST, on its own terms", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* tested("python3", source("plain.py"), "0"), [
        "new messages of a group that was synced do not come by themselves: clients have to ask",
        "new private messages do not come by themselves"
      ])
    }))
})

describe("the server in C", () => {
  it.live.skipIf(isMissing("cc"))("keeps every MUST, on its own terms", () =>
    Effect.gen(function*() {
      const folder = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "cpt-"))),
        (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
      )
      execFileSync("cc", ["-Wall", "-Wextra", "-Werror", "-o", join(folder, "plain"), source("plain.c")])
      assert.deepStrictEqual(yield* tested(join(folder, "plain"), "0"), [
        "timestamps are in seconds, not in milliseconds",
        "private messages have the form of the diagram, MSG <sender> <timestamp> <message>",
        "messages also come to who sent them",
        "the connection is closed after a DECLINE that a client could go on from"
      ])
    }))
})

for (const [what, command] of [["Python", "python3"], ["C", "cc"]] as const) {
  if (isMissing(command)) console.warn(`The plain server in ${what} is NOT tested: there is no ${command} here.`)
}
