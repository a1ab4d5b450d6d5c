/** `cpt account`: who may log in on a running server. */
import { Name } from "@cpt/schema"
import { Account, AccountChange } from "@cpt/server/admin"
import { Effect, Schema, SchemaIssue } from "effect"
import type * as Commands from "../commands/Account.ts"
import { ask, forEachRow, print, said, shown } from "../Declaring.ts"
import { usage } from "../Failure.ts"
import type * as Flags from "../Flags.ts"
import { Output } from "../Output.ts"
import { visible } from "../Visible.ts"

const decodeName = Schema.decodeUnknownEffect(Name.Username)
const decodeChange = Schema.decodeUnknownEffect(AccountChange)
const encode = Schema.encodeSync(Account)
const explain = SchemaIssue.makeFormatterStandardSchemaV1()

const nameOf = (name: string) =>
  Effect.mapError(decodeName(name), (error) => usage(`NAME "${visible(name)}": ${visible(error.message)}`))

const rulesOf = (account: Account): ReadonlyArray<string> => {
  const { certificates = [], locked = false, ranges = [] } = encode(account)
  return [
    ...locked ? ["locked"] : [],
    ...ranges.length > 0 ? [`only from ${ranges.join(" ")}`] : [],
    ...certificates.length > 0 ? [`only with the certificate ${certificates.join(" or ")}`] : []
  ]
}

const line = (account: Account) => shown(account.name, rulesOf(account))

/** Of what has been changed: also that nothing keeps anybody from it. */
const state = (account: Account) =>
  shown(account.name, rulesOf(account).length === 0 ? ["may log in from anywhere"] : rulesOf(account))

export const list = Effect.fnUntraced(function*({ json, ...flags }: Commands.OfAll) {
  const count = yield* forEachRow(
    flags,
    (client, query) =>
      Effect.map(client.accounts.list({ query }), ({ accounts, ...rest }) => ({ rows: accounts, ...rest })),
    (account) => print(json, line(account), encode(account))
  )
  if (count === 0) yield* (yield* Output).note("there are no accounts")
})

export const show = Effect.fnUntraced(function*({ json, names, ...flags }: Commands.OfNames) {
  for (const name of yield* Effect.forEach(names, nameOf)) {
    const account = yield* ask(flags, (client) => client.accounts.show({ query: { name } }))
    yield* print(json, line(account), encode(account))
  }
})

export const add = Effect.fnUntraced(function*({ json, names, ...flags }: Commands.OfNames) {
  for (const name of yield* Effect.forEach(names, nameOf)) {
    const account = yield* ask(flags, (client) => client.accounts.add({ payload: { name } }))
    yield* said(json, state(account), encode(account))
  }
})

const change = Effect.fnUntraced(function*(
  flags: Flags.Administration,
  json: boolean,
  names: ReadonlyArray<string>,
  payload: typeof AccountChange.Type
) {
  for (const name of yield* Effect.forEach(names, nameOf)) {
    const account = yield* ask(flags, (client) => client.accounts.change({ query: { name }, payload }))
    yield* said(json, state(account), encode(account))
  }
})

export const lock = ({ json, names, ...flags }: Commands.OfNames) => change(flags, json, names, { locked: true })

export const unlock = ({ json, names, ...flags }: Commands.OfNames) => change(flags, json, names, { locked: false })

/** Of what was given for a rule. */
const rule = (what: string, written: typeof AccountChange.Encoded) =>
  Effect.mapError(
    decodeChange(written),
    ({ issue }) => usage(`${what} ${visible(explain(issue).issues[0]?.message ?? "is not right")}`)
  )

export const allowIp = Effect.fnUntraced(function*({ json, name, ranges, ...flags }: Commands.Ranges) {
  const isAny = ranges.includes("any")
  if (isAny && ranges.length > 1) return yield* usage("RANGE \"any\" goes alone: it lifts the rule")
  yield* change(flags, json, [name], yield* rule("RANGE", { ranges: isAny ? null : ranges }))
})

/** What one needs can only be shown where somebody asks for it. */
const warnIfNotAsked = Effect.fnUntraced(function*(flags: Flags.Administration, name: string) {
  const { asksForCertificates } = yield* ask(flags, (client) => client.server.status())
  if (asksForCertificates !== false) return
  const why = "this server asks for no certificates, which takes TLS and --tls-client-ca"
  yield* (yield* Output).note(visible(`warning: nobody can log in as ${name} now: ${why}`))
})

export const requireCert = Effect.fnUntraced(function*({ certificates, json, name, ...flags }: Commands.Certificates) {
  const isNone = certificates.includes("none")
  if (isNone && certificates.length > 1) return yield* usage("CERTIFICATE \"none\" goes alone: it lifts the rule")
  yield* change(flags, json, [name], yield* rule("CERTIFICATE", { certificates: isNone ? null : certificates }))
  if (!isNone) yield* Effect.ignore(warnIfNotAsked(flags, name)) // it is done, whatever comes of this
})

export const remove = Effect.fnUntraced(function*({ json, names, ...flags }: Commands.OfNames) {
  for (const name of yield* Effect.forEach(names, nameOf)) {
    yield* ask(flags, (client) => client.accounts.remove({ query: { name } }))
    yield* said(json, visible(`${name} has no account any more; what was sent to ${name} stays, and stays private`), {
      name,
      removed: true
    })
  }
})
