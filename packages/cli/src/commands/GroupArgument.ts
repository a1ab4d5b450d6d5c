/** The argument of the commands that read. */
import { Argument } from "effect/cli"

export const group = Argument.String("GROUP").pipe(
  Argument.withDescription("a group; without one, your private messages")
)
