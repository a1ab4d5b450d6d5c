/** How a run that looks for violations tells of itself: on a terminal as it goes, in one line at its end, by its status. */

interface Tally {
  readonly toString: () => string
}

/** Runs it. Exits with 1 if it fails. */
export const report = async (
  name: string,
  seed: number,
  run: (onProgress: (tally: Tally) => void) => Promise<Tally>
): Promise<void> => {
  const begin = performance.now()
  const seconds = () => Math.round((performance.now() - begin) / 1000)
  const show = (text: string) => {
    if (process.stderr.isTTY) process.stderr.write(text)
  }
  process.once("SIGINT", () => process.exit(130))
  process.once("SIGTERM", () => process.exit(143))
  try {
    const tally = await run((tally) => show(`\r\u{1b}[K${seconds()} s, seed ${seed}: ${tally}`.slice(0, 200)))
    show("\n")
    console.log(`${name}: seed ${seed}, ${seconds()} s, ${tally}; violations: 0`)
  } catch (error) {
    show("\n")
    console.log(`${name}: VIOLATION after ${seconds()} s: ${error instanceof Error ? error.message : String(error)}`)
    process.exit(1)
  }
}
