/** Almost valid commands from many connections: some seconds of `npm run fuzz` (fuzz/main.ts), and that its judge finds faults. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Buffer } from "node:buffer"
import { fileURLToPath } from "node:url"
import { Violation } from "./crash/Ledger.ts"
import * as Acts from "./fuzz/Acts.ts"
import type { Truth } from "./fuzz/Conduct.ts"
import { judge } from "./fuzz/Judge.ts"
import type { Course } from "./fuzz/Peer.ts"
import { Reading } from "./fuzz/Reading.ts"
import { run } from "./fuzz/Run.ts"

/** The built one, as it is shipped. */
const bin = fileURLToPath(new URL("../bin/cpt.cjs", import.meta.url))

const begin = performance.now()
const epoch = Math.round(performance.timeOrigin + begin)

/** A connection, by what was said (`>`) and heard (`<`) on it, each a millisecond after the other; `T3` is a timestamp. */
const courseOf = (label: string, startsAt: number, ...lines: ReadonlyArray<string>): Course => {
  const reading = new Reading()
  const said: Array<Course["said"][number]> = []
  const heard: Array<Course["heard"][number]> = []
  let ending: Course["ending"]
  let at = begin + startsAt
  for (const line of lines) {
    at++
    const text = stamped(line.slice(2))
    if (line.startsWith("<")) heard.push({ line: text, at })
    else if (line.startsWith(">")) {
      const bytes = Buffer.from(`${text}\n`)
      said.push({ bytes, at })
      reading.take(bytes, at)
    } else ending = { how: line === "reset" ? "reset" : "half-close", at }
  }
  const isSettled = ending === undefined
  ending ??= { how: "half-close", at: at + 1000 }
  return {
    label,
    openedAt: begin,
    said,
    heard,
    asks: reading.asks,
    rest: Buffer.alloc(0),
    ending,
    closedAt: at + 1000,
    wasDeaf: false,
    isSettled
  }
}

const stamped = (line: string): string => line.replaceAll(/T(\d)/g, (_, n) => String(epoch + Number(n)))

/** `g ann T1 hi` */
const truthOf = (...messages: ReadonlyArray<string>): Truth =>
  Map.groupBy(
    messages.map((message) => {
      const [target = "", sender = "", timestamp = "", ...text] = stamped(message).split(" ")
      return { target, sender, timestamp: Number(timestamp), text: text.join(" ") }
    }),
    ({ target }) => target
  )

const login = (name: string) => [`> CONNECT ${name}`, "< ACCEPT"]
const ann = (...lines: ReadonlyArray<string>) => courseOf("ann", 0, ...login("ann"), ...lines)
const bob = (...lines: ReadonlyArray<string>) => courseOf("bob", 0, ...login("bob"), ...lines)
const later = (...lines: ReadonlyArray<string>) => courseOf("later", 50, ...lines)

const passes = (courses: ReadonlyArray<Course>, truth: Truth, raced: ReadonlyArray<string> = []) =>
  judge(courses, truth, new Set(raced))

const finds = (what: RegExp, courses: ReadonlyArray<Course>, truth: Truth, raced: ReadonlyArray<string> = []) =>
  assert.throws(() => judge(courses, truth, new Set(raced)), Violation, what)

describe("the judge of the fuzzer", () => {
  const said = ["> SEND g 1", "< ACK", "> SEND g 2", "< ACK"]
  const both = truthOf("g ann T1 1", "g ann T2 2")

  it("passes what the protocol allows", () => {
    passes([ann(...said)], both)
    passes([ann(...said), bob("> SYNC g 0", "< MSG g ann T1 1", "< MSG g ann T2 2", "< ENDSYNC")], both)
    passes([ann(...said), bob("> SYNC g 0", "< MSG g ann T1 1", "< ENDSYNC", "< MSG g ann T2 2")], both)
    const passed = bob("> SYNC g 999999999999999", "< MSG g ann T1 1", "< ENDSYNC", "< MSG g ann T2 2")
    passes([ann(...said), passed], both)
    passes([ann(...said), bob("> SYNC g T1", "< MSG g ann T1 1", "< MSG g ann T2 2", "< ENDSYNC")], both)
    passes([ann("> SEND g", "> SEND g 1", "< DECLINE invalid_command", "< ACK", "reset")], truthOf("g ann T1 1"))
    passes([ann("> SYNC bob 0", "< MSG bob system 0 private: it is bob's", "< ENDSYNC"), bob()], truthOf())
    const live = ["< MSG g ann T7 1", "< MSG h ann T9 1", "> SYNC g 0", "reset"] // before it was asked for
    const follower = bob("> SYNC g 0", "< ENDSYNC", "> SYNC h 0", "< ENDSYNC", ...live)
    const sends = courseOf("ann", 4, ...login("ann"), "> SEND g 1", "< ACK", "> SEND h 1", "< ACK")
    passes([sends, follower], truthOf("g ann T7 1", "h ann T9 1"))
  })

  it("passes both of what may become of a SEND whose answer was not heard, and of one that was said again", () => {
    for (const stored of [["g ann T1 1"], []]) passes([ann("> SEND g 1", "reset")], truthOf(...stored))
    const again = later(...login("ann"), "> SEND g 1", "< ACK")
    passes([ann("> SEND g 1", "reset"), again], truthOf("g ann T1 1"))
    passes([ann("> SEND g 1", "< ACK", "> SYNC", "reset"), again], truthOf("g ann T1 1"))
    passes([ann("> SEND g 1", "< ACK", "> SYNC", "reset"), again], truthOf("g ann T1 1", "g ann T2 1"))
  })

  it("passes what is explained only by an order that does not seem best", () => {
    const left = courseOf("x", 0, ...login("x"), "half-close") // before or behind the message to the name
    const sends = ann("> SEND x 1", "< ACK")
    const synced = (answer: string) => courseOf("bob", 10, ...login("bob"), "> SYNC x 0", answer, "< ENDSYNC")
    passes([left, sends, synced("< MSG x system 0 private: it is x's")], truthOf("x ann T4 1"))
    passes([left, sends, synced("< MSG x ann T4 1")], truthOf("x ann T4 1"))
    finds(
      /there is no order/,
      [courseOf("x", 0, ...login("x")), sends, synced("< MSG x ann T4 1")],
      truthOf("x ann T4 1")
    )
  })

  it("finds a message that is lost, doubled, foreign, or out of order", () => {
    finds(/"?SEND g 2 and heard ACK: it is lost/, [ann(...said)], truthOf("g ann T1 1"))
    finds(/nobody has sent, or not so often/, [ann(...said)], truthOf("g ann T1 1", "g ann T2 2", "g ann T3 2"))
    finds(/nobody has sent/, [ann(...said)], truthOf("g ann T1 1", "g ann T2 2", "g eve T3 3"))
    finds(/there is no order/, [ann(...said)], truthOf("g ann T1 2", "g ann T2 1"))
    finds(/CPT 4\.2/, [ann(...said)], truthOf("g ann T1 1", "g ann T1 2"))
    const again = later(...login("ann"), "> SEND g 1", "< ACK")
    finds(/not so often/, [ann("> SEND g 1", "< ACK", "reset"), again], truthOf("g ann T1 1", "g ann T2 1"))
    finds(/it is lost/, [ann("> SEND g 1", "< ACK", "> SYNC", "< ENDSYNC", "reset"), again], truthOf("g ann T1 1"))
  })

  it("finds a hole, a double and something foreign in an answer, and one that is too short", () => {
    const synced = (...lines: ReadonlyArray<string>) => [ann(...said), later(...login("bob"), "> SYNC g 0", ...lines)]
    finds(/5\.12/, synced("< MSG g ann T1 1", "< MSG g ann T1 1", "< ENDSYNC"), both)
    finds(/there is no order/, synced("< MSG g ann T2 2", "< ENDSYNC"), both)
    finds(/as if it had not come yet/, synced("< MSG g ann T1 1", "< ENDSYNC"), both)
    finds(/5\.12/, synced("< MSG g ann T2 2", "< MSG g ann T1 1", "< MSG g ann T2 2", "< ENDSYNC"), both)
    finds(/5\.6/, synced("< MSG g ann T1 1", "< MSG bob ann T3 3", "< MSG g ann T2 2", "< ENDSYNC"), both)
  })

  it("finds what is heard live twice, not at all, or by somebody who does not follow it", () => {
    const follows = ["> SYNC g 0", "< ENDSYNC"]
    const heard = (...lines: ReadonlyArray<string>) => [
      bob(...follows, ...lines),
      courseOf("ann", 20, ...login("ann"), ...said)
    ]
    passes(heard("< MSG g ann T1 1", "< MSG g ann T2 2"), both)
    finds(/5\.5/, heard("< MSG g ann T1 1", "< MSG g ann T1 1", "< MSG g ann T2 2"), both)
    finds(/there is no order/, heard("< MSG g ann T2 2"), both)
    finds(/5\.5/, heard("< MSG g ann T1 1"), both)
    finds(/5\.5/, [ann(...said), bob("< MSG g ann T1 1")], both)
    finds(/5\.5/, [ann("> SYNC g 0", "< ENDSYNC", ...said, "< MSG g ann T1 1")], both)
  })

  it("finds an answer that is another one than the model's, missing, or of no server", () => {
    finds(/where DECLINE invalid_command was due/, [ann("> SEND g", "< DECLINE unsupported_command")], truthOf())
    finds(/in answer to SYNC/, [ann("> SYNC", "< ACK")], truthOf())
    finds(/no answer to SYNC/, [ann("> SYNC")], truthOf())
    finds(/had asked nothing/, [ann("< ENDSYNC")], truthOf())
    finds(/no line of a server/, [ann("< HELLO")], truthOf())
    finds(/there is no order/, [ann(), later("> CONNECT ann", "< ACCEPT")], truthOf())
    const declines = (count: number) =>
      Array.from({ length: count }, () => ["> HELLO", "< DECLINE invalid_command"]).flat()
    passes([ann(...declines(20), "> HELLO")], truthOf())
    finds(/CPT 3\.5/, [ann(...declines(21))], truthOf())
  })

  it("finds a name that two had at the same time, in a race", () => {
    passes([courseOf("a", 0, ...login("x"), "reset"), later(...login("x"))], truthOf(), ["x"])
    finds(/at the same time/, [courseOf("a", 0, ...login("x")), later(...login("x"))], truthOf(), ["x"])
    finds(/where DECLINE username_taken was due/, [courseOf("a", 0, "> CONNECT x", "< DECLINE forbidden")], truthOf(), [
      "x"
    ])
    finds(/nobody's/, [courseOf("a", 0, "> CONNECT x", "< DECLINE username_taken")], truthOf(), ["x"])
  })
})

describe("a finding", () => {
  it.effect("is made smaller, and the numbers of what is left can be read again", () =>
    Effect.gen(function*() {
      const all = Array.from({ length: 100 }, (_, index) => index + 1)
      const fails = (numbers: ReadonlySet<number>) =>
        Promise.resolve(numbers.has(7) && numbers.has(8) && numbers.has(64))
      const left = yield* Effect.promise(() => Acts.shrink(all, fails, 10_000))
      assert.deepStrictEqual(left, [7, 8, 64])
      assert.strictEqual(Acts.textOf(left), "7-8,64")
      assert.deepStrictEqual([...Acts.parse("7-8,64")], [...left])
    }))
})

describe("a server that is told almost valid commands", () => {
  for (const store of ["memory", "disk"] as const) {
    it.live(
      `answers as its model does, and nothing is left when all have gone (${store})`,
      () =>
        Effect.gen(function*() {
          const tally = yield* Effect.promise(() => run({ bin, seed: 20_261_128, stores: [store], from: 1, rounds: 3 }))
          assert.strictEqual(tally.rounds, 3)
          assert.isAbove(tally.declined, 0)
        }),
      120_000
    )
  }
})
