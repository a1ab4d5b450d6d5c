/**
 * A server and those who connect to it: over real TCP sockets, or in memory under TestClock. What is tested is the same
 * public layer; only the listener differs.
 */
import { Message } from "@cpt/schema"
import { Accounts, layerMemory, Listener, MessageStore, Metrics, Server, ServerConfig } from "@cpt/server"
import { makeListener } from "@cpt/server/testing"
import { assert } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Layer, Queue, Scope } from "effect"
import { SocketServer } from "effect/socket"
import { Buffer } from "node:buffer"
import { connect, type Socket } from "node:net"

/** What is heard instead of a line: the server has ended its side in good order; the connection broke. */
export const end = "(end)"
export const broken = "(broken off)"

export interface Connection {
  /** Says these bytes, as one chunk. */
  readonly say: (bytes: Uint8Array) => Effect.Effect<void>
  /** The next line of the server, or `end` or `broken`, which then stay; waits for it. */
  readonly hear: Effect.Effect<string>
  /** Ends our side, and still listens. */
  readonly halfClose: Effect.Effect<void>
  /** Breaks off, over TCP with a reset, and waits until the server has noticed. */
  readonly cut: Effect.Effect<void>
  /** Waits until the server has done with this connection, also where we have not been told. */
  readonly hasEnded: Effect.Effect<void>
  readonly stopReading: Effect.Effect<void>
  /** Takes what comes again; in memory, so many bytes of it, if a number is given. */
  readonly read: (bytes?: number) => Effect.Effect<void>
}

export interface World {
  readonly connect: Effect.Effect<Connection>
  readonly announce: (text: string) => Effect.Effect<void>
  /** Ends the server, and waits until that is done. */
  readonly stop: Effect.Effect<void>
  /** Other settings. */
  readonly reconfigure: Server["Service"]["reconfigure"]
  /** What is declared, to be changed. */
  readonly declared: Accounts["Service"]["declared"]
  /** The server's store, to look into. */
  readonly store: MessageStore["Service"]
  /** What it has counted. */
  readonly metrics: Metrics.Counted
}

export interface Options {
  readonly settings?: Partial<ServerConfig.Settings>
  readonly accounts?: Layer.Layer<Accounts, unknown, MessageStore>
  readonly store?: Layer.Layer<MessageStore, unknown>
}

type AnyListener = Parameters<typeof Server.layer>[0]

const serve = Effect.fnUntraced(function*(listener: AnyListener, options: Options) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const services = yield* Server.layer(listener).pipe(
    Layer.provideMerge(options.accounts ?? Accounts.layerOpen),
    Layer.provideMerge(options.store ?? layerMemory()),
    Layer.provide(ServerConfig.layer(options.settings ?? {})),
    Layer.provideMerge(Metrics.layer),
    Layer.buildWithScope(scope),
    Effect.orDie
  )
  const server = Context.get(services, Server)
  return {
    address: server.addresses[0],
    announce: (text: string) => server.announce(Message.Message.make(text)),
    stop: Scope.close(scope, Exit.void),
    reconfigure: server.reconfigure,
    drain: server.drain,
    drained: server.drained,
    sessions: server.sessions,
    declared: Context.get(services, Accounts).declared,
    store: Context.get(services, MessageStore),
    metrics: Context.get(services, Metrics.Metrics)
  }
})

/** In memory, for TestClock. */
export const inMemory = Effect.fnUntraced(function*(options: Options = {}) {
  const memory = makeListener({ peersStay: true })
  const { address: _, ...server } = yield* serve(memory.listener, options)
  const open = Effect.map(memory.connect, (peer): Connection => ({
    say: peer.say,
    hear: Effect.catch(
      peer.line,
      ({ reason }) => Effect.succeed("code" in reason && reason.code === 1000 ? end : broken)
    ),
    halfClose: peer.end,
    cut: Effect.andThen(peer.cut, peer.hasEnded),
    hasEnded: peer.hasEnded,
    stopReading: peer.stopReading,
    read: peer.read
  }))
  const scope = yield* Effect.scope
  return { ...server, connect: Scope.provide(open, scope) } satisfies World
})

/** Tells when the server has begun a session at once, and otherwise when it has done with the connection. */
const observed = (
  listener: AnyListener,
  begun: (socket: Socket, port: number) => void,
  ended: (port: number) => void
): AnyListener =>
  Layer.effect(
    SocketServer.SocketServer,
    Effect.map(SocketServer.SocketServer, (server): Listener.NetServer => {
      if (!Listener.isNetServer(server)) return assert.fail("not one of TCP")
      return {
        ...server,
        accept: (handler) =>
          server.accept((socket, passage) => {
            const { remotePort: port = 0 } = socket
            const left = handler(socket, passage)
            if (!Exit.isExit(left)) return Effect.ensuring(left, Effect.sync(() => ended(port)))
            begun(socket, port)
            return left
          })
      }
    })
  ).pipe(Layer.provide(listener))

/** Over TCP on this machine. */
export const overTcp = Effect.fnUntraced(function*(options: Options = {}) {
  const served = new Map<number, Deferred.Deferred<void>>()
  const servedOf = (port: number): Deferred.Deferred<void> => {
    const known = served.get(port)
    if (known !== undefined) return known
    const made = Deferred.makeUnsafe<void>()
    served.set(port, made)
    return made
  }
  let sessions: Server["Service"]["sessions"] = () => []
  const ended = (port: number) => Deferred.doneUnsafe(servedOf(port), Effect.void)
  const listener = observed(Listener.tcp({ port: 0 }), (socket, port) => {
    const id = [...sessions(0)].at(-1)?.id ?? assert.fail("no session has begun")
    /** It ends some turns after its socket. */
    const look = () => {
      const [next] = sessions(id - 1)
      if (next?.id === id) setImmediate(look)
      else ended(port)
    }
    socket.once("close", look)
  }, ended)
  const { address, ...server } = yield* serve(listener, options)
  sessions = server.sessions
  const port = address !== undefined && "port" in address ? address.port : assert.fail("not on a port")

  const open = Effect.gen(function*() {
    const socket = yield* Effect.acquireRelease(
      Effect.sync(() => connect({ port, host: "127.0.0.1", noDelay: true })),
      (socket) => Effect.sync(() => socket.destroy())
    )
    const lines = yield* Queue.unbounded<string, string>()
    let rest = Buffer.alloc(0)
    const over = (how: string) =>
      Effect.runSync(Queue.fail(lines, rest.length === 0 ? how : `${rest.toString()}${how}`))
    socket.on("data", (chunk) => {
      let from = 0
      for (let lf = chunk.indexOf(10); lf !== -1; lf = chunk.indexOf(10, from)) {
        Queue.offerUnsafe(lines, Buffer.concat([rest, chunk.subarray(from, lf)]).toString())
        rest = Buffer.alloc(0)
        from = lf + 1
      }
      rest = Buffer.concat([rest, chunk.subarray(from)])
    })
    socket.on("end", () => over(end))
    socket.on("error", () => {}) // "close" follows
    socket.on("close", () => over(broken))
    yield* Effect.callback<void>((resume) => {
      socket.once("connect", () => resume(Effect.void))
    })
    const hasEnded = Deferred.await(servedOf(socket.localPort ?? 0))
    const connection: Connection = {
      say: (bytes) =>
        Effect.callback<void>((resume) => {
          socket.write(bytes, () => resume(Effect.void))
        }),
      hear: Effect.catch(Queue.take(lines), Effect.succeed),
      halfClose: Effect.sync(() => socket.end()),
      cut: Effect.andThen(Effect.sync(() => socket.resetAndDestroy()), hasEnded),
      hasEnded,
      stopReading: Effect.sync(() => socket.pause()),
      read: () => Effect.sync(() => socket.resume())
    }
    return connection
  })
  const scope = yield* Effect.scope
  return { ...server, connect: Scope.provide(open, scope) } satisfies World
})
