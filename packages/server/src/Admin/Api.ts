/**
 * What an administrator may ask of a running server, as an HTTP API: the definition, which server, client and OpenAPI
 * document are made of. What is done is in `Handlers.ts`.
 */
import { Message } from "@cpt/schema"
import { Schema } from "effect"
import {
  HttpApi,
  HttpApiEndpoint,
  HttpApiGroup,
  HttpApiMiddleware,
  HttpApiSchema,
  HttpApiSecurity,
  OpenApi
} from "effect/http-api"

/** Who asks over TCP has to show the token; on the Unix socket, who may open it may do everything. */
export class Unauthorized extends Schema.TaggedError<Unauthorized>()("Unauthorized", {}, { httpApiStatus: 401 }) {
  override readonly message = "the token is missing, or is another one"
}

export class Authorization extends HttpApiMiddleware.Service<Authorization>()("@cpt/server/Admin/Authorization", {
  error: Unauthorized,
  security: { bearer: HttpApiSecurity.bearer }
}) {}

/** How many sessions were told. */
const Told = Schema.Struct({ sessions: Schema.Int })

class ServerGroup extends HttpApiGroup.make("server").add(
  HttpApiEndpoint.post("announce", "/announce", {
    payload: Schema.Struct({ text: Message.Message }),
    success: Told
  }).annotate(OpenApi.Description, "Tells everybody who is logged in")
) {}

const Exposition = Schema.String.pipe(
  HttpApiSchema.asText({ contentType: "text/plain; version=0.0.4; charset=utf-8" })
)

/** For machines that watch a server. */
class ProbesGroup extends HttpApiGroup.make("probes").add(
  HttpApiEndpoint.get("metrics", "/metrics", { success: Exposition })
    .annotate(OpenApi.Description, "What has been counted, for Prometheus")
) {}

/** Every group of it is behind `Authorization`, and says what is wrong with a request. */
export class AdminApi extends HttpApi.make("cpt")
  .add(ServerGroup)
  .add(ProbesGroup)
  .middleware(Authorization)
  .middleware(HttpApiMiddleware.ProblemDetails)
  .annotateMerge(OpenApi.annotations({ title: "Administration of a cpt server" }))
{}
