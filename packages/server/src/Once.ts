/** A list as somebody has written it: what stands in it again, be it in another way, counts once, where it stood first. */
import { SchemaGetter } from "effect"

/** @param textOf how an entry is written in only one way */
export const once = <A>(textOf: (entry: A) => string) => ({
  decode: SchemaGetter.transform((list: ReadonlyArray<A>): ReadonlyArray<A> =>
    Array.from(new Map(list.map((entry) => [textOf(entry), entry])).values())
  ),
  encode: SchemaGetter.passthrough<ReadonlyArray<A>>()
})
