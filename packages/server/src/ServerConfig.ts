/**
 * The settings of a server, each with its bound and its default; a limit that is switched off is `Infinity`. Where
 * messages are kept is the store's to set, and where a server listens the listener's.
 */
import { Limits } from "@cpt/schema"
import { Context, Duration, Layer } from "effect"
import { IpNetwork } from "effect/net"
import type { IpRange } from "./IpRange.ts"

export interface Settings {
  /** Bytes of a client's line without its end; a longer one is `line_too_long` (CPT 1.4). */
  readonly maxLineBytes: number
  /** Sessions at the same time; one more is `server_full`. Each takes a file descriptor and some KB. */
  readonly maxSessions: number
  /** Files and sockets that the process may have open. Where they are few, there are fewer sessions than there may be. */
  readonly maxDescriptors: number
  /** Sessions from one address; one more is `too_many_connections`. */
  readonly maxSessionsPerAddress: number
  /** Connections from one address in a minute; more are `too_many_connections`. */
  readonly maxConnects: number
  /** Logins from one address that are refused in a minute; then they are `rate_limited`. */
  readonly maxFailedLogins: number
  /** Whose addresses are not limited. A Unix socket has no address. */
  readonly exempt: ReadonlyArray<IpRange>
  /** Commands of one session in a second: it is slowed down to that, and `rate_limited` if it keeps pushing. */
  readonly rateLimit: number
  /** How many commands it may say before that. */
  readonly rateBurst: number
  /** Bytes that are read of one session in a second; as many may come before. */
  readonly byteLimit: number
  /** Pages of answers to SYNCs that are read from the store at once; others wait for their turn. */
  readonly maxSyncs: number
  /** Names that one session may bring into use in an hour; one more is `rate_limited`. */
  readonly maxNewNames: number
  /** Groups that one session may follow; one more is `forbidden`. */
  readonly maxFollowedGroups: number
  /** From the connection to the login; then `login_timeout`. */
  readonly loginDeadline: Duration.Duration
  /** For a session that says nothing; then `idle_timeout` (CPT 3.15). Who only follows a group says nothing either. */
  readonly idleDeadline: Duration.Duration
  /** For a peer that takes nothing of what it was written (CPT 5.8). */
  readonly writeDeadline: Duration.Duration
  /** How long sessions may take to end when the server stops; then they are cut. */
  readonly shutdownDeadline: Duration.Duration
  /** Silence after which the peer's host is asked whether it still lives; it is given up 10 s later (CPT 3.2). */
  readonly keepAlive: Duration.Duration
  /** Whether anybody may log in, as far as rules allow it, or only who has a declared account; then `forbidden`. */
  readonly accounts: "open" | "known"
  /** Whether the first message makes a group, or there are only declared ones; then `unknown_target` (CPT 2.3). */
  readonly groups: "open" | "known"
  /** Whether new messages are pushed to those who follow, or clients have to poll (CPT 5.7). */
  readonly live: boolean
  /** Whether the log says where peers are. */
  readonly logAddresses: boolean
}

export const defaults: Settings = {
  maxLineBytes: Limits.maxLineBytes,
  maxSessions: 10_000,
  maxDescriptors: Infinity,
  maxSessionsPerAddress: 1000,
  maxConnects: 3000,
  maxFailedLogins: 300,
  exempt: ["127.0.0.0/8", "::1/128"].map(IpNetwork.fromStringUnsafe),
  rateLimit: 1000,
  rateBurst: 20_000,
  byteLimit: 64 * 1024 * 1024,
  maxSyncs: 4,
  maxNewNames: 10_000,
  maxFollowedGroups: 1000,
  loginDeadline: Duration.millis(Limits.loginDeadline),
  idleDeadline: Duration.infinity,
  writeDeadline: Duration.millis(Limits.writeDeadline),
  shutdownDeadline: Duration.seconds(3),
  keepAlive: Duration.seconds(20),
  accounts: "open",
  groups: "open",
  live: true,
  logAddresses: true
}

export const ServerConfig = Context.Reference<Settings>("@cpt/server/ServerConfig", { defaultValue: () => defaults })

/** The defaults, but for what is given. */
export const layer = (settings: Partial<Settings>): Layer.Layer<never> =>
  Layer.succeed(ServerConfig, { ...defaults, ...settings })
