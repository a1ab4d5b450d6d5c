import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Result } from "effect"
import { Buffer } from "node:buffer"
import * as Command from "../src/Command.ts"
import { Framer } from "../src/Framer.ts"
import { SendReader } from "../src/SendReader.ts"
import { anyLine, hostileText, int, messageText, nameText, oneOf, pick } from "./generators.ts"

type Read = { readonly target: string; readonly message: string } | undefined

/** What the Schema makes of each line: the oracle. */
const expectedOf = (input: Buffer, max: number): ReadonlyArray<Read> =>
  new Framer(max).push(input).map((line) => {
    const read = typeof line === "string" ? Command.readClientLine(line) : undefined
    return read !== undefined && Result.isSuccess(read) && read.success._tag === "SEND"
      ? { target: read.success.target, message: read.success.message }
      : undefined
  })

/** What the reader makes of them, in pieces of this size. */
const readOf = (input: Buffer, max: number, piece: number): ReadonlyArray<Read> => {
  const framer = new Framer(max)
  const reader = new SendReader()
  const got: Array<Read> = []
  for (let at = 0; at < input.length; at += piece) {
    framer.take(input.subarray(at, at + piece))
    while (framer.next()) {
      const target = reader.read(framer) ? reader.target : undefined
      got.push(
        target === undefined
          ? undefined
          : { target, message: framer.bytes.toString("utf8", reader.textStart, framer.end) }
      )
    }
  }
  return got
}

describe("SendReader", () => {
  it("reads a SEND where it stands, and nothing else", () => {
    const input = Buffer.from(
      "SEND g hi\nSEND g  hi \r\nSEND g2 x\nSEND g\nSEND g \nSEND  g x\nsend g x\nSYNC g 0\nSEND g \t\nSEND system x\nSENDx\n\nSEND g \x01\n"
    )
    const none = undefined
    assert.deepStrictEqual(readOf(input, 8192, input.length), [
      { target: "g", message: "hi" },
      { target: "g", message: " hi " },
      { target: "g2", message: "x" },
      ...Array.from({ length: 5 }, () => none),
      { target: "g", message: "\t" },
      ...Array.from({ length: 4 }, () => none)
    ])
  })

  const sendLine = Arbitrary.map(
    Arbitrary.all([
      oneOf(pick(["g", "group1", "gr", "é"]), nameText, hostileText),
      oneOf(messageText, messageText, hostileText)
    ]),
    ([to, text]) => `SEND ${to} ${text}`
  )
  const line = Arbitrary.map(
    Arbitrary.all([oneOf(sendLine, sendLine, sendLine, anyLine), pick(["\n", "\n", "\r\n"])]),
    (all) => all.join("")
  )

  it.prop(
    "takes what the Schema takes, and makes the same of it, whatever came before and wherever it is cut",
    [Arbitrary.array(line, { maxLength: 8 }), int(1, 40), pick([16, 8192])],
    ([lines, piece, max]) => {
      const input = Buffer.from(lines.join(""))
      const expected = expectedOf(input, max)
      for (const size of [piece, 100 * piece, input.length + 1]) {
        assert.deepStrictEqual(readOf(input, max, size), [...expected])
      }
    },
    { arbitrary: { runs: 3000, size: 12 } }
  )

  it.prop(
    "also where a byte is another one",
    [line, line, int(0, 1000), int(0, 255)],
    ([first, second, at, byte]) => {
      const input = Buffer.from(`${first}${second}SEND g x\n`)
      input[at % input.length] = byte
      assert.deepStrictEqual(readOf(input, 8192, input.length), [...expectedOf(input, 8192)])
    },
    { arbitrary: { runs: 3000, size: 12 } }
  )
})
