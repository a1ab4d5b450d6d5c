/**
 * The header that a proxy puts before a connection to say whose it is: the PROXY protocol of HAProxy, versions 1 (a line)
 * and 2 (binary). Only reading, of bytes that have arrived in any cut; whom to believe is for others.
 */
import { Result } from "effect"
import { NetAddress } from "effect/net"
import { Buffer } from "node:buffer"

export interface Header {
  /** Bytes of the header: what the client says begins behind it. */
  readonly length: number
  /** Whom the proxy speaks for; undefined if for itself, as in its health checks, or if it does not know. */
  readonly client: Client | undefined
}

export interface Client {
  /** Its IP address; undefined if it has come to the proxy by a Unix socket. */
  readonly address: string | undefined
}

/** The longest line of version 1, with its end. */
const maxLine = 107

/** The longest header of version 2 that is taken: the addresses, and more than proxies are known to put behind them. */
export const maxBytes = 16_384

const lineStart = Buffer.from("PROXY ")
const signature = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1")

const startsLike = (bytes: Buffer, start: Buffer): boolean => {
  const length = Math.min(bytes.length, start.length)
  return bytes.compare(start, 0, length, 0, length) === 0
}

/** What the bytes begin with. What is malformed cannot become a header, whatever follows. */
export const read = (bytes: Buffer): Header | "incomplete" | "malformed" => {
  if (startsLike(bytes, lineStart)) return readLine(bytes)
  if (startsLike(bytes, signature)) return readBinary(bytes)
  return "malformed"
}

const readLine = (bytes: Buffer): ReturnType<typeof read> => {
  const end = bytes.subarray(0, maxLine).indexOf("\r\n")
  if (end === -1) return bytes.length < maxLine ? "incomplete" : "malformed"
  const length = end + 2
  const line = bytes.toString("latin1", 0, end)
  if (/^PROXY UNKNOWN(?: |$)/.test(line)) return { length, client: undefined }
  const [, version, source = "", destination = ""] = tcp.exec(line) ?? []
  const ip = version === "4" ? ipv4 : ipv6
  const address = ip(source)
  if (version === undefined || Result.isFailure(address) || Result.isFailure(ip(destination))) return "malformed"
  return { length, client: { address: print(address.success) } }
}

type Ip = Result.Result<NetAddress.IpAddress, NetAddress.NetAddressError>

const ipv4: (text: string) => Ip = NetAddress.ipv4FromString
const ipv6: (text: string) => Ip = NetAddress.ipv6FromString

const port = "(?:0|[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
const tcp = new RegExp(`^PROXY TCP([46]) (\\S+) (\\S+) ${port} ${port}$`)

/** IPv4 in its own form, also where the proxy listens with both families. */
const print = (address: NetAddress.IpAddress): string => NetAddress.formatIp(NetAddress.toCanonical(address))

/** The signature, version and command, family and transport, length of the rest. */
const fixed = 16

/** Of each family and transport, the bytes of both addresses with their ports. */
const sizes = new Map([[0x00, 0], [0x11, 12], [0x12, 12], [0x21, 36], [0x22, 36], [0x31, 216], [0x32, 216]])

const local = 0x20
const proxied = 0x21

const readBinary = (bytes: Buffer): ReturnType<typeof read> => {
  const [command = local, protocol = 0] = bytes.subarray(signature.length)
  const size = command === local ? 0 : sizes.get(protocol) // whose own connection it is need not be said
  if ((command !== local && command !== proxied) || size === undefined) return "malformed"
  if (bytes.length < fixed) return "incomplete"
  const length = fixed + bytes.readUInt16BE(14)
  if (length > maxBytes || length < fixed + size) return "malformed"
  if (bytes.length < length) return "incomplete"
  return { length, client: command === local ? undefined : clientOf(protocol >> 4, bytes) }
}

const clientOf = (family: number, bytes: Buffer): Client | undefined => {
  switch (family) {
    case 1:
      return { address: print(NetAddress.ipv4FromBytesUnsafe(bytes.subarray(fixed, fixed + 4))) }
    case 2:
      return { address: print(NetAddress.ipv6FromBytesUnsafe(bytes.subarray(fixed, fixed + 16))) }
    case 3:
      return { address: undefined }
    default:
      return undefined
  }
}
