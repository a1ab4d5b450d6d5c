/**
 * A server of a script: a test says, line by line, what it hears and what it says. On a real port, or in memory, so
 * that time can be a TestClock's. It knows no more of CPT than the test does.
 */
import { assert } from "@effect/vitest"
import { Cause, Effect, Queue, type Scope } from "effect"
import { Socket } from "effect/socket"
import { createServer, type Server, type Socket as NetSocket } from "node:net"

/** The server's end of one connection. */
export interface Peer {
  /** The next line of the client. */
  readonly line: Effect.Effect<string>
  /** The next line must be this one. */
  readonly hears: (line: string) => Effect.Effect<void>
  readonly says: (...lines: ReadonlyArray<string>) => Effect.Effect<void>
  /** Bytes as they are. */
  readonly writes: (bytes: string | Uint8Array) => Effect.Effect<void>
  /** Ends in good order. */
  readonly ends: Effect.Effect<void>
  /** Cuts the connection. */
  readonly cuts: Effect.Effect<void>
  /** Waits until the client has closed its side. */
  readonly isLeft: Effect.Effect<void>
  /** All that the client still says. */
  readonly rest: Effect.Effect<string>
  /** What broke the connection, if it was not closed in good order. */
  readonly error: Effect.Effect<Error | undefined>
}

export interface FakeServer {
  /** The next connection. */
  readonly accept: Effect.Effect<Peer>
  /** The next connection, and its login. */
  readonly login: (username: string) => Effect.Effect<Peer>
  /** How a client gets here. */
  readonly options: { readonly port: number } | { readonly socket: Effect.Effect<Socket.Socket> }
}

interface End {
  readonly write: (bytes: string | Uint8Array) => Effect.Effect<void>
  readonly ends: Effect.Effect<void>
  readonly cuts: Effect.Effect<void>
  readonly error?: Effect.Effect<Error | undefined>
}

/** The lines come apart here in the simplest way: what the client sends is ASCII in these tests. */
const makePeer = (
  lines: Queue.Queue<string, Cause.Done>,
  { cuts, ends, error = Effect.undefined, write }: End
): Peer => {
  const line = Effect.orDie(Queue.take(lines))
  const says: Peer["says"] = (...lines) => write(lines.map((line) => `${line}\n`).join(""))
  return {
    line,
    hears: (expected) => Effect.map(line, (line) => assert.strictEqual(line, expected)),
    says,
    writes: write,
    ends,
    cuts,
    error,
    isLeft: Effect.asVoid(Queue.collect(lines)),
    rest: Effect.map(Queue.collect(lines), (lines) => lines.join("\n"))
  }
}

const intoLines = (lines: Queue.Queue<string, Cause.Done>) => {
  let rest = ""
  return (text: string) => {
    const parts = (rest + text).split("\n")
    rest = parts.pop() ?? ""
    Queue.offerAllUnsafe(lines, parts)
  }
}

const withLogin = (accept: Effect.Effect<Peer>, options: FakeServer["options"]): FakeServer => ({
  accept,
  options,
  login: (username) =>
    Effect.tap(accept, (peer) => Effect.andThen(peer.hears(`CONNECT ${username}`), peer.says("ACCEPT")))
})

export interface OnPort extends FakeServer {
  readonly port: number
  /** Stops listening, as if the server were gone. */
  readonly close: Effect.Effect<void>
  /** Listens again, where it did. */
  readonly listen: Effect.Effect<void>
  /** How many connections there have been. */
  readonly accepted: Effect.Effect<number>
}

/** On a free port of this machine, behind any kind of listener; `event` tells of a connection that is ready. */
export const on = (
  makeListener: () => Server,
  event: "connection" | "secureConnection"
): Effect.Effect<OnPort, never, Scope.Scope> =>
  Effect.gen(function*() {
    const peers = yield* Queue.unbounded<Peer>()
    const sockets = new Set<NetSocket>()
    const listener = makeListener()
    const context = yield* Effect.context()
    listener.on(event, (socket: NetSocket) => {
      sockets.add(socket)
      const lines = Effect.runSyncWith(context)(Queue.unbounded<string, Cause.Done>())
      const push = intoLines(lines)
      socket.setEncoding("utf8")
      socket.on("data", push)
      socket.on("end", () => {
        Queue.endUnsafe(lines)
        socket.end()
      })
      let broken: Error | undefined
      socket.on("error", (error) => {
        broken = error
      })
      socket.on("close", () => Queue.endUnsafe(lines))
      Queue.offerUnsafe(
        peers,
        makePeer(lines, {
          write: (bytes) =>
            Effect.callback((resume) => {
              socket.write(bytes, () => resume(Effect.void))
            }),
          ends: Effect.sync(() => socket.end()),
          cuts: Effect.sync(() => socket.resetAndDestroy()),
          error: Effect.sync(() => broken)
        })
      )
    })
    const port = yield* Effect.acquireRelease(
      Effect.callback<number>((resume) => {
        listener.listen(0, "127.0.0.1", () => {
          const address = listener.address()
          resume(
            Effect.succeed(typeof address === "object" && address !== null ? address.port : assert.fail("no port"))
          )
        })
      }),
      () =>
        Effect.sync(() => {
          listener.close()
          for (const socket of sockets) socket.destroy()
        })
    )
    return {
      ...withLogin(Queue.take(peers), { port }),
      port,
      close: Effect.sync(() => listener.close()),
      listen: Effect.callback((resume) => {
        listener.listen(port, "127.0.0.1", () => resume(Effect.void))
      }),
      accepted: Effect.sync(() => sockets.size)
    }
  })

/** On a free port of this machine. */
export const onPort = on(() => createServer({ allowHalfOpen: true, noDelay: true }), "connection")

const closed = (code: number) => new Socket.SocketError({ reason: new Socket.SocketCloseError({ code }) })

/** Without a network. `refuse` lets no more connections in, until `admit`; `unread` counts the chunks that the client has not read. */
export const inMemory = Effect.gen(function*() {
  const peers = yield* Queue.unbounded<Peer>()
  let isRefusing = false
  let unread = () => 0
  const socket = Effect.gen(function*() {
    const inbound = yield* Queue.unbounded<string | Uint8Array, Socket.SocketError>()
    const lines = yield* Queue.unbounded<string, Cause.Done>()
    const push = intoLines(lines)
    const leave = Effect.sync(() => {
      Queue.failCauseUnsafe(inbound, Cause.fail(closed(1006)))
      Queue.endUnsafe(lines)
    })
    const write = (chunk: string | Uint8Array | Socket.CloseEvent) =>
      Effect.sync(() => {
        if (typeof chunk === "string") push(chunk)
      })
    return Socket.make({
      reader: Effect.gen(function*() {
        if (isRefusing) {
          const cause = Object.assign(new Error("refused"), { code: "ECONNREFUSED" })
          const reason = new Socket.SocketOpenError({ kind: "Unknown", cause })
          return yield* new Socket.SocketError({ reason })
        }
        yield* Effect.addFinalizer(() => leave)
        unread = () => Queue.sizeUnsafe(inbound)
        Queue.offerUnsafe(
          peers,
          makePeer(lines, {
            write: (bytes) => Effect.asVoid(Queue.offer(inbound, bytes)),
            ends: Effect.asVoid(Queue.fail(inbound, closed(1000))),
            cuts: Effect.asVoid(Queue.fail(inbound, closed(1006)))
          })
        )
        const reader: Socket.Reader = {
          pull: Effect.map(Queue.take(inbound), (chunk) => [chunk]),
          upgrade: Socket.SocketUpgradeError.unsupported
        }
        return reader
      }),
      // Who hears no more, says no more
      writer: Effect.acquireRelease(
        Effect.succeed({ write, writeAll: (chunks) => Effect.forEach(chunks, write, { discard: true }) }),
        () => leave
      )
    })
  })
  return {
    ...withLogin(Queue.take(peers), { socket }),
    refuse: Effect.sync(() => {
      isRefusing = true
    }),
    admit: Effect.sync(() => {
      isRefusing = false
    }),
    unread: Effect.sync(() => unread())
  }
})
