/**
 * Our own server, as a process, passes every case of the conformance kit, with an administrator: with both stores, each
 * over TCP, TLS and a Unix socket, all at the same time; that on disk over TCP is killed and restarted under it too,
 * which has little to do with the way there, and takes long.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Semaphore } from "effect"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import * as Cpt from "./support/Cpt.ts"

const file = (name: string) => fileURLToPath(new URL(name, import.meta.url))
const cpt = `${process.execPath} ${file("../bin/cpt.cjs")}`
const pem = (name: string) => file(`support/tls/${name}.pem`)

/** Ways to a server: where it listens, and how the kit finds it there. */
const ways = {
  "TCP": (port: number) => ({ listen: `cpt://127.0.0.1:${port}`, place: [`127.0.0.1:${port}`] }),
  "TLS": (port: number) => ({
    listen: `cpts://127.0.0.1:${port} --tls-cert ${pem("server")} --tls-key ${pem("server.key")}`,
    place: [`cpts://127.0.0.1:${port}`, "--tls-ca", pem("ca")]
  }),
  "a Unix socket": (_: number, folder: string) => ({
    listen: `unix://${join(folder, "cpt.sock")}`,
    place: [`unix://${join(folder, "cpt.sock")}`]
  })
}
type Way = keyof typeof ways

/** Where nothing is left out. */
const isFull = (isOnDisk: boolean, way: Way): boolean => isOnDisk && way === "TCP"

const isWay = (name: string): name is Way => name in ways

/** What its administrator does, in two ways: as docs/conformance.md has it, and in little time. */
const byCpt = (folder: string) => {
  const control = join(folder, "control")
  writeFileSync(
    control,
    `export CPT_ADMIN=unix://${folder}/admin.sock
case $1 in
announce) ${cpt} admin "$@" ;;
members) ${cpt} group "$@" ;;
remove) ${cpt} account "$@" || ${cpt} group "$@" ;;
*) ${cpt} account "$@" ;;
esac
`
  )
  return control
}
const byApi = (folder: string) => `${process.execPath} ${file("support/Control.ts")} ${folder}/admin.sock`

/** A server, who does what its administrator does, and a script that starts it again, after one signal or another. */
const serving = Effect.fnUntraced(function*(isOnDisk: boolean, way: Way) {
  const folder = yield* Cpt.folder
  const at = (name: string) => join(folder, name)
  const { listen, place } = ways[way](yield* Cpt.freePort, folder)
  const store = isOnDisk ? `--data ${at("data")}` : "--memory"
  const flags = `--listen ${listen} --admin unix://${at("admin.sock")} ${store}`
  // It starts again whenever it has ended, as long as its folder is there
  writeFileSync(
    at("supervise"),
    `cd ${folder}
while [ -e supervise ] && [ ! -e over ]; do
  ${cpt} serve ${flags} > log 2>&1 &
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
  if (!isFull(isOnDisk, way)) return [...place, "--control", byApi(folder)]
  const again = `sh ${at("again")}`
  return [...place, "--control", `sh ${byCpt(folder)}`, "--restart", `${again} -TERM`, "--kill", `${again} -KILL`]
})

/** Runs all cases; gives what did not pass. */
const others = Effect.fnUntraced(function*(args: ReadonlyArray<string>) {
  const { status, stderr, stdout } = yield* Cpt.run([
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
  assert.deepStrictEqual([status, stderr], [0, ""], others.join("\n"))
  return others
})

/** What cannot be found out there. */
const isHidden = (line: string, isOnDisk: boolean, way: Way): boolean =>
  (!isFull(isOnDisk, way) && /^durable\/.*: inconclusive: it needs --(?:restart|kill) CMD$/.test(line)) ||
  (way === "a Unix socket" && line === "connect/3.2/ip-valid: inconclusive: who comes by a Unix socket has no address")

/** At a time: what sends without a pause until something is over does so for longer where many do, and all are slower. */
const places = Semaphore.makeUnsafe(2)

describe.concurrent("a server that keeps messages", () => {
  for (const store of ["on disk", "in memory"]) {
    for (const way of Object.keys(ways).filter(isWay)) {
      it.live(`${store} passes every case over ${way}`, () =>
        Effect.gen(function*() {
          const isOnDisk = store === "on disk"
          const found = yield* others(yield* serving(isOnDisk, way))
          assert.deepStrictEqual(found.filter((line) => !isHidden(line, isOnDisk, way)), [])
        }).pipe(places.withPermits(1)), 300_000)
    }
  }
})
