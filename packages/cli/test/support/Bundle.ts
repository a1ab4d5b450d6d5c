/** Before the tests of processes: what they run is the bundle, of the sources as they are. */
import { execFileSync } from "node:child_process"
import { fileURLToPath } from "node:url"

const script = fileURLToPath(new URL("../../../../scripts/bundle.mjs", import.meta.url))

export default () => {
  execFileSync(process.execPath, [script], { stdio: "inherit" })
}
