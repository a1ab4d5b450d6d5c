import { assert, describe, it } from "@effect/vitest"
import { Arbitrary } from "effect"
import { Buffer } from "node:buffer"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as Framer from "../src/Framer.ts"
import * as Limits from "../src/Limits.ts"
import { inputBytes, int, many } from "./generators.ts"

// The oracle: it has all of the input at once, looks at one byte at a time, and decodes with another decoder

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const lineOf = (bytes: ReadonlyArray<number>, max: number): Framer.Line => {
  const text = bytes.at(-1) === 13 ? bytes.slice(0, -1) : bytes
  if (text.length > max) return Framer.Fault.tooLong
  try {
    return decoder.decode(Uint8Array.from(text))
  } catch {
    return Framer.Fault.notUtf8
  }
}

/** What must have come out when exactly these bytes have come in. */
const oracle = (input: Uint8Array, max: number): ReadonlyArray<Framer.Line> => {
  const lines: Array<Framer.Line> = []
  let line: Array<number> = []
  for (const byte of input) {
    if (byte === 10) {
      lines.push(lineOf(line, max))
      line = []
    } else {
      line.push(byte)
    }
  }
  // Certain, whatever follows: CR may be the start of the line's end, no other byte may
  const certainlyTooLong = line.length > max + 1 || line.length === max + 1 && line.at(-1) !== 13
  return certainlyTooLong ? [...lines, Framer.Fault.tooLong] : lines
}

const cutAt = (input: Uint8Array, places: ReadonlyArray<number>): ReadonlyArray<Uint8Array> => {
  const ends = [...new Set(places)].toSorted((a, b) => a - b)
  return [0, ...ends].map((from, index) => input.slice(from, ends[index]))
}

/** Feeds the pieces to one framer; after each of them it must have said what the bytes until there amount to. */
const expectSame = (pieces: ReadonlyArray<Uint8Array>, max: number) => {
  const framer = new Framer.Framer(max)
  const got: Array<Framer.Line> = []
  const fed: Array<Uint8Array> = []
  for (const piece of pieces) {
    fed.push(piece.slice())
    got.push(...framer.push(piece))
    piece.fill(0xee) // the chunk is the socket's again
    assert.deepStrictEqual(got, [...oracle(Buffer.concat(fed), max)], `${pieces.length} pieces, limit ${max}`)
  }
}

const text = (input: string): Uint8Array => new Uint8Array(Buffer.from(input, "latin1"))
const linesOf = (input: string, max = 8): ReadonlyArray<Framer.Line> => new Framer.Framer(max).push(text(input))
const { notUtf8, tooLong } = Framer.Fault

describe("Framer", () => {
  describe("what is a line", () => {
    it("CPT 1.1: a line ends with LF, and one CR directly before it is dropped", () => {
      assert.deepStrictEqual(linesOf("a\nb\r\nc\r\r\n\n\r\n"), ["a", "b", "c\r", "", ""])
    })

    it("CPT 1.1: a CR anywhere else ends no line and stays in it, for the command to refuse", () => {
      assert.deepStrictEqual(linesOf("a\rb\n\ra\n"), ["a\rb", "\ra"])
    })

    it("CPT 1.1: no other character ends a line", () => {
      for (const other of ["\v", "\f", "\u0085", "\u2028", "\u2029", "\u001e", "\0"]) {
        assert.deepStrictEqual(new Framer.Framer(8).push(Buffer.from(`a${other}b\n`)), [`a${other}b`])
      }
    })

    it("CPT 1.2: a line that is not UTF-8 is a fault in its place, not a repaired text", () => {
      for (const bad of ["\xff", "\x80", "\xc3", "\xc0\x8a", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf0\x9f\xa6"]) {
        assert.deepStrictEqual(linesOf(`a\n${bad}\nb\nx${bad}y\r\nc\n`), ["a", notUtf8, "b", notUtf8, "c"])
      }
    })

    it("CPT 1.2: a byte order mark is a character like others", () => {
      assert.deepStrictEqual(linesOf("\xef\xbb\xbfACK\n"), ["\ufeffACK"])
    })

    it("CPT 1.4: a line of the limit is taken, with LF and with CR LF; one of a byte more is not", () => {
      for (const max of [1, 8, Limits.maxLineBytes, Limits.maxReceivedLineBytes]) {
        const full = "x".repeat(max)
        assert.deepStrictEqual(
          linesOf(`${full}\n${full}\r\n${full}y\n${full}y\r\n${full}\r\r\n${full}\n`, max),
          [full, full, tooLong, tooLong, tooLong, full]
        )
      }
    })

    it("CPT 1.4: the limit counts bytes, not characters", () => {
      assert.deepStrictEqual(
        new Framer.Framer(8).push(Buffer.from("éééé\néééée\n🦀🦀\n🦀🦀a\n")),
        ["éééé", tooLong, "🦀🦀", tooLong]
      )
    })

    it("CPT 1.4: a line that is too long is not asked for its UTF-8", () => {
      assert.deepStrictEqual(linesOf(`${"\xff".repeat(9)}\na\n`), [tooLong, "a"])
    })

    it("CPT 1.5: bytes after the last LF are no line", () => {
      assert.deepStrictEqual(linesOf("a\nSYNC"), ["a"])
      assert.deepStrictEqual(linesOf("a\r"), [])
      assert.deepStrictEqual(linesOf(""), [])
    })
  })

  describe("the same lines from any cut", () => {
    it("CPT 1.6: all inputs of up to six bytes of a, CR, LF and the halves of é, cut in all ways", () => {
      const alphabet = [0x61, 13, 10, 0xc3, 0xa9]
      const max = 2
      let checked = 0
      for (let length = 0; length <= 6; length++) {
        for (let code = 0; code < alphabet.length ** length; code++) {
          const input = Uint8Array.from({ length }, (_, index) => alphabet[Math.floor(code / 5 ** index) % 5]!)
          const whole = JSON.stringify(oracle(input, max))
          for (let cuts = 0; cuts < 2 ** Math.max(0, length - 1); cuts++) {
            const framer = new Framer.Framer(max)
            const got: Array<Framer.Line> = []
            let from = 0
            for (let at = 1; at <= length; at++) {
              if (at === length || (cuts >> (at - 1) & 1) === 1) {
                got.push(...framer.push(input.subarray(from, at)))
                from = at
              }
            }
            checked++
            if (JSON.stringify(got) !== whole) {
              assert.deepStrictEqual(got, [...oracle(input, max)], `${input} cut by ${cuts.toString(2)}`)
            }
          }
        }
      }
      assert.isAbove(checked, 500_000)
    })

    it("CPT 1.6: every cut in two, at lengths around the limit, with every end of a line", () => {
      const max = 8
      for (let length = 0; length <= max + 3; length++) {
        for (const end of ["\n", "\r\n", "\r\r\n", "\r", "\ry\n", ""]) {
          for (const filler of ["x", "é", "語", "🦀", "\ufeff"]) {
            const body = Buffer.from(filler.repeat(length)).subarray(0, length) // may end inside a character
            const input = new Uint8Array(Buffer.concat([Buffer.from("a\n"), body, Buffer.from(`${end}SYNC\nrest`)]))
            for (let at = 0; at <= input.length; at++) expectSame(cutAt(input, [at]), max)
          }
        }
      }
    })

    it("CPT 1.4: every cut in two near the limit of 8,192 bytes", () => {
      const max = Limits.maxLineBytes
      for (const length of [max - 1, max, max + 1, max + 2]) {
        for (const end of ["\n", "\r\n", "\r\r\n", "\ry\n"]) {
          const body = Buffer.from("🦀".repeat(max)).subarray(0, length)
          const input = new Uint8Array(Buffer.concat([body, Buffer.from(`${end}a\n`)]))
          for (let at = max - 6; at <= input.length; at++) expectSame(cutAt(input, [at]), max)
        }
      }
    })

    it.prop(
      "CPT 1.6: any input in any number of cuts gives what the whole gives",
      [inputBytes(8), Arbitrary.array(int(0, 1_000_000), { maxLength: 40 })],
      ([input, seeds]) => {
        expectSame([input.slice()], 8)
        expectSame(cutAt(input, seeds.map((seed) => seed % (input.length + 1))), 8)
        expectSame(Array.from(input, (byte) => Uint8Array.of(byte)), 8)
      },
      many
    )

    it.prop(
      "CPT 1.6: any bytes at all, in any cuts, at any limit",
      [Arbitrary.array(int(0, 255)), Arbitrary.array(int(0, 1_000_000), { maxLength: 10 }), int(0, 6)],
      ([values, seeds, max]) => {
        const input = Uint8Array.from(values)
        expectSame(cutAt(input, seeds.map((seed) => seed % (input.length + 1))), max)
      },
      many
    )

    it.prop(
      "CPT 1.6: what is kept is not what the bytes become after",
      [
        inputBytes(8),
        Arbitrary.array(int(0, 1_000_000), { maxLength: 10 }),
        Arbitrary.array(int(0, 2), { minLength: 8 })
      ],
      ([input, seeds, keeps]) => {
        const framer = new Framer.Framer(8)
        const got: Array<Framer.Line> = []
        for (const chunk of cutAt(input.slice(), seeds.map((seed) => seed % (input.length + 1)))) {
          framer.take(chunk)
          for (let line = 0; framer.next(); line++) {
            if (keeps[line % keeps.length] === 0) {
              framer.keep()
              chunk.fill(0x3f)
            }
            got.push(framer.line())
          }
          chunk.fill(0x3f)
        }
        assert.deepStrictEqual(got, [...oracle(input, 8)])
      },
      many
    )

    it("CPT 1.6: a line that comes one byte at a time is read, at the limit of either side", () => {
      for (const max of [Limits.maxLineBytes, Limits.maxReceivedLineBytes]) {
        const framer = new Framer.Framer(max)
        const got: Array<Framer.Line> = []
        for (const byte of Buffer.from(`${"x".repeat(max)}\r\n`)) got.push(...framer.push(Uint8Array.of(byte)))
        assert.deepStrictEqual(got, ["x".repeat(max)])
      }
    })
  })

  describe("a line without end", () => {
    it("CPT 1.9: it is reported as soon as it is certain, once, before its end", () => {
      const framer = new Framer.Framer(8)
      assert.deepStrictEqual(framer.push(text("xxxxxxxx")), [])
      assert.deepStrictEqual(framer.push(text("x")), [tooLong])
      assert.deepStrictEqual(framer.push(text("x\r")), [])
      assert.deepStrictEqual(framer.push(text("\nok\n")), ["ok"])
    })

    it("CPT 1.9: a CR behind a full line leaves it open, the byte after it decides", () => {
      const framer = new Framer.Framer(8)
      assert.deepStrictEqual(framer.push(text("xxxxxxxx\r")), [])
      assert.deepStrictEqual(framer.push(text("\nxxxxxxxx\r")), ["xxxxxxxx"])
      assert.deepStrictEqual(framer.push(text("x")), [tooLong])
      assert.deepStrictEqual(framer.push(text("\r\nok\n")), ["ok"])
    })

    const collect = (() => {
      setFlagsFromString("--expose-gc")
      return runInNewContext("gc") as () => void
    })()
    /** A second collection waits for the thread that gives back what the first has found. */
    const held = (): number => {
      collect()
      collect()
      return process.memoryUsage().arrayBuffers
    }

    it("CPT 1.4: 50 MB of it cost no memory, and the session goes on at the next line", () => {
      const framer = new Framer.Framer(Limits.maxLineBytes)
      const chunk = new Uint8Array(64 * 1024).fill(0x78)
      const before = held()
      const got: Array<Framer.Line> = []
      let most = 0
      for (let fed = 0; fed < 50_000_000; fed += chunk.length) {
        got.push(...framer.push(chunk))
        if (fed % (64 * chunk.length) === 0) most = Math.max(most, held() - before)
      }
      assert.isBelow(most, 64 * 1024)
      got.push(...framer.push(text("x\nSYNC\n")))
      assert.deepStrictEqual(got, [tooLong, "SYNC"])
    })

    it("CPT 1.4: 50 MB in packets smaller than the limit cost one line", () => {
      const framer = new Framer.Framer(Limits.maxLineBytes)
      const chunk = new Uint8Array(1000).fill(0x78)
      const before = held()
      const got: Array<Framer.Line> = []
      let most = 0
      for (let packets = 0; packets < 50_000; packets++) {
        got.push(...framer.push(chunk))
        if (packets < 12 || packets % 4096 === 0) most = Math.max(most, held() - before)
      }
      assert.isBelow(most, 64 * 1024)
      assert.deepStrictEqual(got, [tooLong])
    })

    it("CPT 1.4: the start of a line does not keep the chunk that it came in", () => {
      const before = held()
      const framers = Array.from({ length: 100 }, () => new Framer.Framer(Limits.maxLineBytes))
      for (const framer of framers) {
        const chunk = Buffer.alloc(1_000_000, "x")
        chunk.write("\nSYN", chunk.length - 4)
        framer.push(chunk)
      }
      assert.isBelow(held() - before, 2_000_000)
      for (const framer of framers) assert.deepStrictEqual(framer.push(text("C\n")), ["SYNC"])
    })
  })
})
