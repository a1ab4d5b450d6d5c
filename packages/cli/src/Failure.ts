/**
 * How a command fails: the one line that says what happened and what to do, and the exit status (docs/cli.md). Every
 * error of a command becomes one of these before anybody sees it.
 */
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

/** What the system has to say where nobody could guess it from its own words. */
const words: { readonly [code: string]: string } = {
  EBADF: "it is not open for that",
  EISDIR: "it is a directory"
}

/** Of "ENOSPC: no space left on device, write": the system's words. */
const ofSystem = /^E[A-Z0-9]+: (.+?)(?:, |$)/

/** Why the system did not do something, in a few words; undefined if it was not the system. */
export const explainSystem = (cause: unknown): string | undefined => {
  if (!(cause instanceof Error && "code" in cause)) return undefined
  return words[String(cause.code)] ?? ofSystem.exec(cause.message)?.[1]
}

/** Why a file cannot be used, in a few words. */
export const explainFile = ({ reason }: PlatformError.PlatformError): string => {
  switch (reason._tag) {
    case "NotFound":
      return "there is no such file or directory"
    case "PermissionDenied":
      return "permission denied"
    default:
      return visible(explainSystem(reason.cause) ?? reason.message)
  }
}
