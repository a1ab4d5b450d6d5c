/**
 * Who reads the pipe that is our stdout. Node notices that a reader has gone only when it writes; `cpt tail | head -1`
 * would hang until the next message. So on Linux the process that holds the other end is looked up in /proc, and once
 * it has been seen, it is missed when it is gone. One that was never seen may have gone before; but it may also be where
 * nobody can look (a reader of another user or outside of the container, or one that has become somebody else's), and
 * then nothing is concluded. Nor is it on other systems.
 */
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs"

const attempt = <A>(f: () => A): A | undefined => {
  try {
    return f()
  } catch {
    return undefined
  }
}

/** The parent of who has lost theirs, and of nobody's pipe. */
const orphanage = "1"

const reading = 0o400
const writing = 0o200

/** Undefined if that cannot be seen. */
const holds = (pid: string, pipe: string, mode: number): boolean | undefined =>
  attempt(() => readdirSync(`/proc/${pid}/fd`))?.some((fd) => {
    const path = `/proc/${pid}/fd/${fd}`
    return attempt(() => readlinkSync(path) === pipe && (lstatSync(path).mode & mode) !== 0) ?? false
  })

const processes = () => (attempt(() => readdirSync("/proc")) ?? []).filter((pid) => /^\d+$/.test(pid))

/** The parent and the session of a process, which everybody may see. Its name stands before them, and may be anything. */
const family = (pid: string) => {
  const stat = attempt(() => readFileSync(`/proc/${pid}/stat`, "latin1")) ?? ""
  const [, parent = "0", , session = "0"] = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  return { parent, session }
}

/**
 * Whether a reader that cannot be seen there is none. Who made the pipe is the nearest ancestor that has not got it as we
 * have, such as a shell: if we may look into that one, and into all that it may have started beside us, nobody hides.
 */
const wouldBeSeen = (pipe: string): boolean => {
  let maker = family("self").parent
  while (holds(maker, pipe, writing) === true) maker = family(maker).parent
  if (maker === orphanage || holds(maker, pipe, writing) !== false) return false
  const { session } = family("self")
  return processes().every((pid) => holds(pid, pipe, reading) !== undefined || family(pid).session !== session)
}

/** Tells, each time it is asked, whether nobody reads any more. */
export const watch = (): () => boolean => {
  const pipe = attempt(() => readlinkSync("/proc/self/fd/1")) ?? ""
  let reader: string | undefined
  let misses = 0
  return () => {
    if (!pipe.startsWith("pipe:")) return false
    const before = reader
    if (before !== undefined && (holds(before, pipe, reading) ?? existsSync(`/proc/${before}`))) return false
    reader = processes().find((pid) => holds(pid, pipe, reading))
    if (before !== undefined || reader !== undefined) return reader === undefined
    // Once may be while a shell hands the pipe from one process to another
    return ++misses > 1 && wouldBeSeen(pipe)
  }
}
