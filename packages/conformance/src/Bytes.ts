/**
 * Bytes as people write and read them: text with escapes, both ways. What is heard and what is expected is compared in
 * this form, in which a byte that is no UTF-8 and the U+FFFD that somebody made of it are two things.
 */
import { Buffer } from "node:buffer"

const letters: Readonly<Record<string, number>> = { r: 13, n: 10, t: 9, 0: 0, "\\": 92 }
const names: Readonly<Record<number, string>> = { 13: "\\r", 10: "\\n", 9: "\\t", 0: "\\0", 92: "\\\\" }

const escape = /(\\(?:[rnt0\\]|x[0-9a-f]{2}|u\{[0-9a-f]+\}))/

/** The bytes of a text with the escapes `\r \n \t \0 \\ \xff \u{1f980}`. */
export const fromText = (text: string): Buffer =>
  Buffer.concat(
    text.split(escape).map((part, index) => {
      if (index % 2 === 0) return Buffer.from(part)
      if (part[1] === "x") return Buffer.from(part.slice(2), "hex")
      if (part[1] === "u") return Buffer.from(String.fromCodePoint(Number.parseInt(part.slice(3, -1), 16)))
      return Buffer.of(letters[part.slice(1)] ?? 0)
    })
  )

// Control, format, private-use and unassigned characters, separators of lines, and what is never drawn
const hidden = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u

const hex = (byte: number): string => `\\x${byte.toString(16).padStart(2, "0")}`

const characterText = (character: string): string => {
  const code = character.codePointAt(0) ?? 0
  return names[code] ?? (code < 0x80 && hidden.test(character)
    ? hex(code)
    : hidden.test(character)
    ? `\\u{${code.toString(16)}}`
    : character)
}

const plain = /^[ -[\]-~]*$/

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** Bytes of one character of UTF-8 that begins with this byte; 1 for what can begin none. */
const lengthOf = (byte: number): number => byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1

/** The text of bytes: what cannot be seen, and what is no UTF-8, is escaped. */
export const toText = (bytes: Uint8Array): string => {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const latin = all.toString("latin1")
  if (plain.test(latin)) return latin
  let text = ""
  for (let at = 0; at < all.length;) {
    const character = all.subarray(at, at + lengthOf(all[at] ?? 0))
    try {
      text += characterText(decoder.decode(character))
      at += character.length
    } catch {
      text += hex(all[at] ?? 0)
      at++
    }
  }
  return text
}

/** A text as it is compared: whichever way it was escaped. */
export const canonical = (text: string): string => plain.test(text) ? text : toText(fromText(text))
