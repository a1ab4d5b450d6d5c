/** What somebody has written in a file, as text. It is never repaired (CPT 1.2); a byte order mark in front is none of it. */
import { Effect } from "effect"
import { isUtf8 } from "node:buffer"
import type { Failure } from "./Failure.ts"

export const decode = (bytes: Uint8Array, refuse: (why: string) => Failure): Effect.Effect<string, Failure> =>
  isUtf8(bytes) ? Effect.succeed(new TextDecoder().decode(bytes)) : Effect.fail(refuse("it is not UTF-8"))
