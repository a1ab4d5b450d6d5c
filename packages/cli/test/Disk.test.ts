/** The disk that other tests stand on: that its faults are those of a disk, and that it loses what a disk may lose. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { DatabaseSync } from "node:sqlite"
import { folder } from "./support/Cpt.ts"
import * as Disk from "./support/Disk.ts"

/** A program on the disk that does each line it is given, and answers with a line: `ok`, or the code of the error. */
const obedient = `
import * as fs from "node:fs"
import { createInterface } from "node:readline"
import { DatabaseSync } from "node:sqlite"
process.chdir(process.argv[1])
const [file, writable] = [fs.openSync("file", "w+"), fs.openSync("file", "r+")]
const db = new DatabaseSync("a.db", { timeout: 0 })
db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (n INTEGER PRIMARY KEY) STRICT")
fs.writeSync(file, "0123456789")
const all = {
  write: () => fs.writeSync(file, "abc"),
  "write there": () => fs.writeSync(file, "abc", 5),
  "write many": () => fs.writevSync(file, [Buffer.from("a"), Buffer.from("b")]),
  grow: () => fs.ftruncateSync(file, 1_000_000),
  cut: () => fs.ftruncateSync(file, 5),
  sync: () => fs.fsyncSync(file),
  "sync the data": () => fs.fdatasyncSync(writable),
  "sync the directory": () => { const fd = fs.openSync("."); try { fs.fsyncSync(fd) } finally { fs.closeSync(fd) } },
  read: () => fs.readSync(file, Buffer.alloc(3), 0, 3, 0),
  create: () => { fs.closeSync(fs.openSync("new", "w")); fs.unlinkSync("new") },
  unlink: () => fs.unlinkSync("file"),
  rename: () => { fs.renameSync("file", "other"); fs.renameSync("other", "file") },
  "make a directory": () => { fs.mkdirSync("sub"); fs.rmdirSync("sub") },
  insert: () => db.exec("INSERT INTO t DEFAULT VALUES"),
  select: () => db.prepare("SELECT count(*) FROM t").get(),
  now: () => Date.now()
}
console.log("ready")
for await (const line of createInterface(process.stdin)) {
  try {
    const result = all[line]()
    console.log(line === "now" ? result : "ok")
  } catch (error) {
    console.log(error.errstr ?? error.code)
  }
}`

/** Rows, each committed; after each its number and how long the log is. Then it is killed. */
const committing = `
import { statSync, writeSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"
const [, directory, log, synchronous] = process.argv
const db = new DatabaseSync(directory + "/a.db")
db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = " + synchronous + "; PRAGMA wal_autocheckpoint = 30")
db.exec("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY, filler BLOB) STRICT")
const first = db.prepare("SELECT count(*) AS n FROM t").get().n + 1
for (let n = first; n < first + 60; n++) {
  db.prepare("INSERT INTO t VALUES (?, randomblob(?))").run(n, 10 + (n * 397) % 3000)
  writeSync(1, n + " " + statSync(log).size + "\\n")
}
process.kill(process.pid, "SIGKILL")`

const program = (script: string) => ["--input-type=module", "--disable-warning=ExperimentalWarning", "-e", script]

/** Runs a program to its end; gives the lines that it said. */
const run = (script: string, env: Record<string, string>, ...args: ReadonlyArray<string>): ReadonlyArray<string> => {
  const { stderr, stdout } = spawnSync(process.execPath, [...program(script), "--", ...args], {
    env: { ...process.env, ...env }
  })
  assert.strictEqual(String(stderr), "")
  return String(stdout).trimEnd().split("\n")
}

/** The obedient program, on a disk with a switch for faults. */
const started = Effect.gen(function*() {
  const root = yield* folder
  const [directory, control] = [join(root, "data"), join(root, "control")]
  const env = { ...process.env, ...Disk.environment({ directory, control }) }
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => spawn(process.execPath, [...program(obedient), "--", directory], { env })),
    (child) =>
      Effect.promise(async () => {
        if (child.exitCode !== null || child.signalCode !== null) return
        child.kill("SIGKILL")
        await once(child, "exit")
      })
  )
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const asks = (line: string) =>
    Effect.promise(async (): Promise<string> => {
      child.stdin.write(`${line}\n`)
      const { done, value } = await lines.next()
      return done === true ? "(end)" : value
    })
  yield* Effect.promise(() => lines.next())
  return { asks, control }
})

/** What the disk may hold after what a program did: each outcome, over many losses of power. */
const outcomes = Effect.fnUntraced(function*<A>(script: string, look: (directory: string) => A) {
  const root = yield* folder
  const [directory, control, log] = [join(root, "data"), join(root, "control"), join(root, "log")]
  run(
    `
import * as fs from "node:fs"
process.chdir(process.argv[1])
const sync = (name) => { const fd = fs.openSync(name); try { fs.fsyncSync(fd) } finally { fs.closeSync(fd) } }
const fault = (number) => fs.writeFileSync(process.argv[2], Buffer.concat([Buffer.from([number]), Buffer.alloc(63)]))
${script}`,
    Disk.environment({ directory, control, log }),
    directory,
    control
  )
  const seen = new Set<A>()
  for (let seed = 0; seed < 200; seed++) {
    Disk.powerLoss(log, join(root, String(seed)), Disk.randomFrom(seed))
    seen.add(look(join(root, String(seed))))
  }
  return [...seen].toSorted()
})

const textOf = (name: string) => (directory: string) =>
  existsSync(join(directory, name)) ? readFileSync(join(directory, name), "utf8") : "(not there)"

describe.skipIf(Disk.isMissing())("a disk with faults (needs Linux, and cc)", () => {
  const changes = ["write", "write there", "write many", "grow"]
  const names = ["create", "unlink", "rename", "make a directory"]
  const syncs = ["sync", "sync the data", "sync the directory"]
  const cases: ReadonlyArray<
    readonly [Disk.Fault, code: string, fail: ReadonlyArray<string>, sql: string, pass: ReadonlyArray<string>]
  > = [
    ["full", "ENOSPC", [...changes, "create"], "database or disk is full", ["cut", "sync", "read", "rename", "select"]],
    ["write error", "EIO", [...changes, "cut"], "disk I/O error", ["sync", "read", "rename", "select"]],
    ["sync error", "EIO", syncs, "disk I/O error", ["write", "cut", "read", "rename", "select"]],
    ["read-only", "EROFS", [...changes, "cut", ...names], "disk I/O error", ["sync", "read", "select"]],
    ["read error", "EIO", ["read"], "", ["write", "sync", "rename"]]
  ]
  for (const [fault, code, fail, sql, pass] of cases) {
    it.live(`${fault}: what it is about fails with ${code}, and nothing else, and it is over when it is switched off`, () =>
      Effect.gen(function*() {
        const { asks, control } = yield* started
        const all = [...changes, "cut", ...syncs, "read", "create", "rename", "make a directory", "insert", "select"]
        assert.deepStrictEqual(yield* Effect.forEach(all, asks), all.map(() => "ok"))
        assert.strictEqual(Disk.counts(control).faults, 0)
        Disk.setFault(control, fault)
        assert.deepStrictEqual(yield* Effect.forEach(fail, asks), fail.map(() => code))
        if (sql !== "") assert.strictEqual(yield* asks("insert"), sql)
        assert.isAtLeast(Disk.counts(control).faults, fail.length)
        assert.deepStrictEqual(yield* Effect.forEach(pass, asks), pass.map(() => "ok"))
        Disk.setFault(control, "none")
        assert.deepStrictEqual(yield* Effect.forEach(all, asks), all.map(() => "ok"))
      }))
  }

  it.live("a disk that is almost full takes the beginning of a write", () =>
    Effect.gen(function*() {
      const { asks, control } = yield* started
      Disk.setFault(control, "full", 5)
      assert.deepStrictEqual(yield* Effect.forEach(["write", "write", "write"], asks), ["ok", "ok", "ENOSPC"])
      Disk.setFault(control, "full", 50) // a page of the database does not fit
      assert.strictEqual(yield* asks("insert"), "database or disk is full")
      Disk.setFault(control, "none")
      assert.strictEqual(yield* asks("insert"), "ok")
    }))

  it.live("syncs and writes take longer when they are slow, and a sync that is held does not return", () =>
    Effect.gen(function*() {
      const { asks, control } = yield* started
      for (const [fault, line] of [["slow sync", "sync"], ["slow write", "write"]] as const) {
        Disk.setFault(control, fault, 60)
        const before = performance.now()
        assert.strictEqual(yield* asks(line), "ok")
        assert.isAtLeast(performance.now() - before, 60)
      }
      Disk.setFault(control, "held sync")
      const { syncsBegun, syncsDone } = Disk.counts(control)
      const insert = yield* Effect.forkChild(asks("insert"))
      while (Disk.counts(control).syncsBegun === syncsBegun) yield* Effect.sleep(1)
      assert.strictEqual(insert.pollUnsafe(), undefined)
      assert.strictEqual(Disk.counts(control).syncsDone, syncsDone)
      Disk.setFault(control, "none")
      assert.strictEqual(yield* Fiber.join(insert), "ok")
      assert.isAbove(Disk.counts(control).syncsDone, syncsDone)
    }))

  it.live("the wall clock can be set, forward and back", () =>
    Effect.gen(function*() {
      const { asks, control } = yield* started
      for (const ahead of [0, 3_600_000, -3_600_000, 0]) {
        Disk.setClock(control, ahead)
        const before = Date.now()
        assert.closeTo(Number(yield* asks("now")) - before, ahead, 5000)
      }
    }))
})

describe.skipIf(Disk.isMissing())("a disk that loses its power (needs Linux, and cc)", () => {
  it.live("has what was synced, and of what was written later any sectors", () =>
    Effect.gen(function*() {
      const seen = yield* outcomes(
        `
const fd = fs.openSync("file", "w")
fs.writeSync(fd, "a".repeat(1536))
fs.fsyncSync(fd)
fs.writeSync(fd, "b".repeat(1536), 0)`,
        textOf("file")
      )
      const three = ["a", "b"].map((letter) => letter.repeat(512))
      const all = three.flatMap((x) => three.flatMap((y) => three.map((z) => x + y + z)))
      assert.deepStrictEqual(seen, all.toSorted())
    }))

  it.live("has nothing, or something, of what was never synced, and zeros where a write is missing", () =>
    Effect.gen(function*() {
      const seen = yield* outcomes(
        `
const fd = fs.openSync("file", "w")
fs.writeSync(fd, "abc", 0)
fs.writeSync(fd, "def", 3)`,
        textOf("file")
      )
      assert.includeMembers(seen, ["(not there)", "", "abc", "abcdef", "\0\0\0def"])
      for (const text of seen) assert.match(text, /^(\(not there\)|(abc|\0\0\0)?(def|\0\0\0)?)$/)
    }))

  it.live("has a new file when that was synced, but what became of its name only when its directory was", () =>
    Effect.gen(function*() {
      const names = (directory: string) => ["a", "b"].filter((name) => existsSync(join(directory, name))).join("")
      const create = `fs.writeFileSync("a", "", { flush: true })`
      assert.deepStrictEqual(yield* outcomes(`fs.writeFileSync("a", "")`, names), ["", "a"])
      assert.deepStrictEqual(yield* outcomes(create, names), ["a"])
      assert.deepStrictEqual(yield* outcomes(`${create}; fs.unlinkSync("a")`, names), ["", "a"])
      assert.deepStrictEqual(yield* outcomes(`${create}; fs.unlinkSync("a"); sync(".")`, names), [""])
      assert.deepStrictEqual(yield* outcomes(`${create}; fs.renameSync("a", "b")`, names), ["a", "b"])
      assert.deepStrictEqual(yield* outcomes(`${create}; fs.renameSync("a", "b"); sync("b")`, names), ["a", "b"])
      assert.deepStrictEqual(yield* outcomes(`${create}; fs.renameSync("a", "b"); sync(".")`, names), ["b"])
    }))

  it.live("may not have what a failed sync was about, even when the next one succeeds", () =>
    Effect.gen(function*() {
      const write = (again: string) => `
const fd = fs.openSync("file", "w")
fs.writeSync(fd, "a")
fault(3)
try { fs.fsyncSync(fd) } catch {}
fault(0)
${again}
fs.fsyncSync(fd)`
      assert.deepStrictEqual(yield* outcomes(write(""), textOf("file")), ["", "a"])
      assert.deepStrictEqual(yield* outcomes(write(`fs.writeSync(fd, "b", 1)`), textOf("file")), ["ab"])
    }))

  /** The losses of power, at any moment, after which a committed row is gone or the database is damaged. */
  const losses = Effect.fnUntraced(function*(synchronous: "OFF" | "NORMAL" | "FULL") {
    const root = yield* folder
    let directory = join(root, "data")
    let count = 0
    for (let life = 0; life < 3; life++) {
      const log = join(root, `log${life}`)
      const env = Disk.environment({ directory, log })
      const rows = run(committing, env, directory, log, synchronous).map((line) => line.split(" ").map(Number))
      for (let seed = 0; seed < 30; seed++) {
        const random = Disk.randomFrom(1000 * life + seed)
        const index = Math.floor(random() * rows.length)
        const [committed = NaN, from = NaN] = rows[index] ?? []
        const to = rows[index + 1]?.[1] ?? from
        directory = join(root, `${life} ${seed}`)
        Disk.powerLoss(log, directory, random, from + Math.floor(random() * (to - from + 1)))
        if (!holds(join(directory, "a.db"), committed)) count++
      }
      if (count > 0) return count // what comes after a damage is of no interest
    }
    return count
  })

  const holds = (file: string, committed: number) => {
    if (!existsSync(file)) return false
    const db = new DatabaseSync(file)
    try {
      const check = Object.values(db.prepare("PRAGMA integrity_check").get() ?? {})[0]
      const found = db.prepare("SELECT n FROM t ORDER BY n").all().map((row) => Number(row["n"]))
      // One more may have been on its way, but there is no hole
      return check === "ok" && (found.length === committed || found.length === committed + 1) &&
        found.every((n, index) => n === index + 1)
    } catch {
      return false
    } finally {
      db.close()
    }
  }

  it.live("never loses a row that SQLite has committed with synchronous = FULL, through one loss after the other", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* losses("FULL"), 0)
    }))

  for (const synchronous of ["OFF", "NORMAL"] as const) {
    it.live(`loses rows that SQLite has committed with synchronous = ${synchronous}`, () =>
      Effect.gen(function*() {
        assert.isAbove(yield* losses(synchronous), 0)
      }))
  }
})
