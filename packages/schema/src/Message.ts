/**
 * The text of a message: at least one character, no control characters but TAB (CPT 4.3), and nothing that UTF-8
 * cannot carry. Its length is bounded by the line that carries it, not here.
 */
import { Schema } from "effect"

const controls = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/

/** What is wrong with a message, in words; `undefined` for a good one. */
export const messageFault = (text: string): string | undefined => {
  if (text.length === 0) return "a message must not be empty"
  if (controls.test(text)) return "a message has no control characters but TAB, and no line breaks"
  return text.isWellFormed() ? undefined : "a message must be valid Unicode"
}

export const Message = Schema.String.pipe(
  Schema.check(Schema.makeFilter(messageFault, { identifier: "Message" })),
  Schema.brand("Message")
)
export type Message = typeof Message.Type

/** Whether a {@link Message} could be made of it: what the Schema says, by hand. */
export const isMessage = (text: string): text is Message => messageFault(text) === undefined
