/**
 * What Linux knows of a TCP connection and Node does not tell, from `/proc/net/tcp`: whether bytes still move to a slow
 * peer, whether the peer has answered with a reset, and which peers do not answer at all. On other systems nothing is
 * known, and Node's own view has to do.
 */
import { Result } from "effect"
import { NetAddress } from "effect/net"
import { Buffer } from "node:buffer"
import { open } from "node:fs/promises"
import { setImmediate } from "node:timers/promises"

/**
 * How a connection is written in a table: `<local address>:<port> <remote address>:<port> `, all in hexadecimal. A peer may
 * connect from one port to several addresses of this machine.
 */
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
  readonly localAddress?: string | undefined
  readonly localPort?: number | undefined
  readonly remoteAddress?: string | undefined
  readonly remotePort?: number | undefined
}): Key | undefined => {
  const local = endOf(socket.localAddress, socket.localPort)
  const remote = endOf(socket.remoteAddress, socket.remotePort)
  return local === undefined || remote === undefined ? undefined : `${local} ${remote} `
}

const endOf = (address: string | undefined, port: number | undefined): string | undefined => {
  const ip = address === undefined ? undefined : hexOf(address)
  return ip === undefined || port === undefined ? undefined : `${ip}:${hex(port, 4)}`
}

/** Rows of a table, in portions. As strings they would be 4 MB of young objects, where 28,000 have just gone. */
type Table = ReadonlyArray<Buffer>

/** Bytes that are read, or searched, in one go: with 10,000 rows at once, everybody was kept waiting for 7 to 20 ms. */
const portion = 32 * 1024

/**
 * Into how many bytes each the kernel writes them: it fills a piece that is shorter than its own page of 4 KB, and goes on
 * with the next. Of longer ones it gives a page at a time, each for a way to another thread and back.
 */
const piece = 2048

const piecesOf = (bytes: Buffer): ReadonlyArray<Buffer> =>
  Array.from(
    { length: Math.ceil(bytes.length / piece) },
    (_, index) => bytes.subarray(index * piece, (index + 1) * piece)
  )

/** In another thread: also of an empty table, the kernel looks through all places, 2 to 5 ms where memory is large. */
const readTable = async (path: string): Promise<Table> => {
  const table: Array<Buffer> = []
  const buffer = Buffer.allocUnsafeSlow(portion)
  const file = await open(path)
  try {
    for (let rest = 0;;) {
      const { bytesRead } = await file.readv(piecesOf(buffer.subarray(rest)))
      if (bytesRead === 0) return table
      const length = rest + bytesRead
      const end = buffer.subarray(0, length).lastIndexOf("\n") + 1
      table.push(Buffer.from(buffer.subarray(0, end)))
      rest = buffer.copy(buffer, 0, end, length)
    }
  } finally {
    await file.close()
  }
}

/** A system without IPv6 has no table of its connections. */
const readTableOfSix = (path: string): Promise<Table> =>
  readTable(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return []
    throw error
  })

const read = async (): Promise<Table | undefined> => {
  try {
    return [...await readTable("/proc/net/tcp"), ...await readTableOfSix("/proc/net/tcp6")]
  } catch {
    return undefined
  }
}

let reading: Promise<Table | undefined> = Promise.resolve(undefined)
let next: Promise<Table | undefined> | undefined

/** Whether a peer still speaks, has ended its side, or is gone: it has answered with a reset. */
export type Presence = "here" | "leaving" | "gone"

/** A table that is read after the question; whoever asks while one is being read shares the next. */
const tableNow = (): Promise<Table | undefined> => {
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
    for (const rows of table) {
      const at = rows.indexOf(key)
      if (at === -1) continue
      const state = rows.toString("latin1", at + key.length, at + key.length + established.length)
      return state === established ? "here" : "leaving"
    }
  }
  return "gone"
}

const established = "01 "

/** What has been sent and not acknowledged: key, bytes, `TIMER:WHEN`, and how often it was sent again. Few rows have that. */
const underWay =
  /: ([0-9A-F]+:[0-9A-F]{4} [0-9A-F]+:[0-9A-F]{4} )[0-9A-F]{2} (?!0{8})([0-9A-F]{8}):[0-9A-F]{8} ([0-9A-F]{2}:)[0-9A-F]{8} ([0-9A-F]{8})/g

/** Each portion has a turn of the event loop. */
async function* search(table: Table): AsyncGenerator<RegExpExecArray> {
  for (const rows of table) {
    yield* rows.toString("latin1").matchAll(underWay)
    await setImmediate()
  }
}

/** The bytes under way to those peers who have not acknowledged all. */
export const bytesIn = async (table: Table): Promise<ReadonlyMap<Key, number>> => {
  const found = new Map<Key, number>()
  for await (const [, key = "", bytes = ""] of search(table)) found.set(key, Number.parseInt(bytes, 16))
  return found
}

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
    counted = tableNow().then((table = []) => bytesIn(table))
  }
  return (await counted).get(key)
}

/** Sent again and again without an answer, for some 25 seconds at the least: each time the kernel waits twice as long. */
const deadAfter = 7

/** The connections whose peers no longer answer. Keepalive does not find them while bytes are under way to them. */
export const dead = async (): Promise<ReadonlySet<Key>> => deadIn(await tableNow() ?? [])

export const deadIn = async (table: Table): Promise<ReadonlySet<Key>> => {
  const found = new Set<Key>()
  for await (const [, key = "", , timer, retries = ""] of search(table)) {
    if (timer === sendsAgain && Number.parseInt(retries, 16) >= deadAfter) found.add(key)
  }
  return found
}

/** This timer runs until what is under way is sent again. Another one asks a peer that sleeps whether it has room. */
const sendsAgain = "01:"
