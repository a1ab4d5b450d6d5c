import type { Message } from "@cpt/client"
import { assert, describe, it } from "@effect/vitest"
import * as Format from "../src/Format.ts"

const message = (timestamp: number): Message => ({
  _tag: "Message",
  group: "group1",
  sender: "bob",
  timestamp,
  message: "hi"
})

const at = new Date(2026, 10, 23, 9, 5, 7).getTime() // local time
const plain = Format.make({ isJson: false, isGrouped: false, isColored: false })

describe("Format", () => {
  it("says the local time, and the date if it is not today's", () => {
    assert.strictEqual(plain(message(at), at + 1000), "09:05:07 bob: hi\n")
    assert.strictEqual(plain(message(at), at + 24 * 3_600_000), "2026-11-23 09:05:07 bob: hi\n")
    assert.strictEqual(plain(message(0), at), "--:--:-- bob: hi\n")
  })

  it("puts the group in front", () => {
    const grouped = Format.make({ isJson: false, isGrouped: true, isColored: false })
    assert.strictEqual(grouped(message(at), at), "group1 09:05:07 bob: hi\n")
  })

  it("has colours only where they are wanted, and then the same for the same name", () => {
    const colored = Format.make({ isJson: false, isGrouped: false, isColored: true })
    assert.include(colored(message(at), at), "\u001b[")
    assert.strictEqual(colored(message(at), at), colored(message(at), at))
    assert.strictEqual(colored(message(at), at).replaceAll(/\u001b\[\d+m/g, ""), plain(message(at), at))
  })

  it("gives a time only where there is one, in JSON", () => {
    const json = Format.make({ isJson: true, isGrouped: true, isColored: true })
    assert.strictEqual(
      json(message(1), at),
      `{"group":"group1","sender":"bob","message":"hi","timestamp":1,"time":"1970-01-01T00:00:00.001Z"}\n`
    )
    for (const none of [0, 999_999_999_999_999]) {
      assert.deepInclude(JSON.parse(json(message(none), at)), { timestamp: none, time: null })
    }
  })
})
