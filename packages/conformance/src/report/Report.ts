/** What a run has found, for the forms in which it is told. */
import type { Profile } from "../Case.ts"
import type { Dialect } from "../Dialect.ts"
import { type Verdict, verdicts } from "../Outcome.ts"
import type { Result } from "../Run.ts"
import { home } from "../Select.ts"

export interface Report {
  /** Where the server is; or the command of the client. */
  readonly server: string
  readonly seed: number
  /** A client has none. */
  readonly dialect: Dialect | undefined
  readonly results: ReadonlyArray<Result>
  /** Those that were selected; none: all. */
  readonly profiles: ReadonlyArray<Profile>
  readonly millis: number
  /** Whether what is no MUST counts too. */
  readonly isStrict: boolean
  /** The command that repeats a case. */
  readonly again: (id: string) => string
}

export type Counts = { readonly [V in Verdict]: number }

export const count = (results: ReadonlyArray<Result>): Counts => {
  const counts = { pass: 0, fail: 0, "non-strict": 0, unsupported: 0, inconclusive: 0 }
  for (const { verdict } of results) counts[verdict]++
  return counts
}

/** Whether a case has failed, for whoever asked: by MUSTs alone, or by everything. */
export const hasFailed = ({ verdict }: Pick<Result, "verdict">, isStrict: boolean): boolean =>
  verdict === "fail" || (isStrict && verdict === "non-strict")

/** The results under each profile, in the order of the cases. */
export const byProfile = (
  { profiles, results }: Pick<Report, "profiles" | "results">
): ReadonlyArray<readonly [Profile, ReadonlyArray<Result>]> => {
  const homes = new Map<Profile, Array<Result>>()
  for (const result of results) {
    const profile = home(result.case, profiles)
    const others = homes.get(profile)
    if (others === undefined) homes.set(profile, [result])
    else others.push(result)
  }
  return [...homes]
}

const counted = (n: number, one: string, many = `${one}s`): string => `${n} ${n === 1 ? one : many}`

/** In a sentence: what a server is told about itself. */
export const summary = ({ millis, results }: Pick<Report, "millis" | "results">): string => {
  const counts = count(results)
  const others = verdicts.filter((verdict) => verdict !== "pass" && counts[verdict] > 0).map((verdict) =>
    verdict === "fail" ? `${counted(counts.fail, "MUST is", "MUSTs are")} not kept` : `${counts[verdict]} ${verdict}`
  )
  const seconds = (millis / 1000).toFixed(1)
  return [`${counts.pass} of ${counted(results.length, "case")} passed in ${seconds} s`, ...others].join("; ")
}

/** Why a case did not pass, in one line. */
export const whyOf = ({ why }: Pick<Result, "why">): string | undefined =>
  why === undefined || typeof why === "string" ? why : `expected ${why.expected}; came ${why.came}`
