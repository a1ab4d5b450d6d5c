/**
 * The measuring stick: what documented `node:net` can do with this protocol, as a program that does nothing else. It
 * trusts its peers, checks nothing, and keeps messages in memory; with a file it also appends them to that, and syncs
 * before it answers. Not a server for anybody.
 *
 *     node packages/cli/benchmark/stick.ts PORT KEEP [FILE]
 *
 * Of each group about KEEP bytes stay (and whatever a follower has not taken yet): memory that is touched for the first
 * time costs more than the protocol.
 */
import { Buffer } from "node:buffer"
import { fdatasync, openSync, writeSync } from "node:fs"
import { createServer, type Socket } from "node:net"

const [port, keep, path] = [Number(process.argv[2]), Number(process.argv[3]), process.argv[4]]
const file = path === undefined ? undefined : openSync(path, "w")

const [LF, SPACE, E] = [10, 32, 69]
const largest = 2 ** 20 // bytes of a part of a log; the first one grows up to it
const atOnce = 2 ** 18 // bytes of a replay that are given to one write

const accept = Buffer.from("ACCEPT\n")
const endSync = Buffer.from("ENDSYNC\n")
const acks = Array.from({ length: 1025 }, (_, count) => Buffer.from("ACK\n".repeat(count)))

// The time as it stands in a line. Looked at once a tick, made anew once a millisecond.
const stamp = Buffer.alloc(14)
let stamped = 0
const look = () => {
  const now = Date.now()
  if (now === stamped) return
  stamped = now
  stamp.write(`${now} `, "latin1")
}

interface Part {
  bytes: Buffer
  length: number
  next: Part | undefined
}
const part = (size: number): Part => ({ bytes: Buffer.allocUnsafeSlow(size), length: 0, next: undefined })

/** The lines of a group, one behind the other, in a chain of parts; no line is in two. */
class Log {
  first = part(512)
  last = this.first
  kept = 0 // bytes of the parts before the last
  readonly followers: Array<Cursor> = []
  isTouched = false
  #view: Buffer = endSync
  #viewed = this.first.bytes
  #from = -1
  #to = -1

  /** The last part, with room for so much. */
  room(size: number): Part {
    const { last } = this
    const needed = last.length + size
    if (needed <= last.bytes.length) return last
    if (needed <= largest) {
      const bytes = Buffer.allocUnsafeSlow(2 ** Math.ceil(Math.log2(needed)))
      last.bytes.copy(bytes, 0, 0, last.length)
      last.bytes = bytes
      return last
    }
    this.kept += last.length
    let next: Part | undefined
    while (this.kept > keep && this.first !== last) next = this.#drop()
    // Nobody can still be taking what is in it
    if (next !== undefined && this.followers.length === 0 && size <= next.bytes.length) {
      next.length = 0
      next.next = undefined
    } else next = part(Math.max(size, largest))
    return this.last = last.next = next
  }

  #drop(): Part {
    const { first } = this
    this.kept -= first.length
    this.first = first.next ?? this.last
    return first
  }

  /** The same buffer for all who are at the same place. */
  view({ bytes }: Part, from: number, to: number): Buffer {
    if (bytes !== this.#viewed || from !== this.#from || to !== this.#to) {
      this.#viewed = bytes
      this.#from = from
      this.#to = to
      this.#view = bytes.subarray(from, to)
    }
    return this.#view
  }
}

/** Somebody who follows a log, and is this far. */
class Cursor {
  readonly peer: Peer
  readonly log: Log
  part: Part
  at = 0
  constructor(peer: Peer, log: Log) {
    this.peer = peer
    this.log = log
    this.part = log.first
  }

  /** To what comes after a timestamp: the log needs no index, since a line's beginning is found from anywhere. */
  seek(after: number): void {
    this.part = this.log.first
    while (this.part.next !== undefined && timeAt(this.part.next.bytes, 0) <= after) this.part = this.part.next
    const { bytes, length } = this.part
    let [low, high] = [0, length]
    while (low < high) {
      const middle = (low + high) >> 1
      const line = middle === 0 ? 0 : bytes.lastIndexOf(LF, middle - 1) + 1
      if (timeAt(bytes, line) > after) high = line
      else low = bytes.indexOf(LF, middle) + 1
    }
    this.at = low
  }
}

/** The timestamp of the line that begins here. */
const timeAt = (bytes: Buffer, line: number): number => {
  const sender = bytes.indexOf(SPACE, line + 4) + 1
  const time = bytes.indexOf(SPACE, sender) + 1
  return Number(bytes.toString("latin1", time, bytes.indexOf(SPACE, time)))
}

class Peer {
  readonly socket: Socket
  name = ""
  isFull = false
  rest: Buffer | undefined
  readonly cursors: Array<Cursor> = []
  /** The one that a SYNC is being answered with. */
  syncing: Cursor | undefined
  /** ACKs that wait for the disk. */
  waiting = 0
  // Where the last message went: most often, so does the next
  log: Log | undefined
  target = endSync
  head = endSync
  constructor(socket: Socket) {
    this.socket = socket
  }
}

const logs = new Map<string, Log>()
const logOf = (name: string): Log => {
  let log = logs.get(name)
  if (log === undefined) logs.set(name, log = new Log())
  return log
}

/** As much as the peer takes. */
const give = (cursor: Cursor) => {
  const { log, peer } = cursor
  while (!peer.isFull) {
    const { part } = cursor
    if (cursor.at < part.length) {
      const far = cursor.at + atOnce
      const to = far < part.length ? part.bytes.lastIndexOf(LF, far) + 1 : part.length
      if (!peer.socket.write(log.view(part, cursor.at, to))) peer.isFull = true
      cursor.at = to
    } else if (part.next !== undefined) {
      cursor.part = part.next
      cursor.at = 0
    } else {
      if (peer.syncing !== cursor) return
      peer.syncing = undefined
      if (!peer.socket.write(endSync)) peer.isFull = true
      for (const other of peer.cursors) give(other)
      return
    }
  }
}

// At the end of a tick, one write a follower
let touched: Array<Log> = []
let isFlushing = false

const flush = () => {
  isFlushing = false
  const now = touched
  touched = []
  for (const log of now) {
    log.isTouched = false
    for (const cursor of log.followers) {
      const { peer } = cursor
      if (!peer.isFull && (peer.syncing === undefined || peer.syncing === cursor)) give(cursor)
    }
  }
}

// With a file: all that came in a tick is one write and one sync, and then it is answered
let unsynced = Buffer.allocUnsafeSlow(2 ** 20)
let unsyncedLength = 0
let unanswered: Array<Peer> = []
let isPlanned = false
let isSyncing = false

const sync = () => {
  isPlanned = false
  if (isSyncing || unsyncedLength === 0 || file === undefined) return
  isSyncing = true
  writeSync(file, unsynced, 0, unsyncedLength)
  unsyncedLength = 0
  const peers = unanswered
  const counts = peers.map((peer) => peer.waiting)
  for (const peer of peers) peer.waiting = 0
  unanswered = []
  fdatasync(file, () => {
    isSyncing = false
    for (const [index, peer] of peers.entries()) acknowledge(peer, counts[index]!)
    sync()
  })
}

const toDisk = (peer: Peer, bytes: Buffer, from: number, to: number) => {
  const size = to - from
  if (unsyncedLength + size > unsynced.length) {
    const grown = Buffer.allocUnsafeSlow(unsynced.length * 2 + size)
    unsynced.copy(grown, 0, 0, unsyncedLength)
    unsynced = grown
  }
  unsyncedLength += bytes.copy(unsynced, unsyncedLength, from, to)
  if (peer.waiting++ === 0) unanswered.push(peer)
}

const acknowledge = (peer: Peer, count: number) => {
  let left = count
  for (; left > 1024; left -= 1024) peer.socket.write(acks[1024]!)
  peer.socket.write(acks[left]!)
}

/** `<target> <message>` LF, from `start` to `end`. */
const send = (peer: Peer, chunk: Buffer, start: number, end: number) => {
  let { head, log, target } = peer
  let same = 0
  while (same < target.length && chunk[start + same] === target[same]) same++
  if (log === undefined || same < target.length) {
    const name = chunk.toString("latin1", start, chunk.indexOf(SPACE, start))
    log = peer.log = logOf(name)
    target = peer.target = Buffer.from(`${name} `)
    head = peer.head = Buffer.from(`MSG ${name} ${peer.name} `)
  }
  const text = start + target.length
  const part = log.room(head.length + stamp.length + end - text)
  const { bytes, length: from } = part
  let at = from
  for (let i = 0; i < head.length; i++) bytes[at++] = head[i]!
  for (let i = 0; i < stamp.length; i++) bytes[at++] = stamp[i]!
  part.length = at + chunk.copy(bytes, at, text, end)
  if (file !== undefined) toDisk(peer, bytes, from, part.length)
  if (log.followers.length === 0 || log.isTouched) return
  log.isTouched = true
  touched.push(log)
}

const hear = (peer: Peer, chunk: Buffer) => {
  if (!isFlushing) {
    isFlushing = true
    look()
    setImmediate(flush)
  }
  let sends = 0
  let start = 0
  while (start < chunk.length) {
    const end = chunk.indexOf(LF, start)
    if (end === -1) break
    if (chunk[start + 1] === E) { // SEND
      send(peer, chunk, start + 5, end + 1)
      sends++
    } else {
      const [command, name = "", after = "0"] = chunk.toString("latin1", start, end).split(" ")
      if (command === "CONNECT") {
        peer.name = name
        peer.socket.write(accept)
      } else {
        const log = logOf(name)
        let cursor = peer.cursors.find((cursor) => cursor.log === log)
        if (cursor === undefined) {
          cursor = new Cursor(peer, log)
          peer.cursors.push(cursor)
          log.followers.push(cursor)
        }
        cursor.seek(Number(after))
        peer.syncing = cursor
        give(cursor)
      }
    }
    start = end + 1
  }
  peer.rest = start < chunk.length ? chunk.subarray(start) : undefined
  if (file === undefined) {
    if (sends > 0) acknowledge(peer, sends)
  } else if (!isPlanned && unsyncedLength > 0) {
    isPlanned = true
    setImmediate(sync)
  }
}

const server = createServer({ noDelay: true }, (socket) => {
  const peer = new Peer(socket)
  socket.on("data", (chunk) => hear(peer, peer.rest === undefined ? chunk : Buffer.concat([peer.rest, chunk])))
  socket.on("drain", () => {
    peer.isFull = false
    if (peer.syncing !== undefined) give(peer.syncing)
    else for (const cursor of peer.cursors) give(cursor)
  })
  socket.on("error", () => {})
  socket.on("close", () => {
    peer.isFull = true
    for (const { log } of peer.cursors) log.followers.splice(log.followers.findIndex((other) => other.peer === peer), 1)
  })
})
server.listen({ port, host: "127.0.0.1", backlog: 4096 }, () => {
  const address = server.address()
  console.log(`listening on port :${typeof address === "object" ? address?.port : ""}`)
})
