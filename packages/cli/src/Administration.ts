/**
 * How a command finds a running server and asks it something: `--admin`, else the socket beside the messages that the
 * server keeps under `--data`; and what it means if there is no answer.
 */
import { AdminClient } from "@cpt/server/admin"
import { Cause, Duration, Effect, Option, Path } from "effect"
import * as Data from "./Data.ts"
import { exitStatus, failed, Failure, usage } from "./Failure.ts"
import type * as Flags from "./Flags.ts"
import { parseTimeout, variable } from "./Settings.ts"
import * as Token from "./Token.ts"
import { visible } from "./Visible.ts"

/** A flag, else the variable of the environment, and how the place is called that it came from. */
const given = Effect.fnUntraced(function*(flag: Option.Option<string>, name: string) {
  const from = `CPT_${name.toUpperCase().replaceAll("-", "_")}`
  return Option.isSome(flag)
    ? { from: `--${name}`, value: flag.value }
    : Option.getOrUndefined(Option.map(yield* variable(from), (value) => ({ from, value })))
})

const refuse = ({ from, value }: { readonly from: string; readonly value: string }, why: string) =>
  usage(`${from} "${visible(value)}": ${why}`)

/** The token, from its file or from the environment. */
const tokenOf = Effect.fnUntraced(function*(flags: Flags.Administration) {
  const file = yield* given(flags["admin-token-file"], "admin-token-file")
  if (file !== undefined) return yield* Token.read(file.value, file.from)
  const token = yield* variable("CPT_ADMIN_TOKEN")
  return Option.isNone(token)
    ? undefined
    : yield* Token.parse(token.value, (why) => usage(`CPT_ADMIN_TOKEN: ${why}`))
})

const expected = "expected unix:///PATH or http://HOST:PORT"

const placeOf = Effect.fnUntraced(function*(flags: Flags.Administration) {
  const path = yield* Path.Path
  if (Option.isSome(flags.admin) && Option.isSome(flags.data)) {
    return yield* usage("--admin and --data: say where in one of them")
  }
  // A flag wins over the environment; of two variables, this one says more than where messages are
  const uri = Option.isSome(flags.data) ? undefined : yield* given(flags.admin, "admin")
  if (uri === undefined) return { path: yield* Data.adminSocketIn(yield* Data.directory(flags.data)) }
  if (uri.value === "off") return yield* refuse(uri, "the administration is switched off here")
  if (uri.value.startsWith("unix://")) {
    const socket = uri.value.slice("unix://".length)
    return path.isAbsolute(socket) ? { path: socket } : yield* refuse(uri, expected)
  }
  if (!/^https?:\/\/[^/]+\/?$/.test(uri.value) || !URL.canParse(uri.value)) return yield* refuse(uri, expected)
  return { url: new URL(uri.value), token: yield* tokenOf(flags) }
})

const timeoutOf = Effect.fnUntraced(function*(flags: Flags.Administration) {
  const timeout = yield* given(flags.timeout, "timeout")
  if (timeout === undefined) return Duration.seconds(5)
  return yield* Effect.mapError(Effect.fromResult(parseTimeout(timeout.value)), (why) => refuse(timeout, why))
})

const printed = (place: AdminClient.Place): string => "path" in place ? place.path : place.url.origin

const noConnection = (message: string): Failure => new Failure({ status: exitStatus.noConnection, message })

/** There is nobody to ask; `code` is what the system calls it. */
const noServer = (place: AdminClient.Place, code: unknown, why: string): Failure => {
  const at = visible(printed(place))
  if (code === "EACCES" || code === "EPERM") {
    return noConnection(`no connection to ${at}: it is not open to this user; a server is its owner's to look after`)
  }
  const known = code === "ENOENT" ? "there is no such socket" : code === "ECONNREFUSED" ? "nobody listens there" : why
  return noConnection(
    `no server at ${at}: ${
      visible(known)
    }; start one with "cpt serve", or name the directory of another with --data, ` +
      "or its administration with --admin"
  )
}

const notOurs = (place: AdminClient.Place): Failure =>
  failed(`${visible(printed(place))} answers something else: is it a cpt server of this version?`)

/** The question was asked, as far as is known: to read can be tried again, and what was to change may have changed. */
const unanswered = (place: AdminClient.Place, method: string, why: string, advice: string): Failure =>
  method === "GET"
    ? noConnection(`${visible(printed(place))}: ${why}; ${advice}`)
    : new Failure({
      status: exitStatus.outcomeUnknown,
      message: `${visible(printed(place))}: ${why}, and it may have been done; look before you try again`
    })

type HttpFailure = Extract<AdminClient.Failure, { readonly _tag: "HttpClientError" }>

/** What it means that HTTP has failed. */
const explainHttp = (place: AdminClient.Place, { reason, request }: HttpFailure): Failure => {
  const cause = "cause" in reason ? reason.cause : undefined
  if (Cause.isTimeoutError(cause)) {
    return unanswered(place, request.method, "no answer in time", "try again, or wait longer with --timeout")
  }
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined
  if (code === "ECONNRESET" || code === "EPIPE") {
    return unanswered(place, request.method, "the connection was lost before there was an answer", "try again")
  }
  if (reason._tag === "EncodeError") return usage(`${reason.description}; say it in several commands`)
  // HPE_…: what came is no HTTP
  if (reason._tag !== "TransportError" || String(code).startsWith("HPE_")) return notOurs(place)
  return noServer(place, code, cause instanceof Error ? cause.message : reason.message)
}

/** What it means that there was no answer, or another one. */
const explain = (place: AdminClient.Place) => (error: AdminClient.Failure | Failure): Failure => {
  switch (error._tag) {
    case "Failure":
      return error
    case "Unauthorized":
      return new Failure({
        status: exitStatus.declined,
        message: `declined: unauthorized: ${error.message}; give it with --admin-token-file, or in CPT_ADMIN_TOKEN`
      })
    case "HttpClientError":
      return explainHttp(place, error)
    case "TokenUnusable":
      return usage(error.message)
    case "UnixSocketFailed":
      return noServer(place, error.code, error.message)
    default:
      return notOurs(place)
  }
}

/** Asks the server that the flags name. */
export const ask = Effect.fnUntraced(function*<A>(
  flags: Flags.Administration,
  question: (client: AdminClient.Client) => Effect.Effect<A, AdminClient.Failure | Failure>
) {
  const place = yield* placeOf(flags)
  const timeout = yield* timeoutOf(flags)
  return yield* AdminClient.make(place, timeout).pipe(
    Effect.flatMap(question),
    Effect.mapError(explain(place)),
    Effect.scoped
  )
})
