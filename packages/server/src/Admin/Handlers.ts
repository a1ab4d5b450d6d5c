/** What is done when an administrator asks for it; how it is asked for is in `Api.ts`. */
import { Name, Notice } from "@cpt/schema"
import { Duration, Effect, Iterable, Layer } from "effect"
import { HttpApiBuilder, OpenApi } from "effect/http-api"
import { Buffer } from "node:buffer"
import { roomOf } from "../Descriptors.ts"
import { MessageStore } from "../MessageStore.ts"
import { Metrics } from "../Metrics.ts"
import { Program } from "../Program.ts"
import { Server, type SessionInfo } from "../Server.ts"
import { noticeLine } from "../Timeline.ts"
import { AdminApi, type Group, NoSuchSession, NotDone, type Session, type Status, StorageFails } from "./Api.ts"
import * as Declared from "./DeclaredHandlers.ts"
import * as Probes from "./Probes.ts"
import { Vitals } from "./Vitals.ts"

/** What one page lists. */
const pageSize = 1000

const status = Effect.gen(function*() {
  const [server, store, metrics] = [yield* Server, yield* MessageStore, yield* Metrics]
  const [program, vitals, health] = [yield* Program, yield* Vitals, yield* Probes.health]
  const { asksForCertificates } = program
  return (): Status => {
    const failure = store.failure()
    const { deliveriesPerSecond, eventLoopDelay, messagesPerSecond, processors } = vitals.recent()
    return {
      version: program.version,
      pid: process.pid,
      startedAt: new Date(performance.timeOrigin).toISOString(),
      uptimeSeconds: performance.now() / 1000,
      addresses: program.places(server.addresses),
      ...asksForCertificates !== undefined && { asksForCertificates },
      health: health(),
      ...failure !== undefined && { failure },
      sessions: metrics.sessions(),
      maxSessions: roomOf(server.settings).sessions,
      users: metrics.users(),
      lateSessions: metrics.lateSessions(),
      followerLagSeconds: metrics.followerLag(),
      messages: metrics.messages,
      messagesPerSecond,
      deliveries: metrics.deliveries,
      deliveriesPerSecond,
      store: store.description,
      storedBytes: metrics.storedBytes(),
      queuedBytes: metrics.queuedBytes(),
      cachedBytes: metrics.cachedBytes(),
      memoryBytes: process.memoryUsage.rss(),
      processors,
      eventLoopDelaySeconds: eventLoopDelay,
      logLevel: program.logLevel()
    }
  }
})

const server = HttpApiBuilder.group(
  AdminApi,
  "server",
  Effect.fnUntraced(function*(handlers) {
    const [server, metrics, program, now] = [yield* Server, yield* Metrics, yield* Program, yield* status]
    return handlers.handleAll({
      status: () => Effect.sync(now),
      announce: Effect.fnUntraced(function*({ payload: { text } }) {
        const bytes = Buffer.byteLength(text)
        const room = server.settings.maxLineBytes - (noticeLine(Notice.sender, text).length - "\n".length - bytes)
        if (bytes > room) {
          return yield* new NotDone({ message: `it has ${bytes} bytes, and a line has room for ${room}` })
        }
        const told = { sessions: yield* server.announce(text) }
        yield* Effect.annotateLogs(Effect.logInfo("announcement by an administrator"), told)
        return told
      }),
      drain: Effect.fnUntraced(function*({ payload: { withinMillis } }) {
        yield* server.drain(withinMillis === undefined ? Duration.infinity : Duration.millis(withinMillis))
        yield* Effect.logInfo("draining: nobody new is served")
        return { sessions: metrics.sessions() }
      }),
      reload: () => program.reload,
      logLevel: ({ payload }) => program.setLogLevel(payload.level)
    })
  })
)

const shown = ({ address, age, user, ...info }: SessionInfo): Session => ({
  id: info.id,
  ...user !== undefined && { user },
  ...address !== undefined && { address },
  since: new Date(Date.now() - age).toISOString(),
  groups: info.groups,
  lagSeconds: info.lag / 1000,
  messages: info.messages,
  delivered: info.delivered,
  receivedBytes: info.received,
  sentBytes: info.sent
})

/** A user's, or else the one with this id. */
const find = (sessions: globalThis.Iterable<SessionInfo>, name: string): SessionInfo | undefined => {
  const all = [...sessions]
  return all.find(({ user }) => user === name) ?? all.find(({ id }) => String(id) === name)
}

const sessions = HttpApiBuilder.group(
  AdminApi,
  "sessions",
  Effect.fnUntraced(function*(handlers) {
    const server = yield* Server
    return handlers.handleAll({
      list: ({ query: { after = 0 } }) =>
        Effect.sync(() => {
          const page = Array.from(Iterable.take(server.sessions(after), pageSize), shown)
          const last = page[pageSize - 1]
          return { sessions: page, ...last !== undefined && { through: last.id } }
        }),
      close: Effect.fnUntraced(function*({ payload: { session: name } }) {
        const found = find(server.sessions(0), name)
        if (found === undefined || !(yield* server.close(found.id))) return yield* new NoSuchSession({})
        yield* Effect.annotateLogs(Effect.logInfo("session closed by an administrator"), { session: found.id })
        return shown(found)
      })
    })
  })
)

const groups = HttpApiBuilder.group(
  AdminApi,
  "groups",
  Effect.fnUntraced(function*(handlers) {
    const [server, store] = [yield* Server, yield* MessageStore]
    return handlers.handleAll({
      list: Effect.fnUntraced(function*({ query: { after = "" } }) {
        const kept = yield* Effect.mapError(store.groups(after), () => new StorageFails({}))
        const found = new Map(kept.groups.map(({ messages, name }): [string, Group] => [
          name,
          { name, followers: 0, messages }
        ]))
        // Those that are followed, and have no messages yet, stand between them
        for (const { followers, name } of server.groups()) {
          const isOnPage = Name.compare(name, after) > 0 &&
            (kept.through === undefined || Name.compare(name, kept.through) <= 0)
          if (isOnPage) found.set(name, { name, followers, messages: found.get(name)?.messages ?? 0 })
        }
        const groups = [...found.values()].toSorted((a, b) => Name.compare(a.name, b.name))
        const page = groups.slice(0, pageSize)
        const through = page.length < groups.length ? page.at(-1)?.name : kept.through
        return { groups: page, ...through !== undefined && { through } }
      })
    })
  })
)

const document = HttpApiBuilder.group(
  AdminApi,
  "document",
  Effect.fnUntraced(function*(handlers) {
    const api = AdminApi.annotate(OpenApi.Version, (yield* Program).version)
    return handlers.handleAll({ openApi: () => Effect.sync(() => OpenApi.fromApi(api)) })
  })
)

export const layer = Layer.mergeAll(server, sessions, groups, Declared.layer, Probes.ofAdmin, document)
