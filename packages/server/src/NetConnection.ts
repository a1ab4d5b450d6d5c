/** A connection that is a `node:net` socket. */
import { Duration, Effect, Exit, type Fiber, Latch } from "effect"
import { Buffer } from "node:buffer"
import type { Socket } from "node:net"
import { TLSSocket } from "node:tls"
import { type Certificate, fromShown } from "./Certificate.ts"
import { type Connection, type Ear, type EndOfInput, endOfInput, type Heard, PeerGone, peerGone } from "./Connection.ts"
import * as Kernel from "./Kernel.ts"
import type { Client } from "./Listener/ProxyHeader.ts"
import { readShared } from "./SharedRead.ts"
import { untilItMoves, type Watched } from "./WriteDeadline.ts"

export interface Options {
  readonly writeDeadline: Duration.Duration
  readonly keepAlive: Duration.Duration
}

/** Milliseconds in which the kernel's table is asked whether a peer was gone already: the next turn, on a busy day. */
const resetWithin = 50

/**
 * What is read while something is left to do, in chunks and in bytes, and heard in one go then. Heard chunk by chunk, each
 * would wait for the disk by itself: who says 100 a second to a busy server fell behind by seconds.
 */
const maxEarly = { chunks: 64, bytes: 64 * 1024 }

/** Bytes of a chunk behind which nothing is read early: it would have to be copied, and there is enough to do. */
const largeChunk = 16 * 1024

const nothing = Buffer.alloc(0)

/** Of the error of a socket: "close" follows. */
export const heedless = () => {}

/** An address in its own form: a dual-stack listener shows IPv4 peers as `::ffff:10.0.0.1`. */
export const ipOf = (address: string | undefined): string | undefined =>
  address?.startsWith("::ffff:") === true ? address.slice(7) : address

/** Whether there is still somebody at the other end of a socket, whose key is this. */
export const presenceOf = (socket: Socket, key: Kernel.Key | undefined): Effect.Effect<Kernel.Presence | undefined> => {
  if (socket.destroyed) return Effect.succeed("gone")
  if (key !== undefined) return Effect.promise(() => Kernel.presence(key))
  // A connection that has a port, and nobody at its other end
  return Effect.succeed(socket.localPort === undefined ? undefined : "gone")
}

/** Bytes that nobody has heard yet, and how many of those that were written the kernel had when they came. */
interface Early {
  readonly bytes: Uint8Array
  readonly handedOver: number
}

/** Made bit by bit, since most connections are idle: what few of them need, few of them have. */
export class NetConnection implements Connection, Watched {
  readonly #socket: Socket
  readonly #options: Options
  /** Asked for when it comes: later it cannot be. */
  readonly remoteAddress: string | undefined
  readonly #fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  #ear: Ear | undefined // who listens
  #key: Kernel.Key | undefined
  #early: Array<Early> | undefined // nobody has heard it yet
  #end: Exit.Exit<never, EndOfInput | PeerGone> | undefined
  #isFull = false
  #isKeptAlive = false
  #notFull: Latch.Latch | undefined
  #written = 0
  #writtenAt = 0
  #watching: Fiber.Fiber<void> | undefined
  #cutFor: string | undefined

  /**
   * @param fork runs what a connection does by itself, until it is closed
   * @param client whose it is, if a proxy has said so
   */
  constructor(
    socket: Socket,
    options: Options,
    fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>,
    client?: Client
  ) {
    this.#socket = socket
    this.#options = options
    this.#fork = fork
    this.remoteAddress = client === undefined ? ipOf(socket.remoteAddress) : client.address
    socket.setNoDelay(true)
    const take = (bytes: Uint8Array) => this.#take(bytes)
    if (readShared(socket, take)) socket.resume()
    else socket.on("data", take)
    socket.on("end", () => this.#tell(this.#end ??= endOfInput))
    if (socket.listenerCount("error") === 0) socket.on("error", heedless)
    socket.on("close", (hadError) => this.#hasClosed(hadError))
  }

  get certificate(): Certificate | undefined {
    const socket = this.#socket
    if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined
    const shown = socket.getPeerCertificate()
    // Without one, a session that is resumed is authorized too
    return shown.fingerprint256 === undefined ? undefined : fromShown(shown)
  }

  key(): Kernel.Key | undefined {
    return this.#key ??= Kernel.keyOf(this.#socket)
  }

  listen(ear: Ear): void {
    this.#ear = ear
    while (this.#early !== undefined) {
      this.#replay(this.#early, ear.unconfirmed())
      if (this.#ear !== ear) return
    }
    if (this.#end !== undefined) return this.#tell(this.#end)
    if (this.#socket.isPaused()) this.#socket.resume()
  }

  /** What came before that place had left is not heard in one go with what came after. */
  #replay(early: ReadonlyArray<Early>, place: number | undefined): void {
    const after = place === undefined ? 0 : early.findIndex(({ handedOver }) => handedOver >= place)
    const count = after <= 0 ? early.length : after
    this.#early = count < early.length ? early.slice(count) : undefined
    const bytes = count === 1 ? early[0]!.bytes : Buffer.concat(early.slice(0, count).map(({ bytes }) => bytes))
    this.#take(bytes, after !== 0)
  }

  mute(): void {
    this.#ear = undefined
  }

  wake(): void {
    const waitedFor = this.#notFull
    // Whoever waits once more does so for room, and not for this
    if (this.#isFull) this.#notFull = Latch.makeUnsafe(false)
    waitedFor?.openUnsafe()
    this.#tell(Exit.succeed(Effect.void))
  }

  keepAlive(): void {
    if (this.#isKeptAlive) return
    this.#isKeptAlive = true
    this.#socket.setKeepAlive(true, Duration.toMillis(this.#options.keepAlive))
  }

  hasEnded(): boolean {
    return this.#end !== undefined
  }

  written(): number {
    return this.#written
  }

  write(bytes: Uint8Array): void {
    const socket = this.#socket
    if (socket.destroyed || socket.writableEnded) return
    this.#written += bytes.length
    this.#writtenAt = performance.now()
    if (socket.write(bytes) || this.#isFull) return
    this.#isFull = true
    if (this.#notFull === undefined) {
      this.#notFull = Latch.makeUnsafe(false)
      socket.on("drain", () => this.#hasDrained())
    } else this.#notFull.closeUnsafe()
    this.#watch()
  }

  untaken(): number {
    return this.#socket.writableLength
  }

  handedOver(): number {
    return this.#written - this.#socket.writableLength
  }

  /** With the end of our side, if we have ended it: TLS has a last word for that, which counts nowhere. */
  hasAll(): boolean {
    const { writableEnded, writableFinished, writableLength } = this.#socket
    return writableLength === 0 && writableEnded === writableFinished
  }

  isFull(): boolean {
    return this.#isFull
  }

  isGone(): boolean {
    return this.#socket.destroyed
  }

  isHandedOver(place: number): boolean {
    return this.handedOver() >= place
  }

  get drained(): Effect.Effect<void, PeerGone> {
    return this.#notFull === undefined ? this.#unlessGone : Effect.andThen(this.#notFull.await, this.#unlessGone)
  }

  get isAnsweredByReset(): Effect.Effect<boolean> {
    const socket = this.#socket
    if (socket.localPort === undefined) return Effect.succeed(false)
    // TCP refuses even an empty write to who is gone; to look into the kernel's table takes it up to 20 ms, however few
    // there are. TLS keeps an empty write to itself, and behind other bytes it would wait for them
    const canAsk = socket.writable && socket.writableLength === 0 && !("encrypted" in socket)
    if (canAsk) {
      return Effect.callback((resume) => {
        socket.write(nothing, (error) => resume(Effect.succeed(error != null)))
      })
    }
    if (performance.now() - this.#writtenAt >= resetWithin) return Effect.succeed(false)
    return Effect.map(this.presence, (presence) => presence === "gone")
  }

  get presence(): Effect.Effect<Kernel.Presence | undefined> {
    return Effect.suspend(() => presenceOf(this.#socket, this.key()))
  }

  get end(): Effect.Effect<void, PeerGone> {
    return Effect.andThen(
      Effect.callback<void>((resume) => {
        const socket = this.#socket
        if (socket.destroyed) return resume(Effect.void) // nothing would ever call back
        const done = () => resume(Effect.void)
        socket.once("close", done)
        socket.end(done)
        if (socket.writableLength > 0 || "encrypted" in socket) this.#watch()
        return Effect.sync(() => socket.off("close", done))
      }),
      this.#unlessGone
    )
  }

  cutFor(): string | undefined {
    return this.#cutFor
  }

  get destroy(): Effect.Effect<void> {
    return Effect.sync(() => this.#socket.destroy())
  }

  cut(why: string): Effect.Effect<void> {
    return Effect.sync(() => {
      if (!this.#socket.destroyed) this.#cutFor ??= why
      this.#socket.destroy()
    })
  }

  get #unlessGone(): Effect.Effect<void, PeerGone> {
    return Effect.suspend(() => this.#socket.destroyed ? Effect.fail(new PeerGone({})) : Effect.void)
  }

  #tell(what: Heard): void {
    const ear = this.#ear
    this.#ear = undefined
    ear?.heard(what)
  }

  #take(bytes: Uint8Array, isOlder = false): void {
    const ear = this.#ear
    if (ear === undefined) {
      const early = this.#early ??= []
      const handedOver = this.handedOver()
      const isFull = early.push({ bytes: Buffer.from(bytes), handedOver }) >= maxEarly.chunks ||
        early.reduce((sum, { bytes }) => sum + bytes.length, 0) >= maxEarly.bytes
      if (isFull) this.#socket.pause()
      return
    }
    try {
      const left = ear.hear(bytes, isOlder)
      if (left === undefined) return
      if (bytes.length >= largeChunk) this.#socket.pause()
      this.#tell(Exit.succeed(left))
    } catch (defect) {
      this.#tell(Exit.die(defect)) // ends the session, and not the server
    }
  }

  #hasDrained(): void {
    this.#isFull = false
    this.#notFull?.openUnsafe()
  }

  #hasClosed(hadError: boolean): void {
    this.#notFull?.openUnsafe()
    this.#watching?.interruptUnsafe()
    if (hadError) this.#early = undefined
    this.#tell(this.#end ??= peerGone) // a good end is known before: this is a reset, or has been cut
  }

  /** CPT 5.8 */
  #watch(): void {
    this.#watching ??= this.#fork(
      Effect.ensuring(
        untilItMoves(this, this.#options.writeDeadline),
        Effect.sync(() => {
          this.#watching = undefined
        })
      )
    )
  }
}
