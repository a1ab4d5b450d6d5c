/** What commands are called with, checked before anything is connected. */
import { Message, Name } from "@cpt/schema"
import { Effect, Option, Schema } from "effect"
import { Argument, Flag } from "effect/cli"
import { type Failure, usage } from "./Failure.ts"
import { toggle } from "./Settings.ts"
import { visible } from "./Visible.ts"
import * as When from "./When.ts"

export const json = toggle("json").pipe(
  Flag.withDescription("one JSON object a line"),
  Flag.withDefault(false)
)

export const since = Flag.String("since").pipe(
  Flag.withMetavar("WHEN"),
  Flag.withDescription("only what came after: 10m, 2h30m or 1d ago, an RFC 3339 time, a timestamp in ms, or all"),
  Flag.withDefault("all")
)

/** The timestamp after which messages are wanted. */
export const parseSince = Effect.fnUntraced(function*(text: string) {
  return yield* Option.match(yield* When.parse(text), {
    onNone: () =>
      Effect.fail(usage(
        `--since "${
          visible(text)
        }": expected a time back such as 10m, 2h30m or 1d, an RFC 3339 time, a timestamp in ms, or all`
      )),
    onSome: Effect.succeed
  })
})

export const group = Argument.String("GROUP").pipe(
  Argument.withDescription("a group; without one, your private messages")
)

const check = <A>(what: string, schema: Schema.ConstraintDecoder<A>) => {
  const decode = Schema.decodeUnknownEffect(schema)
  return (text: string): Effect.Effect<A, Failure> =>
    Effect.mapError(decode(text), (error) => usage(`${what} "${visible(text)}": ${error.message}`))
}

export const parseGroup = check("GROUP", Name.GroupName)
export const parseTarget = check("TARGET", Name.Target)
export const parseMessage = check("MESSAGE", Message.Message)
