/**
 * A server with a large database: how fast it starts, what memory it takes with followers, how fast it gives a history.
 *
 *     npm run build && npx node --conditions=@cpt/source packages/cli/benchmark/large.ts [messages] [groups]
 *
 * By default 10,000,000 messages in 100,000 groups, and 1,000,000 more in one: some 2 GB in the temporary directory.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs"
import { connect, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { DatabaseSync } from "node:sqlite"
import { fileURLToPath } from "node:url"

const [messages = 10_000_000, groups = 100_000] = process.argv.slice(2).map(Number)
const history = 1_000_000
const blockMessages = 40 // some 4 KB
const bin = fileURLToPath(new URL("../bin/cpt.cjs", import.meta.url))
const data = mkdtempSync(join(tmpdir(), "cpt-large-"))
const file = join(data, "messages.db")

const serving = async () => {
  const begin = performance.now()
  const server = spawn(process.execPath, [bin, "serve", "--port", "0", "--data", data], {
    stdio: ["ignore", "pipe", "inherit"]
  })
  const [line] = await once(createInterface(server.stdout), "line")
  return { server, port: Number(/:(\d+);/.exec(String(line))?.[1]), millis: performance.now() - begin }
}

const ended = async ({ server }: Awaited<ReturnType<typeof serving>>, signal: "SIGTERM" | "SIGKILL") => {
  server.kill(signal)
  await once(server, "exit")
}

const memory = (pid: number | undefined) =>
  Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024)

/** Takes bytes until there were so many ENDSYNCs. */
const until = (socket: Socket, ends: number) =>
  new Promise<number>((resolve) => {
    let [seen, bytes] = [0, 0]
    const take = (chunk: Buffer) => {
      bytes += chunk.length
      for (let at = chunk.indexOf("ENDSYNC\n"); at !== -1; at = chunk.indexOf("ENDSYNC\n", at + 1)) seen++
      if (seen < ends) return
      socket.off("data", take)
      resolve(bytes)
    }
    socket.on("data", take)
  })

/** Fills a database that a server has made: faster than over the network, and the same. */
const fill = () => {
  const db = new DatabaseSync(file)
  db.exec("PRAGMA synchronous = OFF; PRAGMA cache_size = -500000; BEGIN")
  const name = db.prepare(
    "INSERT INTO names (id, name, kind, head, missing, count, bytes, oldest) VALUES (?, ?, ?, ?, 0, ?, ?, ?)"
  )
  const block = db.prepare("INSERT INTO blocks (target, first, count, lines) VALUES (?, ?, ?, ?)")
  const start = Date.now() - 86_400_000
  const text = "x".repeat(64)
  name.run(1, "sender", 0, 0, 0, 0, 0)
  const add = (id: number, group: string, count: number) => {
    name.run(id, group, 3, start + count - 1, count, count * (64 + 32), start)
    for (let from = 0; from < count; from += blockMessages) {
      const lines = Array.from(
        { length: Math.min(blockMessages, count - from) },
        (_, i) => `MSG ${group} sender ${start + from + i} ${text}\n`
      )
      block.run(id, start + from, lines.length, Buffer.from(lines.join("")))
    }
  }
  for (let group = 0; group < groups; group++) add(group + 2, `group${group}`, Math.round(messages / groups))
  add(groups + 2, "history", history)
  db.exec("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)")
  db.close()
}

try {
  await ended(await serving(), "SIGTERM")
  fill()
  console.log(
    `${messages} messages in ${groups} groups, ${history} in one: ${Math.round(statSync(file).size / 2 ** 20)} MiB`
  )
  for (const how of ["clean", "after kill -9"] as const) {
    const running = await serving()
    const { port, server } = running
    console.log(`start, ${how}: ${Math.round(running.millis)} ms, ${memory(server.pid)} MiB`)
    const followers = await Promise.all(
      Array.from({ length: 100 }, async (_, index) => {
        const socket = connect({ port, host: "127.0.0.1", noDelay: true })
        socket.write(`CONNECT follower${index}\nSYNC group${index} 0\n`)
        await until(socket, 1)
        return socket
      })
    )
    console.log(`with 100 followers: ${memory(server.pid)} MiB`)
    const begin = performance.now()
    const [first] = followers
    first?.write("SYNC history 0\n")
    let peak = 0
    const watch = setInterval(() => {
      peak = Math.max(peak, memory(server.pid))
    }, 20)
    if (first !== undefined) await until(first, 1)
    clearInterval(watch)
    const seconds = (performance.now() - begin) / 1000
    console.log(
      `a SYNC of ${history}: ${seconds.toFixed(2)} s, ${Math.round(history / seconds)} a second, at most ${peak} MiB`
    )
    for (const socket of followers) socket.destroy()
    await ended(running, "SIGKILL")
  }
} finally {
  rmSync(data, { recursive: true, force: true })
}
