/** Points in time as people and scripts write them, for `--since`. */
import { Timestamp } from "@cpt/schema"
import { Clock, Duration, Effect, Option, Schema } from "effect"
import { DurationFromText } from "./DurationText.ts"
import { usage } from "./Failure.ts"
import { visible } from "./Visible.ts"

const dateTime = /^(\d{4})-(\d\d)-(\d\d)[Tt ](?:[01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)$/

/**
 * Milliseconds of an RFC 3339 time; 0 of one before 1970, when nobody said anything. What a calendar does not have, such as
 * 30 February, is none.
 */
const rfc3339 = (text: string): number | undefined => {
  const [, year, month, day, second] = dateTime.exec(text) ?? []
  // Two digits would be a year of the last century; the calendar repeats itself
  const at = new Date(Date.UTC(2000 + Number(year) % 400, Number(month) - 1, Number(day)))
  if (at.getUTCDate() !== Number(day)) return undefined
  // POSIX time has no leap second: it counts as the one that follows
  const isLeap = second === "60"
  const counted = isLeap ? `${text.slice(0, 17)}59${text.slice(19)}` : text
  const millis = Date.parse(counted.toUpperCase().replace(" ", "T")) + (isLeap ? 1000 : 0)
  if (Number.isNaN(millis)) return undefined
  // There is one at the end of a month at most, by UTC (RFC 3339, 5.7)
  if (isLeap && !new Date(millis).toISOString().includes("-01T00:00:00.")) return undefined
  return Math.max(0, millis)
}

const decodeDuration = Schema.decodeUnknownOption(DurationFromText)

/**
 * The timestamp after which messages are wanted: `all`, a timestamp, an RFC 3339 time, or a duration back from now.
 * None for anything else.
 */
export const parse = (text: string): Effect.Effect<Option.Option<number>> =>
  Effect.map(Clock.currentTimeMillis, (now) => {
    if (text === "all") return Option.some(0)
    if (/^\d+$/.test(text)) return Option.filter(Option.some(Number(text)), (millis) => millis <= Timestamp.max)
    const back = Option.map(decodeDuration(text), (duration) => Math.max(0, now - Duration.toMillis(duration)))
    return Option.orElse(back, () => Option.fromUndefinedOr(rfc3339(text)))
  })

/** The same for `--since`: what is none is refused. */
export const parseSince = Effect.fnUntraced(function*(text: string) {
  return yield* Option.match(yield* parse(text), {
    onNone: () =>
      Effect.fail(usage(
        `--since "${
          visible(text)
        }": expected a time back such as 10m, 2h30m or 1d, an RFC 3339 time, a timestamp in ms, or all`
      )),
    onSome: Effect.succeed
  })
})
