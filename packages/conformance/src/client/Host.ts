/** Where a client under test connects: a port of this machine, and the connections that have come, as bytes. */
import { Effect, type Scope } from "effect"
import * as Net from "node:net"
import { Unreachable } from "../Outcome.ts"
import type { Transcript } from "../Transcript.ts"
import { Wire } from "../Wire.ts"
import type { Bell } from "./Bell.ts"

export const host = "127.0.0.1"

export class Host {
  port = 0
  /** In the order in which they came. */
  readonly wires: Array<Wire> = []
  /** When connections were broken off at once, because nobody is to be served. */
  readonly turnedAway: Array<number> = []
  isServing = true
  readonly #sockets = new Set<Net.Socket>()
  readonly #server: Net.Server

  constructor(transcript: Transcript, bell: Bell) {
    this.#server = Net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      this.#sockets.add(socket)
      socket.once("close", () => this.#sockets.delete(socket))
      if (!this.isServing) {
        this.turnedAway.push(performance.now())
        socket.on("error", () => {})
        socket.resetAndDestroy()
        return
      }
      const who = this.wires.length === 0 ? "server" : `server (connection ${this.wires.length + 1})`
      transcript.add(who, "", "takes a connection")
      const wire = new Wire(socket, socket, transcript, who)
      socket.on("data", (chunk) => {
        wire.feed(chunk)
        bell.ring()
      })
      for (const event of ["end", "close", "error"]) socket.on(event, bell.ring)
      this.wires.push(wire)
      bell.ring()
    })
  }

  listen(): Effect.Effect<void, Unreachable> {
    return Effect.callback((resume) => {
      const refuse = (error: Error) => resume(Effect.fail(new Unreachable({ why: error.message })))
      this.#server.once("error", refuse)
      this.#server.listen(0, host, () => {
        const address = this.#server.address()
        this.port = typeof address === "object" ? address?.port ?? 0 : 0
        resume(Effect.void)
      })
    })
  }

  close(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }
}

/** Listens on a free port, until the scope closes. */
export const open = (transcript: Transcript, bell: Bell): Effect.Effect<Host, Unreachable, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.suspend(() => {
      const host = new Host(transcript, bell)
      return Effect.as(host.listen(), host)
    }),
    (host) => Effect.sync(() => host.close())
  )
