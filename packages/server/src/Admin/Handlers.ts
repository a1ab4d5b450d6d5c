/** What is done when an administrator asks for it; how it is asked for is in `Api.ts`. */
import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { Server } from "../Server.ts"
import { AdminApi } from "./Api.ts"
import * as Probes from "./Probes.ts"

export const server = HttpApiBuilder.group(
  AdminApi,
  "server",
  Effect.fnUntraced(function*(handlers) {
    const { announce } = yield* Server
    return handlers.handleAll({
      announce: ({ payload }) => Effect.map(announce(payload.text), (sessions) => ({ sessions }))
    })
  })
)

export const probes = HttpApiBuilder.group(
  AdminApi,
  "probes",
  (handlers) => Effect.map(Probes.answers, (answers) => handlers.handleAll(answers))
)
