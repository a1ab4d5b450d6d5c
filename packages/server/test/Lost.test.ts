/**
 * Connections that somebody has lost one after the other, having said something on each: it is carried out in the order in
 * which it was said, or not at all, whatever each of them has to wait for (CPT 4.4).
 */
import { Accounts } from "@cpt/server"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { Buffer } from "node:buffer"
import { inMemory, type Options } from "./support/World.ts"

const noise = "SEND noise x\n".repeat(2000)

/** What comes of two connections, of which the second is made when the first is lost. */
const heard = Effect.fnUntraced(function*(options: Options, first: string, second: string) {
  const world = yield* inMemory(options)
  const say = (who: typeof bob, lines: string) => who.say(Buffer.from(lines))
  const who = Effect.fnUntraced(function*(line: string) {
    const who = yield* world.connect
    yield* who.say(Buffer.from(line))
    yield* who.hear
    return who
  })
  const [bob, busy] = [yield* who("CONNECT bob\n"), yield* who("CONNECT busy\n")]
  const [old, young] = [yield* who("HELLO\n"), yield* who("HELLO\n")]
  yield* say(bob, noise)
  yield* say(busy, noise)
  yield* say(old, first)
  yield* Effect.forkChild(old.cut, { startImmediately: true })
  yield* say(young, second)
  yield* Effect.forkChild(young.cut, { startImmediately: true })
  yield* Effect.all([old.hasEnded, young.hasEnded])
  yield* say(bob, "SYNC red 0\n")
  const texts: Array<string> = []
  for (let line = ""; line !== "ENDSYNC"; line = yield* bob.hear) {
    if (line.startsWith("MSG red ")) texts.push(line.split(" ")[4] ?? "")
  }
  return texts
})

describe("what was said on a lost connection is not carried out behind what was said on a later one", () => {
  const [old, young] = ["CONNECT ann\nSEND red old\n", "CONNECT ann\nSEND red young\n"]

  it.live("when the first has said a lot in one go", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* heard({}, old + noise, young), ["old", "young"])
    }))

  it.live("when the first has said something else before", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* heard({}, "HELLO\n".repeat(18) + old, young), ["old", "young"])
    }))

  it.live("when it takes longer to find out whether the first may log in", () =>
    Effect.gen(function*() {
      let asked = 0
      const accounts = Accounts.layerOf(({ username }) =>
        username !== "ann" ? Exit.void : Effect.sleep(asked++ === 0 ? 30 : 1)
      )
      assert.deepStrictEqual(yield* heard({ accounts }, old, young), ["old", "young"])
    }))
})
