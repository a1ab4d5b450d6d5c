/**
 * File descriptors: each connection takes one, and a process has so many of them. Where they are used up, the system cuts
 * whoever comes without a word, also who looks after the server. So some are left for everything else, and the others are
 * shared out among connections.
 */
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import type { Settings } from "./ServerConfig.ts"

/** Without a client a server has 40 open, and some more for a moment; HTTP may have 64 at each of two places (`Admin.ts`). */
const others = 64 + 2 * 64

/** Connections that are given time to read why they are refused. When there are more, they get none. */
const maxRefused = 1000

/** How many this process may have; undefined if there is no end to them, or that is not known. */
export const limit = (): number | undefined => {
  try {
    const [, soft] = /^Max open files +(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? []
    return soft === undefined ? undefined : Number(soft)
  } catch {
    return undefined
  }
}

/** How many connections there may be of each kind. */
interface Room {
  readonly sessions: number
  /** Those that have not come as far as their first line. */
  readonly arrivals: number
  /** Those that are refused, and have time to read why. */
  readonly refused: number
}

type Limits = Pick<Settings, "maxDescriptors" | "maxSessions">

/** For as much of what the settings want as there are descriptors. */
export const roomOf = ({ maxDescriptors, maxSessions }: Limits): Room => {
  // Where there are next to none, everything else has to do with less, too
  const connections = Math.max(maxDescriptors - others, Math.floor(maxDescriptors / 4))
  const sessions = Math.min(maxSessions, Math.floor(connections * 3 / 4))
  const refused = Math.min(maxRefused, Math.floor(connections / 8))
  const left = connections === Infinity ? connections : connections - sessions - refused
  return { sessions, refused, arrivals: Math.min(sessions, left) }
}

/** Says in the log that there is no room for as many sessions as there may be. */
export const warnIfShort = (settings: Limits): Effect.Effect<void> => {
  const { maxDescriptors, maxSessions } = settings
  const { sessions } = roomOf(settings)
  if (sessions === maxSessions) return Effect.void
  const enough = Math.ceil(maxSessions * 4 / 3) + others
  return Effect.logWarning(
    `max-sessions is ${maxSessions}, and this process may have ${maxDescriptors} files and sockets open: that is enough for ${sessions} sessions, and there will be no more; raise the limit (ulimit -n, LimitNOFILE= of systemd) to ${enough}, or lower max-sessions`
  )
}
