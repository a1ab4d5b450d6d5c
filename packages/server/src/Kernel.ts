/**
 * What Linux knows of a TCP connection and Node does not tell, from `/proc/net/tcp`: whether bytes still move to a slow
 * peer, whether the peer has answered with a reset, and which peers do not answer at all. On other systems nothing is
 * known, and Node's own view has to do.
 */
import { Result } from "effect"
import { NetAddress } from "effect/net"
import { Buffer } from "node:buffer"
import { readFile } from "node:fs/promises"

const tables = ["/proc/net/tcp", "/proc/net/tcp6"]

/** How a connection is written in a table: `:<local port> <remote address>:<remote port> `, all in hexadecimal. */
export type Key = string

const hex = (n: number, digits: number) => n.toString(16).toUpperCase().padStart(digits, "0")

/** The kernel prints an address as words of 32 bits in its own byte order: little-endian wherever Node runs. */
const hexOf = (address: string): string | undefined => {
  const parsed = NetAddress.ipFromString(address.split("%", 1)[0] ?? "")
  if (Result.isFailure(parsed)) return undefined
  const ip = parsed.success
  const bytes = NetAddress.isIpv4Address(ip)
    ? Buffer.from(NetAddress.ipv4ToOctets(ip))
    : Buffer.from(NetAddress.ipv6ToSegments(ip).flatMap((segment) => [segment >> 8, segment & 255]))
  return bytes.swap32().toString("hex").toUpperCase()
}

/** The key of a connection; undefined for what is no TCP connection. */
export const keyOf = (socket: {
  readonly localPort?: number | undefined
  readonly remoteAddress?: string | undefined
  readonly remotePort?: number | undefined
}): Key | undefined => {
  const { localPort, remoteAddress, remotePort } = socket
  if (localPort === undefined || remoteAddress === undefined || remotePort === undefined) return undefined
  const address = hexOf(remoteAddress)
  return address === undefined ? undefined : `:${hex(localPort, 4)} ${address}:${hex(remotePort, 4)} `
}

/** A system without IPv6 has no table of its connections. */
const readTable = (table: string): Promise<string> =>
  readFile(table, "latin1").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" && table !== tables[0]) return ""
    throw error
  })

const read = async (): Promise<string | undefined> => {
  try {
    return (await Promise.all(tables.map(readTable))).join("")
  } catch {
    return undefined
  }
}

let reading: Promise<string | undefined> = Promise.resolve(undefined)
let next: Promise<string | undefined> | undefined

/** Whether a peer still speaks, has ended its side, or is gone: it has answered with a reset. */
export type Presence = "here" | "leaving" | "gone"

/** A table that is read after the question; whoever asks while one is being read shares the next. */
const tableNow = (): Promise<string | undefined> => {
  next ??= reading.then(() => {
    next = undefined
    return reading = read()
  })
  return next
}

/**
 * What the kernel knows of a peer; undefined if that is not known. Asked beside the event loop: a table is long where there
 * are many connections, and takes milliseconds with thousands. While it changes, a row may be passed over, so a connection
 * is gone when two tables in a row do not have it.
 */
export const presence = async (key: Key): Promise<Presence | undefined> => {
  for (let looks = 0; looks < 2; looks++) {
    const table = await tableNow()
    if (table === undefined) return undefined
    const at = table.indexOf(key)
    if (at !== -1) return table.startsWith(established, at + key.length) ? "here" : "leaving"
  }
  return "gone"
}

const established = "01 "

/** What has been sent and not acknowledged: key, bytes, `TIMER:WHEN`, and how often it was sent again. Few rows have that. */
const underWay =
  /(:[0-9A-F]{4} [0-9A-F]+:[0-9A-F]{4} )[0-9A-F]{2} (?!0{8})([0-9A-F]{8}):[0-9A-F]{8} ([0-9A-F]{2}:)[0-9A-F]{8} ([0-9A-F]{8})/g

/** The bytes under way to those peers who have not acknowledged all. */
export const bytesIn = (table: string): ReadonlyMap<Key, number> =>
  new Map(Array.from(table.matchAll(underWay), ([, key = "", bytes = ""]) => [key, Number.parseInt(bytes, 16)]))

let counted: Promise<ReadonlyMap<Key, number>> = Promise.resolve(new Map())
let countedAt = -Infinity // at the earliest

/**
 * Bytes that the peer had not acknowledged, so many milliseconds ago at the most; undefined if there were none, or that is
 * not known. All who ask within that time share a table and what it was searched for: of 500 who sleep each one asks every
 * few seconds, at other times than the rest, and a table is long where many are connected.
 */
export const unacknowledged = async (key: Key, within: number): Promise<number | undefined> => {
  if (performance.now() - countedAt >= within) {
    countedAt = performance.now()
    counted = tableNow().then((table = "") => bytesIn(table))
  }
  return (await counted).get(key)
}

/** Sent again and again without an answer, for some 25 seconds at the least: each time the kernel waits twice as long. */
const deadAfter = 7

/** The connections whose peers no longer answer. Keepalive does not find them while bytes are under way to them. */
export const dead = async (): Promise<ReadonlySet<Key>> => deadIn(await tableNow() ?? "")

export const deadIn = (table: string): ReadonlySet<Key> => {
  const found = new Set<Key>()
  for (const [, key = "", , timer, retries = ""] of table.matchAll(underWay)) {
    if (timer === sendsAgain && Number.parseInt(retries, 16) >= deadAfter) found.add(key)
  }
  return found
}

/** This timer runs until what is under way is sent again. Another one asks a peer that sleeps whether it has room. */
const sendsAgain = "01:"
