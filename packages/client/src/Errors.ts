/**
 * Why a call of the client fails, besides the reasons of a server that declines (`Decline.DeclineError` of
 * `@cpt/schema`). The messages are for people and complete without a prefix.
 */
import type { Decline } from "@cpt/schema"
import { Duration, Predicate, Schema } from "effect"

/** What was asked of the client cannot be said in CPT; nothing was sent. */
export class InvalidInput extends Schema.TaggedError<InvalidInput>()("InvalidInput", {
  input: Schema.Literals(["username", "target", "group", "message", "after"]),
  message: Schema.String
}) {}

/** No connection to the server, or, if it was `reached`, none that lasted until the login. */
export class ConnectionFailed extends Schema.TaggedError<ConnectionFailed>()("ConnectionFailed", {
  message: Schema.String,
  reached: Schema.Boolean,
  cause: Schema.Defect()
}) {}

/** The server did not answer in time. The connection was given up, because a late answer could not be told from others. */
export class NoAnswer extends Schema.TaggedError<NoAnswer>()("NoAnswer", {
  command: Schema.Literals(["CONNECT", "SEND", "SYNC"]),
  timeout: Schema.Duration
}) {
  override get message() {
    return `the server did not answer ${this.command} within ${Duration.format(this.timeout)}`
  }
}

/** The connection ended. `sent` tells whether the command was written to it before: if not, it was not carried out. */
export class ConnectionLost extends Schema.TaggedError<ConnectionLost>()("ConnectionLost", {
  message: Schema.String,
  sent: Schema.Boolean
}) {}

/** The server said something that CPT does not allow where it was said. */
export class ProtocolViolation extends Schema.TaggedError<ProtocolViolation>()("ProtocolViolation", {
  message: Schema.String
}) {}

/** A message was sent, but whether the server stored it is not known: no `ACK` came, and none could be had later. */
export class OutcomeUnknown extends Schema.TaggedError<OutcomeUnknown>()("OutcomeUnknown", {
  message: Schema.String,
  cause: Schema.Defect()
}) {}

/** Why the server declined; and, of a stream, which group, unless it was the session. */
export type Refusal = Decline.DeclineError & { readonly group?: string }

/** Why there is no session. */
export type ConnectError =
  | Refusal
  | InvalidInput
  | ConnectionFailed
  | NoAnswer
  | ProtocolViolation

/** What can go wrong with a command on one connection. */
export type ExchangeError = Decline.DeclineError | NoAnswer | ConnectionLost | ProtocolViolation

export type SendError = ConnectError | ConnectionLost | OutcomeUnknown

export type StreamError = ConnectError | ConnectionLost

const untrusted = "the server's certificate is of no authority that is trusted here"

const failures: { readonly [code: string]: string } = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset",
  EPIPE: "connection reset",
  ENOTFOUND: "no such host",
  EAI_AGAIN: "the host's name cannot be looked up now",
  ETIMEDOUT: "timed out",
  EHOSTUNREACH: "the host cannot be reached",
  ENETUNREACH: "the network cannot be reached",
  EACCES: "not permitted",
  EPERM: "not permitted",
  ENOENT: "no such socket",
  EINVAL: "there can be no such address",
  ERR_SOCKET_BAD_PORT: "there can be no such port",
  ERR_OSSL_PEM_NO_START_LINE: "the certificate or its key is not in PEM",
  ERR_SSL_WRONG_VERSION_NUMBER: "the server does not speak TLS",
  ERR_TLS_CERT_ALTNAME_INVALID: "the server's certificate is for another name",
  CERT_HAS_EXPIRED: "the server's certificate has expired",
  CERT_NOT_YET_VALID: "the server's certificate is not valid yet",
  DEPTH_ZERO_SELF_SIGNED_CERT: untrusted,
  SELF_SIGNED_CERT_IN_CHAIN: untrusted,
  UNABLE_TO_GET_ISSUER_CERT: untrusted,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: untrusted,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: untrusted
}

/** What a failure of the operating system or of TLS means, in a few words. */
export const explainCause = (cause: unknown): string => {
  const code = Predicate.hasProperty(cause, "code") && typeof cause.code === "string" ? cause.code : ""
  const known = failures[code]
  if (known !== undefined) return known
  // Of OpenSSL, whose message is places in its source
  if (Predicate.hasProperty(cause, "library") && Predicate.hasProperty(cause, "reason")) {
    return `TLS has failed (${String(cause.reason)})`
  }
  const text = Predicate.hasProperty(cause, "message") && typeof cause.message === "string" ? cause.message : ""
  return text === "" ? code === "" ? "unknown failure" : code : text.replaceAll(/\s+/g, " ").trim()
}
