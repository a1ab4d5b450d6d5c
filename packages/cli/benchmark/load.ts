/**
 * The load generator: a process of its own, that does as little as documented Node allows for what it measures. Servers
 * get their load in short turns, one after the other, so that whatever else the machine does hits all of them. Prints one
 * line of JSON: for each server, what each of its turns has come to.
 *
 *     node packages/cli/benchmark/load.ts SCENARIO PORT:PID,… [NAME=VALUE …]
 */
import { Buffer } from "node:buffer"
import { readFileSync } from "node:fs"
import { connect, type Socket } from "node:net"

const [scenario = "", servers = "", ...rest] = process.argv.slice(2)
const options = new Map(rest.map((option) => option.split("=", 2)).map(([name = "", value]) => [name, Number(value)]))
const option = (name: string, fallback: number) => options.get(name) ?? fallback

const turns = option("turns", 8)
const warmUps = option("warmUps", 2)
const millis = option("millis", 500) // of a turn

const now = () => performance.now()
const wait = (millis: number) => new Promise<void>((resolve) => setTimeout(resolve, millis))

interface Server {
  readonly port: number
  readonly pid: number
}

/** Of a server's process, where the system tells: seconds of CPU time of all its threads, and KB of resident memory. */
const cpuOf = ({ pid }: Server): number => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1")
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    return (Number(fields[11]) + Number(fields[12])) / 100
  } catch {
    return NaN
  }
}
const residentOf = ({ pid }: Server): number => {
  try {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1])
  } catch {
    return NaN
  }
}

/** A figure is what it says, or how many a second; with seconds of the server's CPU, and of ours. */
type Turn = Readonly<Record<string, number>>

/** Does something, and counts what it was good for. */
const measured = async (server: Server, work: () => Promise<number>): Promise<Turn> => {
  const [begin, cpu, own] = [now(), cpuOf(server), process.cpuUsage()]
  const count = await work()
  const seconds = (now() - begin) / 1000
  const { system, user } = process.cpuUsage(own)
  return { rate: count / seconds, count, seconds, cpu: cpuOf(server) - cpu, own: (user + system) / 1e6 }
}

/** Latencies in µs, in buckets of 1 %: memory that does not grow. */
class Latencies {
  readonly #counts = new Float64Array(2200)
  #total = 0
  clear(): void {
    this.#counts.fill(0)
    this.#total = 0
  }
  add(micros: number): void {
    this.#counts[Math.min(2199, Math.round(Math.log(Math.max(1, micros)) * 100))]!++
    this.#total++
  }
  at(quantile: number): number {
    let seen = 0
    const bucket = this.#counts.findIndex((count) => (seen += count) >= quantile * this.#total)
    return Math.exp(bucket / 100)
  }
}

/** A connection, and who takes what arrives on it: so many bytes at the beginning of a buffer that all share. */
interface Peer {
  readonly socket: Socket
  take: (length: number, bytes: Uint8Array) => void
}

const received = Buffer.allocUnsafeSlow(2 ** 18)
const textOf = (length: number, bytes: Uint8Array) => Buffer.from(bytes.buffer, 0, length).toString()

/** Logs in, and resolves when that was accepted. */
const login = ({ port }: Server, name: string) =>
  new Promise<Peer>((resolve, reject) => {
    const callback = (length: number) => {
      peer.take(length, received)
      return true
    }
    const socket = connect({ port, host: "127.0.0.1", noDelay: true, onread: { buffer: received, callback } })
    const peer: Peer = {
      socket,
      take: (length, bytes) => {
        const answer = textOf(length, bytes)
        if (answer === "ACCEPT\n") resolve(peer)
        else reject(new Error(`CONNECT ${name}: ${answer}`))
      }
    }
    socket.once("error", reject)
    socket.write(`CONNECT ${name}\n`)
  })

/** So many logins, 64 of them at a time. */
const logins = async (server: Server, count: number, name: (index: number) => string) => {
  const peers: Array<Peer> = []
  let next = 0
  const some = async () => {
    while (next < count) {
      const index = next++
      peers[index] = await login(server, name(index))
    }
  }
  await Promise.all(Array.from({ length: 64 }, some))
  return peers
}

/** Says `SYNC`, and resolves when that has been answered. */
const sync = (peer: Peer, group: string, after = 0) =>
  new Promise<void>((resolve) => {
    const end = Buffer.from("ENDSYNC\n")
    let tail = Buffer.alloc(0)
    peer.take = (length) => {
      tail = Buffer.concat([tail, received.subarray(Math.max(0, length - 8), length)]).subarray(-8)
      if (tail.equals(end)) resolve()
    }
    peer.socket.write(`SYNC ${group} ${after}\n`)
  })

/** Calls back with how many ACKs have come. */
const onAcks = (peer: Peer, acked: (count: number) => void) => {
  let part = 0 // bytes of one that has not come as a whole
  peer.take = (length, bytes) => {
    if (part === 0 && bytes[0] !== 65) throw new Error(`no ACK: ${textOf(length, bytes)}`)
    const count = (part + length) >> 2
    part = (part + length) & 3
    acked(count)
  }
}

const numbered = (name: string, index: number, of: number) => name + String(index).padStart(String(of - 1).length, "0")

/** Bytes of a message's text; or of a whole `SEND`, if that is what is given. */
const room = (group: string) => options.has("line") ? option("line", 0) - `SEND ${group} `.length : option("size", 64)

/** No two that follow each other are equal: what is said twice in a row may be a re-send. */
const textOfSend = (group: string, serial: number) => String(serial).padEnd(room(group), "x")
const sendOf = (group: string, serial: number) => `SEND ${group} ${textOfSend(group, serial)}\n`

/** Lines to send, made once; gives the next so many as one buffer. */
const ring = (lines: ReadonlyArray<string>) => {
  const bytes = Buffer.from(lines.join(""))
  const length = bytes.length / lines.length
  const singles = lines.map((_, index) => bytes.subarray(index * length, (index + 1) * length))
  let at = 0
  return (count: number): Buffer => {
    if (at + count > lines.length) at = 0
    const from = at
    at += count
    return count === 1 ? singles[from]! : bytes.subarray(from * length, at * length)
  }
}

/** What each of the connections sends: to a group of its own, or in turn to so many groups that they all share. */
const senders = (connections: number, window: number) => {
  const groups = option("groups", 0)
  if (groups > 0) {
    const shared = ring(Array.from({ length: groups }, (_, index) => sendOf(numbered("g", index, groups), index)))
    return Array.from({ length: connections }, () => shared)
  }
  return Array.from({ length: connections }, (_, index) => {
    const group = numbered("g", index, connections)
    return ring(Array.from({ length: 4 * window }, (_, serial) => sendOf(group, serial)))
  })
}

/** As fast as they are answered, with so many outstanding a connection. */
const acks = async (server: Server) => {
  const [connections, window] = [option("connections", 50), option("window", 1)]
  const lines = senders(connections, window)
  const peers = await logins(server, connections, (index) => `user${index}`)
  let count = 0
  let outstanding = 0
  let isRunning = false
  let drained = () => {}
  for (const [index, peer] of peers.entries()) {
    const next = lines[index]!
    onAcks(peer, (acked) => {
      count += acked
      if (isRunning) peer.socket.write(next(acked))
      else if ((outstanding -= acked) === 0) drained()
    })
  }
  return () =>
    measured(server, async () => {
      count = 0
      outstanding = connections * window
      isRunning = true
      const end = new Promise<void>((resolve) => {
        drained = resolve
      })
      for (const [index, peer] of peers.entries()) peer.socket.write(lines[index]!(window))
      await wait(millis)
      isRunning = false
      await end
      return count
    })
}

/**
 * At a fixed rate, whatever the answers do: latency counts from when a message was due, also when it could not be sent then,
 * because the one before it had not been answered. Does not sleep, since a timer is late by more than what is measured.
 */
const paced = async (server: Server) => {
  const [connections, rate] = [option("connections", 50), option("rate", 20_000)]
  const lines = senders(connections, 1)
  const peers = await logins(server, connections, (index) => `user${index}`)
  const latencies = new Latencies()
  const gap = 1000 / rate
  const dues = new Float64Array(connections) // of each connection's message that is outstanding, or next
  const isWaiting = new Uint8Array(connections)
  let end = 0
  let outstanding = 0
  const send = (index: number) => {
    isWaiting[index] = 1
    outstanding++
    peers[index]!.socket.write(lines[index]!(1))
  }
  for (const [index, peer] of peers.entries()) {
    onAcks(peer, () => {
      const time = now()
      latencies.add((time - dues[index]!) * 1000)
      isWaiting[index] = 0
      outstanding--
      const due = dues[index]! += connections * gap
      if (due <= time && due < end) send(index)
    })
  }
  return async () => {
    latencies.clear()
    const turn = await measured(server, () =>
      new Promise((resolve) => {
        const begin = now()
        end = begin + millis
        for (let index = 0; index < connections; index++) dues[index] = begin + index * gap
        let next = 0
        const look = () => {
          const time = now()
          for (; begin + next * gap <= Math.min(time, end); next++) {
            const index = next % connections
            if (isWaiting[index] === 0 && dues[index]! <= time) send(index)
          }
          if (time >= end && outstanding === 0) resolve(next)
          else setImmediate(look)
        }
        look()
      }))
    return { ...turn, p99: latencies.at(0.99), p999: latencies.at(0.999) }
  }
}

/** Publishers send to groups, and all who follow these take it: lines that arrive. Whoever is asleep does not read at all. */
const fanOut = async (server: Server) => {
  const [subscribers, asleep, stored, publishers, groups] = [
    option("subscribers", 100),
    option("asleep", 0),
    option("stored", 0), // messages of 8 KB in each group beforehand: 512 are more than the system has buffers for
    option("publishers", 1),
    option("groups", 1)
  ]
  const names = Array.from({ length: groups }, (_, index) => numbered("g", index, groups))
  const writers = await logins(server, publishers, (index) => `publisher${index}`)

  if (asleep > 0) {
    const sleepers = await logins(server, asleep, (index) => `sleeper${index}`)
    await Promise.all(sleepers.map((peer, index) => sync(peer, names[index % groups]!)))
    for (const { socket } of sleepers) socket.pause()
  }
  if (stored > 0) {
    for (const name of names) await preload(writers[0]!, name, stored, 8000)
    await wait(1000) // for the clock to be later than the last timestamp
  }

  const followers = await logins(server, subscribers, (index) => `follower${index}`)
  const after = stored > 0 ? Date.now() : 0
  await Promise.all(followers.map((peer, index) => sync(peer, names[index % groups]!, after)))
  let bytes = 0
  let expected = Infinity
  let drained = () => {}
  const take = (length: number) => {
    bytes += length
    if (bytes === expected) drained()
  }
  for (const follower of followers) follower.take = take

  const followersOf = (group: number) => Math.floor(subscribers / groups) + (group < subscribers % groups ? 1 : 0)
  let isRunning = false
  let [lines, due, outstanding] = [0, 0, 0]
  let answered = () => {}
  const sends = writers.map((writer, index) => {
    // What they receive is counted in bytes, and every line has as many
    const made = names.map((name, group) => {
      const received = `MSG ${name} publisher${index} 1700000000000 ${textOfSend(name, 0)}\n`.length
      return {
        next: ring([0, 1].map((serial) => sendOf(name, serial))),
        lines: followersOf(group),
        bytes: received * followersOf(group)
      }
    })
    let turn = index
    const send = () => {
      const line = made[turn % groups]!
      turn += publishers
      lines += line.lines
      due += line.bytes
      writer.socket.write(line.next(1))
    }
    onAcks(writer, () => {
      if (isRunning) send()
      else if (--outstanding === 0) answered()
    })
    return send
  })
  return () =>
    measured(server, async () => {
      lines = due = bytes = 0
      expected = Infinity
      outstanding = publishers
      isRunning = true
      const acked = new Promise<void>((resolve) => {
        answered = resolve
      })
      const taken = new Promise<void>((resolve) => {
        drained = resolve
      })
      for (const send of sends) send()
      await wait(millis)
      isRunning = false
      await acked
      expected = due
      if (bytes !== expected) await Promise.race([taken, wait(5000)])
      if (bytes !== expected) throw new Error(`followers have ${bytes} bytes of ${expected}`)
      return lines
    })
}

/** Fills a group. */
const preload = async (writer: Peer, group: string, messages: number, size: number) => {
  const batch = Math.min(messages, 1000)
  const lines = Array.from({ length: batch }, (_, serial) => `SEND ${group} ${String(serial).padEnd(size, "x")}\n`)
  const bytes = Buffer.from(lines.join(""))
  for (let sent = 0; sent < messages; sent += batch) {
    await new Promise<void>((resolve) => {
      let left = batch
      onAcks(writer, (count) => {
        if ((left -= count) === 0) resolve()
      })
      writer.socket.write(bytes)
    })
  }
}

/** Several clients take a whole history at once, again and again. */
const history = async (server: Server) => {
  const [messages, clients] = [option("messages", 200_000), option("clients", 4)]
  const [writer] = await logins(server, 1, () => "writer")
  await preload(writer!, "history", messages, 64)
  const expected = messages * `MSG history writer 1700000000000 ${"x".repeat(64)}\n`.length + "ENDSYNC\n".length
  const readers = await logins(server, clients, (index) => `reader${index}`)
  const read = (peer: Peer) =>
    new Promise<void>((resolve, reject) => {
      let bytes = 0
      peer.take = (length) => {
        bytes += length
        if (bytes === expected) resolve()
        if (bytes > expected) reject(new Error(`a history of ${bytes} bytes, not ${expected}`))
      }
      peer.socket.write("SYNC history 0\n")
    })
  return () =>
    measured(server, async () => {
      let count = 0
      for (const begin = now(); now() - begin < millis; count += messages * clients) {
        await Promise.all(readers.map(read))
      }
      return count
    })
}

let serial = 0 // nobody who was there comes again

/** So many come, and go again. */
const loggingIn = (server: Server) => async () => {
  const count = option("connections", 1000)
  let peers: ReadonlyArray<Peer> = []
  const turn = await measured(server, async () => {
    peers = await logins(server, count, () => `user${serial++}`)
    return count
  })
  for (const { socket } of peers) socket.destroy()
  await wait(300)
  return turn
}

/** What a connection takes of the server's memory that does nothing. */
const idle = (server: Server) => async () => {
  const connections = option("connections", 4000)
  await wait(500) // a server that has just started gives memory back, which would count for the connections
  const before = residentOf(server)
  await logins(server, connections, (index) => `user${index}`)
  await wait(2000)
  return { memory: (residentOf(server) - before) / connections }
}

/** Says when so many have logged in, who then do nothing until the process is killed. */
const hold = async (server: Server): Promise<never> => {
  await logins(server, option("connections", 10_000), (index) => `idle${index}`)
  console.log("held")
  return wait(2 ** 30) as Promise<never>
}

type Scenario = (server: Server) => (() => Promise<Turn>) | Promise<() => Promise<Turn>>
const scenarios: Record<string, Scenario> = { acks, paced, fanOut, history, loggingIn, idle, hold }

const lanes: Array<{ readonly turn: () => Promise<Turn>; readonly results: Array<Turn> }> = []
for (const [port, pid] of servers.split(",").map((server) => server.split(":").map(Number))) {
  lanes.push({ turn: await scenarios[scenario]!({ port: port!, pid: pid! }), results: [] })
}
for (let round = -warmUps; round < turns; round++) {
  for (const { results, turn } of round % 2 === 0 ? lanes : lanes.toReversed()) {
    const result = await turn()
    if (round >= 0) results.push(result)
    await wait(100) // for what a server does afterwards
  }
}
console.log(JSON.stringify(lanes.map(({ results }) => results)))
process.exit()
