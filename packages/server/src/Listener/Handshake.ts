/**
 * TLS over a connection that is there already, since a proxy may have had the first word. What is shown may change while
 * there are sessions: each keeps what it has begun with.
 */
import { Effect } from "effect"
import type { Buffer } from "node:buffer"
import type * as Net from "node:net"
import * as Tls from "node:tls"
import * as Kernel from "../Kernel.ts"
import { Refused } from "./Refused.ts"

/** What is shown, and who is trusted, in PEM. */
export interface Pem {
  readonly cert: string | Buffer
  /** Its key, without a passphrase. */
  readonly key: string | Buffer
  /** The authorities of clients' certificates; without them, clients are asked for none. */
  readonly clientCa?: string | Buffer | undefined
}

type Result = Effect.Effect<Tls.TLSSocket, Refused>

const gone = Effect.fail(new Refused({ message: "the peer has gone, or does not speak TLS", isOdd: false }))

const contextOf = ({ cert, clientCa, key }: Pem): Tls.SecureContextOptions => ({
  cert,
  key,
  ca: clientCa,
  minVersion: "TLSv1.2",
  sessionIdContext: "cpt" // within which OpenSSL resumes the sessions of clients with certificates
})

export class Handshake {
  readonly #server: Tls.Server // only for connections that it is given
  readonly #waiting = new Map<Kernel.Key, (result: Result) => void>()

  /** Throws what OpenSSL thinks of it. */
  constructor(pem: Pem) {
    this.#server = Tls.createServer({
      ...contextOf(pem),
      requestCert: pem.clientCa !== undefined,
      rejectUnauthorized: false // who has no certificate is let in
    })
    this.#server.on("secureConnection", (socket) => this.#tell(socket))
    this.#server.on("tlsClientError", (_, socket) => socket.destroy())
  }

  /** For those that begin from now on. Throws what OpenSSL thinks of it, and then nothing has changed. */
  use(pem: Pem): void {
    this.#server.setSecureContext(contextOf(pem))
  }

  /**
   * Takes the time that the peer takes.
   *
   * @param turn is waited for when the peer has begun: a handshake takes a millisecond
   */
  over(socket: Net.Socket, turn: Effect.Effect<void>): Result {
    return Effect.andThen(hasBegun(socket), Effect.andThen(turn, Effect.suspend(() => this.#shake(socket))))
  }

  #shake(socket: Net.Socket): Result {
    return Effect.callback((resume) => {
      const key = Kernel.keyOf(socket)
      if (key === undefined || socket.destroyed) return resume(gone)
      const hasGone = () => done(gone)
      const done = (result: Result) => {
        this.#waiting.delete(key)
        socket.off("close", hasGone)
        resume(result)
      }
      this.#waiting.set(key, done)
      socket.once("close", hasGone)
      this.#server.emit("connection", socket)
    })
  }

  /** node:tls gives a socket of its own, and does not say over which one: the connection's key does. */
  #tell(socket: Tls.TLSSocket): void {
    const done = this.#waiting.get(Kernel.keyOf(socket) ?? "")
    if (done === undefined) socket.destroy()
    else if (socket.authorized || socket.getPeerX509Certificate() === undefined) done(Effect.succeed(socket))
    else {
      const message = `its certificate is not accepted: ${String(socket.authorizationError)}`
      done(Effect.fail(new Refused({ message, isOdd: true })))
    }
  }
}

/** Who says nothing costs a socket, and not the 40 KB of a session. */
const hasBegun = (socket: Net.Socket): Effect.Effect<void, Refused> =>
  Effect.callback((resume) => {
    const look = () => {
      socket.off("readable", look).off("close", look)
      resume(socket.readableLength > 0 ? Effect.void : gone)
    }
    socket.once("readable", look).once("close", look)
  })
