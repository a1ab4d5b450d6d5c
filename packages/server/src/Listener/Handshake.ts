/**
 * TLS over a connection that is there already, since a proxy may have had the first word. What is shown may change while
 * there are sessions: each keeps what it has begun with.
 */
import { Effect } from "effect"
import type { Buffer } from "node:buffer"
import { constants } from "node:crypto"
import type * as Net from "node:net"
import * as Tls from "node:tls"
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
  secureOptions: constants.SSL_OP_NO_RENEGOTIATION, // with another certificate, which nobody verifies; and each a handshake
  sessionIdContext: "cpt" // within which OpenSSL resumes the sessions of clients with certificates
})

export class Handshake {
  readonly #server: Tls.Server // only for connections that it is given
  readonly #waiting = new Map<unknown, (result: Result) => void>() // by the connection

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
      if (socket.destroyed) return resume(gone)
      const hasGone = () => done(gone)
      const done = (result: Result) => {
        this.#waiting.delete(socket)
        socket.off("close", hasGone)
        resume(result)
      }
      this.#waiting.set(socket, done)
      socket.once("close", hasGone)
      socket.allowHalfOpen = false // who ends its side now, has gone
      this.#server.emit("connection", socket)
    })
  }

  /**
   * node:tls gives a socket of its own, and only a field that Node does not document says over which one. Addresses do not:
   * Unix sockets have none, and those of a connection that was reset may be those of the next.
   */
  #tell(socket: Tls.TLSSocket): void {
    const done = this.#waiting.get(Reflect.get(socket, "_parent"))
    socket.allowHalfOpen = true // CPT 1.7
    socket.on("error", () => socket.destroy()) // Node leaves it open, though nothing can be said or heard any more
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
