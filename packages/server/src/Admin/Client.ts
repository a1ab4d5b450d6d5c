/** The client of the administration, made of its definition. */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { Effect, Layer, type Redacted } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { HttpApiClient } from "effect/http-api"
import * as UnixSocket from "../UnixSocket.ts"
import { AdminApi } from "./Api.ts"

/** Where a server is asked: on a Unix socket, or over HTTP with the token that it wants to see. */
export type Place =
  | { readonly path: string }
  | { readonly url: URL; readonly token: Redacted.Redacted | undefined }

/** Speaks with a server as long as the scope lasts. Nothing is sent before the first call. */
export const make = Effect.fnUntraced(function*(place: Place) {
  const socketPath = "path" in place ? yield* UnixSocket.shortPath(place.path) : undefined
  const http = yield* Layer.build(NodeHttpClient.layerNodeHttpOptions({ socketPath }))
  return yield* HttpApiClient.make(AdminApi, {
    baseUrl: "url" in place ? place.url : "http://localhost",
    transformClient: (client) =>
      "url" in place && place.token !== undefined
        ? HttpClient.mapRequest(client, HttpClientRequest.bearerToken(place.token))
        : client
  }).pipe(Effect.provideContext(http))
})

export type Client = Effect.Success<ReturnType<typeof make>>

/** How any question may fail; one may have errors of its own beside. */
export type Failure = Effect.Error<ReturnType<Client["server"]["announce"]>> | UnixSocket.UnixSocketFailed
