/** `cpt conformance`: tests whether a server, or a client, keeps to the specification. */
import {
  cases as serverCases,
  clientCases,
  ClientCommand,
  type Described,
  Hands,
  home,
  type Profile,
  profiles as allProfiles,
  Report,
  type Result,
  select,
  start,
  startClient
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
const casesOf = Effect.fnUntraced(function*<C extends Described>(
  allCases: ReadonlyArray<C>,
  profiles: ReadonlyArray<Profile>,
  ids: ReadonlyArray<string>
) {
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

const list = Effect.fnUntraced(function*(cases: ReadonlyArray<Described>, isJson: boolean) {
  const { isColored, write } = yield* Output
  yield* isJson
    ? Effect.forEach(cases, (of) => write(`${json(Report.Json.caseObject(of))}\n`), { discard: true })
    : write(Report.Table.list(cases, Report.Table.painter(isColored)))
})

/** Rows as they come, and then what is to be said of those that did not pass, and of those that were named. */
const table = Effect.fnUntraced(function*(
  cases: ReadonlyArray<Described>,
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

/** The forms that are asked for, and which of them goes to stdout. */
const formsOf = Effect.fnUntraced(function*(input: Input) {
  const to = forms.flatMap((form) => Option.toArray(Option.map(input[form], (to) => [form, to] as const)))
  const [onStdout, another] = to.filter(([, to]) => to === "-")
  if (another !== undefined) {
    return yield* usage(
      `--${onStdout?.[0]} and --${another[0]} cannot both go to stdout; give one a file: --${another[0]}=FILE`
    )
  }
  return { to, isTable: onStdout === undefined }
})

/** Tells of a run as it goes, and of all of it at the end. */
const tell = Effect.fnUntraced(function*(
  input: Input,
  { to, isTable }: Effect.Success<ReturnType<typeof formsOf>>,
  { attempt, cases, named, results: coming, ...about }:
    & Pick<Report.Report, "server" | "seed" | "dialect" | "profiles" | "again">
    & {
      readonly cases: ReadonlyArray<Described>
      readonly named: ReadonlyArray<string>
      readonly attempt: number
      readonly results: Stream.Stream<Result>
    }
) {
  const { progress } = yield* Output
  const began = performance.now()
  const shown = isTable ? yield* table(cases, about.profiles, named) : undefined
  if (shown !== undefined) yield* shown.head({ ...about, attempt })
  const results: Array<Result> = []
  yield* Stream.runForEach(coming, (result) => {
    results.push(result)
    return Effect.andThen(
      shown?.row(result) ?? Effect.void,
      progress(`${results.length} of ${cases.length} cases; ${result.case.id} was the last`)
    )
  })
  yield* progress("")
  const report: Report.Report = { ...about, results, millis: performance.now() - began, isStrict: input.strict }
  yield* Effect.forEach(to, ([form, to]) => write(form, to, report), { discard: true })
  if (shown !== undefined) yield* shown.tail(report)
  if (results.some((result) => Report.hasFailed(result, input.strict))) return yield* silent("failed")
}, Effect.catchTag("Closed", () => silent("failed"))) // nobody can say that it has passed

const seedOf = (input: Input) =>
  Option.match(input.seed, {
    onNone: () => Random.nextIntBetween(1, 1_000_000),
    onSome: (text) =>
      /^-?\d{1,15}$/.test(text)
        ? Effect.succeed(Number(text))
        : Effect.fail(usage(`--seed "${visible(text)}": expected a whole number`))
  })

const noConnection = (what: string, why: string) =>
  new Failure({ status: exitStatus.noConnection, message: `${what}: ${visible(why)}` })

const testServer = Effect.fnUntraced(function*(input: Input) {
  const first = Option.toArray(input.server)
  const ids = [...(input.list ? first : []), ...input.ids, ...input.case]
  const isByDefault = input.profile.length === 0 && ids.length === 0 && !input.list
  const profiles = isByDefault ? ["core" as const] : yield* profilesOf(input.profile)
  const cases = yield* casesOf(serverCases, profiles, ids)
  if (input.list) return yield* list(cases, Option.isSome(input.json))
  const forms = yield* formsOf(input)
  const [server] = first
  if (server === undefined) return yield* usage("HOST[:PORT] is missing: which server is to be tested?")
  if (Address.parse(server) === undefined) {
    return yield* usage(`"${visible(server)}": expected HOST[:PORT], cpts://HOST[:PORT] or unix:///PATH`)
  }
  const { address, timeout, tls } = yield* Settings.resolve({ ...input, as: Option.some("kit") })
  const seed = yield* seedOf(input)
  const hands = Hands.fromCommands({
    control: Option.getOrUndefined(input.control),
    restart: Option.getOrUndefined(input.restart),
    kill: Option.getOrUndefined(input.kill)
  })
  const run = yield* start({ place: { address, tls }, cases, seed, timeout: Duration.toMillis(timeout), hands }).pipe(
    Effect.mapError(({ why }) => noConnection(`no server at ${visible(server)}`, why))
  )
  return yield* tell(input, forms, {
    ...run,
    server,
    seed,
    profiles,
    cases,
    named: ids,
    again: againOf(input, server, seed)
  })
})

/** What a client can do, as it stands behind --client=. */
const roleOf = (text: string) => {
  const role = ClientCommand.roles.find((role) => role === text)
  return role === undefined && text !== ""
    ? Effect.fail(usage(`--client "${visible(text)}": expected ${ClientCommand.roles.join(", ")}, or nothing`))
    : Effect.succeed(role)
}

const testClient = Effect.fnUntraced(function*(input: Input, isWhat: string) {
  const role = yield* roleOf(isWhat)
  const words = [...Option.toArray(input.server), ...input.ids]
  const command = ClientCommand.read(words, role)
  if (command === undefined) {
    return yield* usage(
      `what does "${visible(words.join(" "))}" do? Say it with --client=${
        ClientCommand.roles.join(", =")
      }, or give it a {do}`
    )
  }
  // Where nothing else is said, all of them: that is soon done
  const profiles = yield* profilesOf(input.profile)
  const selected = yield* casesOf(clientCases, profiles, input.case)
  const cases = selected.filter(({ role }) => command.roles.includes(role))
  if (input.list) return yield* list(cases, Option.isSome(input.json))
  if (words.length === 0) return yield* usage("CMD is missing: which client is to be tested? As in --client -- CMD")
  if (cases.length === 0) {
    return yield* usage(`no case that is meant is for a client that does ${command.roles.join(", ")}`)
  }
  const forms = yield* formsOf(input)
  const { timeout } = yield* Settings.resolve({ ...input, server: Option.none(), as: Option.some("kit") })
  const seed = yield* seedOf(input)
  const line = words.map(quoted).join(" ")
  const results = yield* startClient({ command, cases, seed, timeout: Duration.toMillis(timeout) }).pipe(
    Effect.mapError((error) =>
      noConnection(`no client: ${visible(line)}`, error._tag === "Broken" ? error.came : error.why)
    )
  )
  const given = Option.match(input.timeout, { onNone: () => [], onSome: (value) => ["--timeout", value] })
  const client = role === undefined ? "--client" : `--client=${role}`
  const again = (id: string) =>
    ["cpt", "conformance", client, "--case", id, "--seed", String(seed), ...given, "--", ...words].map(quoted).join(" ")
  return yield* tell(input, forms, {
    results,
    server: line,
    seed,
    dialect: undefined,
    attempt: 0,
    profiles,
    cases,
    named: input.case,
    again
  })
})

export const conformance = (input: Input) =>
  Option.match(input.client, {
    onNone: () => testServer(input),
    onSome: (isWhat) => testClient(input, isWhat)
  })
