/** `cpt serve`: hosts a chat until it is told to stop. */
import { Descriptors, Instruments, MessageStore, Server, ServerConfig } from "@cpt/server"
import { Console, Duration, Effect, Layer, MutableRef, Option } from "effect"
import type { Input } from "../commands/Serve.ts"
import * as Data from "../Data.ts"
import { failed, usage } from "../Failure.ts"
import * as Administration from "../serve/Administration.ts"
import * as Checks from "../serve/Checks.ts"
import * as Given from "../serve/Given.ts"
import * as LastResort from "../serve/LastResort.ts"
import * as Listen from "../serve/Listen.ts"
import * as Log from "../serve/Log.ts"
import * as Program from "../serve/Program.ts"
import * as Reload from "../serve/Reload.ts"
import * as Signals from "../serve/Signals.ts"
import * as Store from "../serve/Store.ts"
import * as Systemd from "../serve/Systemd.ts"
import type { Values } from "../serve/Table.ts"
import * as Telemetry from "../serve/Telemetry.ts"
import { visible } from "../Visible.ts"

/** What holds for sessions, and may change while they are there. */
const limitsOf = (values: Values): Partial<Omit<ServerConfig.Settings, "live">> => ({
  maxLineBytes: values["max-line-bytes"],
  maxSessions: values["max-sessions"],
  maxDescriptors: Descriptors.limit() ?? Infinity,
  maxSessionsPerAddress: values["max-sessions-per-address"],
  maxConnects: values["max-connects"],
  maxFailedLogins: values["max-failed-logins"],
  exempt: values.exempt,
  rateLimit: values["rate-limit"],
  rateBurst: values["rate-burst"],
  byteLimit: values["byte-limit"],
  maxSyncs: values["max-syncs"],
  maxNewNames: values["max-new-names"],
  maxFollowedGroups: values["max-followed-groups"],
  loginDeadline: values["login-deadline"],
  idleDeadline: values["idle-deadline"],
  writeDeadline: values["write-deadline"],
  logAddresses: values["log-ip"],
  accounts: values.accounts,
  groups: values.groups
})

/** Says where it listens, and gives that. */
const announceOurselves = Effect.fnUntraced(function*(print: Listen.Listening["print"]) {
  const { description } = yield* MessageStore
  const { all, open } = print((yield* Server).addresses)
  yield* Console.log(`cpt: listening on ${all.join(" and ")}; messages are kept ${description}`)
  if (open.length > 0) {
    const what = `${open.join(" and ")} ${open.length === 1 ? "is" : "are"} open to other machines`
    yield* Console.error(`cpt: warning: ${what}, and everything goes over the network in clear text`)
  }
  return all
})

export const serve = Effect.fnUntraced(function*(flags: Input) {
  const settings = yield* Given.resolve(flags)
  const { "log-format": format, "log-level": level } = settings.values
  const logLevel = MutableRef.make(level)
  yield* host(flags, settings, logLevel).pipe(
    Effect.scoped,
    LastResort.endIfHanging,
    Effect.provide(Log.layer(format, logLevel))
  )
})

const host = Effect.fnUntraced(function*(
  flags: Input,
  settings: Given.Settings,
  level: MutableRef.MutableRef<Log.Level>
) {
  const { values } = settings
  const hangUp = yield* Signals.hangUps() // those that come while it starts too
  const stops = yield* LastResort.make()
  const telemetry = yield* Telemetry.make(level)
  const listening = yield* Listen.make(settings)
  const directory = values.memory
    ? undefined
    : yield* Data.makeDirectory(yield* Data.directory(Option.fromUndefinedOr(values.data)))
  const administration = yield* Administration.make(settings, directory)
  const systemd = yield* Systemd.make()
  const reload = Effect.flatMap(
    Effect.all([Server, Checks.reload, Store.reload]),
    ([{ reconfigure }, checks, ofAccounts]) =>
      Reload.make(Given.resolve(flags), settings, [
        checks,
        listening.reload,
        administration.reload,
        ({ values }, changed) =>
          Effect.succeed(Effect.map(
            Log.change(level, values["log-level"]),
            (isOther) => isOther && !changed.has("log-level") ? "log-level" : undefined // an administrator had set it
          )),
        // Last: what it prepares is in the store, and best not there in vain. And in one step: nobody is judged by new
        // accounts under old settings (CPT 3.11)
        ({ values }, changed) =>
          Effect.map(ofAccounts(changed), ({ commit, names }) =>
            Effect.as(reconfigure(limitsOf(values), commit), names.size === 0 ? undefined : "accounts and groups"))
      ])
  )
  // They stay when the server has ended: what it has counted until then is sent after that
  const scope = yield* Effect.scope
  const instruments = Layer.fromBuild((memoMap) => Layer.buildWithMemoMap(Instruments.layer, memoMap, scope))
  const server = administration.layer.pipe(
    Layer.merge(telemetry.hasMetrics ? instruments : Layer.empty),
    Layer.provide(Program.layer(listening, Effect.map(reload, systemd.reloading), level, hangUp)),
    Layer.provideMerge(Server.layer(...listening.listeners)),
    Layer.provideMerge(yield* Store.layer(values, directory)),
    Layer.provide(ServerConfig.layer({ ...limitsOf(values), live: values.live })),
    Layer.provideMerge(telemetry.layer)
  )
  yield* announceOurselves(listening.print).pipe(
    Effect.flatMap((all) => systemd.ready(`listening on ${all.join(" and ")}`)),
    Effect.andThen(Store.warnIfClosed(values)),
    Effect.andThen(Effect.forkScoped(systemd.alive)),
    Effect.andThen(Effect.flatMap(Server, ({ drained }) => drained)), // or until a signal comes
    Effect.scoped, // who says that it is alive asks the store, so not while that closes
    // First of all: what is asked over HTTP may keep the rest for a moment
    Effect.ensuring(Effect.flatMap(Server, ({ drain }) => drain(Duration.infinity))),
    Effect.ensuring(Effect.andThen(systemd.stopping, stops)),
    Effect.provide(server),
    Effect.catchTags({
      AdminFailed: (error) => Effect.fail(failed(visible(error.message))),
      CannotOpen: (error) => Effect.fail(failed(visible(error.message))),
      CannotLoad: ({ message }) =>
        Effect.fail((values["accounts-file"] === undefined ? failed : usage)(visible(message))),
      StorageUnavailable: (error) => Effect.fail(failed(visible(error.message)))
    })
  )
})
