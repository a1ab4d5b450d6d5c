/** For people at a terminal: a row a case, then what is to be said of those that did not pass, and a table of counts. */
import { type Described, type Profile, source } from "../Case.ts"
import { differences } from "../Dialect.ts"
import { type Verdict, verdicts } from "../Outcome.ts"
import type { Result } from "../Run.ts"
import { print } from "../Transcript.ts"
import { byProfile, count, type Report, summary } from "./Report.ts"

/** What each profile is for, in a few words. */
export const about: { readonly [P in Profile]: string } = {
  core: "every MUST of CPT.md",
  strict: "every SHOULD of CPT.md, and READING.md",
  robust: "bytes in every cut and of every kind, and peers that do not behave",
  delivery: "what was acknowledged arrives: once, and in order",
  identity: "every reason to decline",
  durable: "the same, through restarts of the server",
  load: "many connections, many messages"
}

const colours = { pass: 32, fail: 31, "non-strict": 33, unsupported: 36, inconclusive: 35, dim: 2, bold: 1 } as const

export type Paint = (text: string, colour: keyof typeof colours) => string

/** Colours for a terminal, or none. */
export const painter = (isColored: boolean): Paint =>
  isColored ? (text, colour) => `\u001B[${colours[colour]}m${text}\u001B[0m` : (text) => text

const words: { readonly [V in Verdict]: string } = {
  pass: "pass",
  fail: "FAIL",
  "non-strict": "non-strict",
  unsupported: "unsupported",
  inconclusive: "inconclusive"
}
const wordWidth = Math.max(...verdicts.map((verdict) => words[verdict].length))

const timeWidth = 8

/** A quote, broken into lines of a width, each behind `indent`. */
const wrap = (text: string, indent: string, width = 100): string => {
  const lines: Array<string> = []
  let line = ""
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + word.length + 1 > width - indent.length) {
      lines.push(line)
      line = word
    } else line = line === "" ? word : `${line} ${word}`
  }
  return [...lines, line].map((line) => indent + line).join("\n")
}

/** Above the rows. */
export const head = (
  { attempt, cases, dialect, seed, server }:
    & Pick<Report, "server" | "seed" | "dialect">
    & { readonly attempt: number; readonly cases: ReadonlyArray<Described> },
  paint: Paint
): string => {
  const again = attempt === 0 ? "" : `; the server knows names of this seed, so these are others (${attempt + 1})`
  const found = differences(dialect)
  const told = found.length === 0
    ? ""
    : `\nIt reads what CPT.md leaves open otherwise than READING.md, and is tested on its own terms:\n${
      found.map((sentence) => `  - ${sentence}\n`).join("")
    }`
  return `${paint(server, "bold")}: ${cases.length} ${
    cases.length === 1 ? "case" : "cases"
  }, seed ${seed}${again}\n${told}`
}

/** What a row has besides id and title. */
const others = wordWidth + "  ".length * 4 + timeWidth

/** A title that is shorter says nothing. */
const shortest = 20

/** The widths of the columns; on a terminal that is narrow, titles are cut short. */
export const widths = (cases: ReadonlyArray<Described>, columns = Infinity) => {
  const id = Math.max(...cases.map(({ id }) => id.length))
  const title = Math.max(...cases.map(({ title }) => title.length))
  return { id, title: Math.max(Math.min(title, columns - id - others), shortest) }
}

/** Above the rows of a profile. */
export const heading = (profile: Profile, paint: Paint): string => `\n${paint(profile, "bold")}: ${about[profile]}\n`

export const row = (result: Result, { id, title }: ReturnType<typeof widths>, paint: Paint): string => {
  const { case: of, millis, verdict, why } = result
  const word = paint(words[verdict].padEnd(wordWidth), verdict)
  const time = paint(`${Math.round(millis)} ms`.padStart(timeWidth), "dim")
  const shown = of.title.length > title ? `${of.title.slice(0, title - 1)}…` : of.title.padEnd(title)
  const reason = typeof why === "string" ? `\n${wrap(why, " ".repeat(wordWidth + 4))}` : ""
  return `  ${word}  ${of.id.padEnd(id)}  ${shown}  ${time}${reason}\n`
}

/** All that is to be said of a case: the sentence, what was expected and what came, the transcript, and how to repeat it. */
export const detail = (result: Result, again: string, isWithTranscript: boolean, paint: Paint): string => {
  const { case: of, transcript, verdict, why } = result
  const lines = [
    "",
    `${paint(words[verdict], verdict)} ${paint(of.id, "bold")}: ${of.title}`,
    `  ${source(of)}, ${of.level}:`,
    wrap(`"${of.quote}"`, "    "),
    ...(why === undefined
      ? []
      : typeof why === "string"
      ? [`  why       ${why}`]
      : [`  expected  ${why.expected}`, `  came      ${why.came}`]),
    ...(isWithTranscript ? print(transcript).map((line) => `  ${line}`) : []),
    `  again     ${again}`
  ]
  return lines.map((line) => `${line}\n`).join("")
}

/** Below the rows. */
export const tail = (report: Report, paint: Paint): string => {
  const rows = byProfile(report)
  const width = Math.max("profile".length, ...rows.map(([profile]) => profile.length))
  const line = (name: string, cells: ReadonlyArray<string>) => `${name.padEnd(width)}${cells.join("")}`
  const table = [
    line("profile", verdicts.map((verdict) => verdict.padStart(wordWidth + 2))),
    ...rows.map(([profile, results]) => {
      const counts = count(results)
      return line(
        profile,
        verdicts.map((verdict) => {
          const cell = String(counts[verdict]).padStart(wordWidth + 2)
          return paint(cell, counts[verdict] === 0 ? "dim" : verdict)
        })
      )
    })
  ]
  return `\n${table.join("\n")}\n\n${paint(summary(report), "bold")}\n`
}

/** What there is to run. */
export const list = (cases: ReadonlyArray<Described>, paint: Paint): string => {
  const width = widths(cases)
  return cases.map((of) =>
    [
      `${paint(of.id.padEnd(width.id), "bold")}  ${of.level.padEnd("our reading".length)}  ${of.profiles.join(", ")}`,
      wrap(of.title, "    "),
      paint(wrap(`${source(of)}: "${of.quote}"`, "    "), "dim")
    ].map((line) => `${line}\n`).join("")
  ).join("")
}
