import { assert, describe, it } from "@effect/vitest"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as Uncounted from "../../src/MessageStore/Uncounted.ts"

setFlagsFromString("--expose-gc")
const collectGarbage: () => void = runInNewContext("gc")

const MB = 1024 * 1024
const external = () => process.memoryUsage().external

/** Lets go of as much as V8 need not know of; whether it had come to that. */
const fill = (): boolean => {
  for (let mb = 0; mb < 100; mb++) {
    const memory = Uncounted.allocate(MB)
    if (memory instanceof ArrayBuffer) return true
    Uncounted.letGo(memory)
  }
  return false
}

describe("Uncounted", () => {
  it("V8 does not count it, until there is too much of it that nobody needs; and frees it", async () => {
    const before = external()
    const kept = Array.from({ length: 50 }, () => Uncounted.allocate(MB))
    assert.isBelow(external() - before, 10 * MB)
    assert.isTrue(kept.every((memory) => memory instanceof SharedArrayBuffer && memory.byteLength === MB))

    for (let time = 0; time < 3; time++) {
      assert.isTrue(fill())
      Uncounted.letGo(Uncounted.allocate(MB)) // what is counted is none of it
      for (let isFree = false; !isFree;) {
        collectGarbage()
        await new Promise((resolve) => setImmediate(resolve))
        isFree = Uncounted.allocate(1) instanceof SharedArrayBuffer
      }
    }
  })
})
