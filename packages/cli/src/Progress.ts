/** What is said of something that takes long: how much there was, and how fast. Nothing in the first second. */
const patience = 1000

/** Numbers as people read them: `1,234,567`. */
export const count = (n: number): string => n.toLocaleString("en")

/** `1 group`, `2 groups`. */
export const counted = (n: number, one: string, many = `${one}s`): string => `${count(n)} ${n === 1 ? one : many}`

/** Adds so many messages at a time, in milliseconds; gives the line to be shown then. */
export const make = (start: number) => {
  let messages = 0
  return (more: number, now: number): string => {
    messages += more
    const elapsed = now - start
    return elapsed < patience
      ? ""
      : `${counted(messages, "message")}, ${count(Math.round(messages * 1000 / elapsed))} a second`
  }
}
