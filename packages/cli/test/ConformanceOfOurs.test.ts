/**
 * Our own server, as a process, passes every case of the conformance kit, with an administrator: with both stores, each
 * over TCP, TLS and a Unix socket; that on disk is killed and restarted under it too.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import * as Cpt from "./support/Cpt.ts"
import { run } from "./support/Here.ts"

const file = (name: string) => fileURLToPath(new URL(name, import.meta.url))
const cpt = `${process.execPath} ${file("../bin/cpt.cjs")}`
const pem = (name: string) => file(`support/tls/${name}.pem`)

/** The script that docs/conformance.md gives to an administrator, word for word. */
const [, script = assert.fail("docs/conformance.md has no such script")] =
  /```sh\n(# control VERB [^]*?)```/.exec(readFileSync(file("../../../docs/conformance.md"), "utf8")) ?? []

/** What its administrator does, in two ways: as it stands there, and in little time. */
const byCpt = (folder: string) => {
  const control = join(folder, "control")
  writeFileSync(
    control,
    `export CPT_ADMIN=unix://${folder}/admin.sock\ncd ${folder}\ncpt() { ${cpt} "$@"; }\n${script}`
  )
  return `sh ${control}`
}
const byApi = (folder: string) => `${process.execPath} ${file("support/Control.ts")} ${folder}`

/** A server that listens in three ways; who does what its administrator does; and scripts that start it again. */
const serving = Effect.fnUntraced(function*(isOnDisk: boolean) {
  const folder = yield* Cpt.folder
  const at = (name: string) => join(folder, name)
  const [tcp, tls] = [yield* Cpt.freePort, yield* Cpt.freePort]
  const flags = [
    `--listen cpt://127.0.0.1:${tcp},cpts://127.0.0.1:${tls},unix://${at("cpt.sock")}`,
    `--tls-cert ${pem("server")} --tls-key ${pem("server.key")} --admin unix://${at("admin.sock")}`,
    isOnDisk ? `--data ${at("data")}` : "--memory",
    `--config ${at("serve.json")}`
  ]
  writeFileSync(at("serve.json"), "{}")
  // It starts again whenever it has ended, as long as its folder is there
  writeFileSync(
    at("supervise"),
    `cd ${folder}
while [ -e supervise ] && [ ! -e over ]; do
  ${cpt} serve ${flags.join(" ")} > log 2>&1 &
  echo $! > pid
  wait $!
done
`
  )
  writeFileSync(
    at("again"),
    `cd ${folder}
old=$(cat pid)
kill "$1" "$old"
until [ "$(cat pid)" != "$old" ] && grep -q listening log; do sleep 0.05; done
`
  )
  yield* Effect.acquireRelease(
    Cpt.shell(`sh ${at("supervise")} & until grep -q listening ${at("log")} 2> ${at("none")}; do sleep 0.05; done`),
    () => Cpt.shell(`touch ${at("over")}; kill -KILL "$(cat ${at("pid")})"`)
  )
  const again = `sh ${at("again")}`
  return {
    places: {
      TCP: [`127.0.0.1:${tcp}`],
      TLS: [`cpts://127.0.0.1:${tls}`, "--tls-ca", pem("ca")],
      "a Unix socket": [`unix://${at("cpt.sock")}`]
    },
    byCpt: byCpt(folder),
    byApi: byApi(folder),
    restarts: ["--restart", `${again} -TERM`, "--kill", `${again} -KILL`]
  }
})

/** Runs all cases; gives what did not pass. */
const others = Effect.fnUntraced(function*(args: ReadonlyArray<string>) {
  const { notes, status, stdout } = yield* run([
    "conformance",
    "--profile",
    "all",
    "--json",
    "--timeout",
    "20s", // so many at the same time are slow
    ...args
  ])
  const results = stdout.trimEnd().split("\n").map((line) => JSON.parse(line)).filter(({ type }) => type === "case")
  const others = results.filter(({ verdict }) => verdict !== "pass").map(({ came, expected, id, verdict, why }) =>
    `${id}: ${verdict}: ${why ?? `expected ${expected}, came ${came}`}`
  )
  assert.deepStrictEqual([status, notes], [0, []], others.join("\n"))
  return others
})

/** What cannot be found out: over TLS and a Unix socket; in memory; and without restarts. */
const tooMany = ["connect/3.4/too-many-connections", "connect/3.5/too-many-connections"]
const noAddress = ["connect/3.2/ip-valid", ...tooMany]
const noDisk = ["send/3.4/storage-unavailable", "send/3.5/storage-unavailable"]
const inconclusive = (ids: ReadonlyArray<string>, why: string) => ids.map((id) => `${id}: inconclusive: ${why}`)
const noRestart = /^durable\/.*: inconclusive: it needs --(?:restart|kill) CMD$/

// What has run for a while is quick: so one server is for all ways to it, and the kit is no process each time
describe.concurrent("a server that keeps messages", () => {
  for (const isOnDisk of [true, false]) {
    it.live(
      `${isOnDisk ? "on disk" : "in memory"} passes every case, over TCP, TLS and a Unix socket`,
      () =>
        Effect.gen(function*() {
          const { byApi, byCpt, places, restarts } = yield* serving(isOnDisk)
          for (const [way, place] of Object.entries(places)) {
            const control = way === "TCP" ? byCpt : byApi
            const found = yield* others([...place, "--control", control, ...isOnDisk ? restarts : []])
            const cannot = (reason: string) => `"${control} refuse ${reason}" ended with 1`
            const hidden = [
              ...inconclusive(way === "a Unix socket" ? noAddress : [], "who comes by a Unix socket has no address"),
              ...inconclusive(way === "TLS" ? tooMany : [], "whoever is too many is cut before the handshake of TLS"),
              ...inconclusive(isOnDisk ? [] : noDisk, cannot("storage_unavailable"))
            ]
            const shown = found.filter((line) => isOnDisk || !noRestart.test(line))
            assert.deepStrictEqual(shown.toSorted(), hidden.toSorted(), way)
          }
        }),
      600_000
    )
  }
})
