import { Schema } from "effect"

/** A connection has not come as far as its first line. It is cut without a word, as there is nobody yet to say one to. */
export class Refused extends Schema.TaggedError<Refused>()("Refused", {
  message: Schema.String,
  /** Whether that is worth a word to the operator: whoever tries doors gives up many connections. */
  isOdd: Schema.Boolean
}) {}
