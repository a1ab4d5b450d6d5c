/** Peers that go without a word, and slow ones that do not: what only the kernel can tell apart. */
import { Accounts, layerMemory, Listener, Server, ServerConfig } from "@cpt/server"
import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Layer } from "effect"
import { once } from "node:events"
import { connect, type Socket } from "node:net"
import { join } from "node:path"
import { text } from "node:stream/consumers"
import { newFolder } from "./support/folder.ts"

const listening = (listener: ReturnType<typeof Listener.tcp>, settings: Partial<ServerConfig.Settings> = {}) =>
  Server.layer(listener).pipe(
    Layer.provide([Accounts.layerOpen, layerMemory()]),
    Layer.provide(ServerConfig.layer(settings)),
    Layer.build
  )

/** A server of its own. Gives its port. */
const started = (settings: Partial<ServerConfig.Settings> = {}) =>
  listening(Listener.tcp({ port: 0 }), settings).pipe(
    Effect.map((context) => {
      const [address] = Context.get(context, Server).addresses
      return address !== undefined && "port" in address ? address.port : assert.fail("no port")
    })
  )

/** Connects to a port of this machine, or to a Unix socket. */
const dialed = (place: number | string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const socket = connect(typeof place === "string" ? { path: place } : { port: place, host: "127.0.0.1" })
      await once(socket, "connect")
      return socket
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

/** Says something and waits until it has been answered by so many bytes. */
const say = (socket: Socket, lines: string, answer: number) =>
  Effect.promise(async () => {
    let heard = 0
    socket.write(lines)
    while (heard < answer) {
      const [bytes] = await once(socket, "data")
      heard += bytes.length
    }
    socket.removeAllListeners("data")
  })

const all = Effect.fnUntraced(function*(place: number | string, lines: string) {
  const socket = yield* dialed(place)
  socket.end(lines)
  return yield* Effect.promise(() => text(socket))
})

describe.runIf(process.platform === "linux")("a peer on this machine", () => {
  it.live("that closes without having read the ACK does not confirm it (CPT 4.4)", () =>
    Effect.gen(function*() {
      const port = yield* started()
      for (let i = 0; i < 10; i++) {
        const lost = yield* dialed(port)
        yield* say(lost, `CONNECT ann${i}\n`, 7)
        // The socket closes with the line still under way to the server
        yield* Effect.promise(() => new Promise<void>((done) => lost.write(`SEND red${i} hi\n`, () => done())))
        lost.destroy()
        assert.strictEqual(yield* all(port, `CONNECT ann${i}\nSEND red${i} hi\n`), "ACCEPT\nACK\n")
        assert.match(yield* all(port, `CONNECT bob\nSYNC red${i} 0\n`), /^ACCEPT\nMSG red\d ann\d \d+ hi\nENDSYNC\n$/)
      }
    }))

  it.live("that closes after it has read the ACK does, also over a Unix socket (CPT 4.4)", () =>
    Effect.gen(function*() {
      const folder = yield* newFolder
      const path = join(folder, "socket")
      yield* listening(Listener.unix(path))
      for (const place of [yield* started(), path]) {
        for (let i = 0; i < 3; i++) {
          const socket = yield* dialed(place)
          yield* say(socket, "CONNECT ann\nSEND red hi\n", 11)
          socket.destroy()
          // Over a Unix socket nobody can tell whether the server has noticed
          if (place === path) yield* Effect.sleep("20 millis")
        }
        assert.strictEqual((yield* all(place, "CONNECT bob\nSYNC red 0\n")).split("\n").length, 1 + 3 + 2)
      }
    }))

  it.live("that only listens, and takes a little each time, is kept; one that only talks is cut (CPT 5.8)", () =>
    Effect.gen(function*() {
      const port = yield* started({ writeDeadline: Duration.seconds(1) })
      const writer = yield* dialed(port)
      yield* say(writer, "CONNECT writer\n", 7)
      for (let i = 0; i < 1200; i++) yield* say(writer, `SEND big ${i} ${"x".repeat(8000)}\n`, 4)

      const talker = yield* dialed(port)
      yield* say(talker, "CONNECT talker\n", 7)
      talker.pause()
      talker.write("SYNC big 0\n")
      talker.on("error", () => {}) // "close" follows
      const isCut = Effect.promise(() => new Promise<void>((done) => talker.once("close", () => done())))
      yield* Effect.sync(() => talker.write("SEND other hi\n")).pipe(
        Effect.delay("100 millis"),
        Effect.forever,
        Effect.raceFirst(isCut)
      )

      // A socket that reads on demand only: 64 KB, ten times a second
      const slow = yield* dialed(port)
      slow.pause()
      slow.write("CONNECT slow\nSYNC big 0\n")
      let heard = 0
      for (let i = 0; i < 30; i++) {
        yield* Effect.sleep("100 millis")
        heard += slow.read()?.length ?? 0
      }
      assert.isFalse(slow.destroyed)
      slow.resume()
      let last = ""
      while (!last.endsWith("ENDSYNC\n")) {
        const [bytes] = yield* Effect.promise(() => once(slow, "data"))
        heard += bytes.length
        last = (last + String(bytes)).slice(-8)
      }
      assert.isAbove(heard, 1200 * 8000)
    }))
})
