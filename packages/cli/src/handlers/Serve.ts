/** `cpt serve`: hosts a chat until it is told to stop. */
import { Accounts, layerMemory, layerSqlite, Listener, MessageStore, Server, ServerConfig } from "@cpt/server"
import { Console, Duration, Effect, Layer, MutableRef, Option } from "effect"
import { NetAddress } from "effect/net"
import type { SocketServer } from "effect/socket"
import type { Input } from "../commands/Serve.ts"
import * as Data from "../Data.ts"
import { failed, type Failure } from "../Failure.ts"
import * as Interrupted from "../Interrupted.ts"
import * as Administration from "../serve/Administration.ts"
import * as Given from "../serve/Given.ts"
import * as Log from "../serve/Log.ts"
import * as Program from "../serve/Program.ts"
import * as Reload from "../serve/Reload.ts"
import type { Values } from "../serve/Table.ts"
import { visible } from "../Visible.ts"

/** In one line, what is wrong and what to do. */
const cannotListen = (host: string, port: number) => (error: SocketServer.SocketServerError): Failure => {
  const at = `${host.includes(":") ? `[${host}]` : host}:${port}`
  const cause = error.reason.cause
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined
  switch (code) {
    case "EADDRINUSE": {
      const outgoing = port >= 32_768 && port <= 60_999
        ? `, or an outgoing connection has it for a moment (${port} lies in the range that Linux gives to those)`
        : ""
      return failed(
        `${at} is in use: another server is running there${outgoing}; stop it, try again, or take another --port`
      )
    }
    case "EACCES":
      return failed(`${at}: only root may listen on this port; take one above 1023 with --port`)
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return failed(`${host} is no address of this machine; take another --host`)
    default:
      return failed(`cannot listen on ${at}: ${cause instanceof Error ? cause.message : String(cause)}`)
  }
}

/** Where messages are kept: in a directory, or nowhere. */
const storeOf = Effect.fnUntraced(function*(values: Values, directory: string | undefined) {
  const resendWindow = Duration.toMillis(values["resend-window"])
  if (directory === undefined) return layerMemory({ ...values["memory-limit"], resendWindow })
  const age = values.keep === undefined ? undefined : Duration.toMillis(values.keep)
  return layerSqlite({
    file: yield* Data.fileIn(directory),
    resendWindow,
    cache: values.cache,
    keep: { age, messages: values["keep-messages"], bytes: values["keep-bytes"] }
  })
})

/** What holds for sessions, and may change while they are there. */
const limitsOf = (values: Values): Partial<Omit<ServerConfig.Settings, "live">> => ({
  maxLineBytes: values["max-line-bytes"],
  maxSessions: values["max-sessions"],
  maxFollowedGroups: values["max-followed-groups"],
  loginDeadline: values["login-deadline"],
  writeDeadline: values["write-deadline"],
  logAddresses: values["log-ip"]
})

const isLoopback = (address: NetAddress.SocketAddress): boolean =>
  NetAddress.isUnixPathAddress(address) || NetAddress.isLoopback(address.address)

const announceOurselves = Effect.gen(function*() {
  const { addresses } = yield* Server
  const { description } = yield* MessageStore
  yield* Console.log(`cpt: listening on ${addresses.join(" and ")}; messages are kept ${description}`)
  if (!addresses.every(isLoopback)) {
    yield* Console.error("cpt: warning: open to other machines, and everything goes over the network in clear text")
  }
})

export const serve = Effect.fnUntraced(function*(flags: Input) {
  const settings = yield* Given.resolve(flags)
  const { values } = settings
  const { host, port } = values
  const level = MutableRef.make(values["log-level"])
  const directory = values.memory
    ? undefined
    : yield* Data.makeDirectory(yield* Data.directory(Option.fromUndefinedOr(values.data)))
  const reload = Effect.flatMap(Server, ({ reconfigure }) =>
    Reload.make(Given.resolve(flags), settings, [
      ({ values }) => Effect.succeed(reconfigure(limitsOf(values))),
      ({ values }) => Effect.succeed(Effect.sync(() => MutableRef.set(level, values["log-level"])))
    ]))
  const server = (yield* Administration.layer(values, directory)).pipe(
    Layer.provide(Program.layer(reload, level)),
    Layer.provideMerge(Server.layer(Listener.tcp({ host, port }))),
    Layer.provide(Accounts.layerOpen),
    Layer.provideMerge(yield* storeOf(values, directory)),
    Layer.provide(ServerConfig.layer({ ...limitsOf(values), live: values.live }))
  )
  Interrupted.isHowThisEnds()
  yield* announceOurselves.pipe(
    Effect.andThen(Effect.flatMap(Server, ({ drained }) => drained)), // or until a signal comes
    Effect.provide(server),
    Effect.catchTags({
      SocketServerError: (error) => Effect.fail(cannotListen(host, port)(error)),
      AdminFailed: (error) => Effect.fail(failed(visible(error.message))),
      CannotOpen: (error) => Effect.fail(failed(visible(error.message)))
    }),
    Effect.provide(Log.layer(values["log-format"], level))
  )
})
