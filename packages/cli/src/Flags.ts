/**
 * The flags that commands share: what they are called, and what help says of them. Only that: help needs
 * no more. What the values mean is for those who carry a command out.
 */
import { Limits } from "@cpt/schema"
import type { Option } from "effect"
import { Flag } from "effect/cli"

/** A flag without a value; it never takes the next word for one, as that may be a message. */
export const toggle = (name: string) =>
  Flag.Boolean(name).pipe(Flag.withOptionalValue("true"), Flag.withMetavar("true|false"))

/** A flag with a text; what it has to be is checked by who uses it. */
export const text = (name: string, metavar: string, description: string) =>
  Flag.String(name).pipe(Flag.withMetavar(metavar), Flag.withDescription(description))

/** Where to connect, and as whom. */
export const connection = {
  server: text(
    "server",
    "HOST[:PORT]",
    `the server; or cpts://HOST[:PORT], or unix:///PATH (CPT_SERVER, else 127.0.0.1:${Limits.defaultPort})`
  ).pipe(Flag.withAlias("s"), Flag.optional),
  as: text("as", "NAME", "your name (CPT_USERNAME, else your login name)").pipe(Flag.withAlias("u"), Flag.optional),
  timeout: text("timeout", "DURATION", "for the connection and for each answer (CPT_TIMEOUT, else 5s)").pipe(
    Flag.optional
  ),
  tls: toggle("tls").pipe(Flag.withDescription("encrypt, and verify the server (CPT_TLS)"), Flag.optional),
  "tls-ca": text("tls-ca", "FILE", "trust these authorities, in PEM (CPT_TLS_CA, else the system's)").pipe(
    Flag.optional
  ),
  "tls-cert": text("tls-cert", "FILE", "your certificate, in PEM (CPT_TLS_CERT)").pipe(Flag.optional),
  "tls-key": text("tls-key", "FILE", "its private key, in PEM (CPT_TLS_KEY)").pipe(Flag.optional)
}

export type Connection = {
  readonly [K in keyof typeof connection]: Option.Option<K extends "tls" ? boolean : string>
}

export const json = toggle("json").pipe(
  Flag.withDescription("one JSON object a line"),
  Flag.withDefault(false)
)

export const since = text(
  "since",
  "WHEN",
  "only what came after: 10m, 2h30m or 1d ago, an RFC 3339 time, a timestamp in ms, or all"
).pipe(Flag.withDefault("all"))

/** For commands that work on what a server keeps. */
export const data = text("data", "DIR", "the directory of the server (CPT_DATA, else $XDG_STATE_HOME/cpt)").pipe(
  Flag.optional
)

/** For commands that look after a running server. */
export const administration = {
  admin: text("admin", "URI", "where it is looked after: unix:///PATH or http://HOST:PORT (CPT_ADMIN)").pipe(
    Flag.optional
  ),
  "admin-token-file": text(
    "admin-token-file",
    "FILE",
    "over TCP: the token that it wants to see (CPT_ADMIN_TOKEN_FILE; itself in CPT_ADMIN_TOKEN)"
  ).pipe(Flag.optional),
  data,
  timeout: connection.timeout
}

export type Administration = { readonly [K in keyof typeof administration]: Option.Option<string> }
