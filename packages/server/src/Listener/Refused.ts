/** How a connection ends that gets no session: what the entrance, a proxy's header and the handshake fail with. */
import { Schema } from "effect"

/** A connection does not come as far as its first line. */
export class Refused extends Schema.TaggedError<Refused>()("Refused", {
  message: Schema.String,
  /** Whether that is worth a word to the operator: whoever tries doors gives up many connections. */
  isOdd: Schema.Boolean,
  /** Where the client is, if a proxy has said so. */
  address: Schema.optionalKey(Schema.String)
}) {}
