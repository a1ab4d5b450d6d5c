/**
 * What an administrator may ask of a running server, as an HTTP API: the definition, which server, client and OpenAPI
 * document are made of. What is done is in `Handlers.ts`.
 */
import { Message } from "@cpt/schema"
import { ByteSize, Schema } from "effect"
import {
  HttpApi,
  HttpApiEndpoint,
  HttpApiError,
  HttpApiGroup,
  HttpApiMiddleware,
  HttpApiSchema,
  HttpApiSecurity,
  OpenApi
} from "effect/http-api"
import { AccountsGroup, DeclaredGroupsGroup } from "./DeclaredApi.ts"

/**
 * Bytes of what somebody may send in one request: as many as a list of arguments may have where systems have not been
 * told otherwise, so that all members of a group that fit on a command line can be named at once.
 */
export const maxBody = ByteSize.mebibytes(2)

/** Who asks over TCP has to show the token; on the Unix socket, who may open it may do everything. */
export class Unauthorized extends Schema.TaggedError<Unauthorized>()("Unauthorized", {}, { httpApiStatus: 401 }) {
  override readonly message = "the token is missing, or is another one"
}

export class Authorization extends HttpApiMiddleware.Service<Authorization>()("@cpt/server/Admin/Authorization", {
  error: Unauthorized,
  security: { bearer: HttpApiSecurity.bearer }
}) {}

/** All of a request has to be understood; what machines ask, who add to a query what others want to see, need not be. */
export class Understood extends HttpApiMiddleware.Service<Understood>()("@cpt/server/Admin/Understood", {
  error: HttpApiError.BadRequestProblem
}) {}

/** It was not done, and nothing has changed: the message says why. */
export class NotDone extends Schema.TaggedError<NotDone>()(
  "NotDone",
  { message: Schema.String },
  { httpApiStatus: 422 }
) {}

/** Nobody is connected by this name or number. */
export class NoSuchSession extends Schema.TaggedError<NoSuchSession>()("NoSuchSession", {}, { httpApiStatus: 404 }) {
  override readonly message = "there is no such session"
}

export class StorageFails extends Schema.TaggedError<StorageFails>()("StorageFails", {}, { httpApiStatus: 503 }) {
  override readonly message = "the server cannot read what it keeps now"
}

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** `storage_failing`: messages cannot be stored or read. */
const Health = Schema.Literals(["ready", "draining", "storage_failing"])
export type Health = typeof Health.Type

/** A server at a glance. Rates and delays are of the last ten seconds. */
export const Status = Schema.Struct({
  version: Schema.String,
  pid: Schema.Int,
  /** RFC 3339. */
  startedAt: Schema.String,
  uptimeSeconds: Schema.Finite,
  addresses: Schema.Array(Schema.String),
  /** Whether clients are asked for certificates somewhere; absent if that is not known. */
  asksForCertificates: Schema.optionalKey(Schema.Boolean),
  health: Health,
  /** What ails the storage. */
  failure: Schema.optionalKey(Schema.String),
  sessions: Count,
  maxSessions: Count,
  users: Count,
  lateSessions: Count,
  followerLagSeconds: Schema.Finite,
  messages: Count,
  messagesPerSecond: Schema.Finite,
  deliveries: Count,
  deliveriesPerSecond: Schema.Finite,
  /** Where messages are, in words. */
  store: Schema.String,
  storedBytes: Count,
  queuedBytes: Count,
  cachedBytes: Count,
  memoryBytes: Count,
  /** Processors in use: 1 is one of them, all of the time. */
  processors: Schema.Finite,
  eventLoopDelaySeconds: Schema.Struct({ p99: Schema.Finite, max: Schema.Finite }),
  logLevel: Schema.String
})
export type Status = typeof Status.Type

export const LogLevel = Schema.Literals(["debug", "info", "warn", "error"])

class ServerGroup extends HttpApiGroup.make("server").add(
  HttpApiEndpoint.get("status", "/status", { success: Status })
    .annotate(OpenApi.Description, "The server at a glance"),
  HttpApiEndpoint.post("announce", "/announce", {
    payload: Schema.Struct({ text: Message.Message }),
    success: Schema.Struct({ sessions: Count }),
    error: NotDone
  }).annotate(
    OpenApi.Description,
    "Tells everybody who is logged in, in a line no longer than theirs may be; gives how many that are"
  ),
  HttpApiEndpoint.post("drain", "/drain", {
    payload: Schema.Struct({ withinMillis: Schema.optionalKey(Count) }),
    success: Schema.Struct({ sessions: Count })
  }).annotate(
    OpenApi.Description,
    "Nobody new is served. The server ends when the last session has, or after so long; gives how many are there"
  ),
  HttpApiEndpoint.post("reload", "/reload", {
    success: Schema.Struct({ applied: Schema.Array(Schema.String), needsRestart: Schema.Array(Schema.String) }),
    error: NotDone
  }).annotate(
    OpenApi.Description,
    "Reads the settings again: all that can change does, or nothing. Gives what has, settings by name, and in words what was read again with them; and the settings that take a restart"
  ),
  HttpApiEndpoint.put("logLevel", "/log-level", {
    payload: Schema.Struct({ level: LogLevel }),
    success: HttpApiSchema.NoContent,
    error: NotDone
  }).annotate(OpenApi.Description, "The least that is logged, until the next reload or start")
) {}

/** Who is connected. */
export const Session = Schema.Struct({
  id: Schema.Int,
  /** Absent before the login. */
  user: Schema.optionalKey(Schema.String),
  /** Absent on a Unix socket. */
  address: Schema.optionalKey(Schema.String),
  /** RFC 3339. */
  since: Schema.String,
  /** Groups that it follows. */
  groups: Count,
  /** Between the last message of what it follows and the last one that it has been told. */
  lagSeconds: Schema.Finite,
  /** Messages that were acknowledged to it, and that it was told. */
  messages: Count,
  delivered: Count,
  receivedBytes: Count,
  sentBytes: Count
})
export type Session = typeof Session.Type

class SessionsGroup extends HttpApiGroup.make("sessions").add(
  HttpApiEndpoint.get("list", "/sessions", {
    query: { after: Schema.optionalKey(Schema.FiniteFromString.check(Schema.isInt())) },
    success: Schema.Struct({ sessions: Schema.Array(Session), through: Schema.optionalKey(Schema.Int) })
  }).annotate(
    OpenApi.Description,
    "Those with an id behind `after`, a page of them; if there may be more, `through` is where the next page begins"
  ),
  HttpApiEndpoint.post("close", "/sessions/close", {
    payload: Schema.Struct({ session: Schema.String }),
    success: Session,
    error: NoSuchSession
  }).annotate(OpenApi.Description, "Ends the session of a user, or the one with an id; gives which it was")
) {}

export const Group = Schema.Struct({
  name: Schema.String,
  followers: Count,
  messages: Count
})
export type Group = typeof Group.Type

class GroupsGroup extends HttpApiGroup.make("groups").add(
  HttpApiEndpoint.get("list", "/groups", {
    query: { after: Schema.optionalKey(Schema.String) },
    success: Schema.Struct({ groups: Schema.Array(Group), through: Schema.optionalKey(Schema.String) }),
    error: StorageFails
  }).annotate(
    OpenApi.Description,
    "Those with a name behind `after`, a page of them; if there may be more, `through` is where the next page begins"
  )
) {}

const Exposition = Schema.String.pipe(
  HttpApiSchema.asText({ contentType: "text/plain; version=0.0.4; charset=utf-8" })
)

/** For machines that watch a server. */
class ProbesGroup extends HttpApiGroup.make("probes").add(
  HttpApiEndpoint.get("healthz", "/healthz", {
    success: [
      Schema.Struct({ status: Health.pick(["ready"]) }),
      Schema.Struct({ status: Health.pick(["draining", "storage_failing"]) }).pipe(HttpApiSchema.status(503))
    ]
  }).annotate(OpenApi.Description, "Whether somebody who comes now can be served"),
  HttpApiEndpoint.get("metrics", "/metrics", { success: Exposition })
    .annotate(OpenApi.Description, "What has been counted, for Prometheus")
) {}

class DocumentGroup extends HttpApiGroup.make("document").add(
  HttpApiEndpoint.get("openApi", "/openapi.json", { success: Schema.Unknown }).annotate(OpenApi.Exclude, true)
) {}

/** What nobody knows in a request is an error: a rule with a typing error in it would be none. */
const strict = { onExcessProperty: "error" } as const

/** All of it is behind `Authorization`, and says what is wrong with a request. */
export class AdminApi extends HttpApi.make("cpt")
  .add(ServerGroup)
  .add(SessionsGroup)
  .add(GroupsGroup)
  .add(AccountsGroup)
  .add(DeclaredGroupsGroup)
  .middleware(Understood)
  .add(ProbesGroup)
  .add(DocumentGroup)
  .middleware(Authorization)
  .middleware(HttpApiMiddleware.ProblemDetails)
  .annotate(HttpApi.PayloadParseOptions, strict)
  .annotate(HttpApi.QueryParseOptions, strict)
  .annotateMerge(OpenApi.annotations({ title: "Administration of a cpt server" }))
{}

/** The probes alone, for everybody. */
export class ProbesApi extends HttpApi.make("cpt-probes").add(ProbesGroup) {}
