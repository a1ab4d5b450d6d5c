/**
 * Listeners with the socket options that the protocol needs. Any other `SocketServer` does too, if its sockets stay open
 * for answers after the peer has ended its side (CPT 1.7).
 */
import { Limits } from "@cpt/schema"
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import { Effect, Fiber, Layer, type Scope } from "effect"
import { NetAddress } from "effect/net"
import { SocketServer } from "effect/socket"
import * as Net from "node:net"
import * as Tls from "node:tls"

/** Connections that wait to be accepted: a whole office may come back at once after a restart. */
const backlog = 4096

export interface TcpOptions {
  /** Default: 127.0.0.1, this machine only. */
  readonly host?: string | undefined
  /** Default: 39168. 0 takes a free one. */
  readonly port?: number | undefined
}

type SocketServerService = SocketServer.SocketServer["Service"]

/**
 * A `SocketServer` that gives its connections also as they are: a `Socket` around each, and a context with it, took a
 * fifth of a login.
 */
export interface NetServer extends SocketServerService {
  /** As `run`. The sockets have a listener for their errors. */
  readonly accept: <R>(
    handler: (socket: Net.Socket) => Effect.Effect<void, never, R>
  ) => Effect.Effect<never, never, R>
}

export const isNetServer = (server: SocketServerService): server is NetServer => "accept" in server

const tcpOptions = ({ host = "127.0.0.1", port = Limits.defaultPort }: TcpOptions) => ({ host, port, backlog })

const socketOptions = { allowHalfOpen: true, noDelay: true }

/** TCP, in clear text. */
export const tcp = (options: TcpOptions = {}) => layer(() => Net.createServer(socketOptions), tcpOptions(options))

/** TLS over TCP: give at least `key` and `cert`. */
export const tls = (options: TcpOptions & Tls.TlsOptions) =>
  layer(() => {
    const server = Tls.createServer({ minVersion: "TLSv1.2", ...options, ...socketOptions })
    server.on("tlsClientError", (_, socket) => socket.destroy())
    return server
  }, tcpOptions(options))

/** A Unix socket. */
export const unix = (path: string) => layer(() => Net.createServer({ allowHalfOpen: true }), { path, backlog })

const layer = (create: () => Net.Server, options: Net.ListenOptions) =>
  Layer.effect(SocketServer.SocketServer, make(create, options))

const make = Effect.fnUntraced(function*(create: () => Net.Server, options: Net.ListenOptions): Effect.fn.Return<
  NetServer,
  SocketServer.SocketServerError,
  Scope.Scope
> {
  const server = yield* Effect.acquireRelease(
    Effect.sync(create),
    (server) =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        for (const socket of early) socket.destroy()
      })
  )
  const early: Array<Net.Socket> = [] // nobody takes them yet
  let take = (socket: Net.Socket) => {
    early.push(socket)
  }
  server.on(server instanceof Tls.Server ? "secureConnection" : "connection", (socket: Net.Socket) => {
    socket.on("error", () => {}) // "close" follows
    take(socket)
  })
  yield* Effect.callback<void, SocketServer.SocketServerError>((resume) => {
    server.once("error", (cause) => {
      const reason = new SocketServer.SocketServerOpenError({ cause })
      resume(Effect.fail(new SocketServer.SocketServerError({ reason })))
    })
    server.listen(options, () => resume(Effect.void))
  })
  const address = yield* addressOf(server)

  const accept: NetServer["accept"] = Effect.fnUntraced(function*(handler) {
    const fork = Effect.runForkWith(yield* Effect.context<Effect.Services<ReturnType<typeof handler>>>())
    const fibers = new Set<Fiber.Fiber<void>>()
    const before = take
    take = (socket) => {
      const fiber = fork(handler(socket))
      if (fiber.pollUnsafe() !== undefined) return
      fibers.add(fiber)
      fiber.addObserver(() => fibers.delete(fiber))
    }
    for (const socket of early.splice(0)) take(socket)
    return yield* Effect.ensuring(
      Effect.never,
      Effect.suspend(() => {
        take = before
        return Fiber.interruptAll(fibers)
      })
    )
  })

  return {
    address,
    accept,
    run: (handler) =>
      accept((socket) =>
        NodeSocket.fromDuplex(Effect.succeed(socket)).pipe(
          Effect.flatMap(handler),
          Effect.provideService(NodeSocket.NetSocket, socket),
          Effect.ensuring(Effect.sync(() => socket.destroy())),
          Effect.ignoreCause({ log: "Warn" })
        )
      )
  }
})

const addressOf = (server: Net.Server): Effect.Effect<NetAddress.SocketAddress, SocketServer.SocketServerError> => {
  const address = server.address()
  if (address === null || typeof address === "string") return Effect.succeed(NetAddress.unixPathAddress(address ?? ""))
  return Effect.fromResult(NetAddress.inetAddressFromIpString(address.address, address.port)).pipe(
    Effect.mapError((cause) =>
      new SocketServer.SocketServerError({ reason: new SocketServer.SocketServerOpenError({ cause }) })
    )
  )
}
