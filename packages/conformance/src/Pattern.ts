/**
 * What a line that is expected looks like: text, timestamps that are bound the first time, and `…`. As the server's
 * dialect has it: who expects `MSG <group> <sender> <timestamp> <message>` expects what this server makes of that.
 */
import * as Bytes from "./Bytes.ts"
import type { Dialect } from "./Dialect.ts"

/** Timestamps that a case has met, by name. */
export type Times = Map<string, bigint>

const escaped = (text: string): string => text.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&")

const placeholder = /(<[a-z]\w*(?: (?:after|from) [a-z]\w*)?>|…)/

const timestamp = /^<([a-z]\w*)(?: (after|from) ([a-z]\w*))?>$/

/** The fields of a MSG that is expected, as the server would write them. */
const translate = (text: string, dialect: Dialect, ownName: string | undefined): string => {
  const [, group, rest = ""] = /^MSG (\S+) (.*)$/s.exec(text) ?? []
  if (group !== undefined) {
    const [, sender = "", behind = ""] = /^(\S+)(.*)$/s.exec(rest) ?? []
    if (sender === "system") return text
    const isPrivate = group === ownName
    if (dialect.diagram === "always" || (isPrivate && dialect.diagram === "private")) return `MSG ${rest}`
    if (!isPrivate || dialect.privateGroup === "receiver") return text
    return `MSG ${dialect.privateGroup === "sender" ? sender : "…"} ${sender}${behind}`
  }
  const [, word, reason] = /^(ACCEPT|ACK|ENDSYNC|DECLINE)(?: (\w+))?$/.exec(text) ?? []
  if (word === "DECLINE") return reason !== undefined && dialect.explains ? `${text}…` : text
  return word !== undefined && dialect.wordy ? `${text}…` : text
}

export interface Pattern {
  /** For the report: as it was written, with the names and timestamps that are known. */
  readonly text: string
  /** What its alternatives begin with. */
  readonly words: ReadonlyArray<string>
  readonly matches: (line: string) => boolean
}

const alternative = (text: string, times: Times) => {
  const bound: Array<{ readonly name: string; readonly how: string | undefined; readonly other: string | undefined }> =
    []
  const source = text.split(placeholder).map((part, index) => {
    if (index % 2 === 0) return escaped(Bytes.canonical(part))
    if (part === "…") return ".*?"
    const [, name = "", how, other] = timestamp.exec(part) ?? []
    const known = times.get(name)
    if (known !== undefined) return String(known)
    bound.push({ name, how, other })
    return "(0|[1-9][0-9]*)"
  }).join("")
  const pattern = new RegExp(`^${source}$`, "su")
  return { bound, pattern }
}

const show = (text: string, times: Times): string =>
  text.replaceAll(/<([a-z]\w*)>/g, (all, name: string) => String(times.get(name) ?? all))

/** `text` has names, not `{names}`. */
export const compile = (text: string, times: Times, dialect: Dialect, ownName: string | undefined): Pattern => {
  const texts = text.split(" | ").map((text) => translate(text, dialect, ownName))
  return {
    text: texts.map((text) => show(text, times)).join(" | "),
    words: text.split(" | ").map((text) => text.split(" ")[0] ?? ""),
    matches: (line) =>
      texts.some((text) => {
        const { bound, pattern } = alternative(text, times)
        const match = pattern.exec(line)
        if (match === null) return false
        const values = match.slice(1).map(BigInt)
        const holds = bound.every(({ how, other = "" }, index) => {
          const before = times.get(other)
          const value = values[index] ?? 0n
          if (how === undefined || before === undefined) return true
          return how === "from" || dialect.unit === "seconds" ? value >= before : value > before
        })
        if (holds) bound.forEach(({ name }, index) => times.set(name, values[index] ?? 0n))
        return holds
      })
  }
}
