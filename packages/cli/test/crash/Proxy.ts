/** A fixed address for `cpt tail`, whichever port the server has now: connections wait here until there is one. */
import { once } from "node:events"
import { connect, createServer, type Server, type Socket } from "node:net"
import type { Gate } from "./Gate.ts"

export class Proxy {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  constructor(gate: Gate) {
    this.#server = createServer((near) => {
      this.#add(near)
      void gate.pass("a proxy").then((port) => {
        if (port === undefined || near.destroyed) return void near.destroy()
        const far = connect({ port, host: "127.0.0.1" })
        this.#add(far)
        near.on("close", () => far.destroy())
        far.on("close", () => near.destroy())
        near.pipe(far).pipe(near)
      })
    })
  }

  async listen(): Promise<number> {
    this.#server.listen(0, "127.0.0.1")
    await once(this.#server, "listening")
    const address = this.#server.address()
    return typeof address === "object" && address !== null ? address.port : 0
  }

  close(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  #add(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on("error", () => {}) // "close" follows
    socket.on("close", () => this.#sockets.delete(socket))
  }
}
