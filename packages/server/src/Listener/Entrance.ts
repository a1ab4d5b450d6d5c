/**
 * What comes before the first line of a connection: the header in which a proxy says whose it is, and the handshake of
 * TLS.
 */
import { Context, Effect, Exit } from "effect"
import { Buffer } from "node:buffer"
import type * as Net from "node:net"
import * as IpRange from "../IpRange.ts"
import type { Credentials } from "./Credentials.ts"
import * as ProxyHeader from "./ProxyHeader.ts"
import { Refused } from "./Refused.ts"

export interface Options {
  /**
   * Where proxies are. Who comes from there has to begin with a header of the PROXY protocol; who comes from elsewhere is
   * not asked for one, so nobody else can say where they are.
   */
  readonly proxyFrom?: ReadonlyArray<IpRange.IpRange> | undefined
  /** With them, TLS is spoken. */
  readonly credentials?: Credentials | undefined
}

/** A connection whose first line is the next to come. */
export interface Arrival {
  readonly socket: Net.Socket
  /** Whom the proxy speaks for; undefined if there is none, or it speaks for itself. */
  readonly client: ProxyHeader.Client | undefined
}

/** `client`, for who is handed a `Socket`. */
export const ProxiedClient = Context.Reference<Arrival["client"]>("@cpt/server/Listener/ProxiedClient", {
  defaultValue: () => undefined
})

/** What a connection meets on its way in. */
interface Door {
  /** Asked before the handshake, when it is known where the peer is. In clear text there are words for who is not. */
  readonly isWelcome: (remoteAddress: string | undefined) => boolean
  /** Waited for before the handshake, which costs more than all the rest. */
  readonly turn: Effect.Effect<void>
}

/** Takes the time that the peer takes. When it fails, or is interrupted, the connection is cut. */
export type Passage = (door: Door) => Effect.Effect<Arrival, Refused>

const unwelcome = Effect.fail(new Refused({ message: "a limit of its address is reached", isOdd: false }))

export class Entrance {
  readonly #proxyFrom: ReadonlyArray<IpRange.IpRange>
  readonly #credentials: Credentials | undefined

  constructor({ credentials, proxyFrom = [] }: Options) {
    this.#proxyFrom = proxyFrom
    this.#credentials = credentials
  }

  /** What a connection has to pass; undefined if that is nothing. */
  passage(socket: Net.Socket): Passage | undefined {
    const isProxied = this.#proxyFrom.length > 0 && isFrom(this.#proxyFrom, socket)
    if (isProxied === undefined) return () => hasEnded
    const handshake = this.#credentials?.handshake
    if (!isProxied && handshake === undefined) return undefined
    return (door) =>
      Effect.onExit(
        pass(socket, isProxied, handshake, door),
        (exit) => Effect.sync(() => Exit.isFailure(exit) && socket.destroy())
      )
  }
}

const pass = Effect.fnUntraced(function*(
  socket: Net.Socket,
  isProxied: boolean,
  handshake: Credentials["handshake"] | undefined,
  { isWelcome, turn }: Door
) {
  const client = isProxied ? yield* header(socket) : undefined
  if (handshake === undefined) return socket.destroyed ? yield* hasEnded : { client, socket }
  if (!isWelcome(client === undefined ? socket.remoteAddress : client.address)) return yield* unwelcome
  const secured = yield* Effect.mapError(handshake.over(socket, turn), ofClient(client))
  return secured.destroyed ? yield* hasEnded : { client, socket: secured }
})

/** Undefined if nobody is there any more: after a reset, what was said before can still be read, but not who said it. */
const isFrom = (ranges: ReadonlyArray<IpRange.IpRange>, { localPort, remoteAddress }: Net.Socket) =>
  remoteAddress !== undefined ? IpRange.includes(ranges, remoteAddress) : localPort === undefined ? false : undefined

const ofClient = (client: Arrival["client"]) => ({ isOdd, message }: Refused): Refused =>
  new Refused({ isOdd, message, ...client?.address !== undefined && { address: client.address } })

const hasEnded = Effect.fail(new Refused({ message: "it has ended", isOdd: false }))

/** Takes the header off a connection. */
const header = (socket: Net.Socket): Effect.Effect<ProxyHeader.Client | undefined, Refused> =>
  Effect.callback((resume) => {
    let bytes = Buffer.alloc(0)
    const done = (result: Effect.Effect<ProxyHeader.Client | undefined, Refused>) => {
      socket.off("data", take).off("end", hasGone).off("close", hasGone)
      resume(result)
    }
    const hasGone = () => done(hasEnded)
    const take = (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk])
      const header = ProxyHeader.read(bytes)
      if (header === "incomplete") return
      if (header === "malformed") {
        return done(Effect.fail(new Refused({ message: "it does not begin with a PROXY header", isOdd: true })))
      }
      socket.pause()
      if (bytes.length > header.length) socket.unshift(bytes.subarray(header.length))
      done(Effect.succeed(header.client))
    }
    socket.on("data", take).on("end", hasGone).on("close", hasGone)
    return Effect.sync(() => socket.destroy())
  })
