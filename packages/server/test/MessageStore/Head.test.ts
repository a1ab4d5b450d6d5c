/** How the lines of a target begin. */
import { assert, describe, it } from "@effect/vitest"
import { Buffer } from "node:buffer"
import { Head } from "../../src/MessageStore/Head.ts"

describe("a head", () => {
  it("is that of each message, whoever sends it, and whenever", () => {
    const head = new Head("group1")
    for (
      const timestamp of [0, 1, 999, 1000, 1_700_000_000_000, 1_700_000_000_001, 1_700_000_000_999, 1_700_000_001_000]
    ) {
      for (const sender of ["alice", "élise", "élise"]) {
        head.set(sender, timestamp)
        assert.strictEqual(Buffer.from(head.bytes).toString(), `MSG group1 ${sender} ${timestamp} `)
      }
    }
  })

  it("keeps no memory but its own, since there may be one for each of many targets", () => {
    const head = new Head("group1")
    head.set("alice", 1_700_000_000_000)
    assert.strictEqual(head.bytes.buffer.byteLength, head.bytes.length)
  })
})
