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

const stores = {
  "on disk": { flags: (folder: string) => `--data ${join(folder, "data")}`, isDurable: true },
  "in memory": { flags: () => "--memory", isDurable: false }
}

/** Runs every case; gives what did not pass, but for what could not be tested. */
const failing = Effect.fnUntraced(function*(args: ReadonlyArray<string>) {
  const { status, stderr, stdout } = yield* Cpt.run(["conformance", "--profile", "all", "--json", ...args])
  const results = stdout.trimEnd().split("\n").map((line) => JSON.parse(line)).filter(({ type }) => type === "case")
  const others = results.filter(({ verdict }) => verdict !== "pass").map(({ came, expected, id, verdict, why }) =>
    `${id}: ${verdict}: ${why ?? `expected ${expected}, came ${came}`}`
  )
  assert.deepStrictEqual([status, stderr], [0, ""], others.join("\n"))
  return others
})

describe.concurrent("a server that keeps messages", () => {
  for (const [where, { flags, isDurable }] of Object.entries(stores)) {
    it.live(
      `${where} passes every case, over TCP, TLS and a Unix socket${isDurable ? ", killed and restarted" : ""}`,
      () =>
        Effect.gen(function*() {
          const { control, places: { socket, tcp, tls }, restarts } = yield* serving(flags)
          const [overTls, overSocket] = yield* Effect.all([
            failing([...tls, ...control]),
            failing([...socket, ...control])
          ], { concurrency: 2 })
          // The server is theirs alone, then
          const overTcp = yield* failing([...tcp, ...control, ...isDurable ? restarts : []])
          const isNotTried = (line: string) => /^durable\/.* it needs --(?:restart|kill) CMD$/.test(line)
          assert.deepStrictEqual(overTls.filter((line) => !isNotTried(line)), [])
          assert.deepStrictEqual(overSocket.filter((line) => !isNotTried(line)), [
            "connect/3.2/ip-valid: inconclusive: who comes by a Unix socket has no address"
          ])
          assert.deepStrictEqual(isDurable ? overTcp : overTcp.filter((line) => !isNotTried(line)), [])
        }),
      300_000
    )
  }
})
