/**
 * Listeners with the socket options that the protocol needs. Any other `SocketServer` does too, if its sockets stay open
 * for answers after the peer has ended its side (CPT 1.7).
 */
import { Limits } from "@cpt/schema"
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import { Effect, Exit, Fiber, Layer, type Scope } from "effect"
import { NetAddress } from "effect/net"
import { SocketServer } from "effect/socket"
import * as Net from "node:net"
import { networkInterfaces } from "node:os"
import { Entrance, type Options as EntranceOptions, type Passage, ProxiedClient } from "./Listener/Entrance.ts"
import { heedless } from "./NetConnection.ts"
import { Roll } from "./Roll.ts"
import * as UnixSocket from "./UnixSocket.ts"

/** Connections that wait to be accepted: a whole office may come back at once after a restart. */
const backlog = 4096

/** Milliseconds, at the most, in which those are still accepted who wait for it when it ends: one a turn. */
const lastOnes = 1000

export interface TcpOptions extends EntranceOptions {
  /** Default: 127.0.0.1, this machine only. */
  readonly host?: string | undefined
  /** Default: 39168. 0 takes a free one. */
  readonly port?: number | undefined
  /** Whether `::` is every address of IPv6 only, and not of IPv4 too. Default: false. */
  readonly ipv6Only?: boolean | undefined
}

/** Something that connections come in by; `E` is how it fails to be one. */
export type Listener<E = SocketServer.SocketServerError> = Layer.Layer<SocketServer.SocketServer, E>

type SocketServerService = SocketServer.SocketServer["Service"]

/**
 * A `SocketServer` that gives its connections also as they are: a `Socket` around each, and a context with it, took a
 * fifth of a login.
 */
export interface NetServer extends SocketServerService {
  /**
   * As `run`, but a socket is not closed when its handler is done, which gives what has to wait (`AtOnce`). The sockets
   * have a listener for their errors. Where there is a passage, the conversation begins behind it, with the socket that it
   * gives. Interrupted, it listens no more: who waits to be accepted still comes to the handler, and who comes later is
   * refused by the system, or waits for the next server where the socket is not ours alone.
   */
  readonly accept: <R>(
    handler: (socket: Net.Socket, passage: Passage | undefined) => Effect.Effect<void, never, R>
  ) => Effect.Effect<never, never, R>
}

export const isNetServer = (server: SocketServerService): server is NetServer => "accept" in server

/** TCP: in clear text, or with `credentials` TLS. */
export const tcp = (
  { host = "127.0.0.1", ipv6Only = false, port = Limits.defaultPort, ...entrance }: TcpOptions = {}
) => layer((server) => listen(server, { host, port, ipv6Only }), entrance)

/** A Unix socket, for whom the umask allows. */
export const unix = (path: string) =>
  layer((server) =>
    UnixSocket.place(path, (made) => listen(server, { path: made })).pipe(
      Effect.catchTag("UnixSocketFailed", (cause) => Effect.fail(cannotOpen(cause))),
      Effect.as(NetAddress.unixPathAddress(path))
    )
  )

/** A socket that listens already, which whoever started this process has left open for it. */
export const inherited = (fd: number, entrance: EntranceOptions = {}) =>
  layer((server) => listen(server, { fd }), entrance)

const layer = (
  open: (server: Net.Server) => Effect.Effect<NetAddress.SocketAddress, SocketServer.SocketServerError, Scope.Scope>,
  entrance?: EntranceOptions
) => Layer.effect(SocketServer.SocketServer, make(open, entrance))

const cannotOpen = (cause: unknown) =>
  new SocketServer.SocketServerError({ reason: new SocketServer.SocketServerOpenError({ cause }) })

/** Gives where it listens. */
const listen = (server: Net.Server, options: Net.ListenOptions & { readonly fd?: number }) =>
  Effect.callback<void, SocketServer.SocketServerError>((resume) => {
    const fail = (cause: Error) => resume(Effect.fail(cannotOpen(cause)))
    server.once("error", fail)
    try {
      server.listen(options, backlog, () => { // as an option, it is passed over where there is a descriptor
        server.off("error", fail)
        resume(Effect.void)
      })
    } catch (cause) {
      resume(Effect.fail(cannotOpen(cause))) // a port that cannot be
    }
  }).pipe(Effect.andThen(() => addressOf(server)))

/** A whole one of the event loop, wherever it is in it. */
const turn = Effect.callback<void>((resume) => {
  setImmediate(() => setImmediate(() => resume(Effect.void)))
})

const make = Effect.fnUntraced(function*(
  open: Parameters<typeof layer>[0],
  options: EntranceOptions = {}
): Effect.fn.Return<NetServer, SocketServer.SocketServerError, Scope.Scope> {
  const server = yield* Effect.acquireRelease(
    Effect.sync(() => Net.createServer({ allowHalfOpen: true, noDelay: true }).on("error", heedless)), // of one connection
    (server) =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        for (const socket of early) socket.destroy()
      })
  )
  const entrance = new Entrance(options)
  const early: Array<Net.Socket> = [] // nobody takes them yet
  let take = (socket: Net.Socket) => {
    early.push(socket)
  }
  let accepted = 0
  server.on("connection", (socket) => {
    accepted++
    socket.on("error", heedless)
    take(socket)
  })
  const address = yield* open(server)
  const listenNoMore = Effect.gen(function*() {
    const until = performance.now() + lastOnes
    let before: number
    do {
      before = accepted
      yield* turn
    } while (accepted > before && performance.now() < until)
    server.close()
  })

  const accept: NetServer["accept"] = Effect.fnUntraced(function*(handler) {
    const fork = Effect.runForkWith(yield* Effect.context<Effect.Services<ReturnType<typeof handler>>>())
    const fibers = new Roll<number, Fiber.Fiber<void>>() // by their ids
    take = (socket) => {
      const left = handler(socket, entrance.passage(socket))
      if (Exit.isExit(left)) return
      const fiber = fork(left)
      if (fiber.pollUnsafe() !== undefined) return
      fibers.set(fiber.id, fiber)
      fiber.addObserver(() => fibers.delete(fiber.id))
    }
    for (const socket of early.splice(0)) take(socket)
    return yield* Effect.ensuring(
      Effect.never,
      Effect.andThen(listenNoMore, Effect.suspend(() => Fiber.interruptAll(fibers)))
    )
  })

  return {
    address,
    accept,
    run: (handler) =>
      accept((raw, passage = () => Effect.succeed({ socket: raw, client: undefined })) =>
        Effect.timeout(passage({ isWelcome: () => true, turn: Effect.void }), Limits.loginDeadline).pipe(
          Effect.flatMap(({ client, socket }) =>
            NodeSocket.fromDuplex(Effect.succeed(socket)).pipe(
              Effect.flatMap(handler),
              Effect.provideService(NodeSocket.NetSocket, socket),
              Effect.provideService(ProxiedClient, client)
            )
          ),
          Effect.ensuring(Effect.sync(() => raw.destroy())),
          Effect.ignoreCause({ log: "Warn" })
        )
      )
  }
})

const addressOf = (server: Net.Server): Effect.Effect<NetAddress.SocketAddress, SocketServer.SocketServerError> => {
  const address = server.address()
  if (address === null || typeof address === "string") return Effect.succeed(NetAddress.unixPathAddress(address ?? ""))
  return Effect.try({
    try: () => {
      const zones = NetAddress.scopeIdsFromInterfaces(Object.entries(networkInterfaces()))
      return NetAddress.inetAddressFromNativeUnsafe(address.address, address.port, zones)
    },
    catch: cannotOpen
  })
}
