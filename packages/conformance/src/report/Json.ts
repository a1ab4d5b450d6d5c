/** For programs: an object for each case, and one for the run. */
import { type Described, source } from "../Case.ts"
import { differences } from "../Dialect.ts"
import type { Result } from "../Run.ts"
import { count, type Report } from "./Report.ts"

/** What a case is. */
export const caseObject = (of: Described) => ({
  id: of.id,
  title: of.title,
  level: of.level,
  profiles: of.profiles,
  quote: of.quote,
  source: source(of),
  script: of.script
})

/** What came of it. */
export const resultObject = (result: Result, again: string) => {
  const { case: of, millis, transcript, verdict, why } = result
  const { script: _, ...described } = caseObject(of)
  return {
    type: "case",
    ...described,
    verdict,
    expected: typeof why === "object" ? why.expected : null,
    came: typeof why === "object" ? why.came : null,
    why: typeof why === "string" ? why : null,
    millis: Math.round(millis),
    again,
    transcript: verdict === "pass"
      ? []
      : transcript.map(({ at, how, what, who }) => ({ at: Math.round(at), who, how, what }))
  }
}

export const summaryObject = ({ dialect, millis, results, seed, server }: Report) => ({
  type: "summary",
  ...(dialect === undefined ? { client: server } : { server, dialect, differences: differences(dialect) }),
  seed,
  cases: results.length,
  ...count(results),
  millis: Math.round(millis)
})
