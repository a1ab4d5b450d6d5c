/** What comes before the first line: the header of a proxy, and the handshake of TLS, over real sockets. */
import { Decline } from "@cpt/schema"
import { Accounts, Credentials, IpRange, layerMemory, Listener, Server, ServerConfig } from "@cpt/server"
import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Fiber, Layer, Logger, References, Result } from "effect"
import { SocketServer } from "effect/socket"
import { Buffer } from "node:buffer"
import { once } from "node:events"
import { connect, createServer, type Socket } from "node:net"
import { text } from "node:stream/consumers"
import { setImmediate } from "node:timers/promises"
import { connect as connectTls, type ConnectionOptions } from "node:tls"
import { alice, authority, cert, key } from "../support/certificate.ts"

const started = (options: Listener.TcpOptions, settings: Partial<ServerConfig.Settings> = {}) =>
  served(Listener.tcp({ port: 0, ...options }), settings)

/** A server that says who somebody is; gives its port. */
const served = (listener: ReturnType<typeof Listener.tcp>, settings: Partial<ServerConfig.Settings> = {}) =>
  Server.layer(listener).pipe(
    Layer.provide([
      layerMemory(),
      Accounts.layerOf(({ certificate, remoteAddress, username }) => {
        const reasons: Readonly<Record<string, string | undefined>> = {
          where: remoteAddress ?? "on_this_machine",
          who: certificate?.subject["CN"]?.join() ?? "nobody"
        }
        const reason = reasons[username]
        return reason === undefined ? Effect.void : Effect.fail(new Decline.Declined({ reason }))
      })
    ]),
    Layer.provide(ServerConfig.layer(settings)),
    Layer.build,
    Effect.map((context) => {
      const [address] = Context.get(context, Server).addresses
      return address !== undefined && "port" in address ? address.port : assert.fail("not on a port")
    })
  )

/** Also by a reset: who is cut while they speak may get one. */
const closed = (socket: Socket) =>
  Effect.callback<void>((resume) => {
    socket.once("close", () => resume(Effect.void))
  })

const connected = (port: number) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const socket = connect({ port, host: "127.0.0.1", noDelay: true })
      socket.on("error", () => {})
      await once(socket, "connect")
      return socket
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

/** Says all of this, half-closes, and gives the whole answer. */
const session = (socket: Socket, lines: string | Uint8Array) =>
  Effect.promise(() => {
    socket.end(lines)
    return text(socket).catch((error: Error) => error.message)
  })

const range = (text: string) => Result.getOrThrow(IpRange.parse(text))

const proxyFrom = [range("127.0.0.0/8")]
const elsewhere = [range("192.0.2.0/24"), range("::/0")]

const header = Buffer.from("PROXY TCP4 203.0.113.9 192.0.2.1 50000 39168\r\n")
const binary = Buffer.concat([
  Buffer.from("0d0a0d0a000d0a515549540a", "hex"),
  Buffer.from("21210027", "hex"), // version 2, a proxied connection, TCP over IPv6; what follows
  Buffer.from("20010db8000000000000000000000007", "hex"),
  Buffer.from("20010db8000000000000000000000001", "hex"),
  Buffer.from("c3509900", "hex"), // ports
  Buffer.from("040000", "hex") // and something else
])

describe("from a proxy", () => {
  it.live("who is behind it counts, in either version of the header, with commands in the same packet", () =>
    Effect.gen(function*() {
      const port = yield* started({ proxyFrom })
      const lines = Buffer.from("CONNECT where\nCONNECT ann\nSEND g hi\nSYNC g 0\n")
      const rest = /^ACCEPT\nACK\nMSG g ann \d+ hi\nENDSYNC\n$/
      for (const [bytes, address] of [[header, "203.0.113.9"], [binary, "2001:db8::7"]] as const) {
        const said = yield* session(yield* connected(port), Buffer.concat([bytes, lines]))
        assert.isTrue(said.startsWith(`DECLINE ${address}\n`), said)
        assert.match(said.slice(said.indexOf("\n") + 1), bytes === header ? rest : /^ACCEPT\nACK\nMSG g/)
      }
    }))

  it.live("a header may come in any cut", () =>
    Effect.gen(function*() {
      const port = yield* started({ proxyFrom })
      for (const [bytes, address] of [[header, "203.0.113.9"], [binary, "2001:db8::7"]] as const) {
        const all = Buffer.concat([bytes, Buffer.from("CONNECT where\n")])
        yield* Effect.forEach(Array.from(all.keys()), (cut) =>
          Effect.scoped(Effect.gen(function*() {
            const socket = yield* connected(port)
            yield* Effect.promise(async () => {
              socket.write(all.subarray(0, cut))
              await setImmediate()
              await setImmediate()
            })
            assert.strictEqual(yield* session(socket, all.subarray(cut)), `DECLINE ${address}\n`, `cut at ${cut}`)
          })), { concurrency: 8 })
        const socket = yield* connected(port)
        for (const byte of all) {
          socket.write(Buffer.of(byte))
          yield* Effect.promise(() => setImmediate())
        }
        assert.strictEqual(yield* session(socket, ""), `DECLINE ${address}\n`, "byte by byte")
      }
    }))

  it.live("what it says of itself, or does not know, leaves its own address", () =>
    Effect.gen(function*() {
      const port = yield* started({ proxyFrom })
      for (
        const [bytes, address] of [
          [Buffer.from("PROXY UNKNOWN\r\n"), "127.0.0.1"],
          [Buffer.from("0d0a0d0a000d0a515549540a20000000", "hex"), "127.0.0.1"],
          [
            Buffer.concat([Buffer.from("0d0a0d0a000d0a515549540a213100d8", "hex"), Buffer.alloc(216)]),
            "on_this_machine"
          ]
        ] as const
      ) {
        const lines = Buffer.concat([bytes, Buffer.from("CONNECT where\n")])
        assert.strictEqual(yield* session(yield* connected(port), lines), `DECLINE ${address}\n`)
      }
    }))

  for (const logAddresses of [true, false]) {
    it.live(`without a header nothing is heard, and the log says so once, ${logAddresses ? "" : "not "}from where`, () =>
      Effect.gen(function*() {
        const log: Array<unknown> = []
        const logger = Logger.make<unknown, void>(({ fiber, logLevel, message }) =>
          void log.push([logLevel, message, fiber.getRef(References.CurrentLogAnnotations)])
        )
        const port = yield* started({ proxyFrom }, { logAddresses }).pipe(Effect.provide(Logger.layer([logger])))
        for (const said of ["CONNECT ann\n", "PROXY TCP4 x y 1 2\r\nCONNECT ann\n", "GET / HTTP/1.1\r\n\r\n"]) {
          assert.notInclude(yield* session(yield* connected(port), said), "ACCEPT")
        }
        // A health check that says nothing is nothing to talk about
        assert.strictEqual(yield* session(yield* connected(port), ""), "")
        assert.deepStrictEqual(log, [[
          "Warn",
          ["a connection is cut: it does not begin with a PROXY header"],
          logAddresses ? { address: "127.0.0.1" } : {}
        ]])
      }))
  }

  it.live("a header has until the login deadline, also where it comes a byte at a time", () =>
    Effect.gen(function*() {
      const port = yield* started({ proxyFrom }, { loginDeadline: Duration.millis(300) })
      const silent = yield* connected(port)
      const slow = yield* connected(port)
      const over = Effect.promise(() => Promise.all([text(silent).catch(() => ""), text(slow).catch(() => "")]))
      const sending = Effect.forEach(header.subarray(0, -2), (byte) =>
        Effect.delay(Effect.sync(() => slow.write(Buffer.of(byte))), "20 millis"))
      assert.deepStrictEqual(yield* Effect.raceFirst(over, Effect.andThen(sending, Effect.never)), ["", ""])
      // What is left after the header is for the login
      const late = yield* connected(port)
      late.write(header.subarray(0, 5))
      yield* Effect.sleep("200 millis")
      late.write(header.subarray(5))
      const before = performance.now()
      assert.strictEqual(
        yield* Effect.promise(() =>
          text(late)
        ),
        "DECLINE login_timeout\n"
      )
      assert.isBelow(performance.now() - before, 290)
    }))

  const limits: ReadonlyArray<readonly [limit: string, settings: Partial<ServerConfig.Settings>, goes: boolean]> = [
    ["sessions at the same time", { maxSessionsPerAddress: 1 }, false],
    ["connections in a minute", { maxConnects: 1 }, true]
  ]
  for (const [limit, settings, goes] of limits) {
    it.live(`limits are those of the client's own address, and said in words: ${limit}`, () =>
      Effect.gen(function*() {
        const port = yield* started({ proxyFrom }, { exempt: [], ...settings })
        const from = (address: string, line: string) => `PROXY TCP4 ${address} 192.0.2.9 5000 39168\r\n${line}\n`
        const first = yield* connected(port)
        first.write(from("192.0.2.1", "CONNECT ann"))
        assert.strictEqual(String(yield* Effect.promise(() => once(first, "data"))), "ACCEPT\n")
        if (goes) yield* session(first, "")
        const refused = yield* session(yield* connected(port), from("192.0.2.1", "CONNECT bob"))
        assert.strictEqual(refused, "DECLINE too_many_connections\n")
        assert.strictEqual(yield* session(yield* connected(port), from("192.0.2.2", "CONNECT bob")), "ACCEPT\n")
      }))
  }
})

describe("from elsewhere", () => {
  it.live("a header is an invalid command, and says nothing of where somebody is", () =>
    Effect.gen(function*() {
      const port = yield* started({ proxyFrom: elsewhere })
      const lines = `${header.toString()}CONNECT where\n`
      assert.strictEqual(yield* session(yield* connected(port), lines), "DECLINE invalid_command\nDECLINE 127.0.0.1\n")
    }))
})

const tls = (port: number, options: ConnectionOptions = {}) =>
  connectTls({ port, host: "127.0.0.1", servername: "localhost", ca: cert, ...options })

describe("TLS", () => {
  it.live("comes after the header of a proxy, in any cut", () =>
    Effect.gen(function*() {
      const port = yield* started({ proxyFrom, credentials: yield* Credentials.make({ key, cert }) })
      for (const cut of [0, 1, 20, header.length - 1, header.length]) {
        const socket = yield* connected(port)
        socket.write(header.subarray(0, cut))
        yield* Effect.promise(() => setImmediate())
        socket.write(header.subarray(cut)) // the handshake begins in the same packet, if the kernel likes
        assert.strictEqual(
          yield* session(tls(port, { socket }), "CONNECT where\n"),
          "DECLINE 203.0.113.9\n",
          `cut at ${cut}`
        )
      }
    }))

  it.live.runIf(process.platform === "linux")(
    "tells clients apart who come from one port to two addresses",
    () =>
      Effect.gen(function*() {
        const credentials = yield* Credentials.make({ key, cert })
        const port = yield* started({ host: "0.0.0.0", proxyFrom, credentials })
        const from = (host: string, localPort?: number) =>
          Effect.acquireRelease(
            Effect.promise(async () => {
              const socket = connect({ port, host, localAddress: "127.0.0.1", localPort, noDelay: true })
              await once(socket, "connect")
              return socket
            }),
            (socket) => Effect.sync(() => socket.destroy())
          )
        const one = yield* from("127.0.0.1")
        const other = yield* from("127.0.0.2", one.localPort)
        one.write("PROXY TCP4 203.0.113.1 192.0.2.1 50000 39168\r\n")
        other.write("PROXY TCP4 203.0.113.2 192.0.2.1 50000 39168\r\n")
        // Both begin before either can answer the server
        const clients = [one, other].map((socket) => tls(port, { socket }))
        const said = yield* Effect.forEach(clients, (client) => session(client, "CONNECT where\n"), {
          concurrency: "unbounded"
        })
        assert.deepStrictEqual(said, ["DECLINE 203.0.113.1\n", "DECLINE 203.0.113.2\n"])
      })
  )

  it.live("is 1.2 at the least", () =>
    Effect.gen(function*() {
      const port = yield* started({ credentials: yield* Credentials.make({ key, cert }) })
      for (const [version, said] of [["TLSv1.3", "ACCEPT\n"], ["TLSv1.2", "ACCEPT\n"]] as const) {
        const options = { minVersion: version, maxVersion: version } as const
        assert.strictEqual(yield* session(tls(port, options), "CONNECT ann\n"), said)
      }
      const old = tls(port, { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" })
      assert.match(yield* session(old, "CONNECT ann\n"), /version/)
    }))

  it.live("asks for a certificate where there is an authority; who has none is nobody", () =>
    Effect.gen(function*() {
      const credentials = yield* Credentials.make({ key, cert, clientCa: authority })
      const port = yield* started({ credentials })
      for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
        assert.strictEqual(yield* session(tls(port, { maxVersion }), "CONNECT who\n"), "DECLINE nobody\n")
        assert.strictEqual(yield* session(tls(port, { maxVersion, ...alice }), "CONNECT who\n"), "DECLINE alice\n")
      }
    }))

  it.live("refuses a certificate that others have signed in the handshake", () =>
    Effect.gen(function*() {
      const credentials = yield* Credentials.make({ key, cert, clientCa: authority })
      const port = yield* started({ credentials })
      for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
        const tickets: Array<Buffer | undefined> = [undefined]
        for (const ticket of tickets) { // one may come before it is refused, and is of no use then
          const socket = tls(port, { maxVersion, key, cert, session: ticket })
          if (tickets.length < 3) socket.on("session", (ticket) => tickets.push(ticket))
          assert.notMatch(yield* session(socket, "CONNECT ann\n"), /ACCEPT|DECLINE/)
        }
      }
    }))

  it.live("a certificate that is not accepted, and no header of a proxy, are each said in the log, whichever came first", () =>
    Effect.gen(function*() {
      const log: Array<unknown> = []
      const logger = Logger.make<unknown, void>(({ message }) => void log.push(message))
      const credentials = yield* Credentials.make({ key, cert, clientCa: authority })
      const port = yield* started({ proxyFrom, credentials }).pipe(Effect.provide(Logger.layer([logger])))
      for (let n = 0; n < 2; n++) {
        const socket = yield* connected(port)
        socket.write(header)
        assert.notInclude(yield* session(tls(port, { socket, key, cert }), "CONNECT ann\n"), "ACCEPT")
        assert.notInclude(yield* session(yield* connected(port), "CONNECT ann\n"), "ACCEPT")
      }
      assert.deepStrictEqual(log, [
        ["a connection is cut: its certificate is not accepted: DEPTH_ZERO_SELF_SIGNED_CERT"],
        ["a connection is cut: it does not begin with a PROXY header"]
      ])
    }))

  it.live("that is resumed has the certificate that it began with, or none", () =>
    Effect.gen(function*() {
      const credentials = yield* Credentials.make({ key, cert, clientCa: authority })
      const port = yield* started({ credentials })
      for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
        for (const [who, name] of [[{}, "nobody"], [alice, "alice"]] as const) {
          const first = tls(port, { maxVersion, ...who })
          const resumable = Effect.promise(() => once(first, "session"))
          const [said, [ticket]] = yield* Effect.all([session(first, "CONNECT who\n"), resumable], { concurrency: 2 })
          assert.strictEqual(said, `DECLINE ${name}\n`)
          const second = tls(port, { maxVersion, ...who, session: ticket })
          let isReused = false
          second.once("secureConnect", () => {
            isReused = second.isSessionReused()
          })
          assert.strictEqual(yield* session(second, "CONNECT who\n"), `DECLINE ${name}\n`)
          assert.isTrue(isReused)
        }
      }
    }))

  it.live("keeps its handshake to the login deadline, counted from the connection, at whatever pace it comes", () =>
    Effect.gen(function*() {
      const credentials = yield* Credentials.make({ key, cert })
      const port = yield* started({ credentials }, { loginDeadline: Duration.millis(1500) })
      const silent = yield* connected(port)
      const slow = yield* connected(port)
      slow.write(Buffer.from("1603010200", "hex")) // the beginning of a ClientHello
      const over = Effect.all([closed(silent), closed(slow)], { concurrency: "unbounded" })
      const dripping = Effect.forever(Effect.delay(Effect.sync(() => slow.write("\0")), "20 millis"))
      yield* Effect.raceFirst(over, dripping)
      const late = yield* connected(port)
      yield* Effect.sleep("700 millis")
      const secured = tls(port, { socket: late })
      yield* Effect.promise(() => once(secured, "secureConnect"))
      const before = performance.now()
      assert.strictEqual(yield* Effect.promise(() => text(secured)), "DECLINE login_timeout\n")
      assert.isBelow(performance.now() - before, 1400)
    }))

  it.live("lets no more connections wait for their handshakes than there may be sessions", () =>
    Effect.gen(function*() {
      const credentials = yield* Credentials.make({ key, cert })
      const port = yield* started({ credentials }, { maxSessions: 3 })
      for (let n = 0; n < 3; n++) yield* connected(port)
      const more = yield* connected(port)
      yield* closed(more)
    }))

  it.live("is over at once with a peer that says nothing and goes, or speaks in clear text", () =>
    Effect.gen(function*() {
      const port = yield* started({ credentials: yield* Credentials.make({ key, cert }) })
      const before = performance.now()
      assert.strictEqual(yield* session(yield* connected(port), ""), "")
      assert.notMatch(yield* session(yield* connected(port), "CONNECT ann\n"), /ACCEPT/)
      assert.isBelow(performance.now() - before, 5000) // the login deadline is 10 s
    }))
})

describe("TLS, with a peer that ends its side in the middle of the handshake", () => {
  /** What a client says first. */
  const hello = Effect.callback<Buffer>((resume) => {
    const server = createServer((socket) => {
      socket.once("data", (bytes) => {
        resume(Effect.succeed(bytes))
        socket.destroy()
        server.close()
      })
    })
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      if (address !== null && typeof address === "object") tls(address.port).on("error", () => {})
    })
  })

  it.live("is over at once, wherever that is, as with one that does not trust the server", () =>
    Effect.gen(function*() {
      const credentials = yield* Credentials.make({ key, cert, clientCa: authority })
      const port = yield* started({ credentials }, { loginDeadline: Duration.hours(1) })
      const bytes = yield* hello
      for (const cut of [1, 5, 6, 50, bytes.length - 1, bytes.length]) {
        const socket = (yield* connected(port)).resume()
        const over = yield* Effect.forkChild(closed(socket))
        socket.write(bytes.subarray(0, cut))
        if (cut === bytes.length) yield* Effect.promise(() => once(socket, "data")) // the server's certificate
        socket.end()
        yield* Fiber.join(over)
      }
    }))
})

describe("TLS, after the handshake", () => {
  it.live("is not shaken hands on once more, as with another certificate", () =>
    Effect.gen(function*() {
      const credentials = yield* Credentials.make({ key, cert, clientCa: authority })
      const port = yield* started({ credentials })
      const socket = tls(port, { maxVersion: "TLSv1.2", ...alice })
      yield* Effect.promise(() => once(socket, "secureConnect"))
      const refused = yield* Effect.callback<Error | null>((resume) => {
        socket.on("error", (error) => resume(Effect.succeed(error)))
        socket.renegotiate({}, (error) => resume(Effect.succeed(error)))
      })
      assert.match(String(refused), /renegotiation/)
    }))

  it.live("ends at once with a peer that breaks it, and its name is free", () =>
    Effect.gen(function*() {
      const credentials = yield* Credentials.make({ key, cert })
      const port = yield* started({ credentials })
      for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
        const raw = yield* connected(port)
        const socket = tls(port, { socket: raw, maxVersion }).on("error", () => {})
        socket.write("CONNECT ann\n")
        assert.strictEqual(String((yield* Effect.promise(() => once(socket, "data")))[0]), "ACCEPT\n")
        const over = yield* Effect.forkChild(closed(raw))
        raw.write(Buffer.alloc(600)) // no record of TLS
        yield* Fiber.join(over)
        assert.strictEqual(yield* session(tls(port), "CONNECT ann\n"), "ACCEPT\n")
      }
    }))
})

describe("a listener that somebody has wrapped", () => {
  it.live("gives its connections when they have passed, to `run` too", () =>
    Effect.gen(function*() {
      const credentials = yield* Credentials.make({ key, cert })
      const wrapped = Layer.effect(
        SocketServer.SocketServer,
        Effect.map(SocketServer.SocketServer, ({ address, run }) => ({ address, run }))
      ).pipe(Layer.provide(Listener.tcp({ port: 0, proxyFrom, credentials })))
      const port = yield* served(wrapped)
      const socket = yield* connected(port)
      socket.write(header)
      assert.strictEqual(
        yield* session(tls(port, { socket }), "CONNECT where\nCONNECT ann\n"),
        "DECLINE 203.0.113.9\nACCEPT\n"
      )
      assert.notMatch(yield* session(yield* connected(port), "CONNECT ann\n"), /ACCEPT/)
    }))
})
