/**
 * The administration of a running server, over HTTP: `layerUnix` on a socket that its owner alone may open, `layerTcp` for
 * who shows a token. A server does without, unless somebody composes one of them with it.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { ByteSize, Context, Duration, Effect, Layer, Redacted, Schema, type Scope } from "effect"
import { HttpIncomingMessage, HttpRouter, HttpServer } from "effect/http"
import { HttpApiBuilder, HttpApiMiddleware } from "effect/http-api"
import { Buffer } from "node:buffer"
import { hash, timingSafeEqual } from "node:crypto"
import { createServer } from "node:http"
import { AdminApi, Authorization, Unauthorized } from "./Admin/Api.ts"
import * as Handlers from "./Admin/Handlers.ts"
import type { Server } from "./Server.ts"
import * as UnixSocket from "./UnixSocket.ts"

/** Bytes of what somebody may send in one request. */
const maxBody = ByteSize.kibibytes(64)

/** How long a request that is being answered when the server stops may take; then it is cut. */
const patience = Duration.millis(500)

/** It cannot be reached there: the message says where, and why. */
export class AdminFailed extends Schema.TaggedError<AdminFailed>()("AdminFailed", { message: Schema.String }) {}

export class Admin extends Context.Service<Admin, {
  /** Where it is reached, as a client is told: `unix:///path/admin.sock`, `http://127.0.0.1:9169`. */
  readonly uri: string
}>()("@cpt/server/Admin") {
  /** On a Unix socket, for its owner alone (0600): who may open it may do everything. */
  static readonly layerUnix = (path: string): Layer.Layer<Admin, AdminFailed, Server> =>
    layer(
      UnixSocket.place(path, (path) => listen({ path }), 0o600).pipe(
        Effect.map((server) => ({ server, uri: `unix://${path}` })),
        Effect.mapError(({ message }) => new AdminFailed({ message: `no administration at ${path}: ${message}` }))
      ),
      () => true
    )

  /** On TCP, in clear text, for who shows the token. */
  static readonly layerTcp = (options: {
    readonly host: string
    readonly port: number
    readonly token: Redacted.Redacted
  }): Layer.Layer<Admin, AdminFailed, Server> =>
    layer(
      listen({ host: options.host, port: options.port }).pipe(
        Effect.map((server) => ({ server, uri: `http://${server.address}` })),
        Effect.mapError(({ message }) =>
          new AdminFailed({ message: `no administration at ${options.host}:${options.port}: ${message}` })
        )
      ),
      isToken(options.token)
    )
}

/** Compares in a time that says nothing of how much is right. */
const isToken = (token: Redacted.Redacted) => {
  const digest = (token: Redacted.Redacted) => Buffer.from(hash("sha256", Redacted.value(token), "hex"))
  const right = digest(token)
  return (shown: Redacted.Redacted): boolean => timingSafeEqual(digest(shown), right)
}

interface Listening {
  readonly server: HttpServer.HttpServer["Service"]
  readonly uri: string
}

const layer = (
  listening: Effect.Effect<Listening, AdminFailed, Scope.Scope>,
  mayEnter: (token: Redacted.Redacted) => boolean
): Layer.Layer<Admin, AdminFailed, Server> =>
  Layer.unwrap(Effect.map(listening, ({ server, uri }) => {
    const authorization = Layer.succeed(Authorization, {
      bearer: (answer, { credential }) => mayEnter(credential) ? answer : Effect.fail(new Unauthorized({}))
    })
    const routes = HttpApiBuilder.layer(AdminApi, { openapiPath: "/openapi.json" }).pipe(
      Layer.provide([Handlers.server, Handlers.probes]),
      Layer.provide([authorization, HttpApiMiddleware.layerProblemDetails({ includeDetails: true })])
    )
    return Layer.succeed(Admin, { uri }).pipe(
      Layer.merge(HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true })),
      Layer.provide([
        Layer.succeed(HttpServer.HttpServer, server),
        NodeHttpServer.layerHttpServices,
        Layer.succeed(HttpIncomingMessage.MaxBodySize, maxBody)
      ])
    )
  }))

/** A server that ends within a moment, whatever its clients do. */
const listen = Effect.fnUntraced(function*(options: { path: string } | { host: string; port: number }) {
  const node = createServer()
  const server = yield* Effect.mapError(
    NodeHttpServer.make(() => node, { ...options, gracefulShutdownTimeout: patience }),
    ({ cause }) => ({ message: cause instanceof Error ? cause.message : String(cause) })
  )
  yield* Effect.addFinalizer(() => Effect.sync(() => node.closeAllConnections()))
  return server
})
