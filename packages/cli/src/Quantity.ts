/** Sizes and durations as people read them: `64.0 MiB`, `1.2 s`, `3h 12m`. */

const units = ["B", "KiB", "MiB", "GiB", "TiB"] as const

export const bytes = (count: number): string => {
  const at = count < 1 ? 0 : Math.min(Math.floor(Math.log2(count) / 10), units.length - 1)
  return `${at === 0 ? count : (count / 1024 ** at).toFixed(1)} ${units[at]}`
}

/** How late something is. */
export const delay = (seconds: number): string =>
  seconds < 1 ? `${(seconds * 1000).toFixed(1)} ms` : seconds < 120 ? `${seconds.toFixed(1)} s` : age(seconds)

/** How long something has been there: its two largest units. */
export const age = (seconds: number): string => {
  const whole = Math.floor(seconds)
  const parts = [[86_400, "d"], [3600, "h"], [60, "m"], [1, "s"]] as const
  let left = whole
  const said = parts.flatMap(([size, unit]) => {
    const count = Math.floor(left / size)
    left -= count * size
    return count === 0 ? [] : [`${count}${unit}`]
  })
  return said.slice(0, 2).join(" ") || "0s"
}
