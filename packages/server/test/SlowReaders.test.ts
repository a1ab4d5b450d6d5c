/** CPT 5.8 and 5.6 with more bytes than the network holds, where it is the kernel that makes the server wait. */
import { layerMemory, layerSqlite } from "@cpt/server"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Buffer } from "node:buffer"
import { join } from "node:path"
import { newFolder } from "./support/folder.ts"
import { type Connection, end, inMemory, overTcp, type World } from "./support/World.ts"

/** 6 MB in 800 messages, more than two kernels hold for a peer that does not read. */
const history = Array.from({ length: 800 }, (_, index) => `${index} ${"x".repeat(8000)}`)

/** On disk almost nothing is in memory, so that pages are read; their memory is given back when they have gone out. */
const stores = {
  "in memory": Effect.succeed(layerMemory()),
  "on disk": Effect.map(newFolder, (folder) => layerSqlite({ file: join(folder, "messages.db"), cache: 10_000 }))
}

const say = (who: Connection, ...lines: ReadonlyArray<string>) => who.say(Buffer.from(`${lines.join("\n")}\n`))

const hears = Effect.fnUntraced(function*(who: Connection, ...lines: ReadonlyArray<string>) {
  for (const line of lines) assert.strictEqual(yield* who.hear, line)
})

const login = Effect.fnUntraced(function*(world: World, name: string, ...groups: ReadonlyArray<string>) {
  const who = yield* world.connect
  yield* say(who, `CONNECT ${name}`, ...groups.map((group) => `SYNC ${group} 0`))
  yield* hears(who, "ACCEPT", ...groups.map(() => "ENDSYNC"))
  return who
})

/** Sends one after the other, waiting for each ACK. */
const send = Effect.fnUntraced(function*(who: Connection, target: string, texts: ReadonlyArray<string>) {
  for (const text of texts) {
    yield* say(who, `SEND ${target} ${text}`)
    while ((yield* who.hear) !== "ACK"); // but for announcements
  }
})

/** The next lines, so many, without their timestamps; of each target these must increase. */
const messages = Effect.fnUntraced(function*(who: Connection, count: number) {
  const heard: Array<string> = []
  const last = new Map<string, number>()
  while (heard.length < count) {
    const line = yield* who.hear
    const [, target = "", sender, timestamp, text] = /^MSG (\S+) (\S+) (\d+) (.*)$/s.exec(line) ?? []
    if (text === undefined) {
      heard.push(line)
      continue
    }
    assert.isTrue(sender === "system" || Number(timestamp) > (last.get(target) ?? 0), "timestamps increase")
    last.set(target, Number(timestamp))
    heard.push(`${target} ${sender} ${text}`)
  }
  return heard
})

/** That was all. */
const leaves = Effect.fnUntraced(function*(who: Connection) {
  yield* who.halfClose
  yield* hears(who, end)
})

describe("CPT 5.8: a follower that reads nothing", () => {
  for (const [where, store] of Object.entries(stores)) {
    it.live(`slows nobody, and gets everything when it reads on, ${where}`, () =>
      Effect.gen(function*() {
        const world = yield* overTcp({ store: yield* store })
        const [slow, fast, sender] = [
          yield* login(world, "slow", "g"),
          yield* login(world, "fast", "g"),
          yield* login(world, "sender")
        ]
        yield* slow.stopReading
        yield* send(sender, "g", history)
        const expected = history.map((text) => `g sender ${text}`)
        assert.deepStrictEqual(yield* messages(fast, history.length), expected)
        yield* slow.read()
        assert.deepStrictEqual(yield* messages(slow, history.length), expected)
        yield* send(sender, "g", ["live again"])
        for (const who of [slow, fast]) assert.deepStrictEqual(yield* messages(who, 1), ["g sender live again"])
        yield* Effect.forEach([slow, fast, sender], leaves)
      }))

    it.live(`gets everything in order when it reads on while others go on, and nothing of its own, ${where}`, () =>
      Effect.gen(function*() {
        const world = yield* overTcp({ store: yield* store })
        const [slow, sender] = [yield* login(world, "slow", "g", "h"), yield* login(world, "sender")]
        yield* slow.stopReading
        yield* send(sender, "g", history)
        yield* say(slow, "SEND g mine")
        yield* slow.read()
        for (let i = 0; i < 200; i++) {
          yield* send(sender, "g", [`g${i}`])
          yield* send(sender, "h", [`h${i}`])
        }
        const heard = yield* messages(slow, history.length + 400 + 1)
        const of = (target: string) => heard.filter((line) => line.startsWith(`${target} `))
        const numbered = (target: string) => Array.from({ length: 200 }, (_, i) => `${target} sender ${target}${i}`)
        assert.deepStrictEqual(of("g"), [...history.map((text) => `g sender ${text}`), ...numbered("g")])
        assert.deepStrictEqual(of("h"), numbered("h"))
        assert.strictEqual(heard.filter((line) => line === "ACK").length, 1)
        yield* Effect.forEach([slow, sender], leaves)
      }))
  }

  it.live("costs no memory: it is a place in the log", () =>
    Effect.gen(function*() {
      const world = yield* inMemory()
      const sender = yield* login(world, "sender")
      const slow = yield* Effect.forEach(
        Array.from({ length: 300 }, (_, index) => `slow${index}`),
        (name) => Effect.tap(login(world, name, "g"), ({ stopReading }) => stopReading)
      )
      const before = process.memoryUsage().arrayBuffers
      yield* send(sender, "g", history)
      // 6 MB once, in a log that doubles as it grows. As a queue for each of them it would be 1.9 GB.
      assert.isBelow(process.memoryUsage().arrayBuffers - before, 100_000_000)
      for (const who of slow.slice(0, 20)) {
        yield* who.read()
        assert.deepStrictEqual((yield* messages(who, history.length)).at(-1), `g sender ${history.at(-1)}`)
      }
    }))
})

describe("CPT 5.6: the answer to a SYNC that is read slowly", () => {
  for (const [where, store] of Object.entries(stores)) {
    it.live(`is not interrupted, whatever is sent meanwhile; that follows after ENDSYNC, and nobody waits for it, ${where}`, () =>
      Effect.gen(function*() {
        const world = yield* overTcp({ store: yield* store })
        const [sender, slow, fast] = [
          yield* login(world, "sender"),
          yield* login(world, "slow", "h"),
          yield* login(world, "fast", "h")
        ]
        yield* send(sender, "g", history)
        yield* slow.stopReading
        yield* say(slow, "SYNC g 0")
        for (let i = 0; i < 20; i++) {
          yield* send(sender, "g", [`g${i}`])
          yield* send(sender, "h", [`h${i}`])
          yield* send(sender, "slow", [`psst${i}`])
          if (i < 10) yield* world.announce(`announcement ${i}`)
        }
        const numbered = (target: string, name = target) =>
          Array.from({ length: 20 }, (_, i) => `${target} sender ${name}${i}`)
        const announcements = Array.from({ length: 10 }, (_, i) => `system system announcement ${i}`)
        const toFast = yield* messages(fast, 30)
        assert.deepStrictEqual(toFast.filter((line) => line.startsWith("h ")), numbered("h"))

        yield* slow.read()
        const answer: Array<string> = []
        while (answer.at(-1) !== "ENDSYNC") answer.push(...yield* messages(slow, 1))
        const during = answer.slice(0, -1)
        assert.isTrue(during.every((line) => line.startsWith("g sender ")), "only what was asked for")
        // What was sent to g meanwhile is in the answer or behind it
        const later = yield* messages(slow, history.length + 20 - during.length + 20 + 20 + 10)
        const of = (lines: ReadonlyArray<string>, target: string) =>
          lines.filter((line) => line.startsWith(`${target} `))
        assert.deepStrictEqual(
          [...during, ...of(later, "g")],
          [...history.map((text) => `g sender ${text}`), ...numbered("g")]
        )
        assert.deepStrictEqual(of(later, "h"), numbered("h"))
        assert.deepStrictEqual(of(later, "slow"), numbered("slow", "psst"))
        assert.deepStrictEqual(of(later, "system"), announcements)
        yield* Effect.forEach([slow, fast], leaves)
      }))

    it.live(`is whole, also where it is small and waits in the socket, ${where}`, () =>
      Effect.gen(function*() {
        const world = yield* overTcp({ store: yield* store })
        const [sender, slow] = [yield* login(world, "sender"), yield* login(world, "slow", "g")]
        const small = history.slice(0, 4) // 32 KB, less than what a socket takes for itself
        yield* send(sender, "h", small)
        yield* slow.stopReading
        const texts: Array<string> = []
        while (world.metrics.untakenBytes() === 0) {
          texts.push(`${texts.length} ${"x".repeat(8000)}`)
          yield* send(sender, "g", texts.slice(-1))
        }
        yield* say(slow, "SYNC h 0")
        while (world.metrics.untakenBytes() < 32_000) yield* send(sender, "sender", ["tick"])
        for (let size = 32_000; size < 33_000; size++) Buffer.alloc(size, "z") // in whatever memory there is
        yield* slow.read()
        assert.deepStrictEqual(
          yield* messages(slow, texts.length + 5),
          [...texts.map((text) => `g sender ${text}`), ...small.map((text) => `h sender ${text}`), "ENDSYNC"]
        )
        yield* leaves(slow)
      }))
  }
})
