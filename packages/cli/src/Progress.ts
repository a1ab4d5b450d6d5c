/** What is said of something that takes long: how much there was, and how fast. Nothing in the first second. */
const patience = 1000

/** Numbers as people read them: `1,234,567`. */
export const count = (n: number): string => n.toLocaleString("en")

/** Adds so many messages at a time, in milliseconds; gives the line to be shown then. */
export const make = (start: number) => {
  let messages = 0
  return (more: number, now: number): string => {
    messages += more
    const elapsed = now - start
    return elapsed < patience
      ? ""
      : `${count(messages)} messages, ${count(Math.round(messages * 1000 / elapsed))} a second`
  }
}
