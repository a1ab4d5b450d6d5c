/**
 * How the process ends where a thread may hang in the system, as on a disk that does not answer: `process.exit` waits for
 * every thread, and such a one does not end.
 */

/** What Node's own threads do with files, and to look up hosts. */
const inThreads = /^(?:FSReq|FileHandle|GetAddrInfo)/

const isUnderWay = (): boolean => process.getActiveResourcesInfo().some((what) => inThreads.test(what))

/** Milliseconds that it may still take. */
const patience = 100

/** Nobody waits any more for what Node's own threads do: ends by `exit` if they are through with it, else without them. */
export const end = (status: number, exit: () => void): void => {
  if (!isUnderWay()) exit()
  // Of Node, and no fiber: the program is over, and its runtime with it
  else setTimeout(() => isUnderWay() ? now(status) : exit(), patience)
}

/** At once, whatever any thread does. */
export const now = (status: number): void => {
  // Another program takes the place of this one: threads end with that, and unlike SIGKILL it leaves the status to us
  if (process.platform !== "win32") {
    process.execve?.(process.execPath, ["node", "--eval", `process.exit(${status})`], {})
  }
  process.kill(process.pid, "SIGKILL")
}
