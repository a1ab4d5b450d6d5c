/** What has come and gone is garbage by the time V8 looks for some, where that is cheap. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { once } from "node:events"
import { connect } from "node:net"
import { createInterface } from "node:readline"
import * as Cpt from "./support/Cpt.ts"

/** Somebody logs in, and leaves in good order. */
const visit = (port: number, name: string) =>
  Effect.promise(async () => {
    const socket = connect({ port, host: "127.0.0.1" })
    socket.write(`CONNECT ${name}\n`)
    await once(socket, "data")
    socket.end()
    socket.resume()
    await once(socket, "close")
  })

const visits = (port: number, count: number) =>
  Effect.forEach(Array.from({ length: count }, (_, index) => index), (index) => visit(port, `user${index}`), {
    concurrency: 16,
    discard: true
  })

/** Bytes of a visit that may get old: what tables grow by, and who is there when V8 looks. */
const few = 1800

describe("cpt serve", () => {
  it.live(
    "keeps nothing of who has gone, not even until V8 looks through its whole heap",
    () =>
      Effect.gen(function*() {
        const count = 6000
        const args = ["serve", "--memory", "--port", "0", "--log-level", "warn", "--exempt", "127.0.0.1"]
        const server = yield* Cpt.start(args, { node: ["--trace-gc-nvp"] })
        let old = 0
        createInterface(server.child.stdout).on("line", (line) => {
          const [, bytes = "0"] = / gc=s .* promoted=(\d+) /.exec(line) ?? []
          old += Number(bytes)
        })
        let listening: RegExpExecArray | null
        do listening = /:(\d+);/.exec(yield* server.line)
        while (listening === null)
        const port = Number(listening[1])
        yield* visits(port, count) // until what V8 makes of the code is old itself
        const before = old
        yield* visits(port, count)
        assert.isAbove(before, 0)
        assert.isBelow((old - before) / count, few)
      }),
    60_000
  )
})
