/**
 * A server of HTTP that anybody may ask. There is so much room: when somebody new comes and there is none, whoever has
 * asked for nothing the longest goes. Each connection has one request carried out at a time, in the order in which they
 * came; and between any two requests there is a pause, in which everybody else is served.
 *
 * A request is told to those who listen for it (`request`) when it is its turn, and until then it is but two objects.
 */
import { IncomingMessage, Server, type ServerOptions, ServerResponse } from "node:http"

/** Connections at the same time; an administrator has one, and what watches the server another. */
const maxConnections = 64

/** Requests that a connection may have made and has not been answered; hardly any client asks twice before its answer. */
const maxAsked = 256

/** Milliseconds between two requests: a flood of them is no more than a thousand a second. */
const pause = 1

type Socket = IncomingMessage["socket"]

/** A request that is not answered yet. */
interface Asked {
  readonly socket: Socket
  readonly answer: () => void
}

export class SharedServer extends Server {
  /** Node's: who has ended their side is answered what they have asked before, and then it ends; else that was lost. */
  readonly httpAllowHalfOpen = true
  /** By connections, in the order in which these have come, begun to ask, or been answered all that they asked. */
  readonly #asked = new Map<Socket, Array<Asked>>()
  #ready: Array<Asked> = [] // those before them on their connections are answered
  #isPausing = false

  /** @param isFull told when somebody comes and there is no room */
  constructor(options: ServerOptions, isFull: () => void) {
    super(options)
    this.on("connection", (socket) => {
      if (this.#asked.size >= maxConnections) {
        isFull()
        const longest = this.#longest()
        if (longest !== undefined) this.#asked.delete(longest)
        longest?.destroy()
      }
      this.#asked.set(socket, [])
      socket.once("close", () => this.#asked.delete(socket))
    })
  }

  override emit(event: string, ...args: Array<unknown>): boolean {
    const [request, response] = args
    const isAsked = event === "request" || event === "checkContinue"
    if (!isAsked || !(request instanceof IncomingMessage && response instanceof ServerResponse)) {
      return super.emit(event, ...args)
    }
    const { socket } = request
    const asked = this.#asked.get(socket)
    if (asked === undefined || socket.destroyed) return true
    const one = { socket, answer: () => super.emit(event, ...args) }
    asked.push(one)
    if (asked.length > maxAsked) socket.destroy()
    else if (asked.length > 1) socket.pause() // all of the one before is here
    else {
      this.#moveBack(socket, asked)
      this.#prepare(one)
    }
    response.once("close", () => {
      asked.shift()
      const [next] = asked
      if (next === undefined) return this.#moveBack(socket, asked)
      if (asked.length === 1) socket.resume()
      this.#prepare(next)
    })
    return true
  }

  /**
   * Nobody listens for requests that ask for another protocol, whatever those do who serve: Node then takes them as any
   * other. Else it hands the connection over, with what it has read of it, and out of its deadlines.
   */
  override listenerCount(event: string): number {
    return event === "upgrade" ? 0 : super.listenerCount(event)
  }

  /** Whoever has asked for nothing the longest; if all are being answered, whoever has been for longest. */
  #longest(): Socket | undefined {
    for (const [socket, asked] of this.#asked) if (asked.length === 0) return socket
    return this.#asked.keys().next().value
  }

  #moveBack(socket: Socket, asked: Array<Asked>): void {
    if (this.#asked.delete(socket)) this.#asked.set(socket, asked)
  }

  #prepare(asked: Asked): void {
    this.#ready.push(asked)
    if (this.#isPausing) return
    this.#isPausing = true
    // With the next turn of the event loop and no pause, a flood took half of the core, and others waited for 0.1 s and more
    setTimeout(() => this.#goOn(), pause)
  }

  #goOn(): void {
    this.#isPausing = false
    const [one, ...rest] = this.#ready.filter(({ socket }) => !socket.destroyed)
    this.#ready = []
    for (const other of rest) this.#prepare(other)
    one?.answer()
  }
}
