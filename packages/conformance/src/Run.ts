/** Runs cases against a server, and says of each what came of it. */
import { Cause, Effect, Exit, Option, Stream } from "effect"
import type { Case, Described, Need } from "./Case.ts"
import { type Dialect, reading } from "./Dialect.ts"
import type { Hands } from "./Hands.ts"
import { inOrder } from "./Order.ts"
import { Broken, Inconclusive, type Outcome, type Unreachable, Unsupported, type Verdict } from "./Outcome.ts"
import * as Probe from "./Probe.ts"
import { type Setting, Stage } from "./Stage.ts"
import { cutShort, type Entry, Transcript } from "./Transcript.ts"
import * as Wire from "./Wire.ts"

export interface Options {
  readonly place: Wire.Place
  readonly cases: ReadonlyArray<Case>
  /** What names and choices come from. The same seed, the same names; unless the server knows them already. */
  readonly seed: number
  /** Milliseconds for a connection, and for each answer. */
  readonly timeout: number
  readonly hands?: Hands | undefined
}

export interface Result {
  readonly case: Described
  readonly verdict: Verdict
  /** Why it is no pass: what was expected and what came, or one sentence. */
  readonly why: { readonly expected: string; readonly came: string } | string | undefined
  readonly transcript: ReadonlyArray<Entry>
  readonly millis: number
}

export interface Run {
  readonly dialect: Dialect
  /** How often the seed has been used on this server before, as far as the server remembers. */
  readonly attempt: number
  /** In the order of the cases. */
  readonly results: Stream.Stream<Result>
}

/** Cases that run at the same time. */
const concurrency = 4

/** How many times the timeout of an answer a case may take. */
const patience = 30

/** Seeds that are looked for, before it is left at that. */
const maxAttempts = 1000

const keyOf = (seed: number, attempt: number): string => `${seed}.${attempt}`

/**
 * The first attempt with this seed whose names the server does not know: a group that belongs to it is empty still. A
 * message there says from now on that it is not.
 */
const freeAttempt = (setting: Omit<Setting, "key">, seed: number): Effect.Effect<number> =>
  Effect.gen(function*() {
    // Who asks has a name that no run has had
    const asking = new Stage({ ...setting, key: `${seed} ${crypto.randomUUID()}` })
    const peer = yield* asking.login("kit")
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      const group = new Stage({ ...setting, key: keyOf(seed, attempt) }).name("used")
      const messages = yield* peer.sync(group)
      if (messages.every(({ sender }) => sender === "system")) {
        yield* peer.send(group, "a conformance test has used these names")
        return attempt
      }
    }
    return 0
  }).pipe(Effect.scoped, Effect.orElseSucceed(() => 0))

/** Why there is nothing to be tested without something, if it is not there. */
const lacking = (need: Need, dialect: Dialect, { hands, place }: Pick<Setting, "hands" | "place">) => {
  switch (need) {
    case "live":
      return dialect.live
        ? undefined
        : new Unsupported({ why: "new messages of a group do not come by themselves here" })
    case "livePrivate":
      return dialect.livePrivate
        ? undefined
        : new Unsupported({ why: "new private messages do not come by themselves here" })
    case "inbox":
      return dialect.inbox === "none"
        ? new Unsupported({ why: "private messages cannot be asked for here" })
        : undefined
    case "network":
      return "path" in place.address
        ? new Inconclusive({ why: "who comes by a Unix socket has no address" })
        : undefined
    default:
      return hands[need] === undefined ? new Inconclusive({ why: `it needs --${need} CMD` }) : undefined
  }
}

interface Judgement extends Pick<Result, "verdict" | "why"> {
  /** There is no server any more. */
  readonly isGone?: true
}

/** What it means for a case that it ended like this. */
export const judge = (error: Outcome, { id, level }: Described): Judgement => {
  switch (error._tag) {
    case "Broken": {
      const { came, expected } = error
      const verdict = level === "MUST" ? "fail" : level === "MAY" ? "unsupported" : "non-strict"
      return { verdict, why: { expected: cutShort(expected), came: cutShort(came) } }
    }
    case "Unsupported":
      return { verdict: "unsupported", why: error.why }
    case "Inconclusive":
      return { verdict: "inconclusive", why: error.why }
    case "Unreachable":
      return { verdict: "inconclusive", why: `no connection: ${error.why}` }
    case "Miswritten":
      return { verdict: "inconclusive", why: `the case ${id} is wrong: ${error.why}` }
  }
}

/** Whether the server still takes connections. */
const isThere = ({ place, timeout }: Options): Effect.Effect<boolean> =>
  Wire.open(place, timeout, new Transcript(), "kit").pipe(Effect.scoped, Effect.isSuccess)

/** What came of a case, which has ended one way or the other. */
const resultOf = Effect.fnUntraced(function*(
  of: Case,
  exit: Exit.Exit<void, Outcome>,
  options: Options
): Effect.fn.Return<Judgement> {
  if (Exit.isSuccess(exit)) return { verdict: "pass", why: undefined }
  const error = Cause.findErrorOption(exit.cause)
  if (Option.isNone(error)) {
    return { verdict: "inconclusive", why: `the kit itself failed, please report it: ${Cause.pretty(exit.cause)}` }
  }
  if (error.value._tag !== "Unreachable" || (yield* isThere(options))) return judge(error.value, of)
  return {
    verdict: "fail",
    why: { expected: "a server that goes on", came: `no connection any more: ${error.value.why}` },
    isGone: true
  }
})

export const start = Effect.fnUntraced(function*(options: Options): Effect.fn.Return<Run, Unreachable> {
  const { cases, hands = {}, place, seed, timeout } = options
  yield* Effect.scoped(Wire.open(place, timeout, new Transcript(), "kit"))
  const setting = { place, timeout, hands }
  const dialect = yield* Probe.dialect({ ...setting, key: `${seed} ${crypto.randomUUID()}` })
  const attempt = yield* freeAttempt({ ...setting, dialect }, seed)
  let isGone = false

  const run = Effect.fnUntraced(function*(of: Case) {
    const stage = new Stage({
      ...setting,
      dialect: { ...dialect, ...Object.fromEntries(of.asks.map((key) => [key, reading[key]])) },
      key: `${keyOf(seed, attempt)} ${of.id}`
    })
    const why = of.needs.map((need) => lacking(need, dialect, setting)).find((why) => why !== undefined)
    const limit = timeout * patience
    const playing = why !== undefined
      ? Effect.fail(why)
      : isGone
      ? Effect.fail(new Inconclusive({ why: "the server is gone" }))
      : Effect.suspend(() => of.run(stage)) // whatever it throws, the others are run
    const exit = yield* playing.pipe(
      Effect.scoped,
      Effect.ensuring(stage.tidyUp),
      Effect.timeoutOrElse({
        duration: limit,
        orElse: () => Effect.fail(new Broken({ expected: `an end within ${limit / 1000} s`, came: "none" }))
      }),
      Effect.exit
    )
    const result = yield* resultOf(of, exit, options)
    isGone ||= result.isGone === true
    return { case: of, ...result, transcript: stage.transcript.entries, millis: stage.transcript.elapsed }
  })

  const together = inOrder(cases.filter(({ isAlone }) => !isAlone), run, concurrency, ({ isIdle }) => isIdle)
  const alone = Stream.fromIterable(cases.filter(({ isAlone }) => isAlone))
  return { dialect, attempt, results: Stream.concat(together, Stream.mapEffect(alone, run)) }
})
