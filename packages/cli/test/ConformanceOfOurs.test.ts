/**
 * Our own server, as a process, passes every case of the conformance kit: with both stores, over TCP, TLS and a Unix
 * socket; with an administrator, and killed and restarted under it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import * as Cpt from "./support/Cpt.ts"

const file = (name: string) => fileURLToPath(new URL(name, import.meta.url))
const cpt = `${process.execPath} ${file("../bin/cpt.cjs")}`
const pem = (name: string) => file(`support/tls/${name}.pem`)

/** A server that listens in three ways; a script that starts it again, after one signal or another; and one for its accounts. */
const serving = Effect.fnUntraced(function*(store: (folder: string) => string) {
  const folder = yield* Cpt.folder
  const at = (name: string) => join(folder, name)
  const [tcp, tls] = [yield* Cpt.freePort, yield* Cpt.freePort]
  const flags = [
    `--listen cpt://127.0.0.1:${tcp},cpts://127.0.0.1:${tls},unix://${at("cpt.sock")}`,
    `--tls-cert ${pem("server")} --tls-key ${pem("server.key")} --login-deadline 3s`,
    `--admin unix://${at("admin.sock")} ${store(folder)}`
  ]
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
until [ "$(cat pid)" != "$old" ] && grep -q listening log; do sleep 0.02; done
`
  )
  const control = at("control")
  writeFileSync(
    control,
    `export CPT_ADMIN=unix://${at("admin.sock")}
case "$1" in
  announce) ${cpt} admin "$@" ;;
  *) ${cpt} account "$@" ;;
esac
`
  )
  yield* Effect.acquireRelease(
    Cpt.shell(`sh ${at("supervise")} & until grep -q listening ${at("log")} 2> ${at("none")}; do sleep 0.02; done`),
    () => Cpt.shell(`touch ${at("over")}; kill -KILL "$(cat ${at("pid")})"`)
  )
  return {
    places: {
      tcp: [`127.0.0.1:${tcp}`],
      tls: [`cpts://127.0.0.1:${tls}`, "--tls-ca", pem("ca")],
      socket: [`unix://${at("cpt.sock")}`]
    },
    control: ["--control", `sh ${control}`],
    restarts: ["--restart", `sh ${at("again")} -TERM`, "--kill", `sh ${at("again")} -KILL`]
  }
})

/** Runs cases; gives what did not pass, but for what nobody was asked to do. */
const failing = Effect.fnUntraced(function*(profiles: ReadonlyArray<string>, ...args: ReadonlyArray<string>) {
  const flags = profiles.flatMap((profile) => ["--profile", profile])
  const { status, stderr, stdout } = yield* Cpt.run(["conformance", "--json", ...flags, ...args])
  const results = stdout.trimEnd().split("\n").map((line) => JSON.parse(line)).filter(({ type }) => type === "case")
  const others = results.filter(({ verdict }) => verdict !== "pass").map(({ came, expected, id, verdict, why }) =>
    `${id}: ${verdict}: ${why ?? `expected ${expected}, came ${came}`}`
  )
  assert.deepStrictEqual([status, stderr], [0, ""], others.join("\n"))
  return others.filter((line) => args.includes("--kill") || !/^durable\/.* it needs --(?:restart|kill) CMD$/.test(line))
})

const noAddress = ["connect/3.2/ip-valid: inconclusive: who comes by a Unix socket has no address"]

/** Where only the way there is another one. */
const most = ["core", "delivery"]

describe.concurrent("a server that keeps messages", () => {
  it.live(
    "on disk passes every case, over TCP, TLS and a Unix socket, killed and restarted",
    () =>
      Effect.gen(function*() {
        const { control, places: { socket, tcp, tls }, restarts } = yield* serving(
          (folder) => `--data ${join(folder, "data")}`
        )
        const [overTls, overSocket] = yield* Effect.all([
          failing(["all"], ...tls, ...control),
          failing(most, ...socket)
        ], { concurrency: 2 })
        assert.deepStrictEqual([overTls, overSocket], [[], []])
        // Now the server is theirs alone
        assert.deepStrictEqual(yield* failing(["all"], ...tcp, ...control, ...restarts), [])
      }),
    300_000
  )

  it.live("in memory passes every case, over TCP, TLS and a Unix socket", () =>
    Effect.gen(function*() {
      const { control, places: { socket, tcp, tls } } = yield* serving(() => "--memory")
      const found = yield* Effect.all([
        failing(["all"], ...socket, ...control),
        failing(most, ...tls),
        failing(["all"], ...tcp, ...control)
      ], { concurrency: 2 })
      assert.deepStrictEqual(found, [noAddress, [], []])
    }), 300_000)
})
