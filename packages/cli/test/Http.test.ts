/** Those who ask a server a lot over HTTP, or hold its connections: they are in nobody's way. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { once } from "node:events"
import { readdirSync, readlinkSync, writeFileSync } from "node:fs"
import { connect } from "node:net"
import { join } from "node:path"
import * as Cpt from "./support/Cpt.ts"

/** A server with its administration on TCP, behind the token `secret`, and with probes. */
const serving = Effect.gen(function*() {
  const token = join(yield* Cpt.folder, "token")
  writeFileSync(token, "secret\n")
  const [admin, probes] = [yield* Cpt.freePort, yield* Cpt.freePort]
  const uri = `http://127.0.0.1:${admin}`
  const places = ["--admin", uri, "--admin-token-file", token, "--http", `127.0.0.1:${probes}`]
  const server = yield* Cpt.start(["serve", "--memory", "--port", "0", ...places])
  const port = Number(/:(\d+);/.exec(yield* server.line)?.[1])
  return { ...server, port, admin, probes, status: Cpt.run(["status", "--admin", uri, "--admin-token-file", token]) }
})

/** Somebody who asks on one connection. */
const asking = Effect.fnUntraced(function*(port: number) {
  const socket = yield* Effect.acquireRelease(
    Effect.promise(async () => {
      const socket = connect({ port, host: "127.0.0.1" })
      await once(socket, "connect")
      return socket
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )
  let heard = ""
  socket.on("error", () => {})
  socket.setEncoding("latin1").on("data", (text: string) => {
    heard += text
  })
  const answers = () => heard.split("HTTP/1.1 ").slice(1)
  return {
    socket,
    answers,
    ask: (path: string, times = 1) => {
      socket.write(`GET ${path} HTTP/1.1\r\nHost: here\r\n\r\n`.repeat(times))
    },
    /** Waits for so many answers in all; gives their statuses. */
    until: (count: number) =>
      Effect.promise(async () => {
        while (answers().length < count) await once(socket, "data")
        return answers().map((answer) => Number(answer.slice(0, 3)))
      })
  }
})

const closed = ({ socket }: Effect.Success<ReturnType<typeof asking>>) =>
  Effect.promise(async () => {
    if (!socket.closed) await once(socket, "close")
  })

describe("whoever asks over HTTP", () => {
  it.live("finds room, however many are there: whoever has asked for nothing the longest goes, which is said", () =>
    Effect.gen(function*() {
      const server = yield* serving
      const all = yield* Effect.forEach(Array.from({ length: 64 }), () => asking(server.probes))
      for (const one of all) {
        one.ask("/healthz")
        assert.deepStrictEqual(yield* one.until(1), [200])
      }
      const [first, second, third] = all
      if (first === undefined || second === undefined || third === undefined) return assert.fail()
      first.ask("/healthz")
      yield* first.until(2)
      const another = yield* asking(server.probes)
      another.ask("/metrics")
      assert.deepStrictEqual(yield* another.until(1), [200])
      assert.include(another.answers()[0], `\ncpt_limit_hits_total{limit="http-connections"} 1\n`)
      yield* closed(second)
      for (const one of [first, third]) {
        assert.isFalse(one.socket.destroyed)
        const before = one.answers().length
        one.ask("/healthz")
        yield* one.until(before + 1)
      }
      yield* server.signal("SIGTERM")
      let line = yield* server.note
      while (!line.includes("a limit is reached")) line = yield* server.note
      assert.deepInclude(JSON.parse(line), { level: "warn", limit: "http-connections" })
    }))

  it.live("finds room where others hold connections and say nothing, or do not say all", () =>
    Effect.gen(function*() {
      const { admin, status } = yield* serving
      for (let count = 0; count < 70; count++) {
        const { socket } = yield* asking(admin)
        if (count % 2 === 0) socket.write("GET /status HTTP/1.1\r\n")
      }
      assert.strictEqual((yield* status).status, 0)
    }))

  it.live("has no place without the token, whatever is asked: the answer is the same, and the connection is closed", () =>
    Effect.gen(function*() {
      const { admin, note } = yield* serving
      const answerTo = Effect.fnUntraced(function*(request: string, headers = "") {
        const guest = yield* asking(admin)
        guest.socket.write(`${request} HTTP/1.1\r\nHost: here\r\n${headers}\r\n`)
        yield* closed(guest)
        const [answer = "", ...more] = guest.answers()
        assert.deepStrictEqual(more, [])
        return answer.replace(/^date: .*\r\n/im, "")
      })
      const known = yield* answerTo("GET /status")
      assert.match(known, /^401 Unauthorized\r\n(?:.*\r\n)*connection: close\r\n/i)
      assert.match(known, /\r\n\r\n\{"_tag":"Unauthorized"\}$/)
      const requests = [
        "GET /x",
        "POST /status",
        "POST /x",
        "OPTIONS /status",
        "OPTIONS *",
        "DELETE /healthz",
        "GET //"
      ]
      for (const request of requests) assert.strictEqual(yield* answerTo(request), known, request)
      assert.strictEqual(yield* answerTo("GET /x", "Authorization: Basic secret\r\n"), known)
      assert.strictEqual(yield* answerTo("GET /x", "Connection: Upgrade\r\nUpgrade: websocket\r\n"), known)
      assert.strictEqual(yield* answerTo("HEAD /x"), known.slice(0, known.indexOf("{")))
      assert.strictEqual(yield* answerTo("GET /x", "Authorization: Bearer guess\r\n"), known)
      while (!(yield* note).includes("a wrong token was shown to the administration"));
    }))

  it.live("is told with the token what there is not, and keeps the connection", () =>
    Effect.gen(function*() {
      const { admin } = yield* serving
      const { socket, until } = yield* asking(admin)
      for (const [times, path] of ["/x", "/status"].entries()) {
        socket.write(`GET ${path} HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer secret\r\n\r\n`)
        assert.deepStrictEqual(yield* until(times + 1), [404, 200].slice(0, times + 1))
      }
    }))

  it.live("gets one answer after the other, and keeps nobody waiting who asks once", () =>
    Effect.gen(function*() {
      const { probes } = yield* serving
      const [greedy, polite] = [yield* asking(probes), yield* asking(probes)]
      greedy.ask("/metrics", 200)
      yield* greedy.until(1)
      polite.ask("/healthz")
      assert.deepStrictEqual(yield* polite.until(1), [200])
      assert.isBelow(greedy.answers().length, 200)
      assert.deepStrictEqual(yield* greedy.until(200), Array.from({ length: 200 }, () => 200))
      // What was counted is not looked up for each of them
      const texts = greedy.answers().map((answer) => answer.slice(answer.indexOf("\r\n\r\n")))
      assert.isBelow(new Set(texts).size, 200)
      polite.ask("/healthz")
      assert.deepStrictEqual(yield* polite.until(2), [200, 200])
    }))

  it.live("is cut who asks for more than 256 things before there is an answer", () =>
    Effect.gen(function*() {
      const { probes } = yield* serving
      const greedy = yield* asking(probes)
      greedy.ask("/healthz", 400)
      yield* closed(greedy)
      assert.isBelow(greedy.answers().length, 400)
    }))

  it.live("gets an answer to each request, also to one that asks for another protocol, and its end", () =>
    Effect.gen(function*() {
      const { probes } = yield* serving
      const plain = "GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n"
      const upgrade = plain.replace(/\r\n$/, "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
      const guest = yield* asking(probes)
      guest.socket.write(plain + upgrade)
      yield* guest.until(2)
      guest.socket.write(upgrade)
      assert.deepStrictEqual(yield* guest.until(3), [200, 200, 200])
      guest.socket.end()
      yield* closed(guest)
    }))

  it.live("is answered though it has ended its side already, and what it asked for is done", () =>
    Effect.gen(function*() {
      const { admin, line: _, port, probes } = yield* serving
      const ann = yield* Cpt.connected(port)
      ann.write("CONNECT ann\n")
      assert.strictEqual(yield* ann.line, "ACCEPT")
      for (let time = 0; time < 20; time++) {
        const [one, many, announcer] = [yield* asking(probes), yield* asking(probes), yield* asking(admin)]
        one.socket.end("GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n")
        many.socket.end("GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n".repeat(3))
        const body = JSON.stringify({ text: `once ${time}` })
        const headers =
          `Authorization: Bearer secret\r\nContent-Type: application/json\r\nContent-Length: ${body.length}`
        announcer.socket.end(`POST /announce HTTP/1.1\r\nHost: here\r\n${headers}\r\n\r\n${body}`)
        for (const guest of [one, many, announcer]) yield* closed(guest)
        const statuses = [one, many, announcer].map(({ answers }) => answers().map((answer) => answer.slice(0, 3)))
        assert.deepStrictEqual(statuses, [["200"], ["200", "200", "200"], ["200"]])
        assert.strictEqual(yield* ann.line, `MSG system system 0 once ${time}`)
      }
    }))

  it.live.runIf(process.platform === "linux")(
    "is cut in the end who does not say all, or takes no answers, also if they have ended their side",
    () =>
      Effect.gen(function*() {
        const { admin, child } = yield* serving
        const sockets = () => {
          const [folder, count] = [`/proc/${child.pid}/fd`, { sockets: 0 }]
          for (const fd of readdirSync(folder)) {
            if (readlinkSync(join(folder, fd)).startsWith("socket:")) count.sockets++
          }
          return count.sockets
        }
        const before = sockets()
        const headers = "Host: here\r\nAuthorization: Bearer secret\r\n"
        const post = `POST /announce HTTP/1.1\r\n${headers}Content-Type: application/json\r\nContent-Length: 100\r\n`
        const upgrade = "Connection: Upgrade\r\nUpgrade: foo\r\n"
        const all = `GET /openapi.json HTTP/1.1\r\n${headers}\r\n`.repeat(250) // more than there is room for on the way
        for (const said of [`${post}\r\n{"te`, `${post}${upgrade}\r\n{"te`, all]) {
          for (const isEnded of [false, true]) {
            const { socket } = yield* asking(admin)
            socket.pause()
            if (isEnded) socket.end(said)
            else socket.write(said)
          }
        }
        yield* Effect.sleep(Duration.millis(100)).pipe(Effect.repeat({ until: () => sockets() <= before }))
      }),
    60_000
  )
})
