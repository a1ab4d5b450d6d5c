import { assert, describe, it } from "@effect/vitest"
import { Buffer } from "node:buffer"
import { isPlain } from "../src/Plain.ts"

const pattern = /^(?:[\x20-\x7e\t\n]|\r(?=\n))*$/

describe("isPlain", () => {
  it("is what the pattern says, for every byte at every place", () => {
    for (const length of [1, 2, 127, 128, 129, 143, 144, 145, 147]) {
      for (const [fill, next] of [["x", "x"], [" ", "\n"], ["~", "\r"]] as const) {
        for (let place = 0; place < length; place++) {
          for (let byte = 0; byte < 256; byte++) {
            const bytes = Buffer.alloc(length, fill)
            bytes.write(next, Math.min(place + 1, length - 1))
            bytes[place] = byte
            const expected = pattern.test(bytes.toString("latin1"))
            if (isPlain(bytes) !== expected) assert.fail(`${length} bytes of "${fill}", ${byte} at ${place}`)
          }
        }
      }
    }
  })

  it("where memory does not begin at a multiple of four, too", () => {
    const memory = Buffer.allocUnsafeSlow(400)
    for (let from = 0; from < 8; from++) {
      const bytes = memory.subarray(from, from + 300).fill("x")
      assert.isTrue(isPlain(bytes))
      for (const place of [0, 1, 150, 298, 299]) {
        bytes[place] = 127
        assert.isFalse(isPlain(bytes))
        bytes[place] = 120
      }
    }
  })
})
