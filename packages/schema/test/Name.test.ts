import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { Buffer } from "node:buffer"
import * as Limits from "../src/Limits.ts"
import { compare, GroupName, isReserved, Name, nameFault, systemName, Target, Username } from "../src/Name.ts"
import {
  badNameText,
  hostileText,
  longestNames,
  many,
  nameText,
  notInNames,
  notNormal,
  reservedText,
  utf8Length
} from "./generators.ts"

describe("Name", () => {
  it.prop("CPT 2.1: a visible word of up to 64 bytes in NFC is a name", [nameText], ([text]) => {
    assert.strictEqual(nameFault(text), undefined)
    for (const kind of [Name, Username, GroupName, Target]) assert.strictEqual(kind.make(text), text)
  }, many)

  it.prop("CPT 2.1: anything else is none, and cannot be made into one", [badNameText], ([text]) => {
    assert.isString(nameFault(text))
    for (const kind of [Name, Username, GroupName, Target]) {
      assert.throws(() => kind.make(text))
      assert.isFalse(Schema.is(kind)(text))
    }
  }, many)

  it("CPT 2.1: white space, control, format, surrogate, private-use, unassigned: each is refused, anywhere", () => {
    for (const character of notInNames) {
      const shown = character.codePointAt(0)?.toString(16)
      for (const text of [character, `a${character}`, `${character}a`, `a${character}b`]) {
        assert.isString(nameFault(text), shown)
      }
    }
  })

  it("CPT 2.1: over all of Unicode a one-character name is refused if and only if the clause says so", () => {
    // Categories, white space and normal form are asked for one by one, not in one expression as the source does it
    const forbidden = [/^\p{Cc}$/u, /^\p{Cf}$/u, /^\p{Cs}$/u, /^\p{Co}$/u, /^\p{Cn}$/u, /^\p{White_Space}$/u]
    const wrong: Array<string> = []
    for (let code = 0; code <= 0x10ffff; code++) {
      const text = String.fromCodePoint(code)
      const good = !forbidden.some((kind) => kind.test(text)) && text.normalize("NFC") === text
      if (good !== (nameFault(text) === undefined)) wrong.push(code.toString(16))
    }
    assert.deepStrictEqual(wrong, [])
  })

  it("CPT 2.1: 64 bytes are the most, however many characters they are", () => {
    assert.strictEqual(Limits.maxNameBytes, 64)
    for (const text of longestNames) {
      assert.strictEqual(utf8Length(text), 64)
      assert.strictEqual(nameFault(text), undefined)
      assert.isString(nameFault(`${text}b`))
    }
    assert.isString(nameFault("語".repeat(22)))
    assert.isString(nameFault("a".repeat(1_000_000)))
  })

  it("CPT 2.1: a name in another normal form than NFC is refused, and its NFC is taken", () => {
    for (const text of notNormal) {
      assert.isString(nameFault(text))
      assert.strictEqual(nameFault(text.normalize("NFC")), undefined)
    }
  })

  it("CPT 2.1: names are compared exactly, so letter case makes another name", () => {
    assert.notStrictEqual<string>(Name.make("Alice"), Name.make("alice"))
  })

  it.prop(
    "CPT 2.1: `system` in any letter case may stand on the wire, and nobody can bear it",
    [reservedText],
    ([text]) => {
      assert.isTrue(isReserved(text))
      assert.strictEqual(nameFault(text), undefined)
      assert.strictEqual(Name.make(text), text)
      for (const kind of [Username, GroupName, Target]) assert.throws(() => kind.make(text))
    }
  )

  it("CPT 2.5: every string that a change of letter case makes `system` is reserved", () => {
    // All characters whose upper or lower case is a piece of the word, ligatures included; then all words made of them
    for (const [word, change] of [["SYSTEM", "toUpperCase"], ["system", "toLowerCase"]] as const) {
      const pieces: Array<readonly [character: string, cased: string]> = []
      for (let code = 0; code <= 0x10ffff; code++) {
        const character = String.fromCodePoint(code)
        const cased = character[change]()
        if (word.includes(cased)) pieces.push([character, cased])
      }
      const spellings = (rest: string): ReadonlyArray<string> =>
        rest === ""
          ? [""]
          : pieces.flatMap(([character, cased]) =>
            rest.startsWith(cased) ? spellings(rest.slice(cased.length)).map((tail) => character + tail) : []
          )
      const all = spellings(word)
      assert.isAtLeast(all.length, 64)
      assert.deepStrictEqual(all.filter((text) => !isReserved(text)), [])
    }
    assert.isTrue(isReserved(systemName))
  })

  it.prop("names are listed in the order of their bytes", [nameText, nameText], ([a, b]) => {
    assert.strictEqual(compare(a, b), Buffer.compare(Buffer.from(a), Buffer.from(b)))
    assert.strictEqual(compare(`${a}${b}`, a), 1)
    assert.strictEqual(compare(a, a), 0)
  }, many)

  it.prop("CPT 2.1: no other name is reserved", [nameText], ([text]) => {
    assert.isFalse(isReserved(text))
  }, many)

  it.prop("CPT 2.1: no string makes the check throw, and it agrees with the schema", [hostileText], ([text]) => {
    assert.strictEqual(Schema.is(Name)(text), nameFault(text) === undefined)
    assert.strictEqual(Schema.is(Username)(text), nameFault(text) === undefined && !isReserved(text))
  }, many)
})
