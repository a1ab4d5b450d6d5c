/**
 * The load generator: a process of its own, that does as little as it can for what it measures. Prints one line of JSON.
 *
 *     node packages/cli/benchmark/load.ts SCENARIO PORT [NAME=VALUE …]
 */
import { Buffer } from "node:buffer"
import { connect, type Socket } from "node:net"

const [scenario = "", port = "", ...rest] = process.argv.slice(2)
const options = new Map(rest.map((option) => option.split("=", 2)).map(([name = "", value]) => [name, Number(value)]))
const option = (name: string, fallback: number) => options.get(name) ?? fallback

const seconds = option("seconds", 3)
const size = option("size", 64)
const warmUp = option("warmUp", 1)

const now = () => performance.now()
const wait = (millis: number) => new Promise<void>((resolve) => setTimeout(resolve, millis))

/** Latencies in µs, in buckets of 1 %: memory that does not grow. */
class Latencies {
  readonly #counts = new Float64Array(2200)
  #total = 0
  add(micros: number, times = 1): void {
    const bucket = Math.min(2199, Math.max(0, Math.round(Math.log(Math.max(1, micros)) * 100)))
    this.#counts[bucket]! += times
    this.#total += times
  }
  at(quantile: number): number {
    let seen = 0
    for (const [bucket, count] of this.#counts.entries()) {
      seen += count
      if (seen >= quantile * this.#total && count > 0) return Math.round(Math.exp(bucket / 100))
    }
    return 0
  }
  get quantiles() {
    return { p50: this.at(0.5), p99: this.at(0.99), p999: this.at(0.999) }
  }
}

/** Logs in, and resolves when that was accepted. */
const login = (name: string) =>
  new Promise<Socket>((resolve, reject) => {
    const socket = connect({ port: Number(port), host: "127.0.0.1", noDelay: true })
    socket.once("error", reject)
    socket.once("data", (bytes) => {
      if (bytes.toString() === "ACCEPT\n") resolve(socket)
      else reject(new Error(`CONNECT ${name}: ${bytes.toString().trim()}`))
    })
    socket.write(`CONNECT ${name}\n`)
  })

const logins = async (count: number, name: (index: number) => string, atOnce = 64) => {
  const sockets: Array<Socket> = []
  for (let from = 0; from < count; from += atOnce) {
    const group = Array.from({ length: Math.min(atOnce, count - from) }, (_, index) => login(name(from + index)))
    sockets.push(...await Promise.all(group))
  }
  return sockets
}

/** Says `SYNC`, and resolves when that has been answered, with the bytes of the answer. */
const sync = (socket: Socket, group: string) =>
  new Promise<number>((resolve) => {
    const end = Buffer.from("ENDSYNC\n")
    let bytes = 0
    let tail: Buffer = Buffer.alloc(0)
    const take = (chunk: Buffer) => {
      bytes += chunk.length
      tail = chunk.length >= 8 ? chunk.subarray(-8) : Buffer.concat([tail, chunk]).subarray(-8)
      if (!tail.equals(end)) return
      socket.off("data", take)
      resolve(bytes)
    }
    socket.on("data", take)
    socket.write(`SYNC ${group} 0\n`)
  })

/** A text that no other one with a number near this is equal to: what is said twice in a row may be a re-send. */
const text = (n: number) => String(n).padEnd(size, "x")

/** Each connection sends to a group of its own, so many at a time; all of them are answered before the next. */
const acks = async () => {
  const [connections, window, groups, rate] = [
    option("connections", 50),
    option("window", 1),
    option("groups", 0),
    option("rate", 0) // messages a second in all; 0: as fast as they are answered
  ]
  const sockets = await logins(connections, (index) => `user${index}`)
  const latencies = new Latencies()
  let counting = false
  let count = 0
  let running = true
  let serial = 0
  const line = (index: number) => {
    serial++
    return `SEND group${groups === 0 ? index : serial % groups} ${text(serial)}\n`
  }
  sockets.forEach((socket, index) => {
    const made = () => Buffer.from(Array.from({ length: window }, () => line(index)).join(""))
    const ready = [made(), made()]
    let turn = 0
    const batch = () => groups === 0 ? ready[turn ^= 1]! : made()
    let due = window * 4
    let sentAt = now()
    let dueAt = now()
    const send = () => {
      if (!running) return
      due = window * 4
      sentAt = rate === 0 ? now() : dueAt
      socket.write(batch())
    }
    const next = () => {
      if (rate === 0) return send()
      dueAt += connections * window / rate * 1000
      const left = dueAt - now()
      if (left > 1) setTimeout(send, left)
      else setImmediate(send)
    }
    socket.on("data", (bytes) => {
      due -= bytes.length
      if (due > 0) return
      if (counting) {
        count += window
        latencies.add((now() - sentAt) * 1000, window)
      }
      next()
    })
    send()
  })
  await wait(warmUp * 1000)
  counting = true
  const begin = now()
  await wait(seconds * 1000)
  const elapsed = (now() - begin) / 1000
  running = false
  return { rate: count / elapsed, ...latencies.quantiles }
}

/** Publishers send to groups, and all who follow them take it: lines a second that arrive. */
const fanOut = async () => {
  const [subscribers, publishers, groups, slow] = [
    option("subscribers", 100),
    option("publishers", 1),
    option("groups", 1),
    option("slow", 0)
  ]
  const group = (index: number) => `group${index % groups}`
  const followers = await logins(subscribers, (index) => `follower${index}`)
  await Promise.all(followers.map((socket, index) => sync(socket, group(index))))
  const sleepers = await logins(slow, (index) => `sleeper${index}`)
  await Promise.all(sleepers.map((socket, index) => sync(socket, group(index))))
  for (const sleeper of sleepers) sleeper.pause()
  const senders = await logins(publishers, (index) => `sender${index}`)
  let bytes = 0
  let lineBytes = 0
  let running = true
  for (const follower of followers) {
    follower.on("data", (chunk) => {
      if (lineBytes === 0) lineBytes = chunk.indexOf(10) + 1
      bytes += chunk.length
    })
  }
  let sends = 0
  senders.forEach((socket, index) => {
    let turn = index
    const send = () => {
      if (running) socket.write(`SEND ${group(turn)} ${text(turn)}\n`)
      turn += publishers
    }
    socket.on("data", (chunk) => {
      sends += chunk.length / 4
      send()
    })
    send()
  })
  await wait(warmUp * 1000)
  const [begin, bytesBefore, sendsBefore] = [now(), bytes, sends]
  await wait(seconds * 1000)
  const elapsed = (now() - begin) / 1000
  const [lines, sent] = [(bytes - bytesBefore) / lineBytes, sends - sendsBefore]
  running = false
  return { rate: lines / elapsed, sends: sent / elapsed }
}

/** Several clients take a whole history at once. */
const history = async () => {
  const [messages, clients, rounds] = [option("messages", 200_000), option("clients", 4), option("rounds", 3)]
  const writer = await login("writer")
  const batch = 1000
  const lines = Array.from({ length: batch }, (_, index) => `SEND history ${text(index)}\n`).join("")
  for (let sent = 0; sent < messages; sent += batch) {
    await new Promise<void>((resolve) => {
      let due = batch * 4
      const take = (chunk: Buffer) => {
        due -= chunk.length
        if (due > 0) return
        writer.off("data", take)
        resolve()
      }
      writer.on("data", take)
      writer.write(lines)
    })
  }
  const readers = await logins(clients, (index) => `reader${index}`)
  const rates: Array<number> = []
  for (let round = 0; round < rounds; round++) {
    const begin = now()
    await Promise.all(readers.map((reader) => sync(reader, "history")))
    rates.push(messages * clients / ((now() - begin) / 1000))
  }
  return { rate: rates.toSorted((a, b) => a - b)[rounds >> 1] }
}

/** Connections that log in, and then do nothing. */
const idle = async () => {
  const connections = option("connections", 5000)
  const begin = now()
  await logins(connections, (index) => `user${index}`)
  const rate = connections / ((now() - begin) / 1000)
  process.stdout.write(`${JSON.stringify({ rate })}\n`)
  await wait(2000) // whoever has started this looks at the server's memory
  return undefined
}

const scenarios: Record<string, () => Promise<object | undefined>> = { acks, fanOut, history, idle }
const result = await scenarios[scenario]?.()
if (result !== undefined) process.stdout.write(`${JSON.stringify(result)}\n`)
process.exit()
