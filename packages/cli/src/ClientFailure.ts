/**
 * What an error of the client means to somebody at a command line. Apart from `Failure`, so that what connects to no
 * server need not load why one may decline.
 */
import type { ClientError } from "@cpt/client"
import { Decline } from "@cpt/schema"
import { exitStatus, failed, Failure, usage } from "./Failure.ts"
import { visible } from "./Visible.ts"

/** Somebody at a server. */
interface Who {
  readonly server: string
  readonly username: string
  /** The name that was tried last: of a guest it is not `username`. */
  readonly tried: string
}

/** What a server's reason means, and what to do about it. */
const declined = (error: Decline.DeclineError, { tried, username }: Who): string => {
  const ask = "ask who runs it"
  switch (error._tag) {
    case "UsernameTaken":
      return `somebody already uses the name "${visible(tried)}"; take another with --as`
    case "Forbidden":
      return tried === username
        ? `${error.message}; ${ask}`
        : `${error.message} to the guest "${visible(tried)}"; say who you are with --as ${visible(username)}, or ${ask}`
    case "Declined":
      return `${error.message}; ${ask}`
    case "LineTooLong":
      return `${error.message}; send it in parts`
    default:
      return error.message
  }
}

/** About a connection that there is not. */
const whatToDo = (message: string): string => {
  if (message === "connection refused") return "start a server with \"cpt serve\", or name one with --server"
  return message.includes("trusted")
    ? "name its authority with --tls-ca"
    : "look whether --server, and --tls and its files, are right"
}

export type SessionError = ClientError.SendError | ClientError.StreamError

/** What an error of the client means to them. */
export const fromClient = (error: SessionError, who: Who): Failure => {
  const { server } = who
  if (Decline.isDeclineError(error)) {
    const group = error.group === undefined ? "" : `${visible(error.group)}: `
    return new Failure({
      status: exitStatus.declined,
      message: `declined: ${visible(error.reason)}: ${group}${declined(error, who)}`
    })
  }
  const message = visible(error.message)
  switch (error._tag) {
    case "InvalidInput":
      return usage(message)
    case "ConnectionFailed":
      return new Failure({
        status: exitStatus.noConnection,
        message: `no connection to ${server}: ${message}; ${whatToDo(message)}`
      })
    case "ConnectionLost":
      return new Failure({
        status: exitStatus.noConnection,
        message: `the connection to ${server} was lost: ${message}; try again`
      })
    case "NoAnswer":
      return new Failure({
        status: exitStatus.noConnection,
        message: `${server}: ${message}; try again, or wait longer with --timeout`
      })
    case "OutcomeUnknown":
      return new Failure({
        status: exitStatus.outcomeUnknown,
        message: `${message}; look with "cpt sync" before you send it again`
      })
    case "ProtocolViolation":
      return failed(`${server}: ${message}; look whether --server is right`)
  }
}
