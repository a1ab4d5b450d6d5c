/** The client of the administration, made of its definition. */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { ByteSize, Cause, Duration, Effect, Layer, Redacted } from "effect"
import { HttpClient, HttpClientError, HttpClientRequest } from "effect/http"
import { HttpApiClient } from "effect/http-api"
import * as UnixSocket from "../UnixSocket.ts"
import { AdminApi, maxBody } from "./Api.ts"
import * as Token from "./Token.ts"

/** Where a server is asked: on a Unix socket, or over HTTP with the token that it wants to see. */
export type Place =
  | { readonly path: string }
  | { readonly url: URL; readonly token: Redacted.Redacted | undefined }

/** What is more than a server takes is not sent: it would close the connection, and its answer could be lost with it. */
const bounded = HttpClient.mapRequestEffect((request: HttpClientRequest.HttpClientRequest) => {
  const bytes = request.body._tag === "Uint8Array" ? request.body.contentLength : 0
  if (bytes <= ByteSize.toNumberUnsafe(maxBody)) return Effect.succeed(request)
  const description = `a request of ${bytes} bytes is more than the ${ByteSize.format(maxBody)} that a server takes`
  return Effect.fail(
    new HttpClientError.HttpClientError({ reason: new HttpClientError.EncodeError({ request, description }) })
  )
})

/** With all of the answer, or an error when that takes too long; what Node throws for a URL that cannot be is one too. */
const answeredWithin = (within: Duration.Duration) => (client: HttpClient.HttpClient): HttpClient.HttpClient =>
  HttpClient.transform(client, (answer, request) => {
    const failed = (cause: unknown) => {
      const reason = new HttpClientError.TransportError({ request, cause })
      return Effect.fail(new HttpClientError.HttpClientError({ reason }))
    }
    return answer.pipe(
      Effect.catchDefect(failed),
      Effect.tap((response) => response.arrayBuffer),
      Effect.timeoutOrElse({ duration: within, orElse: () => failed(new Cause.TimeoutError()) })
    )
  })

/** Where something else stands behind a status of ours, Effect compares why that cannot be, and dies of the same error. */
const failing = (answer: Effect.Effect<unknown, unknown, unknown>) =>
  Effect.catchDefect(
    answer,
    (defect) => HttpClientError.isHttpClientError(defect) ? Effect.fail(defect) : Effect.die(defect)
  )

/**
 * Speaks with a server as long as the scope lasts. Nothing is sent before the first call.
 *
 * @param within how long each answer may take
 */
export const make = Effect.fnUntraced(function*(place: Place, within: Duration.Duration = Duration.infinity) {
  const socketPath = "path" in place ? yield* UnixSocket.shortPath(place.path) : undefined
  const http = yield* Layer.build(NodeHttpClient.layerNodeHttpOptions({ socketPath }))
  const token = "url" in place && place.token !== undefined
    ? yield* Token.parse(Redacted.value(place.token))
    : undefined
  return yield* HttpApiClient.make(AdminApi, {
    baseUrl: "url" in place ? place.url : "http://localhost",
    transformResponse: failing,
    transformClient: (client) => {
      const careful = bounded(answeredWithin(within)(client))
      return token === undefined ? careful : HttpClient.mapRequest(careful, HttpClientRequest.bearerToken(token))
    }
  }).pipe(Effect.provideContext(http))
})

export type Client = Effect.Success<ReturnType<typeof make>>

/** How any question may fail; one may have errors of its own beside. */
export type Failure =
  | Effect.Error<ReturnType<Client["server"]["status"]>>
  | UnixSocket.UnixSocketFailed
  | Token.TokenUnusable
