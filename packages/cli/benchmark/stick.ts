/**
 * The measuring stick: what plain `node:net` can do with this protocol, as a program that does nothing else. It trusts its
 * peers, checks nothing, and keeps messages in memory; with a file it also appends them to that, and syncs before it
 * answers. Not a server for anybody.
 *
 *     node packages/cli/benchmark/stick.ts PORT [FILE]
 */
import { Buffer } from "node:buffer"
import { fdatasync, openSync, write } from "node:fs"
import { createServer, type Socket } from "node:net"

const [port = 0, path] = [Number(process.argv[2]), process.argv[3]]
const file = path === undefined ? undefined : openSync(path, "w")

const accept = Buffer.from("ACCEPT\n")
const endSync = Buffer.from("ENDSYNC\n")
const acks = Buffer.from("ACK\n".repeat(16_384))

/** The lines of a group, one behind the other, with an index of where each timestamp is. */
class Log {
  bytes = Buffer.allocUnsafeSlow(65_536)
  length = 0
  ends = new Float64Array(1024)
  times = new Float64Array(1024)
  count = 0
  readonly followers = new Set<Cursor>()

  add(head: Buffer, time: number, text: Buffer): Buffer {
    const last = this.count === 0 ? 0 : this.times[this.count - 1]!
    const timestamp = Math.max(time, last + 1)
    const digits = String(timestamp)
    const size = head.length + digits.length + 1 + text.length
    while (this.length + size > this.bytes.length) {
      const grown = Buffer.allocUnsafeSlow(this.bytes.length * 2)
      this.bytes.copy(grown, 0, 0, this.length)
      this.bytes = grown
    }
    if (this.count === this.ends.length) {
      const [ends, times] = [this.ends, this.times]
      this.ends = new Float64Array(this.count * 2)
      this.times = new Float64Array(this.count * 2)
      this.ends.set(ends)
      this.times.set(times)
    }
    const start = this.length
    let at = start + head.copy(this.bytes, start)
    at += this.bytes.write(digits, at, "latin1")
    this.bytes[at++] = 32
    this.length = at + text.copy(this.bytes, at)
    this.ends[this.count] = this.length
    this.times[this.count++] = timestamp
    return this.bytes.subarray(start, this.length)
  }

  /** Where what comes after a timestamp begins. */
  after(time: number): number {
    let [low, high] = [0, this.count]
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.times[middle]! > time) high = middle
      else low = middle + 1
    }
    return low === 0 ? 0 : this.ends[low - 1]!
  }
}

/** Somebody who follows a log, and is this far. */
interface Cursor {
  readonly peer: Peer
  readonly log: Log
  at: number
}

interface Peer {
  readonly socket: Socket
  name: string
  full: boolean
  readonly cursors: Map<Log, Cursor>
  readonly heads: Map<string, { readonly log: Log; readonly head: Buffer }>
  rest: Buffer | undefined
}

const logs = new Map<string, Log>()
const touched = new Set<Log>()
let flushing = false

const logOf = (name: string): Log => {
  let log = logs.get(name)
  if (log === undefined) logs.set(name, log = new Log())
  return log
}

/** One write a follower and tick, the same bytes for all who are at the same place. */
const flush = () => {
  flushing = false
  for (const log of touched) {
    let [from, view] = [-1, endSync]
    for (const cursor of log.followers) {
      if (cursor.peer.full || cursor.at === log.length) continue
      if (cursor.at !== from) {
        from = cursor.at
        view = log.bytes.subarray(from, log.length)
      }
      cursor.at = log.length
      if (!cursor.peer.socket.write(view)) cursor.peer.full = true
    }
  }
  touched.clear()
}

const touch = (log: Log) => {
  if (log.followers.size === 0) return
  touched.add(log)
  if (flushing) return
  flushing = true
  setImmediate(flush)
}

// With a file: all that came in a tick is one write and one sync, and then it is answered
let unsynced: Array<Buffer> = []
let waiting: Array<readonly [peer: Peer, acks: number]> = []
let isSyncing = false

const sync = () => {
  if (isSyncing || waiting.length === 0 || file === undefined) return
  isSyncing = true
  const [bytes, answered] = [Buffer.concat(unsynced), waiting]
  unsynced = []
  waiting = []
  write(file, bytes, 0, bytes.length, null, () =>
    fdatasync(file, () => {
      isSyncing = false
      for (const [peer, count] of answered) peer.socket.write(acks.subarray(0, count * 4))
      sync()
    }))
}

const send = (peer: Peer, chunk: Buffer, start: number, end: number, now: number) => {
  const space = chunk.indexOf(32, start)
  const target = chunk.toString("latin1", start, space)
  let known = peer.heads.get(target)
  if (known === undefined) {
    known = { log: logOf(target), head: Buffer.from(`MSG ${target} ${peer.name} `) }
    peer.heads.set(target, known)
  }
  const line = known.log.add(known.head, now, chunk.subarray(space + 1, end + 1))
  if (file !== undefined) unsynced.push(Buffer.from(line))
  touch(known.log)
}

const hear = (peer: Peer, chunk: Buffer) => {
  const now = Date.now()
  let sends = 0
  let start = 0
  for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
    if (chunk[start + 1] === 69) { // SEND
      send(peer, chunk, start + 5, end, now)
      sends++
    } else {
      const [command, name = "", after = "0"] = chunk.toString("latin1", start, end).split(" ")
      if (command === "CONNECT") {
        peer.name = name
        peer.socket.write(accept)
      } else {
        const log = logOf(name)
        const from = log.after(Number(after))
        if (from < log.length) peer.socket.write(log.bytes.subarray(from, log.length))
        if (!peer.socket.write(endSync)) peer.full = true
        const cursor = peer.cursors.get(log) ?? { peer, log, at: 0 }
        cursor.at = log.length
        peer.cursors.set(log, cursor)
        log.followers.add(cursor)
      }
    }
    start = end + 1
  }
  peer.rest = start < chunk.length ? chunk.subarray(start) : undefined
  if (sends === 0) return
  if (file === undefined) peer.socket.write(acks.subarray(0, sends * 4))
  else {
    waiting.push([peer, sends])
    setImmediate(sync)
  }
}

createServer({ noDelay: true, allowHalfOpen: false }, (socket) => {
  const peer: Peer = { socket, name: "", full: false, cursors: new Map(), heads: new Map(), rest: undefined }
  socket.on("data", (chunk) => hear(peer, peer.rest === undefined ? chunk : Buffer.concat([peer.rest, chunk])))
  socket.on("drain", () => {
    peer.full = false
    for (const { log } of peer.cursors.values()) touch(log)
  })
  socket.on("error", () => {})
  socket.on("close", () => {
    for (const [log, cursor] of peer.cursors) log.followers.delete(cursor)
  })
}).listen({ port, host: "127.0.0.1", backlog: 4096 }, () => console.log("listening"))
