import { Decline } from "@cpt/schema"
import { Accounts, Credentials, layerMemory, Listener, Server } from "@cpt/server"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { SocketServer } from "effect/socket"
import { once } from "node:events"
import { existsSync } from "node:fs"
import { connect, type NetConnectOpts, type Socket } from "node:net"
import { networkInterfaces } from "node:os"
import { join } from "node:path"
import { text } from "node:stream/consumers"
import { connect as connectTls } from "node:tls"
import { cert, key } from "./support/certificate.ts"
import { newFolder } from "./support/folder.ts"

type AnyListener = ReturnType<typeof Listener.tcp>

const started = (...listeners: [AnyListener, ...ReadonlyArray<AnyListener>]) =>
  Server.layer(...listeners).pipe(
    Layer.provide([
      layerMemory(),
      // Says where somebody comes from
      Accounts.layerOf(({ remoteAddress, username }) =>
        username === "who"
          ? Effect.fail(new Decline.Declined({ reason: remoteAddress ?? "from_this_machine" }))
          : Effect.void
      )
    ]),
    Layer.build,
    Effect.map((context) => Context.get(context, Server).addresses)
  )

const portOf = (addresses: Server["Service"]["addresses"], index = 0): number => {
  const address = addresses[index]
  return address !== undefined && "port" in address ? address.port : assert.fail("not on a port")
}

/** Says all of this, half-closes, and gives the whole answer. */
const session = (socket: Socket, lines: string) =>
  Effect.promise(() => {
    socket.end(lines)
    return text(socket)
  })

const newPath = Effect.map(
  newFolder,
  (folder) => join(folder, "socket")
)

/** Of some interface, with its name as the zone. */
const linkLocal = Object.entries(networkInterfaces())
  .flatMap(([name, addresses = []]) => addresses.map(({ address }) => `${address}%${name}`))
  .find((address) => address.startsWith("fe80:"))

describe("Listener", () => {
  it.live.runIf(linkLocal !== undefined)(
    "tcp listens on an address of one link, in its zone",
    () =>
      Effect.gen(function*() {
        const addresses = yield* started(Listener.tcp({ host: linkLocal, port: 0 }))
        assert.match(`${addresses[0]}`, /^\[fe80:.*%\d+\]:\d+$/)
        const line = yield* session(connect(portOf(addresses), linkLocal), "CONNECT alice\n")
        assert.strictEqual(line, "ACCEPT\n")
      })
  )

  it.live("tcp listens on this machine only, on a free port if it is asked to", () =>
    Effect.gen(function*() {
      const addresses = yield* started(Listener.tcp({ port: 0 }))
      const port = portOf(addresses)
      assert.isAbove(port, 0)
      assert.strictEqual(`${addresses[0]}`, `127.0.0.1:${port}`)
      assert.strictEqual(
        yield* session(connect(port, "127.0.0.1"), "CONNECT who\nCONNECT alice\nSYNC\n"),
        "DECLINE 127.0.0.1\nACCEPT\nENDSYNC\n"
      )
    }))

  it.live("tcp on all addresses knows an IPv4 peer by its IPv4 address", () =>
    Effect.gen(function*() {
      const port = portOf(yield* started(Listener.tcp({ port: 0, host: "::" })))
      assert.strictEqual(yield* session(connect(port, "127.0.0.1"), "CONNECT who\n"), "DECLINE 127.0.0.1\n")
      assert.strictEqual(yield* session(connect(port, "::1"), "CONNECT who\n"), "DECLINE ::1\n")
    }))

  it.live("tcp fails on a port that is in use", () =>
    Effect.gen(function*() {
      const port = portOf(yield* started(Listener.tcp({ port: 0 })))
      const error = yield* Effect.flip(started(Listener.tcp({ port })))
      assert.strictEqual(error._tag, "SocketServerError")
      assert.strictEqual(error.reason._tag, "SocketServerOpenError")
    }))

  it.live("unix is a file while the server runs, and its peers have no address", () =>
    Effect.gen(function*() {
      const path = yield* newPath
      yield* Effect.scoped(Effect.gen(function*() {
        yield* started(Listener.unix(path))
        assert.strictEqual(
          yield* session(connect(path), "CONNECT who\nCONNECT alice\nSEND g hi\nSYNC\n"),
          "DECLINE from_this_machine\nACCEPT\nACK\nENDSYNC\n"
        )
      }))
      assert.isFalse(existsSync(path))
    }))

  it.live("tls carries the same bytes, and answers after a half-close too (CPT 0.1, 1.7)", () =>
    Effect.gen(function*() {
      const credentials = yield* Credentials.make({ key, cert })
      const port = portOf(yield* started(Listener.tcp({ port: 0, credentials })))
      assert.match(
        yield* session(
          connectTls({ port, host: "127.0.0.1", servername: "localhost", ca: cert }),
          "CONNECT who\nCONNECT alice\nSEND g hi\nSYNC g 0\n"
        ),
        /^DECLINE 127.0.0.1\nACCEPT\nACK\nMSG g alice \d+ hi\nENDSYNC\n$/
      )
    }))

  it.live("several are one chat", () =>
    Effect.gen(function*() {
      const path = yield* newPath
      const addresses = yield* started(Listener.tcp({ port: 0 }), Listener.unix(path), Listener.tcp({ port: 0 }))
      const ports = [portOf(addresses, 0), portOf(addresses, 2)]
      assert.strictEqual(addresses.length, 3)
      assert.strictEqual(
        yield* session(connect(ports[0] ?? 0), "CONNECT ann\nSEND g 1\nSEND bob psst\n"),
        "ACCEPT\nACK\nACK\n"
      )
      assert.match(
        yield* session(connect(path), "CONNECT bob\nSYNC\nSEND g 2\n"),
        /^ACCEPT\nMSG bob ann \d+ psst\nENDSYNC\nACK\n$/
      )
      assert.match(
        yield* session(connect(ports[1] ?? 0), "CONNECT cat\nSYNC g 0\n"),
        /^ACCEPT\nMSG g ann \d+ 1\nMSG g bob \d+ 2\nENDSYNC\n$/
      )
    }))
})

/** As who wraps a listener has it. */
const wrapped = (listener: AnyListener): AnyListener =>
  Layer.effect(
    SocketServer.SocketServer,
    Effect.map(SocketServer.SocketServer, ({ address, run }) => SocketServer.SocketServer.of({ address, run }))
  ).pipe(Layer.provide(listener))

/** A server that can be stopped, where it listens, and somebody there who has logged in. */
const stoppable = Effect.fnUntraced(function*(listener: AnyListener) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const [address] = yield* Scope.provide(started(listener), scope)
  const place: NetConnectOpts = address !== undefined && "port" in address
    ? { port: address.port, host: "127.0.0.1" }
    : { path: `${address}` }
  const comes = Effect.acquireRelease(
    Effect.sync(() => connect(place).on("error", () => {})),
    (socket) => Effect.sync(() => socket.destroy())
  )
  const ann = yield* comes
  ann.write("CONNECT ann\n")
  yield* Effect.promise(() => once(ann, "data"))
  return { ann, comes, stop: Scope.close(scope, Exit.void) }
})

describe("a server that stops", () => {
  const listeners: ReadonlyArray<readonly [string, Effect.Effect<AnyListener, never, Scope.Scope>]> = [
    ["tcp", Effect.succeed(Listener.tcp({ port: 0 }))],
    ["tcp, wrapped", Effect.succeed(wrapped(Listener.tcp({ port: 0 })))],
    ["unix", Effect.map(newPath, Listener.unix)]
  ]
  for (const [name, make] of listeners) {
    it.live(`${name}: refuses who comes from then on, also while a slow reader is still there`, () =>
      Effect.gen(function*() {
        const { ann, comes, stop } = yield* stoppable(yield* make)
        yield* session(yield* comes, `CONNECT bob\n${`SEND g ${"x".repeat(8000)}\n`.repeat(800)}`)
        const slow = yield* comes
        slow.write("CONNECT slow\nSYNC g 0\n")
        yield* Effect.promise(() => once(slow.once("data", () => slow.pause()), "pause"))
        const stopping = yield* Effect.forkChild(stop)
        assert.strictEqual(yield* Effect.promise(() => text(ann)), "DECLINE shutting_down\n")
        for (;;) {
          const late = yield* comes
          const came = yield* Effect.promise(() => once(late, "connect").then(() => true, () => false))
          if (!came) break
          assert.strictEqual(yield* session(late, ""), "DECLINE shutting_down\n")
        }
        assert.isUndefined(stopping.pollUnsafe(), "it has not stopped yet")
        slow.destroy()
        yield* Fiber.join(stopping)
      }))
  }

  it.live("still tells those who wait to be accepted then", () =>
    Effect.gen(function*() {
      const { comes, stop } = yield* stoppable(Listener.tcp({ port: 0 }))
      const crowd = yield* Effect.replicateEffect(comes, 50)
      const heard = Promise.all(crowd.map((socket, index) => text(socket.end(`CONNECT user${index}\n`))))
      yield* Effect.promise(() => Promise.all(crowd.map((socket) => once(socket, "connect"))))
      yield* stop
      for (const lines of yield* Effect.promise(() => heard)) {
        assert.match(lines, /^(ACCEPT\n)?(DECLINE shutting_down\n)+$/)
      }
    }))
})
