/** `cpt conformance`: tests whether a server keeps to the specification. */
import {
  type Case,
  cases as allCases,
  Hands,
  home,
  type Profile,
  profiles as allProfiles,
  Report,
  type Result,
  select,
  start
} from "@cpt/conformance"
import { Duration, Effect, FileSystem, Option, Random, Stream } from "effect"
import * as Address from "../Address.ts"
import type { Input } from "../commands/Conformance.ts"
import { exitStatus, explainFile, failed, Failure, silent, usage } from "../Failure.ts"
import { Output } from "../Output.ts"
import * as Settings from "../Settings.ts"
import { json, visible } from "../Visible.ts"

/** What may stand in a form of the report, and where it goes: `-` is stdout. */
const forms = ["json", "junit", "tap", "html"] as const
type Form = (typeof forms)[number]

const isProfile = (name: string): name is Profile => allProfiles.some((profile) => profile === name)

/** Which profiles are meant; none: all of them. */
const profilesOf = Effect.fnUntraced(function*(names: ReadonlyArray<string>) {
  const profiles: Array<Profile> = []
  for (const name of names) {
    if (name === "all") profiles.push(...allProfiles)
    else if (isProfile(name)) profiles.push(name)
    else return yield* usage(`--profile "${visible(name)}": expected ${allProfiles.join(", ")} or all`)
  }
  return profiles
})

/** Which cases are meant. */
const casesOf = Effect.fnUntraced(function*(profiles: ReadonlyArray<Profile>, ids: ReadonlyArray<string>) {
  for (const id of ids) {
    if (select(allCases, { ids: [id], profiles: [] }).length > 0) continue
    const isFile = /\.(?:xml|html?|json|tap)$/.test(id)
    return yield* usage(
      `there is no case "${visible(id)}"; ${
        isFile ? `a file goes behind the flag with =, as in --html=${visible(id)}` : "see cpt conformance --list"
      }`
    )
  }
  const cases = select(allCases, { ids, profiles })
  return cases.length === 0 ? yield* usage("no case is in these profiles and has such an id") : cases
})

const quoted = (text: string): string => /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`

/** The command that repeats a case: with all that decides where it is run, and how. */
const againOf = (input: Input, server: string, seed: number) => (id: string): string => {
  const given = (["timeout", "tls-ca", "tls-cert", "tls-key", "control", "restart", "kill"] as const).flatMap((name) =>
    Option.match(input[name], { onNone: () => [], onSome: (value) => [`--${name}`, value] })
  )
  const tls = Option.isSome(input.tls) ? [`--tls=${input.tls.value}`] : []
  return ["cpt", "conformance", server, "--case", id, "--seed", String(seed), ...tls, ...given].map(quoted).join(" ")
}

const printed: { readonly [F in Form]: (report: Report.Report) => string } = {
  json: (report) =>
    [
      ...report.results.map((result) => Report.Json.resultObject(result, report.again(result.case.id))),
      Report.Json.summaryObject(report)
    ].map((object) => `${json(object)}\n`).join(""),
  junit: Report.junit,
  tap: Report.tap,
  html: Report.html
}

const write = Effect.fnUntraced(function*(form: Form, to: string, report: Report.Report) {
  const { write } = yield* Output
  const fs = yield* FileSystem.FileSystem
  const text = printed[form](report)
  if (to === "-") return yield* write(text)
  yield* Effect.mapError(
    fs.writeFileString(to, text),
    (error) => failed(`cannot write ${visible(to)}: ${explainFile(error)}`)
  )
})

const list = Effect.fnUntraced(function*(cases: ReadonlyArray<Case>, isJson: boolean) {
  const { isColored, write } = yield* Output
  yield* isJson
    ? Effect.forEach(cases, (of) => write(`${json(Report.Json.caseObject(of))}\n`), { discard: true })
    : write(Report.Table.list(cases, Report.Table.painter(isColored)))
})

/** Rows as they come, and then what is to be said of those that did not pass, and of those that were named. */
const table = Effect.fnUntraced(function*(
  cases: ReadonlyArray<Case>,
  profiles: ReadonlyArray<Profile>,
  named: ReadonlyArray<string>
) {
  const { isColored, write } = yield* Output
  const paint = Report.Table.painter(isColored)
  const widths = Report.Table.widths(cases, process.stdout.columns)
  let profile: Profile | undefined
  return {
    head: (head: Omit<Parameters<typeof Report.Table.head>[0], "cases">) =>
      write(Report.Table.head({ ...head, cases }, paint)),
    row: (result: Result) =>
      Effect.suspend(() => {
        const before = profile
        profile = home(result.case, profiles)
        const heading = profile === before ? "" : Report.Table.heading(profile, paint)
        return write(heading + Report.Table.row(result, widths, paint))
      }),
    tail: (report: Report.Report) => {
      const details = report.results.map((result) => {
        const isNamed = named.includes(result.case.id)
        return isNamed || Report.hasFailed(result, true)
          ? Report.Table.detail(result, report.again(result.case.id), isNamed || result.verdict === "fail", paint)
          : ""
      })
      return write(details.join("") + Report.Table.tail(report, paint))
    }
  }
})

export const conformance = Effect.fnUntraced(function*(input: Input) {
  const first = Option.toArray(input.server)
  const ids = [...(input.list ? first : []), ...input.ids, ...input.case]
  const isByDefault = input.profile.length === 0 && ids.length === 0 && !input.list
  const profiles = isByDefault ? ["core" as const] : yield* profilesOf(input.profile)
  const cases = yield* casesOf(profiles, ids)
  if (input.list) return yield* list(cases, Option.isSome(input.json))

  const to = forms.flatMap((form) => Option.toArray(Option.map(input[form], (to) => [form, to] as const)))
  const [onStdout, another] = to.filter(([, to]) => to === "-")
  if (another !== undefined) {
    return yield* usage(
      `--${onStdout?.[0]} and --${another[0]} cannot both go to stdout; give one a file: --${another[0]}=FILE`
    )
  }
  const [server] = first
  if (server === undefined) return yield* usage("HOST[:PORT] is missing: which server is to be tested?")
  if (Address.parse(server) === undefined) {
    return yield* usage(`"${visible(server)}": expected HOST[:PORT], cpts://HOST[:PORT] or unix:///PATH`)
  }
  const { address, timeout, tls } = yield* Settings.resolve({ ...input, as: Option.some("kit") })
  const seed = Option.getOrElse(input.seed, () => undefined) ?? (yield* Random.nextIntBetween(1, 1_000_000))
  const hands = Hands.fromCommands({
    control: Option.getOrUndefined(input.control),
    restart: Option.getOrUndefined(input.restart),
    kill: Option.getOrUndefined(input.kill)
  })

  const { progress } = yield* Output
  const began = performance.now()
  const run = yield* start({ place: { address, tls }, cases, seed, timeout: Duration.toMillis(timeout), hands }).pipe(
    Effect.mapError(({ why }) =>
      new Failure({ status: exitStatus.noConnection, message: `no server at ${visible(server)}: ${visible(why)}` })
    )
  )
  const shown = onStdout === undefined ? yield* table(cases, profiles, ids) : undefined
  if (shown !== undefined) yield* shown.head({ server, seed, dialect: run.dialect, attempt: run.attempt })
  const results: Array<Result> = []
  yield* Stream.runForEach(run.results, (result) => {
    results.push(result)
    return Effect.andThen(
      shown?.row(result) ?? Effect.void,
      progress(`${results.length} of ${cases.length} cases; ${result.case.id} was the last`)
    )
  })
  yield* progress("")
  const report: Report.Report = {
    server,
    seed,
    dialect: run.dialect,
    results,
    profiles,
    millis: performance.now() - began,
    isStrict: input.strict,
    again: againOf(input, server, seed)
  }
  yield* Effect.forEach(to, ([form, to]) => write(form, to, report), { discard: true })
  if (shown !== undefined) yield* shown.tail(report)
  if (results.some((result) => Report.hasFailed(result, input.strict))) return yield* silent("failed")
})
