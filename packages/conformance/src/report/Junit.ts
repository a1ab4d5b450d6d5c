/** JUnit's XML, which CI servers read. What was not tested is skipped; what is no MUST fails only if it counts. */
import { source } from "../Case.ts"
import type { Result } from "../Run.ts"
import { home } from "../Select.ts"
import { print } from "../Transcript.ts"
import { hasFailed, type Report, whyOf } from "./Report.ts"

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  "\"": "&quot;",
  "'": "&#39;"
}

/** Text in XML or HTML. What could not stand there, such as control characters, our texts have escaped already. */
export const escapeXml = (text: string): string => text.replaceAll(/[&<>"']/g, (character) => entities[character] ?? "")

const seconds = (millis: number): string => (millis / 1000).toFixed(3)

const detail = (result: Result, again: string): string =>
  escapeXml(
    [
      `${source(result.case)}, ${result.case.level}: "${result.case.quote}"`,
      whyOf(result) ?? "",
      ...print(result.transcript),
      `again: ${again}`
    ].join("\n")
  )

const testcase = (result: Result, { again, isStrict, profiles }: Report): string => {
  const { case: of, millis, verdict } = result
  const why = escapeXml(whyOf(result) ?? "")
  const attributes = `classname="cpt.${home(of, profiles)}" name="${escapeXml(of.id)}" time="${seconds(millis)}"`
  const body = hasFailed(result, isStrict)
    ? `<failure type="${verdict}" message="${why}">${detail(result, again(of.id))}</failure>`
    : verdict === "non-strict"
    ? `<system-out>non-strict: ${detail(result, again(of.id))}</system-out>`
    : verdict === "pass"
    ? ""
    : `<skipped message="${verdict}: ${why}"/>`
  return `    <testcase ${attributes}>${body}</testcase>\n`
}

export const junit = (report: Report): string => {
  const { isStrict, millis, results, seed, server } = report
  const failures = results.filter((result) => hasFailed(result, isStrict)).length
  const skipped = results.filter(({ verdict }) => verdict === "unsupported" || verdict === "inconclusive").length
  const totals = `tests="${results.length}" failures="${failures}" errors="0" skipped="${skipped}" time="${
    seconds(millis)
  }"`
  return `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="cpt conformance" ${totals}>
  <testsuite name="${escapeXml(server)}" ${totals}>
    <properties><property name="seed" value="${seed}"/></properties>
${results.map((result) => testcase(result, report)).join("")}  </testsuite>
</testsuites>
`
}
