/** What commands are called with, checked before anything is connected. */
import { Limits, Message, Name } from "@cpt/schema"
import { Effect, Schema } from "effect"
import { Buffer } from "node:buffer"
import { type Failure, usage } from "./Failure.ts"
import { visible } from "./Visible.ts"

const check = <A>(what: string, schema: Schema.ConstraintDecoder<A>) => {
  const decode = Schema.decodeUnknownEffect(schema)
  return (text: string): Effect.Effect<A, Failure> =>
    Effect.mapError(decode(text), (error) => usage(`${what} "${visible(text)}": ${error.message}`))
}

export const parseGroup = check("GROUP", Name.GroupName)
export const parseTarget = check("TARGET", Name.Target)
export const parseMessage = check("MESSAGE", Message.Message)

/** What is as long as that is not looked at, be it an argument or a line of stdin. */
export const tooLong = `longer than ${Limits.maxReceivedLineBytes} bytes`

export const isTooLong = (text: string): boolean => Buffer.byteLength(text) > Limits.maxReceivedLineBytes
