/**
 * What an error of the client means to somebody at a command line. Apart from `Failure`, so that what connects to no
 * server need not load why one may decline.
 */
import type { ClientError } from "@cpt/client"
import { Decline } from "@cpt/schema"
import { exitStatus, failed, Failure, usage } from "./Failure.ts"
import { visible } from "./Visible.ts"

/** What a server's reason means, and what to do about it. */
const declined = (error: Decline.DeclineError, username: string): string => {
  switch (error._tag) {
    case "UsernameTaken":
      return `somebody already uses the name "${visible(username)}"; take another with --as`
    case "Declined":
    case "Forbidden":
      return `${error.message}; ask who runs it`
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

/** What an error of the client means to somebody who is `username` at `server`. */
export const fromClient = (server: string, username: string) => (error: SessionError): Failure => {
  if (Decline.isDeclineError(error)) {
    const group = error.group === undefined ? "" : `${visible(error.group)}: `
    return new Failure({
      status: exitStatus.declined,
      message: `declined: ${visible(error.reason)}: ${group}${declined(error, username)}`
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
