/**
 * Whether all of a request is understood. A request that takes no query or no body says nothing of these to its schema, so
 * that they would be passed over; and bytes that are not UTF-8 would be repaired before a schema sees them.
 */
import { Effect, Layer } from "effect"
import { HttpServerRequest } from "effect/http"
import { HttpApiError } from "effect/http-api"
import { Buffer, isUtf8 } from "node:buffer"
import { Understood } from "./Api.ts"

const refused = (path: ReadonlyArray<string>, message: string) =>
  new HttpApiError.BadRequestProblem({ detail: "Request validation failed", errors: [{ path, message }] })

/** What a URL stands for. */
const bytesOf = (url: string): Buffer => {
  const unescaped = url.replaceAll(/%([\da-f]{2})/gi, (_, byte) => String.fromCharCode(Number.parseInt(byte, 16)))
  return Buffer.from(unescaped, "latin1")
}

/** Nothing, or an object without keys. */
const saysNothing = /^\s*(?:\{\s*\}\s*)?$/

export const layer = Layer.succeed(Understood, (answer, { endpoint }) =>
  Effect.gen(function*() {
    const request = yield* HttpServerRequest.HttpServerRequest
    const keys = Object.keys(yield* HttpServerRequest.ParsedSearchParams)
    if (endpoint.query === undefined && keys[0] !== undefined) {
      return yield* refused(["query", keys[0]], "Expected no such key")
    }
    // CPT 1.2
    if (!isUtf8(bytesOf(request.url))) return yield* refused(["query"], "Expected UTF-8")
    const body = Buffer.from(yield* Effect.orDie(request.arrayBuffer))
    if (!isUtf8(body)) return yield* refused(["payload"], "Expected UTF-8")
    if (endpoint.payload.size === 0 && !saysNothing.test(body.toString())) {
      return yield* refused(["payload"], "Expected none")
    }
    return yield* answer
  }))
