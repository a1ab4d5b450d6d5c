/**
 * Makes text of others safe to show: what would steer a terminal, turn the direction of writing or not be seen at all
 * is made visible, so that nobody can pass for somebody else or hide what they say.
 */

// Control, format, surrogate and private-use characters, separators of lines, and everything that is never drawn
const hidden = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu

// Nearly everything; the other patterns take milliseconds to make
const plain = /^[ -~]*$/

// What belongs to an emoji is drawn with it
const inEmoji = /\p{Extended_Pictographic}\ufe0f?(?:\u200d\p{Extended_Pictographic}\ufe0f?)*/gu

const names: { readonly [character: string]: string } = { "\t": "\\t", "\n": "\\n", "\r": "\\r" }

const escape = (character: string): string =>
  names[character] ?? `\\u{${(character.codePointAt(0) ?? 0).toString(16).padStart(2, "0")}}`

/** For a terminal, or whoever reads text: `\u{1b}[31m`, `\t`, `\u{202e}`. */
export const visible = (text: string): string => {
  if (plain.test(text) || text.search(hidden) === -1) return text
  let shown = ""
  let from = 0
  for (const { 0: emoji, index } of text.matchAll(inEmoji)) {
    shown += text.slice(from, index).replaceAll(hidden, escape) + emoji
    from = index + emoji.length
  }
  return shown + text.slice(from).replaceAll(hidden, escape)
}

const unit = (code: number): string => `\\u${code.toString(16).padStart(4, "0")}`

/** The same in JSON: the value stays what it is, but what is hidden is written as `\uXXXX`. */
export const json = (value: unknown): string => escapeUnits(JSON.stringify(value))

const escapeUnits = (text: string): string =>
  plain.test(text) ? text : text.replaceAll(
    hidden,
    (character) => Array.from({ length: character.length }, (_, i) => unit(character.charCodeAt(i))).join("")
  )
