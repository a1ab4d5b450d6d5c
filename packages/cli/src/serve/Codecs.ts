/** What the values of settings may be: each reads a text, as it stands in a flag, a variable, or the config file. */
import { Limits } from "@cpt/schema"
import { IpRange } from "@cpt/server"
import {
  Array,
  ByteSize,
  Duration,
  Effect,
  Option,
  Schema,
  type SchemaAST,
  SchemaGetter,
  SchemaIssue,
  SchemaTransformation
} from "effect"
import { isIPv6 } from "node:net"
import * as Address from "../Address.ts"
import { DurationFromText, millisOf } from "../DurationText.ts"
import { parseSwitch } from "../Settings.ts"

const expected = (message: string) => (text: string, options: SchemaAST.ParseOptions) =>
  Effect.fail(new SchemaIssue.InvalidValue({ message }, text, options))

/** A text that `parse` understands; it gives undefined for what it does not. Settings are only read. */
const textOf = <S extends Schema.Top>(to: S, parse: (text: string) => S["Encoded"] | undefined, what: string) =>
  Schema.String.pipe(
    Schema.decodeTo(to, {
      decode: SchemaGetter.transformEffect((text: string, options) => {
        const value = parse(text)
        return value === undefined ? expected(`expected ${what}`)(text, options) : Effect.succeed(value)
      }),
      encode: SchemaGetter.forbidden(() => "it is only read")
    })
  )

const countOf = (text: string): number | undefined => /^[1-9][0-9]{0,14}$/.test(text) ? Number(text) : undefined

/** From 1 on. */
export const Count = textOf(Schema.Int, countOf, "a number from 1 on")

/** Bytes of a client's line, no more than clients can read when it comes back. */
export const LineLength = textOf(
  Schema.Int,
  (text) => {
    const bytes = countOf(text)
    return bytes !== undefined && bytes <= Limits.maxReadableLineBytes ? bytes : undefined
  },
  `a number from 1 to ${Limits.maxReadableLineBytes}, so that clients can read what comes of such a line`
)

/** A limit that may be switched off: then it is endless. */
const limitOf = (parse: (text: string) => number | undefined, what: string) =>
  textOf(Schema.Number, (text) => text === "off" ? Infinity : parse(text), `${what}, or off`)

/** From 1 on, or no limit. */
export const CountLimit = limitOf(countOf, "a number from 1 on")

const seconds: ReadonlyMap<string | undefined, number> = new Map([["s", 1], ["min", 60]])

/** So many in a second: `1000/s`, `5000/min`. */
export const RateLimit = limitOf((text) => {
  const [count = "", unit, ...more] = text.split("/")
  const [n, time] = [countOf(count), seconds.get(unit)]
  return n === undefined || time === undefined || more.length > 0 ? undefined : n / time
}, "a rate, such as 1000/s or 5000/min")

export const Port = textOf(
  Schema.Int,
  (text) => /^[0-9]{1,5}$/.test(text) && Number(text) < 65_536 ? Number(text) : undefined,
  "a port from 0 to 65535"
)

/** Bytes, from 1 on; undefined for what is no size. */
const sizeOf = (text: string): number | undefined =>
  /^[0-9]+$/.test(text)
    ? Number.isSafeInteger(Number(text)) && Number(text) > 0 ? Number(text) : undefined
    : Option.getOrUndefined(
      ByteSize.fromString(text).pipe(
        Option.flatMap(ByteSize.toNumber),
        Option.filter((bytes) => Number.isSafeInteger(bytes) && bytes > 0)
      )
    )

/** Bytes: `64MiB`, `2GB`, `65536`. */
export const Size = textOf(Schema.Int, sizeOf, "a size, such as 64MiB or 2GB")

/** So many bytes in a second: `64MiB/s`. */
export const ByteLimit = limitOf(
  (text) => text.endsWith("/s") ? sizeOf(text.slice(0, -2)) : undefined,
  "bytes in a second, such as 64MiB/s"
)

/** `100000` messages, `64MiB` of them, or both: `100000,64MiB`. */
export const MemoryLimit = textOf(
  Schema.Struct({ messages: Schema.optionalKey(Schema.Int), bytes: Schema.optionalKey(Schema.Int) }),
  (text) => {
    const limit: { messages?: number; bytes?: number } = {}
    for (const part of text.split(",")) limit[/^[0-9]+$/.test(part) ? "messages" : "bytes"] = sizeOf(part) ?? 0
    return Object.values(limit).every((n) => n > 0) ? limit : undefined
  },
  "messages, bytes, or both: 100000,64MiB"
)

/** Longer than nothing. */
export const Deadline = DurationFromText.pipe(
  Schema.check(
    Schema.makeFilter((duration) => Duration.isPositive(duration) ? undefined : "expected more than nothing")
  )
)

/** The same, or none: then it is endless. */
export const DeadlineLimit = limitOf(
  (text) => millisOf(text) || undefined,
  "a duration like 500ms, 5s, 2h30m or 1d"
).pipe(Schema.decodeTo(Schema.DurationFromMillis))

export const Switch = textOf(
  Schema.Boolean,
  (text) => Option.getOrUndefined(Option.getSuccess(parseSwitch(text))),
  "on or off"
)

/** A name or an address; one of IPv6 may be in brackets, as it is said where the server listens. */
export const Host = textOf(
  Schema.String,
  (text) => {
    const [, inBrackets = ""] = /^\[(.+)\]$/.exec(text) ?? []
    return isIPv6(inBrackets) ? inBrackets : text || undefined
  },
  "something"
)

const HostPort = Schema.Struct({ host: Schema.String, port: Schema.Int })

const hostPort = (text: string): typeof HostPort.Type | undefined => {
  const [, inBrackets, plain, digits = ""] = /^(?:\[([^\]]+)\]|([^\s:/@[\]]+)):(\d{1,5})$/.exec(text) ?? []
  const host = inBrackets ?? plain
  const isRight = host !== undefined && Number(digits) < 65_536 && (inBrackets === undefined || isIPv6(inBrackets))
  return isRight ? { host, port: Number(digits) } : undefined
}

/** Where to listen for HTTP: `127.0.0.1:9168`, `[::1]:9168`. */
export const HttpAddress = textOf(HostPort, hostPort, "HOST:PORT, such as 127.0.0.1:9168")

const partsOf = (text: string): ReadonlyArray<string> => text.split(",").map((part) => part.trim())

/** All of a list, whose parts stand with commas between them; undefined if one is none, or there are none. */
const listOf = <A>(parse: (text: string) => A | undefined) => (text: string) => {
  const parts = partsOf(text)
  const all = parts.map(parse).filter((one) => one !== undefined)
  return all.length === parts.length && Array.isArrayNonEmpty(all) ? all : undefined
}

/** Where a server listens: one address or several. */
export const Addresses = textOf(
  Schema.NonEmptyArray(
    Schema.Union([
      Schema.Struct({ host: Schema.String, port: Schema.Int, isTls: Schema.Boolean }),
      Schema.Struct({ path: Schema.String })
    ])
  ),
  listOf(Address.parseUri),
  "cpt://HOST[:PORT], cpts://HOST[:PORT] or unix:///PATH, with commas between several"
)

/** Whether what nobody has declared is let in. */
export const OpenOrKnown = Schema.Literals(["open", "known"]).annotate({ message: "expected open or known" })

/** Where the administration is: a path, an address, or nowhere. */
export const AdminUri = textOf(
  Schema.Union([Schema.Literal("off"), Schema.Struct({ path: Schema.String }), HostPort]),
  (text) => {
    if (text === "off") return "off"
    if (text.startsWith("unix:///")) return { path: text.slice("unix://".length) }
    return text.startsWith("http://") ? hostPort(text.slice("http://".length).replace(/\/$/, "")) : undefined
  },
  "unix:///PATH, http://HOST:PORT or off"
)

/** A list of ranges of IP addresses: what is wrong is said of the part that it is wrong with. */
const rangesOf = (parts: (text: string) => ReadonlyArray<string>) =>
  Schema.String.pipe(
    Schema.decodeTo(
      Schema.Array(IpRange.FromText),
      SchemaTransformation.transform({ decode: parts, encode: (parts) => parts.join(",") })
    )
  )

/** Ranges of IP addresses. */
export const IpRanges = rangesOf(partsOf)

/** The same, or none of them. */
export const MaybeIpRanges = rangesOf((text) => text === "" || text === "none" ? [] : partsOf(text))

/** A text that is not empty; what it stands for is looked at where it is used. */
export const Text = Schema.String.pipe(Schema.check(Schema.isNonEmpty({ message: "expected something" })))
