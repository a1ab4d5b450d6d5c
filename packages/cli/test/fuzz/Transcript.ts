/** What was said and heard in a round, for people: one line each, in the order of time, with every byte to be seen. */
import { Buffer } from "node:buffer"
import type { Course } from "./Peer.ts"

const named: Readonly<Record<number, string>> = { 9: "\\t", 10: "\\n", 13: "\\r", 92: "\\\\" }

const escaped = (bytes: Uint8Array): string => {
  let text = ""
  for (let at = 0; at < bytes.length;) {
    const byte = bytes[at] ?? 0
    let end = at + 1
    while (bytes[end] === byte) end++
    const one = named[byte] ??
      (byte > 31 && byte < 127 ? String.fromCodePoint(byte) : `\\x${byte.toString(16).padStart(2, "0")}`)
    text += end - at > 64 ? `{${one}, ${end - at} times}` : one.repeat(end - at)
    at = end
  }
  return text
}

export const transcriptOf = (courses: ReadonlyArray<Course>): string => {
  const begin = Math.min(...courses.map(({ openedAt }) => openedAt))
  return courses
    .flatMap(({ closedAt, ending, heard, label, openedAt, said }) => [
      { at: openedAt, label, what: "connects" },
      ...said.map(({ at, bytes }) => ({ at, label, what: `> ${escaped(bytes)}` })),
      ...heard.map(({ at, line }) => ({ at, label, what: `< ${escaped(Buffer.from(line))}` })),
      ...ending === undefined
        ? []
        : [{ at: ending.at, label, what: ending.how === "reset" ? "is cut off" : "half-closes" }],
      ...closedAt === undefined ? [] : [{ at: closedAt, label, what: "is closed" }]
    ])
    .toSorted((a, b) => a.at - b.at)
    .map(({ at, label, what }) => `${(at - begin).toFixed(2).padStart(10)} ${label} ${what}\n`)
    .join("")
}
