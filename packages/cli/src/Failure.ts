/**
 * How a command fails: the one line that says what happened and what to do, and the exit status (docs/cli.md). Every
 * error of a command becomes one of these before anybody sees it.
 */
import type { ClientError } from "@cpt/client"
import { Decline } from "@cpt/schema"
import { type PlatformError, Runtime, Schema } from "effect"
import { visible } from "./Visible.ts"

export const exitStatus = {
  done: 0,
  failed: 1,
  usage: 2,
  declined: 3,
  noConnection: 4,
  outcomeUnknown: 5,
  hole: 6
} as const

export class Failure extends Schema.TaggedError<Failure>()("Failure", {
  status: Schema.Literals(Object.values(exitStatus)),
  message: Schema.String
}) {
  override readonly [Runtime.errorExitCode] = this.status
}

/** Something that has been said already, and still is no success. */
export const silent = (status: keyof typeof exitStatus): Failure =>
  new Failure({ status: exitStatus[status], message: "" })

/** A flag, an argument or a setting that cannot be. */
export const usage = (message: string): Failure => new Failure({ status: exitStatus.usage, message })

export const failed = (message: string): Failure => new Failure({ status: exitStatus.failed, message })

/** What a server's reason means, and what to do about it. */
const declined = (error: Decline.DeclineError, username: string): string => {
  switch (error._tag) {
    case "UsernameTaken":
      return `somebody already uses the name "${visible(username)}"; take another with --as`
    case "Declined":
      return `${error.message}; ask who runs it`
    case "LineTooLong":
      return `${error.message}; send it in parts`
    default:
      return error.message
  }
}

export type SessionError = ClientError.SendError | ClientError.StreamError

/** What an error of the client means to somebody who is `username` at `server`. */
export const fromClient = (server: string, username: string) => (error: SessionError): Failure => {
  if (Decline.isDeclineError(error)) {
    return new Failure({
      status: exitStatus.declined,
      message: `declined: ${visible(error.reason)}: ${declined(error, username)}`
    })
  }
  const message = visible(error.message)
  switch (error._tag) {
    case "InvalidInput":
      return usage(message)
    case "ConnectionFailed":
      return new Failure({
        status: exitStatus.noConnection,
        message: `no connection to ${server}: ${message}; ${
          message === "connection refused"
            ? "start a server with \"cpt serve\", or name one with --server"
            : "look whether --server and --tls are right"
        }`
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

/** Why a file cannot be used, in a few words. */
export const explainFile = ({ reason }: PlatformError.PlatformError): string => {
  switch (reason._tag) {
    case "NotFound":
      return "there is no such file or directory"
    case "PermissionDenied":
      return "permission denied"
    default:
      return visible(reason.message)
  }
}
