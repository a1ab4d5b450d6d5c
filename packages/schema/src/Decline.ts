/**
 * Why a server declines: one tagged error a reason, and word and error map both ways. This is the only place where a
 * reason is spelled. The first six words are the specification's own; the others are custom words (CPT 3.4), used only
 * where none of the six fits. A word that is not known here becomes `Declined`, and goes out again as the same word.
 *
 * Every one of them has `reason`, the bare word, and `message`, what it means, for people.
 */
import { Schema } from "effect"
import { messageFault } from "./Message.ts"

/** Somebody already uses the name, or it is a group's, or reserved. */
export class UsernameTaken extends Schema.TaggedError<UsernameTaken>()("UsernameTaken", {}) {
  readonly reason = "username_taken"
  override readonly message = "somebody already uses this name"
}
/** An administrator locked the account. */
export class AccountLocked extends Schema.TaggedError<AccountLocked>()("AccountLocked", {}) {
  readonly reason = "account_locked"
  override readonly message = "an administrator has locked this account"
}
/** The account may not be used from this address. */
export class IpInvalid extends Schema.TaggedError<IpInvalid>()("IpInvalid", {}) {
  readonly reason = "ip_invalid"
  override readonly message = "this account cannot be used from this address"
}
/** A second `CONNECT` on one connection. */
export class AlreadyLoggedIn extends Schema.TaggedError<AlreadyLoggedIn>()("AlreadyLoggedIn", {}) {
  readonly reason = "already_logged_in"
  override readonly message = "this connection is logged in already, and its name cannot be changed"
}
/** A word that only a server says, or something that this deployment switched off. */
export class UnsupportedCommand extends Schema.TaggedError<UnsupportedCommand>()("UnsupportedCommand", {}) {
  readonly reason = "unsupported_command"
  override readonly message = "the server does not support this command"
}
/** An unknown word, or a known one with missing, extra, empty or invalid fields. */
export class InvalidCommand extends Schema.TaggedError<InvalidCommand>()("InvalidCommand", {}) {
  readonly reason = "invalid_command"
  override readonly message = "the server did not understand the command, or does not allow a name or message in it"
}

/** A command that needs a login came before one. */
export class NotLoggedIn extends Schema.TaggedError<NotLoggedIn>()("NotLoggedIn", {}) {
  readonly reason = "not_logged_in"
  override readonly message = "this needs a login first"
}
/** A line was longer than the server takes; its bytes were skipped. */
export class LineTooLong extends Schema.TaggedError<LineTooLong>()("LineTooLong", {}) {
  readonly reason = "line_too_long"
  override readonly message = "the line is longer than the server takes"
}
/** Too much in too short a time. */
export class RateLimited extends Schema.TaggedError<RateLimited>()("RateLimited", {}) {
  readonly reason = "rate_limited"
  override readonly message = "too much in too short a time: wait a little"
}
/** This deployment knows its groups, and this is none of them. */
export class UnknownTarget extends Schema.TaggedError<UnknownTarget>()("UnknownTarget", {}) {
  readonly reason = "unknown_target"
  override readonly message = "there is no such user or group here"
}
/** The account may not do this, or a limit of the session is reached. */
export class Forbidden extends Schema.TaggedError<Forbidden>()("Forbidden", {}) {
  readonly reason = "forbidden"
  override readonly message = "this is not allowed here"
}
/** The store cannot take or give messages now; nothing was stored. */
export class StorageUnavailable extends Schema.TaggedError<StorageUnavailable>()("StorageUnavailable", {}) {
  readonly reason = "storage_unavailable"
  override readonly message = "the server cannot store or read messages now; nothing was stored"
}
/** The server has as many sessions as it takes. */
export class ServerFull extends Schema.TaggedError<ServerFull>()("ServerFull", {}) {
  readonly reason = "server_full"
  override readonly message = "the server takes no more connections now"
}
/** This address has as many sessions as it may. */
export class TooManyConnections extends Schema.TaggedError<TooManyConnections>()("TooManyConnections", {}) {
  readonly reason = "too_many_connections"
  override readonly message = "this address has too many connections"
}
/** No login in time. */
export class LoginTimeout extends Schema.TaggedError<LoginTimeout>()("LoginTimeout", {}) {
  readonly reason = "login_timeout"
  override readonly message = "there was no login in time"
}
/** Nothing was said for longer than this deployment waits. */
export class IdleTimeout extends Schema.TaggedError<IdleTimeout>()("IdleTimeout", {}) {
  readonly reason = "idle_timeout"
  override readonly message = "nothing was said for too long"
}
/** The server is going down; a later connection may find it back. */
export class ShuttingDown extends Schema.TaggedError<ShuttingDown>()("ShuttingDown", {}) {
  readonly reason = "shutting_down"
  override readonly message = "the server is shutting down"
}

type KnownDecline =
  | UsernameTaken
  | AccountLocked
  | IpInvalid
  | AlreadyLoggedIn
  | UnsupportedCommand
  | InvalidCommand
  | NotLoggedIn
  | LineTooLong
  | RateLimited
  | UnknownTarget
  | Forbidden
  | StorageUnavailable
  | ServerFull
  | TooManyConnections
  | LoginTimeout
  | IdleTimeout
  | ShuttingDown

// A class that is missing here, or stands under another word than its own, does not compile
const known = {
  username_taken: UsernameTaken,
  account_locked: AccountLocked,
  ip_invalid: IpInvalid,
  already_logged_in: AlreadyLoggedIn,
  unsupported_command: UnsupportedCommand,
  invalid_command: InvalidCommand,
  not_logged_in: NotLoggedIn,
  line_too_long: LineTooLong,
  rate_limited: RateLimited,
  unknown_target: UnknownTarget,
  forbidden: Forbidden,
  storage_unavailable: StorageUnavailable,
  server_full: ServerFull,
  too_many_connections: TooManyConnections,
  login_timeout: LoginTimeout,
  idle_timeout: IdleTimeout,
  shutting_down: ShuttingDown
} satisfies { readonly [E in KnownDecline as E["reason"]]: new(props: {}) => E }

/** The words that this implementation knows. */
export type KnownReason = KnownDecline["reason"]

const isKnown = (reason: string): reason is KnownReason => Object.hasOwn(known, reason)

/** A word that this implementation does not know: from an account rule of somebody's own, or another server. */
export class Declined extends Schema.TaggedError<Declined>()("Declined", {
  reason: Schema.String.pipe(
    Schema.check(
      Schema.makeFilter((reason) => isKnown(reason) ? `"${reason}" has an error of its own` : messageFault(reason))
    )
  )
}) {
  override get message() {
    return "the server gives a reason of its own"
  }
}

/** Everything that a `DECLINE` can mean. The word of an error is its `reason`. */
export type DeclineError = KnownDecline | Declined

/** The error of a word. Total over what may stand behind `DECLINE`: what is not known becomes {@link Declined}. */
export const fromReason = (reason: string): DeclineError =>
  isKnown(reason) ? new known[reason]({}) : new Declined({ reason })

/** All known words, the specification's six first. */
export const knownReasons = Object.keys(known).filter(isKnown)

/** Whether a caught value is one of these errors, also among other errors with a tag. */
export const isDeclineError = (u: unknown): u is DeclineError =>
  u instanceof Declined || Object.values(known).some((Class) => u instanceof Class)
