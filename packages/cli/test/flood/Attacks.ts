/**
 * Floods: what a client, or a crowd of them, can do to a server that is to hurt only themselves. Each goes on until it is
 * told to end, as fast as this process can, from addresses that are not this machine's own: 127.0.0.1 is left to others.
 */
import { Buffer } from "node:buffer"
import { connect, type Socket } from "node:net"

/** What has become of an attack so far. */
interface Seen {
  connections: number
  /** How often each reason was heard; `""` is an end without one. */
  readonly declines: Map<string, number>
  acks: number
  bytes: number
}

interface Target {
  readonly port: number
  /** How large the crowd is, beside that of the whole program. */
  readonly scale: number
  readonly seen: Seen
}

export interface Attack {
  readonly name: string
  /** Begins it; gives how to end it. */
  readonly begin: (target: Target) => () => void
}

export const nothingSeen = (): Seen => ({ connections: 0, declines: new Map(), acks: 0, bytes: 0 })

/** Addresses of attackers: as many as there are. */
const addressOf = (index: number): string => `127.1.${(index >> 8) % 256}.${1 + index % 254}`

let serial = 0
const uniqueName = (): string => `x${process.pid}-${serial++}`

const count = (text: string, word: string): number => text.split(word).length - 1

interface Peer {
  readonly socket: Socket
  /** Resolves when the connection has ended. */
  readonly ended: Promise<void>
}

/** A connection whose answers are counted. */
const peer = ({ port, seen }: Target, address: string, onText?: (text: string, socket: Socket) => void): Peer => {
  const socket = connect({ port, host: "127.0.0.1", localAddress: address, noDelay: true })
  let hasReason = false
  seen.connections++
  socket.on("error", () => {})
  socket.on("data", (bytes) => {
    seen.bytes += bytes.length
    const text = bytes.toString("latin1")
    seen.acks += count(text, "ACK\n")
    for (const [, reason = ""] of text.matchAll(/^DECLINE (\w+)$/gm)) {
      hasReason = true
      seen.declines.set(reason, (seen.declines.get(reason) ?? 0) + 1)
    }
    onText?.(text, socket)
  })
  const ended = new Promise<void>((resolve) => {
    socket.on("end", () => socket.destroy())
    socket.on("close", () => {
      if (!hasReason) seen.declines.set("", (seen.declines.get("") ?? 0) + 1)
      resolve()
    })
  })
  return { socket, ended }
}

/** So many at the same time: who has ended comes again. */
const crowd = (size: number, target: Target, one: (index: number) => Peer): () => void => {
  let isOver = false
  const here = new Set<Socket>()
  const keepOn = async (index: number) => {
    while (!isOver) {
      const { ended, socket } = one(index)
      here.add(socket)
      await ended
      here.delete(socket)
    }
  }
  for (let index = 0; index < Math.max(1, Math.round(size * target.scale)); index++) void keepOn(index)
  return () => {
    isOver = true
    for (const socket of here) socket.destroy()
  }
}

/** What one connection writes before the others have their turn: a kernel that takes all there is would never end it. */
const writesInTurn = 64

/** Writes bytes again and again, as fast as they are taken. */
const pour = (socket: Socket, next: () => string | Uint8Array): void => {
  const more = () => {
    let writes = 0
    while (!socket.destroyed && socket.writable && socket.write(next())) {
      if (++writes === writesInTurn) return void setImmediate(more)
    }
  }
  socket.on("drain", more)
  more()
}

/** Logs in, and then does something. */
const user = (target: Target, address: string, then: (socket: Socket) => void): Peer => {
  let isIn = false
  const { ended, socket } = peer(target, address, (text) => {
    if (isIn || !text.startsWith("ACCEPT\n")) return
    isIn = true
    then(socket)
  })
  socket.write(`CONNECT ${uniqueName()}\n`)
  return { ended, socket }
}

const sendsTo = (target: () => string, lines: number): Buffer =>
  Buffer.from(Array.from({ length: lines }, () => `SEND ${target()} hello\n`).join(""))

const endless = Buffer.alloc(64 * 1024, "x")

/** Who say this, and then a line without end, and never log in. */
const strangers = (first: string): Attack["begin"] => (target) =>
  crowd(50, target, (index) => {
    const stranger = peer(target, addressOf(index))
    stranger.socket.write(first)
    pour(stranger.socket, () => endless)
    return stranger
  })

/** The group that `prepare` fills. */
const bigGroup = "big"

/** Fills a group with a long history, by many who each say no more than their burst. */
export const prepare = async (port: number, messages: number): Promise<void> => {
  const each = 10_000
  const text = "x".repeat(100)
  for (let from = 0; from < messages; from += each) {
    const size = Math.min(each, messages - from)
    await new Promise<void>((resolve) => {
      const socket = connect({ port, host: "127.0.0.1", noDelay: true })
      let acks = 0
      socket.on("data", (bytes) => {
        acks += count(bytes.toString("latin1"), "ACK\n")
        if (acks >= size) socket.end()
      })
      socket.on("close", () => resolve())
      socket.write(`CONNECT ${uniqueName()}\n`)
      socket.write(Array.from({ length: size }, (_, i) => `SEND ${bigGroup} ${from + i} ${text}\n`).join(""))
    })
  }
}

export const attacks: ReadonlyArray<Attack> = [
  {
    name: "connect storm",
    begin: (target) => crowd(200, target, (index) => user(target, addressOf(index % 4), (socket) => socket.end()))
  },
  {
    name: "connect storm, many addresses",
    begin: (target) => crowd(200, target, (index) => user(target, addressOf(index), (socket) => socket.end()))
  },
  {
    name: "half-open logins",
    begin: (target) => crowd(5000, target, (index) => peer(target, addressOf(index)))
  },
  {
    name: "one byte a second",
    begin: (target) =>
      crowd(2000, target, (index) => {
        const { ended, socket } = peer(target, addressOf(index))
        const timer = setInterval(() => socket.write("x"), 1000)
        void ended.then(() => clearInterval(timer))
        return { ended, socket }
      })
  },
  {
    name: "login guessing",
    begin: (target) =>
      crowd(100, target, (index) => {
        const { ended, socket } = peer(target, addressOf(index % 4))
        socket.write("CONNECT system\n".repeat(3))
        return { ended, socket }
      })
  },
  {
    name: "SYNC storm, reading",
    begin: (target) =>
      crowd(200, target, (index) => {
        let tail = ""
        const { ended, socket } = peer(target, addressOf(index), (text) => {
          tail = (tail + text.slice(-16)).slice(-16)
          if (tail.endsWith("ACCEPT\n") || tail.endsWith("ENDSYNC\n")) socket.write(`SYNC ${bigGroup} 0\n`)
        })
        socket.write(`CONNECT ${uniqueName()}\n`)
        return { ended, socket }
      })
  },
  {
    name: "SYNC storm, never reading",
    begin: (target) =>
      crowd(500, target, (index) =>
        user(target, addressOf(index), (socket) => {
          socket.pause()
          pour(socket, () => `SYNC ${bigGroup} 0\n`.repeat(100))
        }))
  },
  {
    name: "a million names",
    begin: (target) =>
      crowd(50, target, (index) => {
        let next = 0
        const name = () => `n${process.pid}-${index}-${next++}`
        return user(target, addressOf(index), (socket) => pour(socket, () => sendsTo(name, 500)))
      })
  },
  {
    name: "endless lines",
    begin: (target) =>
      crowd(50, target, (index) => user(target, addressOf(index), (socket) => pour(socket, () => endless)))
  },
  { name: "endless lines, no login", begin: strangers("") },
  // So many that the server says its last word to them
  { name: "endless lines, after the last word", begin: strangers("BOGUS\n".repeat(50)) },
  {
    name: "long lines",
    begin: (target) => {
      const line = Buffer.from(`SEND g ${"x".repeat(8000)}\n`.repeat(8))
      return crowd(50, target, (index) => user(target, addressOf(index), (socket) => pour(socket, () => line)))
    }
  },
  {
    name: "pipelined SENDs",
    begin: (target) => {
      const lines = sendsTo(() => "g", 1000)
      return crowd(50, target, (index) => user(target, addressOf(index), (socket) => pour(socket, () => lines)))
    }
  },
  {
    name: "pipelined SENDs, never reading",
    begin: (target) => {
      const lines = sendsTo(() => "g", 1000)
      return crowd(50, target, (index) =>
        user(target, addressOf(index), (socket) => {
          socket.pause()
          pour(socket, () => lines)
        }))
    }
  },
  {
    name: "one-byte packets",
    begin: (target) =>
      crowd(20, target, (index) =>
        user(target, addressOf(index), (socket) => {
          const bytes = sendsTo(() => "g", 1)
          let at = 0
          pour(socket, () => bytes.subarray(at = (at + 1) % bytes.length, at + 1))
        }))
  },
  {
    name: "declines",
    begin: (target) =>
      crowd(
        50,
        target,
        (index) => user(target, addressOf(index), (socket) => pour(socket, () => "HELLO\nSEND g hi\n".repeat(200)))
      )
  },
  {
    name: "followers that never read",
    begin: (target) => {
      const stop = crowd(500, target, (index) =>
        user(target, addressOf(index), (socket) => {
          socket.write("SYNC busy 0\n", () => socket.pause())
        }))
      const line = `SEND busy ${"x".repeat(1000)}\n`
      const end = crowd(1, { ...target, scale: 1 }, () =>
        user(target, addressOf(600), (socket) => {
          const timer = setInterval(() => socket.write(line.repeat(10)), 20)
          socket.on("close", () => clearInterval(timer))
        }))
      return () => {
        stop()
        end()
      }
    }
  },
  {
    name: "followers that only read",
    begin: (target) => {
      const stop = crowd(
        500,
        target,
        (index) => user(target, addressOf(index), (socket) => socket.write("SYNC lobby 0\n"))
      )
      return stop
    }
  }
]
