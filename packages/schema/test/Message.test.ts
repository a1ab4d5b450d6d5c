import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { Message, messageFault } from "../src/Message.ts"
import { badMessageText, many, messageText, notInMessages } from "./generators.ts"

describe("Message", () => {
  it.prop(
    "CPT 4.3: any text of at least one character is a message, spaces and TAB included",
    [messageText],
    ([text]) => {
      assert.strictEqual(messageFault(text), undefined)
      assert.strictEqual(Message.make(text), text)
    },
    many
  )

  it.prop(
    "CPT 4.3: a text with a control character, or none at all, cannot be made into one",
    [badMessageText],
    ([text]) => {
      assert.isString(messageFault(text))
      assert.throws(() => Message.make(text))
      assert.isFalse(Schema.is(Message)(text))
    },
    many
  )

  it("CPT 4.3: of the control characters, C0, DEL and C1, only TAB is taken", () => {
    for (const control of notInMessages) assert.isString(messageFault(`a${control}b`))
    const controlsTaken: Array<number> = []
    const othersRefused: Array<number> = []
    for (let code = 0; code <= 0x10ffff; code++) {
      const character = String.fromCodePoint(code)
      const taken = messageFault(character) === undefined
      if (/^\p{Cc}$/u.test(character) ? taken : /^\P{Cs}$/u.test(character) && !taken) {
        ;(taken ? controlsTaken : othersRefused).push(code)
      }
    }
    assert.deepStrictEqual(controlsTaken, [9])
    assert.deepStrictEqual(othersRefused, [])
  })

  it("CPT 1.2: half a surrogate pair has no bytes, so it is no text; a whole one is", () => {
    for (const text of ["\ud83e", "\udd80", "a\ud83e", "\udd80\ud83e", "\ud83e \udd80"]) {
      assert.isString(messageFault(text))
    }
    assert.isUndefined(messageFault("\ud83e\udd80"))
  })
})
