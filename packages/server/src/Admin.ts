/**
 * The administration of a running server, over HTTP: `layerUnix` on a socket that its owner alone may open, `layerTcp` for
 * who shows a token. `Probes.layerTcp` has what machines ask, for everybody. A server does without, unless somebody composes
 * them with it.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Clock, Context, Duration, Effect, Layer, Option, Redacted, Schema, type Scope } from "effect"
import {
  HttpIncomingMessage,
  HttpMiddleware,
  HttpRouter,
  HttpServer,
  HttpServerRequest,
  HttpServerResponse
} from "effect/http"
import { HttpApiBuilder, HttpApiMiddleware } from "effect/http-api"
import { NetAddress } from "effect/net"
import { hash, timingSafeEqual } from "node:crypto"
import type { Accounts } from "./Accounts.ts"
import { AdminApi, Authorization, maxBody, Unauthorized } from "./Admin/Api.ts"
import * as Handlers from "./Admin/Handlers.ts"
import * as Instruments from "./Admin/Instruments.ts"
import * as Probing from "./Admin/Probes.ts"
import { SharedServer } from "./Admin/SharedServer.ts"
import * as Token from "./Admin/Token.ts"
import * as Understood from "./Admin/Understood.ts"
import { Vitals } from "./Admin/Vitals.ts"
import { LimitHits } from "./LimitHits.ts"
import type { MessageStore } from "./MessageStore.ts"
import { ipOf } from "./NetConnection.ts"
import type { Program } from "./Program.ts"
import { Server } from "./Server.ts"
import * as UnixSocket from "./UnixSocket.ts"
import { uptime } from "./Uptime.ts"

/** Milliseconds that somebody may take to ask. */
const askWithin = 10_000

/** Milliseconds for which a connection may stand still: who takes no answers would hold its place for ever. */
const standStill = 10_000

/** Milliseconds between two lines of the log about wrong tokens, since whoever guesses does so many times a second. */
const warnEvery = 60_000

/** How long a request that is being answered when the server stops may take; then it is cut. */
const patience = Duration.millis(500)

/** It cannot be reached there: the message says where, and why. */
export class AdminFailed extends Schema.TaggedError<AdminFailed>()("AdminFailed", { message: Schema.String }) {}

interface TcpOptions {
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
}

/** What it looks after. */
type Administered = Server | MessageStore | Accounts | Program

export class Admin extends Context.Service<Admin, {
  /** Where it is reached, as a client is told: `unix:///path/admin.sock`, `http://127.0.0.1:9169`. */
  readonly uri: string
}>()("@cpt/server/Admin") {
  /** On a Unix socket, for its owner alone (0600): who may open it may do everything. */
  static readonly layerUnix = (path: string): Layer.Layer<Admin, AdminFailed, Administered> =>
    serve(
      Admin,
      UnixSocket.place(path, (path) => listen({ path }), 0o600).pipe(
        Effect.map((server) => ({ server, uri: `unix://${path}` })),
        Effect.mapError(({ message }) => new AdminFailed({ message: `no administration at ${path}: ${message}` }))
      ),
      administration
    )

  /** On TCP, in clear text, for who shows the token. */
  static readonly layerTcp = ({ token, ...options }: TcpOptions & {
    /** The one that holds now. */
    readonly token: () => Redacted.Redacted
  }): Layer.Layer<Admin, AdminFailed, Administered> =>
    serve(
      Admin,
      Token.parse(Redacted.value(token())).pipe(
        Effect.mapError(({ message }) => cannotListen("administration", options, message)),
        Effect.flatMap((first) =>
          Effect.tap(listenTcp("administration", options), (listening) => warnIfOpen(listening, first))
        )
      ),
      Layer.merge(administration, withToken(token))
    )
}

/** What machines ask, for everybody: `/healthz` and `/metrics`. None of it is a secret. */
export class Probes extends Context.Service<Probes, { readonly uri: string }>()("@cpt/server/Probes") {
  static readonly layerTcp = (options: TcpOptions): Layer.Layer<Probes, AdminFailed, Administered> =>
    serve(Probes, listenTcp("probes", options), Probing.layer)
}

const administration = HttpApiBuilder.layer(AdminApi).pipe(
  Layer.provide(Handlers.layer),
  Layer.provide([
    Layer.succeed(Authorization, { bearer: (answer) => answer }), // whoever comes so far may ask
    Understood.layer,
    HttpApiMiddleware.layerProblemDetails({ includeDetails: true })
  ])
)

/**
 * Whoever does not show the token is told so, whatever they ask, also for what there is not: they learn nothing, and have no
 * place, as their connection is closed behind the answer. That somebody has shown another one is said in the log.
 */
const withToken = (token: () => Redacted.Redacted) =>
  HttpRouter.middleware(
    Effect.gen(function*() {
      const [clock, { settings }] = [yield* Clock.Clock, yield* Server]
      let warnedAt = -Infinity
      const warn = Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ remoteAddress }) => {
        const now = uptime(clock)
        if (now - warnedAt < warnEvery) return Effect.void
        warnedAt = now
        const address = ipOf(Option.getOrUndefined(remoteAddress))
        const warning = Effect.logWarning("a wrong token was shown to the administration")
        return settings.logAddresses && address !== undefined ? Effect.annotateLogs(warning, { address }) : warning
      })
      const shown = HttpApiBuilder.securityDecode(Authorization.security.bearer).pipe(
        Effect.provideService(HttpServerRequest.ParsedSearchParams, {}) // it is in no query
      )
      const refused = HttpServerResponse.jsonUnsafe(Schema.encodeSync(Unauthorized)(new Unauthorized({})), {
        status: 401,
        headers: { connection: "close" }
      })
      return (answer) =>
        Effect.flatMap(shown, (credential) => {
          if (isSame(credential, token())) return answer
          return Effect.as(Redacted.value(credential) === "" ? Effect.void : warn, refused)
        })
    }),
    { global: true }
  )

/** Compares in a time that says nothing of how much is right. */
const isSame = (shown: Redacted.Redacted, token: Redacted.Redacted): boolean =>
  timingSafeEqual(digest(shown), digest(token))

const digest = (token: Redacted.Redacted) => hash("sha256", Redacted.value(token).trim(), "buffer")

interface Listening {
  readonly server: HttpServer.HttpServer["Service"]
  readonly uri: string
}

/** A server that ends within a moment, whatever its clients do. */
const listen = Effect.fnUntraced(function*(options: { path: string } | TcpOptions) {
  const hits = yield* LimitHits.make((yield* Server).settings)
  const node = new SharedServer(
    { requestTimeout: askWithin, connectionsCheckingInterval: askWithin / 2 },
    () => hits.hit("http-connections")
  )
  node.timeout = standStill
  const failed = (cause: unknown) => Effect.fail({ message: cause instanceof Error ? cause.message : String(cause) })
  const server = yield* NodeHttpServer.make(() => node, { ...options, gracefulShutdownTimeout: patience }).pipe(
    Effect.catch(({ cause }) => failed(cause)),
    Effect.catchDefect(failed) // Node throws for a port that cannot be
  )
  yield* Effect.addFinalizer(() => Effect.sync(() => node.closeAllConnections()))
  return server
})

const listenTcp = (what: string, options: TcpOptions): Effect.Effect<Listening, AdminFailed, Scope.Scope | Server> =>
  listen(options).pipe(
    Effect.map((server) => ({ server, uri: `http://${server.address}` })),
    Effect.mapError(({ message }) => cannotListen(what, options, message)),
    Effect.tap(({ uri }) => Effect.logInfo(`${what} at ${uri}`))
  )

const cannotListen = (what: string, options: TcpOptions, why: string) =>
  new AdminFailed({ message: `no ${what} at ${hostOf(options)}: ${why}` })

const warnIfOpen = Effect.fnUntraced(function*({ server: { address }, uri }: Listening, token: Redacted.Redacted) {
  if (NetAddress.isUnixPathAddress(address) || NetAddress.isLoopback(address.address)) return
  yield* Effect.logWarning(`the administration at ${uri} is open to other machines, and its token goes in clear text`)
  yield* Token.warnIfShort(token)
})

const hostOf = ({ host, port }: TcpOptions): string => `${host.includes(":") ? `[${host}]` : host}:${port}`

const serve = <I, R>(
  service: Context.Key<I, { readonly uri: string }>,
  listening: Effect.Effect<Listening, AdminFailed, Scope.Scope | Server>,
  routes: Layer.Layer<never, never, R>
) =>
  Layer.unwrap(Effect.map(listening, ({ server, uri }) =>
    Layer.succeed(service, { uri }).pipe(
      Layer.merge(
        HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true })
      ),
      Layer.provide([
        Layer.succeed(HttpServer.HttpServer, server),
        NodeHttpServer.layerHttpServices,
        Layer.succeed(HttpIncomingMessage.MaxBodySize, maxBody),
        Layer.succeed(HttpMiddleware.TracerDisabledWhen, () => true), // a span has the address of who asks
        Vitals.layer,
        Instruments.Instruments.layer,
        Instruments.layer
      ])
    )))
