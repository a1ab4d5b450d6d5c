/** Parts of a script, by the numbers of its acts, from 1: to find out which of them matter, and to do just those again. */
import type { Script } from "./Script.ts"

export const countOf = ({ stages }: Script): number =>
  stages.flatMap(({ parts }) => parts.flatMap(({ acts }) => acts)).length

export const only = (script: Script, numbers: ReadonlySet<number>): Script => {
  let number = 0
  return {
    ...script,
    stages: script.stages.map((stage) => ({
      ...stage,
      parts: stage.parts.map((part) => ({ ...part, acts: part.acts.filter(() => numbers.has(++number)) }))
    }))
  }
}

/** `1-4,7` */
export const textOf = (numbers: ReadonlyArray<number>): string => {
  const ranges: Array<{ from: number; to: number }> = []
  for (const number of numbers) {
    const last = ranges.at(-1)
    if (last?.to === number - 1) last.to = number
    else ranges.push({ from: number, to: number })
  }
  return ranges.map(({ from, to }) => from === to ? from : `${from}-${to}`).join(",")
}

export const parse = (text: string): ReadonlySet<number> =>
  new Set(
    text.split(",").flatMap((range) => {
      const [from = 0, to = from] = range.split("-").map(Number)
      return Array.from({ length: to - from + 1 }, (_, index) => from + index)
    })
  )

/**
 * Fewer numbers that fail too, as few as are found in the time there is: halves are left out, then quarters, and so on.
 * @param fails whether the acts with these numbers do
 */
export const shrink = async (
  all: ReadonlyArray<number>,
  fails: (numbers: ReadonlySet<number>) => Promise<boolean>,
  millis: number
): Promise<ReadonlyArray<number>> => {
  const until = performance.now() + millis
  let numbers = all
  for (let size = all.length; size > 1 && performance.now() < until;) {
    size = Math.ceil(size / 2)
    for (let from = 0; from < numbers.length && performance.now() < until;) {
      const fewer = numbers.toSpliced(from, size)
      if (await fails(new Set(fewer))) numbers = fewer
      else from += size
    }
  }
  return numbers
}
