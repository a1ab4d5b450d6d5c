/** What a store is given as a bound: where it is less than nothing or no number, nothing could be kept to it. */

/** Which of them is none, in words; undefined if all are. What is undefined is no bound. */
export const faultOf = (bounds: Readonly<Record<string, number | undefined>>): string | undefined => {
  for (const [name, bound] of Object.entries(bounds)) {
    if (bound !== undefined && !(bound >= 0)) return `${name} is ${bound}: expected 0 or more`
  }
  return undefined
}
