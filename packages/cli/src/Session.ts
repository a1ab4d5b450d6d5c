/** How a client command connects: under which name, and what it does where that is taken. */
import { CptClient, type Start } from "@cpt/client"
import { Limits } from "@cpt/schema"
import { type Duration, Effect, Random, Schedule, Stream } from "effect"
import { Buffer } from "node:buffer"
import * as Address from "./Address.ts"
import { fromClient, type SessionError } from "./ClientFailure.ts"
import type { Settings } from "./Settings.ts"

/** `alice-tail-x7f2`, as much of `alice` as there is room for. */
const guestName = (name: string, command: string): Effect.Effect<string> =>
  Effect.map(Random.nextIntBetween(0, 36 ** 4), (random) => {
    const suffix = `-${command}-${random.toString(36).padStart(4, "0")}`
    let stem = ""
    for (const character of name) {
      if (Buffer.byteLength(stem + character + suffix) > Limits.maxNameBytes) break
      stem += character
    }
    return stem + suffix
  })

export interface Options {
  /** Who only reads, and not their own inbox, needs no name of their own; the command is in the guest's name. */
  readonly reads?: { readonly command: string; readonly groups: ReadonlyArray<string> } | undefined
  /** Whether a server that is not there may still come. */
  readonly isPatient?: boolean | undefined
}

/**
 * Logs in. Whoever has the name may soon be done, so it is waited for; a guest takes another one. A connection that was
 * lost on the way is tried again. One that was refused is not, where no server was there before: there is none to wait for.
 */
export const connect = Effect.fnUntraced(function*(settings: Settings, { isPatient = false, reads }: Options = {}) {
  const { address, isNamed, timeout, tls, username } = settings
  const isGuest = reads !== undefined && !isNamed && !reads.groups.includes(username)
  let tried: string = username
  const name = isGuest
    ? Effect.tap(guestName(username, reads.command), (guest) =>
      Effect.sync(() => {
        tried = guest
      }))
    : Effect.succeed(username)
  const explain = (error: SessionError) => fromClient(error, { server: Address.print(address), username, tried })
  const client = yield* name.pipe(
    Effect.flatMap((username) => CptClient.connect({ username, ...address, tls, timeout })),
    patiently(timeout, isPatient),
    Effect.mapError(explain)
  )
  return {
    send: (target: string, message: string) => Effect.mapError(client.send(target, message), explain),
    sync: (group: string, after: number) => Stream.mapError(client.sync(group, after), explain),
    follow: (starts: ReadonlyArray<Start>) => Stream.mapError(client.follow(starts), explain)
  }
})

/** Whether waiting may help; `isExpected` tells whether a server that is not there may come. */
const mayPass = (error: SessionError, isPatient: boolean, isExpected: boolean): boolean => {
  switch (error._tag) {
    case "UsernameTaken":
    case "ShuttingDown": // a server that is restarted is there again soon
      return true
    case "ConnectionFailed":
      return isExpected || error.reached
    case "ServerFull":
    case "TooManyConnections":
      return isPatient
    default:
      return false
  }
}

/** Tries again, as long as the time allows, where waiting may help. A server that was there once may be starting anew. */
const patiently =
  (timeout: Duration.Duration, isPatient: boolean) =>
  <A, E extends SessionError, R>(attempt: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.catchIf(attempt, (error) => mayPass(error, isPatient, isPatient), (first) =>
      attempt.pipe(
        Effect.retry({
          schedule: Schedule.jittered(Schedule.spaced("100 millis")),
          while: (error) => mayPass(error, isPatient, true)
        }),
        Effect.timeoutOrElse({ duration: timeout, orElse: () => Effect.fail(first) })
      ))
