/**
 * What a command costs to be read from its line and written to it, by the Schemas and by hand.
 *
 *     npx node --conditions=@cpt/source packages/schema/benchmark/codec.ts
 */
import { Command } from "@cpt/schema"
import { Result, Schema } from "effect"
import { each } from "./each.ts"

const times = 5000

const repeated = (work: () => void) => () => {
  for (let time = 0; time < times; time++) work()
}

for (const line of ["CONNECT alice", `SEND group1 ${"x".repeat(64)}`, "SYNC group1 1700000000000", "SYNC"]) {
  const command = Result.getOrThrow(Command.readClientLine(line))
  const word = line.slice(0, 14)
  each(`${word}: read`, times, repeated(() => void Command.readClientLine(line)))
  const encode = Schema.encodeSync(Command.ClientCommandFromLine)
  each(`${word}: written by the Schema`, times, repeated(() => void encode(command)))
  each(`${word}: written by hand`, times, repeated(() => void Command.clientLine(command)))
}

const said = `MSG group1 alice 1700000000000 ${"x".repeat(64)}`
const msg = Result.getOrThrow(Command.readServerLine(said))
each("MSG: read", times, repeated(() => void Command.readServerLine(said)))
each("MSG: written by hand", times, repeated(() => void Command.serverLine(msg)))
