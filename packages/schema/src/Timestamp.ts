/**
 * Timestamps: integer milliseconds since the UNIX epoch, at most 15 digits, strictly decimal on the wire (CPT 4.2,
 * 5.1). Within one target they strictly increase, so a timestamp is a cursor that loses nothing. 0, the epoch, is
 * reserved: the server does not know the time, or the message is its own.
 */
import { Brand, Schema, SchemaGetter } from "effect"
import * as Limits from "./Limits.ts"

/** The largest timestamp: 15 digits, exact in a double. */
export const max = 10 ** Limits.maxTimestampDigits - 1

export const Timestamp = Schema.Int.pipe(
  Schema.check(Schema.isBetween({ minimum: 0, maximum: max })),
  Schema.brand("Timestamp")
)
export type Timestamp = typeof Timestamp.Type

const digits = /^(?:0|[1-9][0-9]{0,14})$/

/** Whether a field of a line is a timestamp. `"1e3"`, `"0x10"`, `" 7"` and `"07"` are numbers to others, not here. */
export const isTimestampField = (field: string): boolean => digits.test(field)

/** A timestamp in its line form. */
export const TimestampField = Schema.String.pipe(
  Schema.check(Schema.isPattern(digits)),
  Schema.decodeTo(Timestamp, { decode: SchemaGetter.Number(), encode: SchemaGetter.String() })
)

/** Before every message: `SYNC <group> 0` gives all there is. */
export const epoch: Timestamp = Timestamp.make(0)

/** The timestamp of a message that comes at `now` after one at `last`: strictly greater (CPT 4.2). */
export const next = (now: number, last: Timestamp): Timestamp => fromMillis(Math.max(now, last + 1))

/** For milliseconds that are known to be a timestamp, such as one that has been stored: not checked. */
export const fromMillis = Brand.nominal<Timestamp>()
