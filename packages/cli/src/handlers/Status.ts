/** `cpt status`: a running server at a glance. */
import type { Status } from "@cpt/server/admin"
import { Effect } from "effect"
import * as Administration from "../Administration.ts"
import * as Columns from "../Columns.ts"
import type { Input } from "../commands/Status.ts"
import { exitStatus, silent } from "../Failure.ts"
import { Output } from "../Output.ts"
import { count } from "../Progress.ts"
import * as Quantity from "../Quantity.ts"
import * as Visible from "../Visible.ts"

const every = "1 second"

const perSecond = (rate: number): string => `${count(Math.round(rate))}/s`

const healths: { readonly [K in Status["health"]]: string } = {
  ready: "well",
  draining: "draining: nobody new is served",
  storage_failing: "ailing: messages cannot be stored or read"
}

/** For people. */
const print = (status: Status): string => {
  const { p99, max } = status.eventLoopDelaySeconds
  const late = status.lateSessions === 0
    ? ""
    : `; ${count(status.lateSessions)} behind, by up to ${Quantity.delay(status.followerLagSeconds)}`
  const rows = [
    ["health", status.failure === undefined ? healths[status.health] : `${healths[status.health]} (${status.failure})`],
    ["server", `cpt ${status.version}, process ${status.pid}, up ${Quantity.age(status.uptimeSeconds)}`],
    ["listens on", status.addresses.join(", ")],
    ["sessions", `${count(status.sessions)} of ${count(status.maxSessions)}, ${count(status.users)} logged in${late}`],
    ["messages", `${perSecond(status.messagesPerSecond)}, ${count(status.messages)} since the start`],
    ["deliveries", `${perSecond(status.deliveriesPerSecond)}, ${count(status.deliveries)} since the start`],
    ["stored", `${Quantity.bytes(status.storedBytes)} ${status.store}`],
    ["waiting", `${Quantity.bytes(status.queuedBytes)} for the disk; ${Quantity.bytes(status.cachedBytes)} cached`],
    ["memory", Quantity.bytes(status.memoryBytes)],
    ["processors", status.processors.toFixed(2)],
    ["event loop", `late by ${Quantity.delay(p99)} (99 % of the time), ${Quantity.delay(max)} at most`],
    ["log level", status.logLevel]
  ]
  return Columns.align(rows.map((row) => row.map(Visible.visible)), [false, false])
}

export const status = Effect.fnUntraced(function*({ json, watch, ...flags }: Input) {
  const { note, width, write } = yield* Output
  const now = Administration.ask(flags, (client) => client.server.status())
  const show = json ? (status: Status) => `${Visible.json(status)}\n` : print

  const first = yield* now
  if (!watch) {
    yield* write(show(first))
    return first.health === "ready" ? undefined : yield* silent("failed")
  }

  let lines = 0 // that are shown, on a terminal
  let isGone = false
  /** On a terminal in the place of the one before, and no line longer than it is wide, so that each is one. */
  const draw = (status: Status) => {
    const columns = width()
    const text = show(status)
    if (json || columns === undefined) return write(json || lines++ === 0 ? text : `\n${text}`)
    const shown = text.split("\n").map((line) => line.slice(0, columns - 1))
    const place = lines === 0 ? "" : `\u001B[${lines}A\u001B[J`
    lines = shown.length - 1
    return write(`${place}${shown.join("\n")}`)
  }
  yield* draw(first)
  yield* Effect.gen(function*() {
    yield* Effect.sleep(every)
    yield* draw(yield* now)
    isGone = false
  }).pipe(
    Effect.catchIf((error) => error._tag === "Failure" && error.status === exitStatus.noConnection, (error) => {
      if (isGone) return Effect.void
      isGone = true
      lines = 0 // what was shown last stays
      return note("message" in error ? error.message : "")
    }),
    Effect.forever
  )
})
