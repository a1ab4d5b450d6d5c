/** `HOST[:PORT]` as in `--server`: names, IPv4, IPv6 bare or in brackets. */
import { Limits } from "@cpt/schema"
import { isIPv6 } from "node:net"

export interface Address {
  readonly host: string
  readonly port: number
}

const bracketed = /^\[([^\]]*)\](?::(\d+))?$/
const plain = /^([^\s:/@[\]]+)(?::(\d+))?$/

// Only what can be one: Node takes milliseconds to make its pattern, and most addresses have no use for it
const isBareIPv6 = (text: string): boolean => text.split(":").length > 2 && isIPv6(text)

export const parse = (text: string): Address | undefined => {
  if (isBareIPv6(text)) return { host: text, port: Limits.defaultPort }
  const inBrackets = bracketed.exec(text)
  const [, host = "", digits] = inBrackets ?? plain.exec(text) ?? []
  const port = digits === undefined ? Limits.defaultPort : Number(digits)
  if (host === "" || (inBrackets !== null && !isIPv6(host)) || port < 1 || port > 65_535) return undefined
  return { host, port }
}

export const print = ({ host, port }: Address): string => `${host.includes(":") ? `[${host}]` : host}:${port}`
