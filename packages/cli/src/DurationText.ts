/** Durations as people write them: `500ms`, `5s`, `10m`, `2h30m`, `1d`. A bare number says no unit and is refused. */
import { Duration, Effect, Schema, SchemaGetter, SchemaIssue } from "effect"

const units: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const whole = /^(?:\d+(?:ms|s|m|h|d))+$/
const part = /(\d+)(ms|s|m|h|d)/g

/** Milliseconds, or undefined for what is no duration. */
export const millisOf = (text: string): number | undefined => {
  if (!whole.test(text)) return undefined
  let millis = 0
  for (const [, count, unit] of text.matchAll(part)) millis += Number(count) * units[unit ?? ""]!
  return Number.isSafeInteger(millis) ? millis : undefined
}

const print = (duration: Duration.Duration): string => {
  const millis = Duration.toMillis(duration)
  const [unit, size] = Object.entries(units).findLast(([, size]) => millis > 0 && millis % size === 0) ?? ["ms", 1]
  return `${millis / size}${unit}`
}

export const DurationFromText = Schema.String.pipe(
  Schema.decodeTo(Schema.Duration, {
    decode: SchemaGetter.transformEffect((text: string, options) => {
      const millis = millisOf(text)
      return millis === undefined
        ? Effect.fail(
          new SchemaIssue.InvalidValue(
            { message: `"${text}" is no duration like 500ms, 5s, 2h30m or 1d` },
            text,
            options
          )
        )
        : Effect.succeed(Duration.millis(millis))
    }),
    encode: SchemaGetter.transform(print)
  })
)
