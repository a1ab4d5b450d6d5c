/**
 * One connection to the server under test, as bytes: over TCP, TLS or a Unix socket. It knows lines and nothing of what
 * stands in them. Everything that goes over it, and when, goes into the transcript.
 */
import { Duration, Effect, type Scope } from "effect"
import { Buffer } from "node:buffer"
import * as Net from "node:net"
import * as Tls from "node:tls"
import * as Bytes from "./Bytes.ts"
import { Unreachable } from "./Outcome.ts"
import * as Timer from "./Timer.ts"
import type { Transcript } from "./Transcript.ts"

/** Where the server is. */
export type Address = { readonly host: string; readonly port: number } | { readonly path: string }

/** Trust and identity, in PEM. */
export interface TlsOptions {
  readonly ca?: string | Uint8Array | undefined
  readonly cert?: string | Uint8Array | undefined
  readonly key?: string | Uint8Array | undefined
}

export interface Place {
  readonly address: Address
  readonly tls: TlsOptions | undefined
}

/** What is heard instead of a line when the server has ended its side, or the connection broke. */
export const ended = "(end)"
export const brokenOff = "(broken off)"

/** Bytes of a line without an end; who says more will not come to one. */
const maxLine = 1 << 20

const LF = 10

export class Wire {
  /** Lines that were heard and not taken yet, as text (`Bytes`), without their LF. */
  readonly lines: Array<string> = []
  /** How the server's side has ended, if it has. */
  end: typeof ended | typeof brokenOff | undefined
  readonly #socket: Net.Socket
  readonly #raw: Net.Socket
  readonly #transcript: Transcript
  readonly #who: string
  readonly #wakers = new Set<() => void>()
  #rest: Array<Buffer> = []
  #restBytes = 0
  #isClosed = false

  constructor(socket: Net.Socket, raw: Net.Socket, transcript: Transcript, who: string) {
    this.#socket = socket
    this.#raw = raw
    this.#transcript = transcript
    this.#who = who
    socket.on("error", () => this.#ends(brokenOff))
    socket.on("end", () => this.#ends(ended))
    socket.on("close", () => {
      this.#isClosed = true
      this.#ends(brokenOff)
      this.#wake()
    })
  }

  /** Bytes that the server has said. */
  feed(chunk: Buffer): void {
    for (let from = 0; from < chunk.length;) {
      const at = chunk.indexOf(LF, from)
      const piece = chunk.subarray(from, at === -1 ? undefined : at)
      this.#rest.push(piece)
      this.#restBytes += piece.length
      if (at === -1) {
        if (this.#restBytes > maxLine) this.#socket.destroy(new Error("a line without an end"))
        break
      }
      const line = Bytes.toText(this.#rest.length === 1 ? piece : Buffer.concat(this.#rest))
      this.#transcript.add(this.#who, "<", line)
      this.lines.push(line)
      this.#rest = []
      this.#restBytes = 0
      from = at + 1
    }
    if (this.lines.length > 0) this.#wake()
  }

  /** What the server has said of a line that it has not ended. */
  get unfinished(): string {
    return Bytes.toText(Buffer.concat(this.#rest))
  }

  #ends(how: typeof ended | typeof brokenOff): void {
    if (this.end !== undefined) return
    if (this.#restBytes > 0) this.#transcript.add(this.#who, "<", `${this.unfinished}   (a line that is not ended)`)
    this.#transcript.add(this.#who, "<", how)
    this.end = how
    this.#wake()
  }

  #wake(): void {
    for (const wake of this.#wakers) wake()
  }

  /** Waits until `isTrue`, which is asked again whenever something has been heard; false if it took too long. */
  until(isTrue: () => boolean, millis: number): Effect.Effect<boolean> {
    return Effect.suspend(() =>
      isTrue() ? Effect.succeed(true) : Effect.callback<boolean>((resume) => {
        const done = (result: boolean) => {
          clearTimeout(timer)
          this.#wakers.delete(look)
          resume(Effect.succeed(result))
        }
        const look = () => {
          if (isTrue()) done(true)
        }
        const timer = Timer.after(millis, () => done(false))
        this.#wakers.add(look)
        return Effect.sync(() => {
          clearTimeout(timer)
          this.#wakers.delete(look)
        })
      })
    )
  }

  /** The next line, or how the server's side has ended; undefined if nothing comes in time. Does not take it. */
  peek(millis: number): Effect.Effect<string | undefined> {
    return Effect.map(
      this.until(() => this.lines.length > 0 || this.end !== undefined, millis),
      () => this.lines[0] ?? this.end
    )
  }

  /** Until the operating system has taken them, or it is in vain. */
  say(bytes: Uint8Array, how: string): Effect.Effect<void> {
    return Effect.callback((resume) => {
      this.#transcript.addBytes(this.#who, how, how === ">" ? bytes.subarray(0, -1) : bytes)
      if (this.#socket.writable) this.#socket.write(bytes, () => resume(Effect.void))
      else resume(Effect.void)
    })
  }

  /** We have no more to say, and still listen. */
  halfClose(): Effect.Effect<void> {
    return Effect.sync(() => {
      this.#note("has no more to say (half-close)")
      this.#socket.end()
    })
  }

  /** Ends our side, and waits for the server to end its own. */
  close(millis: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#note("ends the connection")
      this.#socket.end()
      return Effect.asVoid(this.until(() => this.#isClosed || this.end !== undefined, millis))
    }).pipe(Effect.tap(Effect.sync(() => this.#socket.destroy())))
  }

  /** Breaks off: a reset, where there is one. */
  cut(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#note("breaks the connection off (reset)")
      try {
        this.#raw.resetAndDestroy()
      } catch {
        this.#raw.destroy() // a Unix socket: a reset if there is something unread
      }
      this.#socket.destroy() // TLS does not hear of it by itself
      return Effect.asVoid(this.until(() => this.#isClosed, 1000))
    })
  }

  stopReading(): void {
    this.#note("stops reading")
    this.#socket.pause()
  }

  readOn(): void {
    this.#note("reads on")
    this.#socket.resume()
  }

  #note(what: string): void {
    this.#transcript.add(this.#who, "", what)
  }
}

const explain = (error: NodeJS.ErrnoException): string => {
  switch (error.code) {
    case "ECONNREFUSED":
      return "connection refused"
    case "ENOENT":
      return "there is no such socket"
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "there is no such host"
    case "EPROTO":
    case "ERR_SSL_WRONG_VERSION_NUMBER":
      return "it does not speak TLS there"
    default:
      // Of OpenSSL, the reason alone
      return error.message.replace(/^.*:SSL routines:[^:]*:([^:]*):.*$/s, "$1")
  }
}

const connectTo = (address: Address, options: Net.TcpSocketConnectOpts | {}): Net.Socket =>
  Net.connect({ ...address, ...options, allowHalfOpen: true, noDelay: true })

/** Opens a connection, which is gone when the scope ends. */
export const open = (
  { address, tls }: Place,
  millis: number,
  transcript: Transcript,
  who: string
): Effect.Effect<Wire, Unreachable, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<readonly [Wire, Net.Socket], Unreachable>((resume) => {
      const give = (socket: Net.Socket, raw: Net.Socket) => {
        clearTimeout(timer)
        socket.removeListener("error", refuse)
        transcript.add(who, "", "connects")
        const wire = new Wire(socket, raw, transcript, who)
        resume(Effect.succeed([wire, raw]))
        return wire
      }
      const refuse = (error: NodeJS.ErrnoException) => {
        clearTimeout(timer)
        raw.destroy()
        resume(Effect.fail(new Unreachable({ why: explain(error) })))
      }
      let wire: Wire | undefined
      let early: Array<Buffer> = []
      const hear = (chunk: Buffer) => {
        if (wire === undefined) early.push(chunk)
        else wire.feed(chunk)
      }
      const raw = tls === undefined
        // With a buffer of our own, pause() really stops reading
        ? connectTo(address, {
          onread: {
            buffer: Buffer.alloc(1 << 14),
            callback: (size: number, buffer: Uint8Array) => {
              hear(Buffer.from(buffer.subarray(0, size)))
              return true
            }
          }
        })
        : connectTo(address, {})
      const timer = Timer.after(
        millis,
        () => refuse(new Error(`no connection within ${Duration.format(Duration.millis(millis))}`))
      )
      raw.once("error", refuse)
      if (tls === undefined) {
        raw.once("connect", () => {
          wire = give(raw, raw)
          for (const chunk of early) wire.feed(chunk)
          early = []
        })
      } else {
        const host = "host" in address ? address.host : "localhost"
        const secure = Tls.connect({
          socket: raw,
          host,
          rejectUnauthorized: true, // whatever NODE_TLS_REJECT_UNAUTHORIZED says
          ...(Net.isIP(host) === 0 ? { servername: host } : {}),
          ...Object.fromEntries(Object.entries(tls).filter(([, value]) => value !== undefined))
        })
        secure.once("error", refuse)
        secure.on("data", hear)
        secure.once("secureConnect", () => {
          raw.on("error", () => {})
          wire = give(secure, raw)
        })
      }
      return Effect.sync(() => {
        clearTimeout(timer)
        raw.destroy()
      })
    }),
    ([, raw]) => Effect.sync(() => raw.destroy())
  ).pipe(Effect.map(([wire]) => wire))
