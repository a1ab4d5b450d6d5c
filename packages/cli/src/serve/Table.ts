/**
 * Every setting of `cpt serve`, once: what it is called, what it may be, what it is by default, and what help says of it.
 * The flags, the variables (`--max-sessions` is `CPT_MAX_SESSIONS`), the config file, `cpt config` and reload all go by
 * this table.
 */
import { Limits } from "@cpt/schema"
import { ServerConfig, StoreDefaults } from "@cpt/server"
import { Duration, Schema, Struct } from "effect"
import { DurationFromText } from "../DurationText.ts"
import {
  Addresses,
  AdminUri,
  ByteLimit,
  Count,
  CountLimit,
  Deadline,
  DeadlineLimit,
  Host,
  HttpAddress,
  IpRanges,
  LineLength,
  MaybeIpRanges,
  MemoryLimit,
  OpenOrKnown,
  Port,
  RateLimit,
  Size,
  Switch,
  Text
} from "./Codecs.ts"

export interface About {
  /** What stands for the value in help. */
  readonly metavar: string
  readonly help: string
  /** The value when nothing is given, as one would write it. */
  readonly fallback?: string
  /** Means something only where messages are on disk, or only where they are in memory. */
  readonly isFor?: "disk" | "memory"
  /** As a flag it needs no value: alone it means "true". */
  readonly isToggle?: true
  /** Several values, with commas between them; the flag may also be given several times. */
  readonly isList?: true
  /** A running server can take another value (SIGHUP); for the others it has to be started again. */
  readonly reloads?: true
}

interface Setting<F extends Schema.Top> {
  readonly field: F
  readonly about: About
}

const optional = <S extends Schema.Top>(schema: S, about: About): Setting<Schema.optionalKey<S>> => ({
  field: Schema.optionalKey(schema),
  about
})

const setting = <S extends Schema.Top>(schema: S, fallback: string, about: About): Setting<S> => ({
  field: schema,
  about: { ...about, fallback }
})

const { defaults } = ServerConfig
const text = Schema.encodeSync(DurationFromText)
const size = (bytes: number): string => `${bytes / 2 ** 20}MiB`

export const settings = {
  host: setting(Host, "127.0.0.1", {
    metavar: "ADDRESS",
    help: "address to listen on; 0.0.0.0 or :: for every network"
  }),
  port: setting(Port, String(Limits.defaultPort), { metavar: "PORT", help: "port to listen on; 0 takes a free one" }),
  listen: optional(Addresses, {
    metavar: "URI,…",
    help:
      "instead of both, where to listen, also at several places: cpt://HOST:PORT, cpts://HOST:PORT (TLS), unix:///PATH",
    isList: true
  }),
  "tls-cert": optional(Text, {
    metavar: "FILE",
    help: "for cpts://: the certificate, in PEM, followed when it changes"
  }),
  "tls-key": optional(Text, { metavar: "FILE", help: "its private key, in PEM" }),
  "tls-client-ca": optional(Text, {
    metavar: "FILE",
    help: "ask clients for certificates of these authorities, in PEM; who has none is let in without"
  }),
  "proxy-from": optional(IpRanges, {
    metavar: "CIDR,…",
    help: "networks of proxies, which have to say in the PROXY protocol whose connection it is",
    isList: true
  }),

  memory: setting(Switch, "false", {
    metavar: "true|false",
    help: "keep messages in memory only: they are gone when the server stops",
    isToggle: true
  }),
  data: optional(Text, { metavar: "DIR", help: "keep messages on disk, in this directory ($XDG_STATE_HOME/cpt)" }),
  keep: optional(Deadline, {
    metavar: "DURATION",
    help: "on disk: how long messages are kept, such as 30d (for ever)",
    isFor: "disk"
  }),
  "keep-messages": optional(Count, {
    metavar: "N",
    help: "on disk: messages kept of each group and inbox (all)",
    isFor: "disk"
  }),
  "keep-bytes": optional(Size, {
    metavar: "SIZE",
    help: "on disk: messages kept in all, oldest first out, such as 2GiB (all)",
    isFor: "disk"
  }),
  cache: optional(Size, {
    metavar: "SIZE",
    help: "on disk: memory for the newest messages of what is followed",
    fallback: size(StoreDefaults.cache),
    isFor: "disk"
  }),
  "memory-limit": optional(MemoryLimit, {
    metavar: "LIMIT",
    help: "with --memory: what is kept, oldest first out: messages, bytes, or both",
    fallback: `${StoreDefaults.memory.messages},${size(StoreDefaults.memory.bytes)}`,
    isFor: "memory"
  }),
  "resend-window": setting(DurationFromText, text(Duration.millis(Limits.resendWindow)), {
    metavar: "DURATION",
    help: "time in which a message sent again is the same one; 0s: never"
  }),

  accounts: setting(OpenOrKnown, "open", {
    metavar: "open|known",
    help: "who may log in: anybody, or only who has an account",
    reloads: true
  }),
  groups: setting(OpenOrKnown, "open", {
    metavar: "open|known",
    help: "which groups there are: any, or only those that are declared",
    reloads: true
  }),
  "accounts-file": optional(Text, {
    metavar: "FILE",
    help: "accounts and groups are declared in this file, in JSON, and not with cpt account and cpt group"
  }),

  "max-line-bytes": setting(LineLength, String(defaults.maxLineBytes), {
    metavar: "N",
    help: "longest line of a client",
    reloads: true
  }),
  "max-sessions": setting(Count, String(defaults.maxSessions), {
    metavar: "N",
    help: "connections at the same time",
    reloads: true
  }),
  "max-sessions-per-address": setting(CountLimit, String(defaults.maxSessionsPerAddress), {
    metavar: "N",
    help: "of them, from one address, or one /64 of IPv6; off: any number",
    reloads: true
  }),
  "max-connects": setting(CountLimit, String(defaults.maxConnects), {
    metavar: "N",
    help: "new connections from one address in a minute; off: any number",
    reloads: true
  }),
  "max-failed-logins": setting(CountLimit, String(defaults.maxFailedLogins), {
    metavar: "N",
    help: "refused logins from one address in a minute; off: any number",
    reloads: true
  }),
  exempt: setting(MaybeIpRanges, defaults.exempt.join(","), {
    metavar: "CIDR,…",
    help: "networks whose addresses are not limited, or none; Unix sockets have no address",
    isList: true,
    reloads: true
  }),
  "rate-limit": setting(RateLimit, `${defaults.rateLimit}/s`, {
    metavar: "RATE",
    help: "commands of one session, such as 1000/s, 5000/min or off: who is faster is slowed down",
    reloads: true
  }),
  "rate-burst": setting(Count, String(defaults.rateBurst), {
    metavar: "N",
    help: "commands that a session may say at once before that",
    reloads: true
  }),
  "byte-limit": setting(ByteLimit, `${size(defaults.byteLimit)}/s`, {
    metavar: "SIZE/s",
    help: "bytes that are read of one session in a second, or off",
    reloads: true
  }),
  "max-syncs": setting(Count, String(defaults.maxSyncs), {
    metavar: "N",
    help: "SYNCs that read from the store at once; others wait for their turn",
    reloads: true
  }),
  "max-new-names": setting(CountLimit, String(defaults.maxNewNames), {
    metavar: "N",
    help: "names that one session may bring into use in an hour; off: any number",
    reloads: true
  }),
  "max-followed-groups": setting(Count, String(defaults.maxFollowedGroups), {
    metavar: "N",
    help: "groups that one session may follow",
    reloads: true
  }),
  "login-deadline": setting(Deadline, text(defaults.loginDeadline), {
    metavar: "DURATION",
    help: "time to log in",
    reloads: true
  }),
  "idle-deadline": setting(DeadlineLimit, "off", {
    metavar: "DURATION|off",
    help: "end who says nothing for so long, also who only follows; off: nobody",
    reloads: true
  }),
  "write-deadline": setting(Deadline, text(defaults.writeDeadline), {
    metavar: "DURATION",
    help: "time for a client to take anything of what it was sent",
    reloads: true
  }),
  live: setting(Switch, "on", { metavar: "on|off", help: "push new messages (on), or let clients poll (off)" }),

  admin: optional(AdminUri, {
    metavar: "URI|off",
    help: "where it is looked after: unix:///PATH, http://HOST:PORT, or off (admin.sock in --data; with --memory off)"
  }),
  "admin-token-file": optional(Text, {
    metavar: "FILE",
    help: "with http: what who looks after it has to show, in a file"
  }),
  http: optional(HttpAddress, {
    metavar: "HOST:PORT",
    help: "answer /healthz and /metrics over HTTP, to everybody (off)"
  }),
  "log-level": setting(Schema.Literals(["debug", "info", "warn", "error"]), "info", {
    metavar: "LEVEL",
    help: "least of what is logged: debug, info, warn or error",
    reloads: true
  }),
  "log-format": optional(Schema.Literals(["pretty", "json"]), {
    metavar: "FORMAT",
    help: "pretty or json (pretty on a terminal, else json)"
  }),
  "log-ip": setting(Switch, defaults.logAddresses ? "on" : "off", {
    metavar: "on|off",
    help: "say in the log where clients are",
    reloads: true
  })
}

export type Name = keyof typeof settings

interface Field extends Struct.Lambda {
  <F extends Schema.Top>(setting: Setting<F>): F
  readonly "~lambda.out": this["~lambda.in"] extends Setting<infer F> ? F : never
}

/** What texts of all settings come to. */
export const Values = Schema.Struct(Struct.map(settings, Struct.lambda<Field>(({ field }) => field)))
export type Values = typeof Values.Type

export const names = Struct.keys(settings)
export const about = (name: Name): About => settings[name].about
export const isName = (text: string): text is Name => Object.hasOwn(settings, text)
