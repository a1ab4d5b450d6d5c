/** The buffer that all sockets are read into: real sockets, and what a server has heard that others speak over. */
import { layerMemory, layerSqlite } from "@cpt/server"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Buffer } from "node:buffer"
import { once } from "node:events"
import * as Net from "node:net"
import { join } from "node:path"
import * as Tls from "node:tls"
import { readShared } from "../src/SharedRead.ts"
import { cert, key } from "./support/certificate.ts"
import { newFolder } from "./support/folder.ts"
import { overTcp } from "./support/World.ts"

const tcp = { open: () => Net.createServer({ allowHalfOpen: true }), event: "connection", join: Net.connect }
const tls = {
  open: () => Tls.createServer({ allowHalfOpen: true, cert, key }),
  event: "secureConnection",
  join: (options: Tls.ConnectionOptions) => Tls.connect({ ...options, rejectUnauthorized: false })
}

/** Both ends of so many connections. */
const connections = Effect.fnUntraced(
  function*({ event, join, open }: typeof tcp | typeof tls, path: string, count: number) {
    const server = yield* Effect.acquireRelease(Effect.sync(open), (server) => Effect.sync(() => server.close()))
    yield* Effect.promise(() => once(server.listen(path), "listening"))
    const made: Array<readonly [client: Net.Socket, accepted: Net.Socket]> = []
    for (let index = 0; index < count; index++) {
      const accepted = Effect.callback<Net.Socket>((resume) => {
        server.once(event, (socket: Net.Socket) => resume(Effect.succeed(socket)))
      })
      const client = yield* Effect.acquireRelease(
        Effect.sync(() => join({ path })),
        (socket) => Effect.sync(() => socket.destroy())
      )
      made.push([client, yield* accepted])
    }
    return made
  }
)

/** What a socket hears, as bytes of its own. */
class Heard {
  text = ""
  readonly buffers = new Set<ArrayBufferLike>()
  readonly #socket: Net.Socket
  #more = () => {}
  readonly isShared: boolean

  constructor(socket: Net.Socket) {
    this.#socket = socket
    this.isShared = readShared(socket, (bytes) => {
      this.text += bytes.toString()
      this.buffers.add(bytes.buffer)
      this.#more()
    })
    socket.resume()
  }

  until(text: string): Effect.Effect<void> {
    return Effect.callback((resume) => {
      this.#more = () =>
        this.text.length >= text.length && resume(Effect.sync(() => assert.strictEqual(this.text, text)))
      this.#more()
    })
  }

  get ended(): Effect.Effect<unknown> {
    return Effect.promise(() => once(this.#socket, "end"))
  }
}

describe("readShared", () => {
  for (const [what, kind] of [["in clear text", tcp], ["over TLS", tls]] as const) {
    it.live(`reads all sockets into the same bytes, ${what}; they pause, go on, and end`, () =>
      Effect.gen(function*() {
        const pairs = yield* connections(kind, join(yield* newFolder, "s"), 2)
        const [ann, bob] = pairs.map(([, accepted]) => new Heard(accepted))
        const [[annSays, annIsHeard], [bobSays]] = [pairs[0]!, pairs[1]!]
        assert.isTrue(ann!.isShared && bob!.isShared) // as this Node's sockets are
        annSays.write("one")
        yield* ann!.until("one")
        bobSays.write("two")
        yield* bob!.until("two")
        annIsHeard.pause()
        annSays.write("and three")
        bobSays.write("and four")
        yield* bob!.until("twoand four")
        assert.strictEqual(ann!.text, "one")
        annIsHeard.resume()
        yield* ann!.until("oneand three")
        assert.strictEqual(new Set([...ann!.buffers, ...bob!.buffers]).size, 1)
        const large = "x".repeat(1_000_000)
        const ended = ann!.ended
        annSays.end(large)
        yield* ann!.until(`oneand three${large}`)
        yield* ended
      }))
  }

  it.live("leaves a socket alone in which something waits", () =>
    Effect.gen(function*() {
      const [[client, accepted]] = [(yield* connections(tcp, join(yield* newFolder, "s"), 1))[0]!]
      client.write("early")
      yield* Effect.promise(() => once(accepted, "readable"))
      assert.isFalse(readShared(accepted, () => assert.fail("it was said before")))
      assert.strictEqual(String(accepted.read()), "early")
    }))
})

describe("what is heard from many who speak at the same time", () => {
  const onDisk = Layer.unwrap(Effect.map(newFolder, (folder) => layerSqlite({ file: join(folder, "messages.db") })))

  // More than is answered at once, so that others are read before the rest is
  for (const [place, store] of [["in memory", layerMemory()], ["on disk", onDisk]] as const) {
    it.live(`is what each of them has said, ${place}`, () =>
      Effect.gen(function*() {
        const world = yield* overTcp({ store })
        const texts = (name: string) => Array.from({ length: 700 }, (_, index) => `${name} says ${index}`)
        yield* Effect.forEach(["ann", "bob", "cleo", "dora"], (name) =>
          Effect.gen(function*() {
            const connection = yield* world.connect
            const sends = texts(name).map((text) => `SEND ${name}s ${text}\n`)
            yield* connection.say(Buffer.from(`CONNECT ${name}\n${sends.join("")}SYNC ${name}s 0\n`))
            assert.strictEqual(yield* connection.hear, "ACCEPT")
            for (const _ of sends) assert.strictEqual(yield* connection.hear, "ACK")
            for (const text of texts(name)) {
              const line = yield* connection.hear
              assert.strictEqual(line.split(" ").slice(4).join(" "), text)
            }
            assert.strictEqual(yield* connection.hear, "ENDSYNC")
          }), { concurrency: "unbounded", discard: true })
      }))
  }
})
