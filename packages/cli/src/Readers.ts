/**
 * Who reads the pipe that is our stdout. Node notices that a reader has gone only when it writes; `cpt tail | head -1`
 * would hang until the next message. So on Linux the process that holds the other end is looked up in /proc, and once
 * it has been seen, it is missed when it is gone. Where nobody can be seen (other systems, a reader of another user or
 * outside of the container, or one that has become somebody else's), nothing is concluded.
 */
import { existsSync, lstatSync, readdirSync, readlinkSync } from "node:fs"

const attempt = <A>(f: () => A): A | undefined => {
  try {
    return f()
  } catch {
    return undefined
  }
}

/** Undefined if that cannot be seen. */
const holdsForReading = (pid: string, pipe: string): boolean | undefined =>
  attempt(() => readdirSync(`/proc/${pid}/fd`))?.some((fd) => {
    const path = `/proc/${pid}/fd/${fd}`
    return attempt(() => readlinkSync(path) === pipe && (lstatSync(path).mode & 0o400) !== 0) ?? false
  })

/** Tells, each time it is asked, whether there was a reader and there is none any more. */
export const watch = (): () => boolean => {
  const pipe = attempt(() => readlinkSync("/proc/self/fd/1")) ?? ""
  let reader: string | undefined
  return () => {
    if (!pipe.startsWith("pipe:")) return false
    const before = reader
    if (before !== undefined && (holdsForReading(before, pipe) ?? existsSync(`/proc/${before}`))) return false
    reader = (attempt(() => readdirSync("/proc")) ?? []).find((pid) => /^\d+$/.test(pid) && holdsForReading(pid, pipe))
    return before !== undefined && reader === undefined
  }
}
