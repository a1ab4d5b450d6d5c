import { Decline, Framer } from "@cpt/schema"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as Incoming from "../src/Incoming.ts"

const said = (group: string | undefined, sender: string, timestamp: number, message: string): Incoming.Said => ({
  _tag: "Said",
  group,
  sender,
  timestamp,
  message
})

describe("Incoming", () => {
  it("reads what a server may say", () => {
    assert.deepStrictEqual(Incoming.read("ACCEPT"), { _tag: "Accept" })
    assert.deepStrictEqual(Incoming.read("ACK"), { _tag: "Ack" })
    assert.deepStrictEqual(Incoming.read("ENDSYNC"), { _tag: "EndSync" })
    assert.deepStrictEqual(Incoming.read("DECLINE account_locked"), { _tag: "Decline", reason: "account_locked" })
    assert.deepStrictEqual(Incoming.read("MSG g bob 5  two  spaces "), said("g", "bob", 5, " two  spaces "))
  })

  // CPT 6.4: where the third field is no timestamp and the second is one
  it("reads the form of the specification's diagram", () => {
    assert.deepStrictEqual(Incoming.read("MSG red 5 Private message"), said(undefined, "red", 5, "Private message"))
    assert.deepStrictEqual(Incoming.read("MSG red 5 6 o'clock"), said("red", "5", 6, "o'clock"))
    assert.deepStrictEqual(Incoming.read("MSG red 5 6"), said(undefined, "red", 5, "6"))
  })

  it("takes characters that a server of ours would not let through", () => {
    assert.deepStrictEqual(Incoming.read("MSG g ev\u202eil 5 \u001b[31m"), said("g", "ev\u202eil", 5, "\u001b[31m"))
    assert.deepStrictEqual(Incoming.read("MSG e\u0301 5 \u0000"), said(undefined, "e\u0301", 5, "\u0000"))
    assert.deepStrictEqual(Incoming.read("MSG g bob 5 "), said("g", "bob", 5, ""))
    assert.deepStrictEqual(Incoming.read("MSG g bob 5"), said("g", "bob", 5, ""))
  })

  it("takes any reason of a DECLINE, and none", () => {
    assert.deepStrictEqual(Incoming.read("DECLINE not today, sorry"), { _tag: "Decline", reason: "not today, sorry" })
    assert.deepStrictEqual(Incoming.read("DECLINE"), { _tag: "Decline", reason: "no reason given" })
    assert.deepStrictEqual(Incoming.read("DECLINE \u0007"), { _tag: "Decline", reason: "\"\\u0007\"" })
    assert.deepStrictEqual(Incoming.read("DECLINE \u007f\u009b"), { _tag: "Decline", reason: "\"\\u007f\\u009b\"" })
  })

  it("says what cannot be read", () => {
    for (const line of ["", "PING", "ack", "ACK ", "MSG", "MSG g", "MSG g bob", "MSG  g 5 hi", "MSG g bob x hi"]) {
      assert.strictEqual(Incoming.read(line)._tag, "Unreadable", line)
    }
    for (const fault of [Framer.Fault.notUtf8, Framer.Fault.tooLong]) {
      assert.strictEqual(Incoming.read(fault)._tag, "Unreadable")
    }
  })

  it("keeps no more of a line that cannot be read than what it says of it", () => {
    setFlagsFromString("--expose-gc")
    const collect: () => void = runInNewContext("gc")
    const kept = Array.from(
      { length: 500 },
      (_, index) => Incoming.read(Buffer.alloc(60_000, `GIBBERISH ${index} `).toString())
    )
    collect()
    const before = process.memoryUsage().heapUsed
    kept.length = 0
    collect()
    assert.isBelow(before - process.memoryUsage().heapUsed, 5_000_000)
  })

  it.effect.prop("throws at nothing", [Schema.String], ([text]) =>
    Effect.sync(() => {
      for (const line of [text, `MSG ${text}`, `MSG g b 5 ${text}`, `DECLINE ${text}`]) {
        const incoming = Incoming.read(line)
        if (incoming._tag === "Decline") Decline.fromReason(incoming.reason)
      }
    }), { arbitrary: { runs: 1000 } })
})
