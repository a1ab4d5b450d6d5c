/** `cpt admin`: what an administrator asks of a running server. */
import { Message } from "@cpt/schema"
import { type AdminClient, type Group, LogLevel, type Session } from "@cpt/server/admin"
import { Duration, Effect, Option, Schema } from "effect"
import * as Administration from "../Administration.ts"
import * as Columns from "../Columns.ts"
import type * as Commands from "../commands/Admin.ts"
import { DurationFromText } from "../DurationText.ts"
import { failed, type Failure, usage } from "../Failure.ts"
import { Output } from "../Output.ts"
import { count, counted } from "../Progress.ts"
import * as Quantity from "../Quantity.ts"
import * as Visible from "../Visible.ts"

const { visible } = Visible

/** What was given, as what it should be. */
const read = <A>(codec: Schema.ConstraintDecoder<A>, name: string, text: string): Effect.Effect<A, Failure> =>
  Effect.mapError(
    Schema.decodeUnknownEffect(codec)(text),
    ({ message }) => usage(`${name} "${visible(text)}": ${visible(message.split("\n")[0] ?? "")}`)
  )

export const announce = Effect.fnUntraced(function*({ text, ...flags }: Commands.Announcement) {
  const message = yield* read(Message.Message, "TEXT", text)
  const { sessions } = yield* Administration.ask(
    flags,
    (client) =>
      client.server.announce({ payload: { text: message } }).pipe(
        Effect.catchTag("NotDone", ({ message }) => usage(`TEXT is refused: ${visible(message)}`))
      )
  )
  yield* (yield* Output).note(`${counted(sessions, "session")} told`)
})

interface Column<A> {
  readonly title: string
  readonly isNumber: boolean
  readonly cell: (row: A) => string
}

const text = <A>(title: string, cell: (row: A) => string): Column<A> => ({ title, isNumber: false, cell })
const number = <A>(title: string, cell: (row: A) => string): Column<A> => ({ title, isNumber: true, cell })

/** Writes page after page, as it comes. */
const list = Effect.fnUntraced(function*<A, K extends string | number>(
  { json, ...flags }: Commands.Listing,
  columns: ReadonlyArray<Column<A>>,
  page: (
    client: AdminClient.Client,
    after: K | undefined
  ) => Effect.Effect<
    { readonly rows: ReadonlyArray<A>; readonly through: K | undefined },
    AdminClient.Failure | Failure
  >
) {
  const { write } = yield* Output
  let isFirst = true
  for (let after: K | undefined; isFirst || after !== undefined; isFirst = false) {
    const { rows, through } = yield* Administration.ask(flags, (client) => page(client, after))
    after = through
    if (json) yield* write(rows.map((row) => `${Visible.json(row)}\n`).join(""))
    else if (isFirst || rows.length > 0) {
      const head = isFirst ? [columns.map(({ title }) => title)] : []
      const cells = rows.map((row) => columns.map(({ cell }) => visible(cell(row))))
      yield* write(Columns.align([...head, ...cells], columns.map(({ isNumber }) => isNumber)))
    }
  }
})

const sessionColumns: ReadonlyArray<Column<Session>> = [
  number("ID", ({ id }) => String(id)),
  text("USER", ({ user }) => user ?? "-"),
  text("ADDRESS", ({ address }) => address ?? "-"),
  text("SINCE", ({ since }) => since),
  number("GROUPS", ({ groups }) => count(groups)),
  number("LAG", ({ lagSeconds }) => lagSeconds === 0 ? "-" : Quantity.delay(lagSeconds)),
  number("SENT", ({ messages }) => count(messages)),
  number("TOLD", ({ delivered }) => count(delivered)),
  number("IN", ({ receivedBytes }) => Quantity.bytes(receivedBytes)),
  number("OUT", ({ sentBytes }) => Quantity.bytes(sentBytes))
]

export const sessions = (input: Commands.Listing) =>
  list(
    input,
    sessionColumns,
    (client, after: number | undefined) =>
      client.sessions.list({ query: after === undefined ? {} : { after } }).pipe(
        Effect.map(({ sessions, through }) => ({ rows: sessions, through }))
      )
  )

const groupColumns: ReadonlyArray<Column<Group>> = [
  number("MESSAGES", ({ messages }) => count(messages)),
  number("FOLLOWERS", ({ followers }) => count(followers)),
  text("GROUP", ({ name }) => name)
]

export const groups = (input: Commands.Listing) =>
  list(
    input,
    groupColumns,
    (client, after: string | undefined) =>
      client.groups.list({ query: after === undefined ? {} : { after } }).pipe(
        Effect.map(({ groups, through }) => ({ rows: groups, through })),
        Effect.catchTag("StorageFails", ({ message }) => failed(message))
      )
  )

export const close = Effect.fnUntraced(function*({ session, ...flags }: Commands.Closing) {
  const { address, id, user } = yield* Administration.ask(
    flags,
    (client) =>
      client.sessions.close({ payload: { session } }).pipe(
        Effect.catchTag(
          "NoSuchSession",
          () => failed(`there is no session of "${visible(session)}"; "cpt admin sessions" lists those that there are`)
        )
      )
  )
  const whose = user === undefined ? "of nobody yet" : `of ${visible(user)}`
  const from = address === undefined ? "" : ` from ${address}`
  yield* (yield* Output).note(`session ${id} ${whose}${from} is closed`)
})

export const drain = Effect.fnUntraced(function*({ within, ...flags }: Commands.Draining) {
  const limit = Option.isNone(within) ? undefined : yield* read(DurationFromText, "--within", within.value)
  const { sessions } = yield* Administration.ask(
    flags,
    (client) => client.server.drain({ payload: limit === undefined ? {} : { withinMillis: Duration.toMillis(limit) } })
  )
  const end = Option.isNone(within) ? "when they have gone" : `when they have gone, or after ${within.value}`
  yield* (yield* Output).note(
    sessions === 0 ? "nobody is there: the server ends" : `${counted(sessions, "session")} left: the server ends ${end}`
  )
})

export const reload = Effect.fnUntraced(function*(flags: Commands.Reloading) {
  const { applied, needsRestart } = yield* Administration.ask(flags, (client) =>
    client.server.reload().pipe(
      Effect.catchTag("NotDone", ({ message }) =>
        usage(`settings are not reloaded, all stay as they are: ${visible(message)}`))
    ))
  const { write } = yield* Output
  yield* write(applied.length === 0 ? "nothing has changed\n" : `changed: ${applied.join(", ")}\n`)
  if (needsRestart.length > 0) yield* write(`a restart is needed for: ${needsRestart.join(", ")}\n`)
})

export const logLevel = Effect.fnUntraced(function*({ level, ...flags }: Commands.Logging) {
  if (Option.isNone(level)) {
    const { logLevel } = yield* Administration.ask(flags, (client) => client.server.status())
    return yield* (yield* Output).write(`${logLevel}\n`)
  }
  const to = yield* read(LogLevel, "LEVEL", level.value)
  yield* Administration.ask(flags, (client) =>
    client.server.logLevel({ payload: { level: to } }).pipe(
      Effect.catchTag("NotDone", ({ message }) => failed(visible(message)))
    ))
})
