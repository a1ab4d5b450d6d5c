/** Runs cases against a client, and says of each what came of it. */
import { Cause, Effect, Exit, Option, type Stream } from "effect"
import { inOrder } from "../Order.ts"
import { Broken, type Outcome, Unreachable, Unsupported } from "../Outcome.ts"
import { judge, type Result } from "../Run.ts"
import type { Case } from "./cases.ts"
import type { Command, Role } from "./Command.ts"
import { Scene } from "./Scene.ts"

export interface Options {
  readonly command: Command
  readonly cases: ReadonlyArray<Case>
  /** What names come from. */
  readonly seed: number
  /** Milliseconds for each thing that the client has to do. */
  readonly timeout: number
}

/** Clients that run at the same time. */
const concurrency = 4

/** How many times the timeout a case may take. */
const patience = 10

/** Tries whether the client comes at all when it is told to do something; gives why not. */
const trying = Effect.fnUntraced(function*(role: Role, { command, seed, timeout }: Options) {
  const scene = new Scene({ command, role, timeout, key: `${seed} ${role}` })
  if (yield* Effect.scoped(scene.connects())) return undefined
  const { complaint, ended } = scene
  const how = ended === undefined
    ? `did not connect within ${timeout / 1000} s`
    : typeof ended === "number"
    ? `exited with ${ended}, and did not connect`
    : ended
  return `${how}${complaint === "" ? "" : `: ${complaint}`}`
})

/** What came of each case, in their order. Fails if the client never connects, whatever it is told to do. */
export const startClient = Effect.fnUntraced(function*(
  options: Options
): Effect.fn.Return<Stream.Stream<Result>, Outcome> {
  const { cases, command, seed, timeout } = options
  const asked = [...new Set(cases.map(({ role }) => role))]
  const tried = yield* Effect.forEach(
    asked,
    (role) => Effect.map(trying(role, options), (why) => [role, why] as const),
    {
      concurrency
    }
  )
  const lacking = new Map(tried)
  const [first] = tried
  if (first !== undefined && tried.every(([, why]) => why !== undefined)) {
    return yield* new Unreachable({ why: first[1] ?? "" })
  }

  const run = Effect.fnUntraced(function*(of: Case) {
    const scene = new Scene({ command, role: of.role, timeout, key: `${seed} ${of.id}` })
    const why = lacking.get(of.role)
    const playing = why === undefined
      ? scene.play(of.script)
      : Effect.fail(new Unsupported({ why: `told to do this (${of.role}), it ${why}` }))
    const limit = timeout * patience
    const exit = yield* playing.pipe(
      Effect.scoped,
      Effect.timeoutOrElse({
        duration: limit,
        orElse: () => Effect.fail(new Broken({ expected: `an end within ${limit / 1000} s`, came: "none" }))
      }),
      Effect.exit
    )
    return { case: of, ...judgement(exit, of), transcript: scene.transcript.entries, millis: scene.transcript.elapsed }
  })
  return inOrder(cases, run, concurrency)
})

const judgement = (exit: Exit.Exit<void, Outcome>, of: Case): Pick<Result, "verdict" | "why"> => {
  if (Exit.isSuccess(exit)) return { verdict: "pass", why: undefined }
  const error = Cause.findErrorOption(exit.cause)
  return Option.isSome(error)
    ? judge(error.value, of)
    : { verdict: "inconclusive", why: `the kit itself failed, please report it: ${Cause.pretty(exit.cause)}` }
}
