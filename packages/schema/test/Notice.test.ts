import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as Command from "../src/Command.ts"
import type { Message } from "../src/Message.ts"
import { Name } from "../src/Name.ts"
import * as Notice from "../src/Notice.ts"
import { epoch, Timestamp } from "../src/Timestamp.ts"
import { many, nameText, timestampNumber } from "./generators.ts"

/** Every notice is a line of its own, from the server itself, outside of time. */
const isSaid = (text: Message, group: string) => {
  const line = Command.msgLine(group, Notice.sender, epoch, text)
  const said = Result.getOrThrow(Command.readServerLine(line))
  assert.deepStrictEqual<unknown>({ ...said }, { _tag: "MSG", group, sender: "system", timestamp: 0, message: text })
}

describe("Notice", () => {
  it.prop("CPT 5.4: a hole is said of any timestamp, and names it", [nameText, timestampNumber], ([group, number]) => {
    for (const text of [Notice.missing(Timestamp.make(number)), Notice.unreadable(Timestamp.make(number))]) {
      isSaid(text, group)
      assert.isTrue(text.startsWith(Notice.missingPrefix))
      assert.match(text, new RegExp(`\\b${number}\\b`))
    }
    assert.strictEqual(Notice.missingThrough(Notice.missing(Timestamp.make(number))), number)
    assert.isUndefined(Notice.missingThrough(Notice.unreadable(Timestamp.make(number))))
  }, many)

  it.prop("CPT 5.3: the inbox of somebody else is said of any name", [nameText], ([name]) => {
    const text = Notice.privateInbox(Name.make(name))
    isSaid(text, name)
    assert.isTrue(text.startsWith(Notice.privatePrefix))
    assert.include(text, name)
  }, many)

  it("CPT 5.10: a program tells them by their beginnings", () => {
    assert.deepStrictEqual([Notice.missingPrefix, Notice.privatePrefix], ["missing: ", "private: "])
  })
})
