/** Sockets that listen already, which systemd has opened for this process: `LISTEN_FDS`, of sd_listen_fds(3). */

export interface Socket {
  readonly fd: number
  /** `FileDescriptorName` of the unit, by default the unit's own name. */
  readonly name: string
}

/** The first one; those before it are stdin, stdout and stderr. */
const first = 3

/** None if they are for another process, as one that has started this one. */
export const inherited = (env: NodeJS.ProcessEnv = process.env): ReadonlyArray<Socket> => {
  const count = Number(env["LISTEN_FDS"] ?? 0)
  if (env["LISTEN_PID"] !== String(process.pid) || !Number.isInteger(count)) return []
  const names = env["LISTEN_FDNAMES"]?.split(":") ?? []
  return Array.from({ length: count }, (_, index) => ({ fd: first + index, name: names[index] ?? "unknown" }))
}
