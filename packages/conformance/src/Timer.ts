/** Node's timers, for as long as one likes: what is longer than they can be, they would take for no time at all. */

/** 25 days. */
const longest = 2 ** 31 - 1

/** Of Node, for those who clear it themselves: they wait for what happens to a socket or a process, and not for a fiber. */
export const after = (millis: number, act: () => void): NodeJS.Timeout => setTimeout(act, Math.min(millis, longest))
