/** Client and server together, over connections that break at any byte: nothing is lost, and nothing comes twice. */
import { CptClient, isMessage } from "@cpt/client"
import { Accounts, layerMemory, Listener, Server, ServerConfig } from "@cpt/server"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Schedule, Stream } from "effect"
import { once } from "node:events"
import { connect, createServer, type Socket } from "node:net"

/** Numbers that look random, and are the same in each run. */
const random = (seed: number) => () => {
  seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648
  return seed / 2_147_483_648
}

/** A way to the server on which connections break, after some bytes in either direction, as long as `isRough` says so. */
const roughWay = (port: number, seed: number, isRough: () => boolean) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const next = random(seed)
      const sockets = new Set<Socket>()
      const listener = createServer((near) => {
        const far = connect({ port, host: "127.0.0.1", noDelay: true })
        let left = 20 + Math.floor(next() * 2000)
        const pass = (from: Socket, to: Socket) => {
          sockets.add(from)
          from.on("error", () => {})
          from.on("end", () => to.end())
          from.on("close", () => to.destroy())
          from.on("data", (bytes) => {
            if (isRough()) left -= bytes.length
            // The last bytes still arrive, and then there is nothing
            to.write(bytes.subarray(0, Math.max(0, bytes.length + Math.min(0, left))), () => {
              if (left >= 0) return
              near.destroy()
              far.resetAndDestroy()
            })
          })
        }
        pass(near, far)
        pass(far, near)
      })
      listener.listen(0, "127.0.0.1")
      await once(listener, "listening")
      const address = listener.address()
      return { listener, sockets, port: typeof address === "object" && address !== null ? address.port : 0 }
    }),
    ({ listener, sockets }) =>
      Effect.sync(() => {
        listener.close()
        for (const socket of sockets) socket.destroy()
      })
  )

const server = Server.layer(Listener.tcp({ host: "127.0.0.1", port: 0 })).pipe(
  Layer.provide(Accounts.layerOpen),
  Layer.provide(layerMemory({})),
  Layer.provide(ServerConfig.layer({}))
)

describe("a client of ours on a server of ours", () => {
  for (const seed of [1, 2, 3]) {
    it.live(`loses nothing and gives nothing twice where connections break (${seed})`, () =>
      Effect.gen(function*() {
        const address = Context.get(yield* Layer.build(server), Server).addresses[0]
        const port = address !== undefined && "port" in address ? address.port : assert.fail("no port")
        let isRough = true
        const way = yield* roughWay(port, seed, () => isRough)
        const options = { port: way.port, timeout: "20 seconds", retry: Schedule.spaced("5 millis") } as const
        // Also the first login may break
        const login = (username: string) =>
          CptClient.connect({ username, ...options }).pipe(
            Effect.retry({ times: 100, schedule: Schedule.spaced("5 millis") })
          )
        const texts = Array.from({ length: 200 }, (_, i) => `message ${i}`)
        const reader = yield* login("reader")
        const reading = yield* reader.follow(["group", "reader"]).pipe(
          Stream.filter(isMessage),
          Stream.take(2 * texts.length),
          Stream.runCollect,
          Effect.forkChild
        )
        const writer = yield* login("writer")
        for (const text of texts) {
          yield* writer.send("group", text)
          yield* writer.send("reader", text)
        }
        isRough = false
        const read = yield* Fiber.join(reading)
        for (const group of ["group", "reader"]) {
          assert.deepStrictEqual(read.filter((event) => event.group === group).map(({ message }) => message), texts)
        }
        const kept = yield* Stream.runCollect(writer.sync("group"))
        assert.deepStrictEqual(kept.filter(isMessage).map(({ message }) => message), texts)
      }))
  }
})
