/** What stands in a config file: JSON, in UTF-8, which is never repaired (CPT 1.2); a byte order mark is none of it. */
import { Effect } from "effect"
import { isUtf8 } from "node:buffer"

/** Fails with what is wrong, in a few words. */
export const parse = (bytes: Uint8Array): Effect.Effect<unknown, string> =>
  isUtf8(bytes)
    ? Effect.try({ try: (): unknown => JSON.parse(new TextDecoder().decode(bytes)), catch: () => "it is no JSON" })
    : Effect.fail("it is not valid UTF-8")
