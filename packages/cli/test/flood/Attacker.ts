/** A process that attacks: `node Attacker.ts NAME PORT SCALE`, until its stdin ends; then it says what has become of it. */
import { attacks, nothingSeen } from "./Attacks.ts"

const [name, port, scale] = process.argv.slice(2)
const seen = nothingSeen()
const attack = attacks.find((attack) => attack.name === name)
if (attack === undefined) throw new Error(`there is no attack "${name}"`)
const end = attack.begin({ port: Number(port), scale: Number(scale), seen })
process.stdin.resume().on("end", () => {
  const said = { ...seen, declines: Object.fromEntries(seen.declines) }
  end()
  process.stdout.write(`${JSON.stringify(said)}\n`, () => process.exit())
})
