/** `cpt admin`: what an administrator asks of a running server. */
import { Message } from "@cpt/schema"
import { Effect, Schema } from "effect"
import * as Administration from "../Administration.ts"
import type * as Commands from "../commands/Admin.ts"
import { usage } from "../Failure.ts"
import { Output } from "../Output.ts"
import { counted } from "../Progress.ts"
import { visible } from "../Visible.ts"

const decodeMessage = Schema.decodeUnknownEffect(Message.Message)

export const announce = Effect.fnUntraced(function*({ text, ...flags }: Commands.Announcement) {
  const message = yield* Effect.mapError(
    decodeMessage(text),
    (error) => usage(`TEXT "${visible(text)}": ${visible(error.message)}`)
  )
  const { sessions } = yield* Administration.ask(
    flags,
    (client) => client.server.announce({ payload: { text: message } })
  )
  yield* (yield* Output).note(`${counted(sessions, "session")} told`)
})
