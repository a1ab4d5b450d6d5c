/** The promise through crashes: some rounds of `npm run crash` (crash/main.ts), and that its checks can fail. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { fileURLToPath } from "node:url"
import { explain, Ledger, type Message, type Run, type Sent, Violation } from "./crash/Ledger.ts"
import * as Power from "./crash/Power.ts"
import { run } from "./crash/Run.ts"

/** The built one, as it is shipped. */
const bin = fileURLToPath(new URL("../bin/cpt.cjs", import.meta.url))

const message = (timestamp: number, text: string, sender = "alice"): Message => ({
  target: "g",
  sender,
  timestamp,
  text
})

/** A ledger of what alice sent to g: `a!` was ACKed, `a` may have been lost, `a?` was declined. */
const ledgerOf = (words: string, mayForget = false) => {
  const ledger = new Ledger(mayForget)
  for (const word of words.split(" ")) {
    const sent = ledger.sending("alice", "g", word.replace(/[!?]$/, ""))
    if (word.endsWith("!")) ledger.acked(sent)
    if (word.endsWith("?")) ledger.refused(sent)
  }
  return ledger
}

const history = (texts: string): ReadonlyArray<Message> =>
  texts === "" ? [] : texts.split(" ").map((text, index) => message(10 * (index + 1), text))

const passes = (check: () => void) => assert.doesNotThrow(check)
const finds = (pattern: RegExp, check: () => void) => assert.throws(check, Violation, pattern)

describe("the ledger of the crash harness", () => {
  it("passes what ACKs and lost ACKs allow", () => {
    const cases = [
      ["a! b! c!", "a b c"],
      ["a! b c!", "a c"],
      ["a! b c!", "a b c"],
      ["a b c", ""],
      ["a b c", "b"],
      ["a! b? c!", "a c"],
      ["a! a! b!", "a a b"], // equal messages in a row are legal
      ["a! a b!", "a b"],
      ["a! a b!", "a a b"],
      ["a b! a! b", "b a"] // which of the two it is, only the rest says
    ] as const
    for (const [sent, stored] of cases) passes(() => ledgerOf(sent).history("g", history(stored)))
  })

  it("finds a message that is lost, doubled, reordered or foreign", () => {
    const cases = [
      ["a! b! c!", "a c", /lost: "b" was ACKed/],
      ["a! b! c!", "a b", /lost: "c" was ACKed/],
      ["a!", "", /lost: "a" was ACKed/],
      ["a! b! c!", "a b b c", /doubled: "b" .* is there 2 times: 20, 30/],
      ["a! b c!", "a b c b", /doubled: "b"/],
      ["a! a! b!", "a b", /lost: "a" was ACKed|reordered: "b"/],
      ["a! a! b!", "a a a b", /doubled: "a" .* sent 2 times, and is there 3 times/],
      ["a! b! c!", "b a c", /reordered: "b" of 10 came, where "a" was to come/],
      ["a! b! c", "a c b", /reordered: "c"/],
      ["a! b!", "a x b", /foreign: nobody sent g alice 20 "x"/],
      ["a! b? c!", "a b c", /foreign: "b" of 20 was not sent, or was declined/]
    ] as const
    for (const [sent, stored, pattern] of cases) {
      finds(pattern, () => ledgerOf(sent).history("g", history(stored)))
    }
    const ledger = ledgerOf("a!")
    finds(/foreign: nobody sent g bob 10 "a"/, () => ledger.history("g", [message(10, "a", "bob")]))
  })

  it("finds timestamps that do not increase, or are not what they were", () => {
    finds(/b.* came behind 10/, () => ledgerOf("a! b!").history("g", [message(10, "a"), message(10, "b")]))
    const ledger = ledgerOf("a! b!")
    ledger.saw(message(10, "a"))
    finds(/two messages of one timestamp/, () => ledger.saw(message(10, "b")))
    finds(/doubled: "a" .* 10, 20/, () => ledger.history("g", history("a a b")))
  })

  it("holds what anybody has seen, ACKed or not, for stored for ever after", () => {
    const ledger = ledgerOf("a b")
    ledger.saw(message(10, "a"))
    finds(/it ended with 0, and had been ACKed or seen .*"a"/, () => ledger.history("g", []))
    const grown = ledgerOf("a b")
    grown.history("g", [message(20, "b")])
    finds(/was not in the history when that went up to 20/, () => grown.saw(message(10, "a")))
  })

  it("lets go what was announced as missing, and nothing else", () => {
    const from = (missingThrough: number, texts: string) => [{ missingThrough }, ...history(texts)]
    finds(/nothing is kept, though everything/, () => ledgerOf("a!").history("g", [{ missingThrough: 5 }]))
    passes(() => ledgerOf("a! b! c!", true).history("g", from(5, "c")))
    passes(() => ledgerOf("a! b! c!", true).history("g", from(50, "")))
    finds(/lost: "b"/, () => ledgerOf("a! b! c!", true).history("g", from(5, "a c")))
    finds(/lost: "c"/, () => ledgerOf("a! b! c!", true).history("g", from(5, "b")))
    finds(/came behind 15/, () => ledgerOf("a! b!", true).history("g", from(15, "b")))
    const ledger = ledgerOf("a! b! c!", true)
    ledger.history("g", history("a b c"))
    finds(
      /a hole: 30 came behind 15, and not .*"b"/,
      () => ledger.history("g", [{ missingThrough: 15 }, message(30, "c")])
    )
  })

  it("finds a hole, a double and a disorder in what a follower got, and an answer that ended too early", () => {
    const ledger = ledgerOf("a! b! c! d!")
    ledger.history("g", history("a b c d"))
    const check = (run: Partial<Run>) => () => ledger.run({ reader: "f", target: "g", after: 0, items: [], ...run })
    passes(check({ items: [10, 20, 30] }))
    passes(check({ after: 20, items: [30, 40], askedAt: Infinity }))
    passes(check({ items: [10, { missingThrough: 25 }, 30] }))
    passes(check({ except: "alice", askedAt: Infinity }))
    passes(check({ items: [10, 40], holeThrough: 30 }))
    finds(/a hole: 30 came behind 10/, check({ items: [10, 30] }))
    finds(/a hole: 20 came behind 0/, check({ items: [20] }))
    finds(/20 came behind 20, twice or out of order/, check({ items: [10, 20, 20] }))
    finds(/20 came behind 30, twice or out of order/, check({ items: [10, 20, 30, 20] }))
    finds(/25 came, which is not in the history/, check({ items: [10, 20, 25] }))
    finds(/50 came, which is not in the history/, check({ after: 40, items: [50] }))
    finds(/it ended with 30, and had been ACKed or seen .*"d"/, check({ items: [10, 20, 30], askedAt: Infinity }))
  })

  it("tells apart, by order alone, equal texts that were sent more than once", () => {
    const sent = (word: string): Sent => ({
      sender: "alice",
      target: "g",
      text: word.replace("!", ""),
      state: word.endsWith("!") ? "acked" : "unknown",
      ackedAt: 1
    })
    const all = "k a! k b! k c! k".split(" ").map(sent)
    assert.isUndefined(explain(all, history("k a b k c")))
    assert.isUndefined(explain(all, history("a b c")))
    assert.match(explain(all, history("k a k k b c")) ?? "", /reordered/)
  })
})

describe("a server that is killed", () => {
  it.live("keeps what it has ACKed, once and in order, and its followers lose nothing", () =>
    Effect.gen(function*() {
      const tally = yield* Effect.promise(async () =>
        run({ bin, rounds: 16, seed: 20_261_125, jobs: 2, life: 8, power: "never" })
      )
      assert.strictEqual(tally.rounds, 16)
      assert.isAbove(tally.acked, 0)
    }), 120_000)

  it.live.skipIf(Power.isAvailable() === false)(
    "… also when the power goes (needs Linux, and cc)",
    () =>
      Effect.gen(function*() {
        const tally = yield* Effect.promise(async () =>
          run({ bin, rounds: 16, seed: 20_261_126, jobs: 2, life: 8, power: "always" })
        )
        assert.isAbove(tally.powerLosses, 0)
      }),
    120_000
  )
})
