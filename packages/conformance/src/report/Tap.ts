/** TAP version 14. What was not tested is skipped; what is no MUST is a TODO, unless it counts. */
import { type Result } from "../Run.ts"
import { print } from "../Transcript.ts"
import { hasFailed, type Report, whyOf } from "./Report.ts"

const directive = ({ verdict, ...result }: Result, isStrict: boolean): string => {
  if (verdict === "unsupported" || verdict === "inconclusive") return ` # SKIP ${verdict}: ${whyOf(result) ?? ""}`
  return verdict === "non-strict" && !isStrict ? " # TODO non-strict" : ""
}

const escaped = (text: string): string => text.replaceAll(/[\\#]/g, "\\$&")

/** The diagnostics of a case, in YAML: texts as JSON has them. */
const diagnostics = (result: Result, again: string): ReadonlyArray<string> => {
  const { case: of, transcript, verdict, why } = result
  const { came, expected } = typeof why === "object" ? why : { came: why ?? "", expected: "" }
  return [
    "  ---",
    `  verdict: ${verdict}`,
    `  level: ${of.level}`,
    `  quote: ${JSON.stringify(of.quote)}`,
    `  expected: ${JSON.stringify(expected)}`,
    `  came: ${JSON.stringify(came)}`,
    `  again: ${JSON.stringify(again)}`,
    "  transcript: |",
    ...print(transcript).map((line) => `    ${line}`),
    "  ..."
  ]
}

export const tap = ({ again, isStrict, results, seed, server }: Report): string =>
  [
    "TAP version 14",
    `1..${results.length}`,
    `# ${server}, seed ${seed}`,
    ...results.flatMap((result, index) => {
      const { case: of, verdict } = result
      const isOk = verdict !== "fail" && verdict !== "non-strict"
      const line = `${isOk ? "ok" : "not ok"} ${index + 1} - ${of.id} ${escaped(of.title)}${
        directive(result, isStrict)
      }`
      return hasFailed(result, true) ? [line, ...diagnostics(result, again(of.id))] : [line]
    })
  ].map((line) => `${line}\n`).join("")
