/**
 * What a line costs to be found, and a SEND to be read where it stands; as texts for comparison.
 *
 *     npx node --conditions=@cpt/source packages/schema/benchmark/framer.ts
 */
import { Framer, Limits, SendReader } from "@cpt/schema"
import { Buffer } from "node:buffer"
import { each } from "./each.ts"

const lines = 512
const rounds = 40

for (
  const [what, text] of [["64 bytes", "x".repeat(64)], ["8 KB", "x".repeat(8000)], ["64 bytes, é", "é".repeat(32)]]
) {
  const chunk = Buffer.from(`SEND group1 ${text}\n`.repeat(lines))
  const framer = new Framer.Framer(Limits.maxLineBytes)
  const sends = new SendReader()
  const repeated = (work: () => void) => () => {
    for (let round = 0; round < rounds; round++) work()
  }
  each(`${what}: a line as a text`, lines * rounds, repeated(() => void framer.push(chunk)))
  each(
    `${what}: a SEND where it stands`,
    lines * rounds,
    repeated(() => {
      framer.take(chunk)
      while (framer.next()) sends.read(framer)
    })
  )
}
