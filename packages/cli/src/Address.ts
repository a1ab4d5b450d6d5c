/**
 * Where a server is, as it is written: `cpt://HOST[:PORT]`, `cpts://HOST[:PORT]` with TLS, `unix:///PATH`; for clients also
 * `HOST[:PORT]`. Hosts are names, IPv4, or IPv6 in brackets.
 */
import { Limits } from "@cpt/schema"
import { isIPv6 } from "node:net"

interface Host {
  readonly host: string
  /** 0, where somebody listens, is any that is free. */
  readonly port: number
}

/** A host, or a Unix socket. */
export type Address = (Host & { readonly isTls: boolean }) | { readonly path: string }

/** The port of `cpts://`. */
const tlsPort = Limits.defaultPort + 1

const bracketed = /^\[([^\]]*)\](?::(\d+))?$/
const plain = /^([^\s:/?#@[\]]+)(?::(\d+))?$/

// Only what can be one: Node takes milliseconds to make its pattern, and most addresses have no use for it
const isBareIPv6 = (text: string): boolean => text.split(":").length > 2 && isIPv6(text)

const read = (text: string, defaultPort: number): Host | undefined => {
  const inBrackets = bracketed.exec(text)
  const [, host = "", digits] = inBrackets ?? plain.exec(text) ?? []
  const port = digits === undefined ? defaultPort : Number(digits)
  if (host === "" || (inBrackets !== null && !isIPv6(host)) || port > 65_535) return undefined
  return { host, port }
}

/** `HOST[:PORT]`, where somebody listens. */
const parseHost = (text: string): Host | undefined => {
  const host = isBareIPv6(text) ? { host: text, port: Limits.defaultPort } : read(text, Limits.defaultPort)
  return host?.port === 0 ? undefined : host
}

const uri = /^(cpts?|unix):\/\/(.*)$/s

export const parseUri = (text: string): Address | undefined => {
  const [, scheme, place = ""] = uri.exec(text) ?? []
  if (scheme === undefined) return undefined
  if (scheme === "unix") return /^\/.*[^/]$/s.test(place) ? { path: place } : undefined
  const isTls = scheme === "cpts"
  const host = read(place, isTls ? tlsPort : Limits.defaultPort)
  return host && { ...host, isTls }
}

/** Where a client is told to go. */
export const parse = (text: string): Address | undefined => {
  const host = parseHost(text)
  if (host !== undefined) return { ...host, isTls: false }
  const address = parseUri(text)
  return address !== undefined && "port" in address && address.port === 0 ? undefined : address
}

const printHost = ({ host, port }: Host): string => `${host.includes(":") ? `[${host}]` : host}:${port}`

export const toUri = (address: Address): string =>
  "path" in address ? `unix://${address.path}` : `cpt${address.isTls ? "s" : ""}://${printHost(address)}`

/** As short as it can be: only what is neither TLS nor a Unix socket need not be said. */
export const print = (address: Address): string =>
  "path" in address || address.isTls ? toUri(address) : printHost(address)
