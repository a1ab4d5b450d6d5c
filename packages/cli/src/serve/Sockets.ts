/**
 * Sockets that listen already, which systemd has opened for this process: `LISTEN_FDS`, of sd_listen_fds(3). An empty variable
 * counts as none.
 */
import { fstatSync } from "node:fs"

export interface Socket {
  readonly fd: number
  /** `FileDescriptorName` of the unit, by default the unit's own name. */
  readonly name: string
}

/** The first one; those before it are stdin, stdout and stderr. */
const first = 3

const isOpen = (fd: number): boolean => {
  try {
    fstatSync(fd)
    return true
  } catch {
    return false
  }
}

/**
 * None if they are for another process, as one that has started this one. Ends with the first that is not open, however many
 * there are said to be: that one cannot be listened on, which is for who tries to say.
 */
export const inherited = (env: NodeJS.ProcessEnv = process.env): ReadonlyArray<Socket> => {
  const count = Number(env["LISTEN_FDS"] ?? 0)
  if (env["LISTEN_PID"] !== String(process.pid) || !Number.isInteger(count)) return []
  const names = env["LISTEN_FDNAMES"]?.split(":") ?? []
  const sockets: Array<Socket> = []
  for (let fd = first; sockets.length < count; fd++) {
    sockets.push({ fd, name: names[sockets.length] || "unknown" })
    if (!isOpen(fd)) break
  }
  return sockets
}
