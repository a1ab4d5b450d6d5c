/**
 * The settings of a server, each with its bound and its default. Where messages are kept is the store's to set, and
 * where a server listens the listener's.
 */
import { Limits } from "@cpt/schema"
import { Context, Duration, Layer } from "effect"

export interface Settings {
  /** Bytes of a client's line without its end; a longer one is `line_too_long` (CPT 1.4). */
  readonly maxLineBytes: number
  /** Sessions at the same time; one more is `server_full`. Each takes a file descriptor and some KB. */
  readonly maxSessions: number
  /** Groups that one session may follow; one more is `forbidden`. */
  readonly maxFollowedGroups: number
  /** From the connection to the login; then `login_timeout`. */
  readonly loginDeadline: Duration.Duration
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
  maxFollowedGroups: 1000,
  loginDeadline: Duration.millis(Limits.loginDeadline),
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
