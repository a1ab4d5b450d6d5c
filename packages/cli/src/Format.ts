/** Messages as lines: for people, or one JSON object each for programs. docs/cli.md describes both. */
import type { Message } from "@cpt/client"
import { json, visible } from "./Visible.ts"

export interface Options {
  readonly isJson: boolean
  /** Whether the group is said too, because there are several. */
  readonly isGrouped: boolean
  readonly isColored: boolean
}

/** The last year that RFC 3339 can write. */
const lastTime = Date.UTC(9999, 11, 31, 23, 59, 59, 999)

const jsonLine = ({ group, message, sender, timestamp }: Message): string => {
  const time = timestamp === 0 || timestamp > lastTime ? null : new Date(timestamp).toISOString()
  return `${json({ group, sender, message, timestamp, time })}\n`
}

const two = (n: number): string => String(n).padStart(2, "0")

/** Local time, with the date if that is not today's. 0 is no time. */
const localTime = (timestamp: number, now: number): string => {
  if (timestamp === 0) return "--:--:--"
  const at = new Date(timestamp)
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`
  return at.toDateString() === new Date(now).toDateString()
    ? time
    : `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${time}`
}

const hues = [31, 32, 33, 34, 35, 36, 91, 92, 93, 94, 95, 96]

/** Everybody has a colour of their own, more or less. */
const hueOf = (name: string): number => {
  let sum = 0
  for (const character of name) sum = (sum * 31 + (character.codePointAt(0) ?? 0)) % 65_521
  return hues[sum % hues.length] ?? 0
}

/** Makes lines of messages; `now` decides what is today. */
export const make = ({ isColored, isGrouped, isJson }: Options) => (message: Message, now: number): string => {
  if (isJson) return jsonLine(message)
  const paint = (code: number, text: string) => isColored ? `\u001b[${code}m${text}\u001b[0m` : text
  const group = isGrouped ? `${paint(1, visible(message.group))} ` : ""
  const sender = paint(hueOf(message.sender), visible(message.sender))
  return `${group}${paint(2, localTime(message.timestamp, now))} ${sender}: ${visible(message.message)}\n`
}
