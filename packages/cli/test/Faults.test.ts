/** A server whose disk, database or clock misbehaves: what is ACKed is stored, and everything else goes on. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { createInterface } from "node:readline"
import { DatabaseSync } from "node:sqlite"
import { folder, run, start } from "./support/Cpt.ts"
import * as Disk from "./support/Disk.ts"

/** Where a server has its messages, and the switch for faults under it. */
const disk = Effect.map(folder, (root): Place => ({ directory: join(root, "data"), control: join(root, "control") }))

interface Place extends Disk.Options {
  readonly control: string
}

/** What Node has compiled, since servers are started here by the dozen, and killed before they could keep it. */
let compiled = ""

beforeAll(async () => {
  compiled = mkdtempSync(join(tmpdir(), "cpt-compiled-"))
  await Effect.runPromise(run(["--version"], { env: { NODE_COMPILE_CACHE: compiled } }))
})

afterAll(() => rmSync(compiled, { recursive: true, force: true }))

/** `cpt serve` on that disk. */
const started = (place: Place) =>
  start(["serve", "--port", "0", "--data", place.directory], {
    env: { ...Disk.environment(place), NODE_COMPILE_CACHE: compiled }
  })

/** A server on that disk, which listens, and what it has logged. */
const serving = Effect.fnUntraced(function*(place: Place) {
  const cpt = yield* started(place)
  const logged: Array<string> = []
  createInterface(cpt.child.stderr).on("line", (line) => logged.push(line))
  const port = Number(/:(\d+);/.exec(yield* cpt.line)?.[1])
  const killed = Effect.andThen(cpt.signal("SIGKILL"), cpt.status)
  /** Its exit status when it is told to stop. */
  const stopped = Effect.andThen(cpt.signal("SIGTERM"), cpt.status)
  return { port, logged, killed, stopped }
})

/** A connection on which one speaks lines. */
const connected = Effect.fnUntraced(function*(port: number) {
  const socket = yield* Effect.acquireRelease(
    Effect.promise(async () => {
      const socket = connect({ port, host: "127.0.0.1", noDelay: true })
      await once(socket, "connect")
      return socket.on("error", () => {})
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )
  const unread: Array<string> = []
  const waiting: Array<(line: string) => void> = []
  createInterface(socket)
    .on("line", (line) => {
      const take = waiting.shift()
      if (take === undefined) unread.push(line)
      else take(line)
    })
    .on("close", () => {
      for (const take of waiting) take("(end)")
    })
  /** The next line. */
  const hears = Effect.callback<string>((resume) => {
    const line = unread.shift()
    if (line !== undefined) resume(Effect.succeed(line))
    else waiting.push((line) => resume(Effect.succeed(line)))
  }).pipe(Effect.timeout("10 seconds"), Effect.orDie)
  const says = (...lines: ReadonlyArray<string>) => Effect.sync(() => void socket.write(`${lines.join("\n")}\n`))
  const asks = (line: string) => Effect.andThen(says(line), hears)
  /** The answer to a SYNC, without its ENDSYNC; or the line that is none. */
  const syncs = Effect.fnUntraced(function*(command: string) {
    yield* says(command)
    const lines: Array<string> = []
    for (;;) {
      const line = yield* hears
      if (line === "ENDSYNC") return lines
      lines.push(line)
      if (!line.startsWith("MSG ")) return lines
    }
  })
  const reset = Effect.sync(() => void socket.resetAndDestroy())
  return { unread, hears, says, asks, syncs, reset }
})

const loggedIn = Effect.fnUntraced(function*(port: number, name: string) {
  const client = yield* connected(port)
  assert.strictEqual(yield* client.asks(`CONNECT ${name}`), "ACCEPT")
  return client
})

/** Sender and text of each line of `MSG`. */
const told = (lines: ReadonlyArray<string>) => lines.map((line) => line.replace(/^MSG \S+ (\S+) \d+ /, "$1: "))

const timestamps = (lines: ReadonlyArray<string>) => lines.map((line) => Number(line.split(" ", 4)[3]))

/** What of a log are errors. */
const errorsOf = (lines: ReadonlyArray<string>) =>
  lines.map((line) => JSON.parse(line)).filter(({ level }) => level === "error").map(({ message }) => message)

const unavailable = "DECLINE storage_unavailable"

/** Holds when it does, soon. */
const eventually = (condition: () => boolean) =>
  Effect.gen(function*() {
    while (!condition()) yield* Effect.sleep(5)
  }).pipe(Effect.timeout("10 seconds"), Effect.orDie)

const median = (numbers: ReadonlyArray<number>) =>
  numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? NaN

interface Trouble {
  readonly begins: (place: Place) => Effect.Effect<void>
  readonly ends: (place: Place) => Effect.Effect<void>
}

const fault = (fault: Disk.Fault): Trouble => ({
  begins: ({ control }) => Effect.sync(() => Disk.setFault(control, fault)),
  ends: ({ control }) => Effect.sync(() => Disk.setFault(control, "none"))
})

/** Another program has the database, and does not give it back. */
const locked = (): Trouble => {
  let db: DatabaseSync | undefined
  return {
    begins: ({ directory }) =>
      Effect.sync(() => {
        db = new DatabaseSync(join(directory, "messages.db"), { timeout: 5000 })
        db.exec("BEGIN IMMEDIATE")
      }),
    ends: () => Effect.sync(() => db?.close())
  }
}

/** Checks a database, but waits for a line before it looks at it. */
const checking = `
import { Database } from "@cpt/server"
import { Effect } from "effect"
import { createInterface } from "node:readline"
const line = createInterface(process.stdin)[Symbol.asyncIterator]()
const wait = Effect.promise(async () => {
  console.log("begun")
  await line.next()
})
const checked = Effect.match(Database.check(process.argv[1], () => wait), {
  onFailure: ({ message }) => console.log(message),
  onSuccess: (report) => console.log(JSON.stringify(report))
})
await Effect.runPromise(checked)
process.exit()`

/** Somebody has tidied up. */
const movedAway = (): Trouble => {
  const move = (directory: string, from: string, to: string) =>
    Effect.sync(() => {
      for (const suffix of ["", "-wal"]) {
        renameSync(join(directory, `${from}${suffix}`), join(directory, `${to}${suffix}`))
      }
    })
  return {
    begins: ({ directory }) => move(directory, "messages.db", "old.db"),
    ends: ({ directory }) => move(directory, "old.db", "messages.db")
  }
}

const troubles = [
  ["its disk is full", () => fault("full")],
  ["its disk is read-only", () => fault("read-only")],
  ["writing fails", () => fault("write error")],
  ["syncing fails", () => fault("sync error")],
  ["another program has the database locked", locked],
  ["its database is moved away", movedAway]
] as const

describe.skipIf(Disk.isMissing())("cpt serve --data, when (needs Linux, and cc)", () => {
  for (const [what, troubleOf] of troubles) {
    it.live(`${what}: declines what it cannot store, goes on reading, and sends again when that is over (CPT 4.1, 4.8)`, () =>
      Effect.gen(function*() {
        const [place, trouble] = [yield* disk, troubleOf()]
        const first = yield* serving(place)
        const [ann, bob] = [yield* loggedIn(first.port, "ann"), yield* loggedIn(first.port, "bob")]
        for (const line of ["SEND red 1", "SEND red 2"]) assert.strictEqual(yield* ann.asks(line), "ACK")
        const before = yield* bob.syncs("SYNC red 0")
        assert.deepStrictEqual(told(before), ["ann: 1", "ann: 2"])

        yield* trouble.begins(place)
        assert.strictEqual(yield* ann.asks("SEND red lost"), unavailable)
        yield* ann.says("SEND red together", "SEND red all")
        assert.deepStrictEqual([yield* ann.hears, yield* ann.hears], [unavailable, unavailable])
        for (const client of [ann, bob, yield* loggedIn(first.port, "carol")]) {
          assert.deepStrictEqual(yield* client.syncs("SYNC red 0"), before)
          assert.deepStrictEqual(yield* client.syncs("SYNC nothing 0"), [])
          assert.deepStrictEqual(yield* client.syncs("SYNC"), [])
        }
        const taken = yield* connected(first.port)
        assert.strictEqual(yield* taken.asks("CONNECT ann"), "DECLINE username_taken")

        yield* trouble.ends(place)
        for (const line of ["SEND red 3", "SEND red 4"]) assert.strictEqual(yield* ann.asks(line), "ACK")
        const live = [yield* bob.hears, yield* bob.hears]
        assert.deepStrictEqual(told(live), ["ann: 3", "ann: 4"])

        yield* trouble.begins(place)
        assert.strictEqual(yield* ann.asks("SEND red lost too"), unavailable)
        yield* first.killed
        yield* trouble.ends(place)
        const second = yield* serving(place)
        const dan = yield* loggedIn(second.port, "dan")
        assert.deepStrictEqual(yield* dan.syncs("SYNC red 0"), [...before, ...live])
        assert.strictEqual(yield* dan.asks("SEND red 5"), "ACK")
      }))
  }

  for (const [what, troubleOf] of troubles) {
    it.live(`${what}: is not well from then on, and well again when that is over, also if nobody sends`, () =>
      Effect.gen(function*() {
        const place = yield* disk
        const { port } = yield* serving(place)
        const command = ["status", "--json", "--data", place.directory, "--timeout", "20s"]
        const status = Effect.map(run(command), ({ status, stderr, stdout }) => {
          assert.strictEqual(stderr, "")
          return { status, ...JSON.parse(stdout) }
        })
        const client = yield* loggedIn(port, "ann")
        assert.strictEqual(yield* client.asks("SEND red one"), "ACK")
        assert.deepInclude(yield* status, { status: 0, health: "ready" })
        const trouble = troubleOf()
        yield* trouble.begins(place)
        assert.strictEqual(yield* client.asks("SEND red two"), unavailable)
        const ailing = yield* status
        assert.deepInclude(ailing, { status: 1, health: "storage_failing" })
        assert.isString(ailing.failure)
        yield* trouble.ends(place)
        yield* Effect.repeat(status, { until: ({ health }) => health === "ready" }).pipe(Effect.timeout("10 seconds"))
        assert.strictEqual(yield* client.asks("SEND red three"), "ACK")
      }))
  }

  it.live("the disk is full: what is sent again after its ACK was seen is a new message, then and later (CPT 4.4)", () =>
    Effect.gen(function*() {
      const place = yield* disk
      const { port } = yield* serving(place)
      const [ann, bob] = [yield* loggedIn(port, "ann"), yield* loggedIn(port, "bob")]
      for (const client of [ann, bob]) {
        assert.strictEqual(yield* client.asks("SEND red same"), "ACK")
        assert.deepStrictEqual(yield* client.syncs("SYNC blue 0"), []) // so it has seen the ACK
      }
      Disk.setFault(place.control, "full")
      assert.strictEqual(yield* ann.asks("SEND red other"), unavailable)
      assert.strictEqual(yield* ann.asks("SEND red same"), unavailable)
      Disk.setFault(place.control, "none")
      assert.strictEqual(yield* ann.asks("SEND red same"), "ACK")
      assert.strictEqual(yield* bob.asks("SEND red same"), "ACK")
      assert.deepStrictEqual(
        told(yield* bob.syncs("SYNC red 0")),
        ["ann: same", "bob: same", "ann: same", "bob: same"]
      )
    }))

  it.live("the disk is full: what is sent again before its ACK was seen is the same message, then and later (CPT 4.4)", () =>
    Effect.gen(function*() {
      const place = yield* disk
      const { port } = yield* serving(place)
      const bob = yield* loggedIn(port, "bob")
      const lost = yield* connected(port)
      assert.strictEqual(yield* lost.asks("CONNECT ann"), "ACCEPT")
      yield* bob.syncs("SYNC red 0")
      yield* lost.says("SEND red same")
      assert.deepStrictEqual(told([yield* bob.hears]), ["ann: same"])
      yield* lost.reset
      Disk.setFault(place.control, "full")
      assert.strictEqual(yield* bob.asks("SEND red other"), unavailable)
      Disk.setFault(place.control, "none")
      const ann = yield* loggedIn(port, "ann")
      assert.strictEqual(yield* ann.asks("SEND red same"), "ACK")
      assert.deepStrictEqual(told(yield* ann.syncs("SYNC red 0")), ["ann: same"])
    }))

  it.live("the disk is full: a group can be read that has only been sent to before (CPT 5.1)", () =>
    Effect.gen(function*() {
      const place = yield* disk
      const { port } = yield* serving(place)
      const [ann, bob] = [yield* loggedIn(port, "ann"), yield* loggedIn(port, "bob")]
      assert.strictEqual(yield* ann.asks("SEND red 1"), "ACK")
      Disk.setFault(place.control, "full")
      assert.strictEqual(yield* ann.asks("SEND red 2"), unavailable)
      assert.deepStrictEqual(told(yield* bob.syncs("SYNC red 0")), ["ann: 1"])
      Disk.setFault(place.control, "none")
      assert.strictEqual(yield* ann.asks("SEND red 3"), "ACK")
      assert.deepStrictEqual(told([yield* bob.hears]), ["ann: 3"])
    }))

  it.live("the disk is full: logs when it begins and when it is over, and not each message", () =>
    Effect.gen(function*() {
      const place = yield* disk
      const { logged, port } = yield* serving(place)
      assert.deepStrictEqual(logged, [])
      Disk.setFault(place.control, "full")
      const refused = Effect.fnUntraced(function*(name: string) {
        const client = yield* loggedIn(port, name)
        for (let i = 0; i < 19; i++) assert.strictEqual(yield* client.asks(`SEND red ${i}`), unavailable) // CPT 3.10
        return client
      })
      const names = Array.from({ length: 20 }, (_, index) => `user${index}`)
      const [client] = yield* Effect.forEach(names, refused, { concurrency: "unbounded" })
      yield* eventually(() => logged.length > 0)
      Disk.setFault(place.control, "none")
      assert.strictEqual(yield* client!.asks("SEND red again"), "ACK")
      yield* eventually(() => logged.length > 1)
      assert.strictEqual(yield* client!.asks("SEND red and again"), "ACK")
      assert.isAtMost(logged.length, 5)
    }))

  it.live("the disk is almost full: what fits is ACKed and stored, and nothing else (CPT 4.1, 4.8)", () =>
    Effect.gen(function*() {
      const place = yield* disk
      const first = yield* serving(place)
      const ann = yield* loggedIn(first.port, "ann")
      Disk.setFault(place.control, "full", 100_000)
      const acked: Array<string> = []
      for (let i = 0; i < 60; i++) {
        const answer = yield* ann.asks(`SEND red ${i} ${"x".repeat(1000)}`)
        if (answer === "ACK") acked.push(String(i))
        else assert.strictEqual(answer, unavailable)
        assert.deepStrictEqual(yield* ann.syncs("SYNC blue 0"), []) // not twenty declines in a row
      }
      assert.isAbove(acked.length, 0)
      assert.isBelow(acked.length, 60)
      yield* first.killed
      Disk.setFault(place.control, "none")
      const bob = yield* loggedIn((yield* serving(place)).port, "bob")
      assert.deepStrictEqual((yield* bob.syncs("SYNC red 0")).map((line) => line.split(" ", 5)[4]), acked)
    }))

  it.live("syncing fails for a while, and later the power: what was ACKed is stored, and nothing else (CPT 4.1, 4.8)", () =>
    Effect.gen(function*() {
      const root = yield* folder
      const [directory, control, log] = [join(root, "data"), join(root, "control"), join(root, "log")]
      const { killed, port } = yield* serving({ directory, control, log })
      const ann = yield* loggedIn(port, "ann")
      const filler = "x".repeat(8000)
      const count = 30
      for (let i = 0; i < 12; i++) {
        yield* ann.says(...Array.from({ length: count }, (_, j) => `SEND red ${i * count + j} ${filler}`))
        for (let j = 0; j < count; j++) assert.strictEqual(yield* ann.hears, "ACK")
        // What is not synced now, the kernel may never write again: whoever has not synced it before has lost it
        Disk.setFault(control, "sync error")
        for (let j = 0; j < 2; j++) assert.strictEqual(yield* ann.asks(`SEND red lost ${filler}`), unavailable)
        Disk.setFault(control, "none")
      }
      assert.strictEqual(yield* ann.asks(`SEND red ${12 * count} ${filler}`), "ACK")
      const stored = yield* ann.syncs("SYNC red 0")
      assert.deepStrictEqual(told(stored), Array.from({ length: 12 * count + 1 }, (_, i) => `ann: ${i} ${filler}`))
      yield* killed
      for (let seed = 0; seed < 2; seed++) {
        const left = join(root, String(seed))
        Disk.powerLoss(log, left, Disk.randomFrom(seed))
        const bob = yield* loggedIn((yield* serving({ directory: left, control })).port, "bob")
        assert.strictEqual((yield* bob.syncs("SYNC red 0")).length, stored.length)
      }
    }))

  it.live("reading fails: an answer is complete, or declined, or says what is missing (CPT 5.11)", () =>
    Effect.gen(function*() {
      const place = yield* disk
      const { port } = yield* serving(place)
      const ann = yield* loggedIn(port, "ann")
      const count = 600 // more than SQLite keeps in memory
      for (let i = 0; i < count; i++) yield* ann.says(`SEND red ${i} ${"x".repeat(7000)}`)
      for (let i = 0; i < count; i++) assert.strictEqual(yield* ann.hears, "ACK")
      const bob = yield* loggedIn(port, "bob")
      assert.strictEqual((yield* bob.syncs("SYNC red 0")).length, count)
      Disk.setFault(place.control, "read error")
      const lines = yield* bob.syncs("SYNC red 0")
      const last = lines.at(-1) ?? ""
      assert.isTrue(last === unavailable ? lines.length === 1 : last.startsWith("MSG red system 0 missing: "))
      assert.isAbove(Disk.counts(place.control).faults, 0)
      Disk.setFault(place.control, "none")
      assert.strictEqual((yield* bob.syncs("SYNC red 0")).length, count)
    }))

  it.live("a sync does not return: ACKs wait for it, and nobody else does (CPT 4.1)", () =>
    Effect.gen(function*() {
      const place = yield* disk
      const { control } = place
      const { port } = yield* serving(place)
      const [ann, bob] = [yield* loggedIn(port, "ann"), yield* loggedIn(port, "bob")]
      yield* bob.syncs("SYNC red 0")
      for (const line of ["SEND red 1", "SEND open 1", "SEND ann's 1"]) assert.strictEqual(yield* ann.asks(line), "ACK")
      const red = [yield* bob.hears]
      assert.deepStrictEqual(told(red), ["ann: 1"])

      Disk.setFault(control, "held sync")
      const { syncsBegun, syncsDone } = Disk.counts(control)
      yield* ann.says("SEND red 2")
      yield* eventually(() => Disk.counts(control).syncsBegun > syncsBegun)
      assert.deepStrictEqual(yield* bob.syncs("SYNC red 0"), red)
      const carol = yield* loggedIn(port, "carol")
      assert.deepStrictEqual(yield* carol.syncs("SYNC red 0"), red)
      assert.deepStrictEqual(told(yield* carol.syncs("SYNC open 0")), ["ann: 1"])
      assert.deepStrictEqual(told(yield* bob.syncs("SYNC open 0")), ["ann: 1"])
      const taken = yield* connected(port)
      assert.strictEqual(yield* taken.asks("CONNECT ann"), "DECLINE username_taken")
      assert.strictEqual(yield* taken.asks("CONNECT red"), "DECLINE username_taken")
      assert.strictEqual(yield* taken.asks("CONNECT dan"), "ACCEPT")
      yield* taken.says("SEND red 3")
      assert.strictEqual(Disk.counts(control).syncsDone, syncsDone)
      assert.deepStrictEqual([ann, bob, carol, taken].flatMap(({ unread }) => unread), [])

      Disk.setFault(control, "none")
      assert.strictEqual(yield* ann.hears, "ACK")
      assert.isAbove(Disk.counts(control).syncsDone, syncsDone)
      assert.strictEqual(yield* taken.hears, "ACK")
      assert.deepStrictEqual(told([yield* bob.hears, yield* bob.hears]), ["ann: 2", "dan: 3"])
    }))

  it.live("a sync does not return: it ends all the same when it is told to, with status 1, and says why", () =>
    Effect.gen(function*() {
      const place = yield* disk
      const { control, directory } = place
      const { logged, port, stopped } = yield* serving(place)
      const ann = yield* loggedIn(port, "ann")
      assert.strictEqual(yield* ann.asks("SEND red 1"), "ACK")
      Disk.setFault(control, "held sync")
      const { syncsBegun } = Disk.counts(control)
      yield* ann.says("SEND red 2")
      yield* eventually(() => Disk.counts(control).syncsBegun > syncsBegun)
      assert.strictEqual(yield* stopped, 1)
      assert.deepStrictEqual(errorsOf(logged), [
        "the store does not answer: 1 session is left behind",
        `the writer of ${join(directory, "messages.db")} does not end: it is left behind`
      ])
      assert.deepStrictEqual(ann.unread, [])

      Disk.setFault(control, "none")
      const bob = yield* loggedIn((yield* serving(place)).port, "bob")
      assert.strictEqual(told(yield* bob.syncs("SYNC red 0"))[0], "ann: 1")
    }))

  it.live("a sync does not return, and something is being declared: it ends all the same", () =>
    Effect.gen(function*() {
      const place = yield* disk
      const { control, directory } = place
      const { logged, stopped } = yield* serving(place)
      const { syncsBegun } = Disk.counts(control)
      Disk.setFault(control, "held sync")
      const account = yield* start(["account", "add", "bob", "--data", directory, "--timeout", "1m"])
      yield* eventually(() => Disk.counts(control).syncsBegun > syncsBegun)
      assert.strictEqual(yield* stopped, 1)
      assert.strictEqual(yield* account.status, 5)
      assert.deepStrictEqual(errorsOf(logged), ["the server does not stop: its process is ended"])
    }))

  it.live("a sync takes 500 ms: only who sends waits for it (CPT 4.1)", () =>
    Effect.gen(function*() {
      const place = yield* disk
      const { control } = place
      const { port } = yield* serving(place)
      const [ann, bob, carol] = [
        yield* loggedIn(port, "ann"),
        yield* loggedIn(port, "bob"),
        yield* loggedIn(port, "carol")
      ]
      yield* bob.syncs("SYNC red 0")
      assert.strictEqual(yield* ann.asks("SEND red 0"), "ACK")
      yield* bob.hears
      for (let i = 1; i <= 5; i++) assert.strictEqual(yield* ann.asks(`SEND open${i} x`), "ACK")
      Disk.setFault(control, "slow sync", 500)

      const now = Effect.sync(() => performance.now())
      const timed = <A>(effect: Effect.Effect<A>) =>
        Effect.gen(function*() {
          const before = yield* now
          const result = yield* effect
          return [result, (yield* now) - before] as const
        })
      const round = Effect.fnUntraced(function*(i: number) {
        const { syncsBegun, syncsDone } = Disk.counts(control)
        const sent = Effect.gen(function*() {
          const [answer, ack] = yield* timed(ann.asks(`SEND red ${i}`))
          assert.strictEqual(answer, "ACK")
          assert.isAbove(Disk.counts(control).syncsDone, syncsDone)
          return { ack, at: yield* now }
        })
        const heard = Effect.gen(function*() {
          assert.deepStrictEqual(told([yield* bob.hears]), [`ann: ${i}`])
          return yield* now
        })
        const meanwhile = Effect.gen(function*() {
          yield* eventually(() => Disk.counts(control).syncsBegun > syncsBegun)
          const [red, synced] = yield* timed(carol.syncs("SYNC red 0"))
          assert.lengthOf(red, i)
          const [open, sentTo] = yield* timed(carol.syncs(`SYNC open${i} 0`))
          assert.lengthOf(open, 1)
          const other = yield* connected(port)
          const [no, refused] = yield* timed(other.asks("CONNECT ann"))
          assert.strictEqual(no, "DECLINE username_taken")
          const [yes, accepted] = yield* timed(other.asks(`CONNECT new${i}`))
          assert.strictEqual(yes, "ACCEPT")
          return { synced, sentTo, refused, accepted }
        })
        const [{ ack, at }, live, times] = yield* Effect.all([sent, heard, meanwhile], { concurrency: "unbounded" })
        assert.deepStrictEqual(told([yield* carol.hears]), [`ann: ${i}`])
        return { ack, live: live - at, ...times }
      })
      const all = yield* Effect.forEach([1, 2, 3, 4, 5], round)
      assert.isAtLeast(Math.min(...all.map(({ ack }) => ack)), 500)
      for (const what of ["live", "synced", "sentTo", "refused", "accepted"] as const) {
        assert.isBelow(median(all.map((times) => times[what])), 250, what)
      }
    }))

  it.live("the clock is set back and forth, also while it is down: timestamps increase, and SYNC finds all (CPT 4.2, 5.1)", () =>
    Effect.gen(function*() {
      const place = yield* disk
      const hour = 3_600_000
      const filler = "x".repeat(8000) // so that an answer has several pages
      let count = 0
      for (const clocks of [[0, -hour, hour], [-hour, 0], [2 * hour, -2 * hour, 0]]) {
        Disk.setClock(place.control, clocks[0] ?? 0)
        const { killed, port } = yield* serving(place)
        const ann = yield* loggedIn(port, "ann")
        const bob = yield* loggedIn(port, "bob")
        yield* bob.syncs("SYNC red 999999999999999")
        for (const clock of clocks) {
          Disk.setClock(place.control, clock)
          for (let i = 0; i < 5; i++) assert.strictEqual(yield* ann.asks(`SEND red ${count++} ${filler}`), "ACK")
          for (let i = count - 5; i < count; i++) assert.include(yield* bob.hears, ` ${i} ${filler}`)
          const all = yield* bob.syncs("SYNC red 0")
          assert.deepStrictEqual(told(all), Array.from({ length: count }, (_, i) => `ann: ${i} ${filler}`))
          const times = timestamps(all)
          assert.deepStrictEqual(times, [...new Set(times)].toSorted((a, b) => a - b))
          for (const index of [0, Math.floor(count / 2), count - 5, count - 1]) {
            const at = times[index] ?? NaN
            for (const after of [at - 1, at]) {
              assert.deepStrictEqual(
                yield* bob.syncs(`SYNC red ${after}`),
                all.filter((_, i) => (times[i] ?? 0) > after)
              )
            }
          }
        }
        yield* killed
      }
    }))

  it.live("the clock is set forward: who is about to log in still has its time (CPT 3.9)", () =>
    Effect.gen(function*() {
      const place = yield* disk
      const { port } = yield* serving(place)
      const ann = yield* connected(port)
      assert.strictEqual(yield* ann.asks("SEND red too early"), "DECLINE not_logged_in")
      Disk.setClock(place.control, 3_600_000)
      assert.strictEqual(yield* ann.asks("SEND red too early"), "DECLINE not_logged_in")
      assert.strictEqual(yield* ann.asks("CONNECT ann"), "ACCEPT")
    }))

  it.live("the disk fails from the beginning: says so in one line, and ends", () =>
    Effect.gen(function*() {
      const place = yield* disk
      for (const cause of ["full", "write error", "sync error"] as const) {
        Disk.setFault(place.control, cause)
        const cpt = yield* started(place)
        const note = yield* cpt.note
        assert.match(note, /^cpt: cannot open .*messages\.db: /)
        assert.notInclude(note, "another server")
        assert.strictEqual(yield* cpt.status, 1)
        assert.strictEqual(yield* cpt.note, "(end)")
      }
    }))

  it.live("the disk is almost full at the first start: none that fails is in the way of the next one", () =>
    Effect.gen(function*() {
      const place = yield* disk
      for (let room = 20_000;; room += 20_000) {
        Disk.setFault(place.control, "full", room)
        const cpt = yield* started(place)
        const line = yield* cpt.line
        if (line !== "(end)") return assert.match(line, /^cpt: listening/)
        const note = yield* cpt.note
        assert.match(note, /^cpt: cannot open .*messages\.db: /)
        assert.notInclude(note, "damaged", `${room}`)
        assert.isBelow(room, 400_000)
        assert.strictEqual(yield* cpt.status, 1)
      }
    }))

  it.live("its disk is read-only, and it is stopped: it can be checked and copied all the same", () =>
    Effect.gen(function*() {
      const place = yield* disk
      const server = yield* serving(place)
      const ann = yield* loggedIn(server.port, "ann")
      assert.strictEqual(yield* ann.asks("SEND red 1"), "ACK")
      yield* server.stopped
      Disk.setFault(place.control, "read-only")
      const env = Disk.environment(place)
      const names = readdirSync(place.directory)
      const copy = join(dirname(place.directory), "copy.db")
      const backup = yield* run(["backup", copy, "--data", place.directory], { env })
      assert.deepStrictEqual(backup.status, 0, backup.stderr)
      for (const args of [["check", "--data", place.directory], ["check", copy]]) {
        const { status, stderr, stdout } = yield* run(args, { env })
        assert.deepStrictEqual([status, stderr], [0, ""])
        assert.match(stdout, /: all is well\n1 message /)
      }
      assert.deepStrictEqual(readdirSync(place.directory), names)
    }))

  it.live("its disk is read-only for who checks it, and it is started meanwhile: that is said, and nothing of what was found", () =>
    Effect.gen(function*() {
      const place = yield* disk
      const first = yield* serving(place)
      const ann = yield* loggedIn(first.port, "ann")
      assert.strictEqual(yield* ann.asks("SEND red 1"), "ACK")
      yield* first.stopped
      const control = `${place.control}-of-checker`
      Disk.setFault(control, "read-only")
      const checker = yield* Effect.acquireRelease(
        Effect.sync(() =>
          spawn(
            process.execPath,
            ["--conditions=@cpt/source", "--input-type=module", "-e", checking, join(place.directory, "messages.db")],
            {
              cwd: new URL("..", import.meta.url),
              env: { ...process.env, ...Disk.environment({ ...place, control }) },
              stdio: ["pipe", "pipe", "inherit"]
            }
          )
        ),
        (child) => Effect.sync(() => child.kill("SIGKILL"))
      )
      const lines = createInterface(checker.stdout)[Symbol.asyncIterator]()
      const next = Effect.promise(async () => (await lines.next()).value)
      assert.strictEqual(yield* next, "begun")
      yield* serving(place)
      checker.stdin.write("go on\n")
      assert.strictEqual(yield* next, "somebody has begun to write to it meanwhile: try again")
    }))
})
