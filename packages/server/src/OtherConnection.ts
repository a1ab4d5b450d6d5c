/**
 * A connection over any `Socket`: WebSocket, in memory. Ends with its scope. Of a WebSocket of Node's, it is also the socket
 * below that tells whether the peer is still there, and whether anything moves.
 */
import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import { Duration, Effect, Exit, Fiber, Latch, Option } from "effect"
import { Socket } from "effect/socket"
import { Buffer } from "node:buffer"
import {
  type Connection,
  type Ear,
  type EndOfInput,
  endOfInput,
  type Heard,
  PeerGone,
  peerGone,
  writeDeadline
} from "./Connection.ts"
import * as Kernel from "./Kernel.ts"
import { ipOf, type Options, presenceOf } from "./NetConnection.ts"
import { untilItMoves } from "./WriteDeadline.ts"

/**
 * Codes of a WebSocket that its peer has closed in good order: for a reason or without one (1005), or as a page that goes
 * away (1001). The others say that something went wrong, or that nobody has closed it (1006).
 */
const inGoodOrder: ReadonlySet<number> = new Set([1000, 1001, 1005])

/** The state of a WebSocket that nobody has closed. */
const open = 1

/** A WebSocket of the package `ws`, which says when the kernel has what it was given. Others keep it, however much it is. */
type Telling = Socket.WebSocketLike & {
  send: (data: Uint8Array, taken: (error?: Error | null) => void) => void
}

const isTelling = (webSocket: Socket.WebSocketLike): webSocket is Telling => "terminate" in webSocket

/** Of the connection at hand, if it is one of a server of WebSockets. */
const webSocketOf = Effect.gen(function*() {
  const webSocket = yield* Effect.serviceOption(Socket.WebSocket)
  const request = yield* Effect.serviceOption(NodeSocketServer.IncomingMessage)
  return Option.isSome(webSocket) && Option.isSome(request) && isTelling(webSocket.value)
    ? { webSocket: webSocket.value, net: request.value.socket }
    : undefined
})

export const make = Effect.fnUntraced(function*(socket: Socket.Socket, options: Options) {
  const writer = yield* socket.writer
  const { net, webSocket } = (yield* webSocketOf) ?? {}
  const something = Latch.makeUnsafe(false)
  const notFull = Latch.makeUnsafe(true)
  let waiting: Array<Uint8Array> = []
  let written = 0
  let handedOver = 0
  let isGone = false
  let cutFor: string | undefined
  let key: Kernel.Key | undefined
  const destroy = Effect.suspend(() => {
    isGone = true
    notFull.openUnsafe()
    // Who takes nothing would not take a close either
    return net !== undefined
      ? Effect.sync(() => net.destroy())
      : Effect.ignore(writer.write(new Socket.CloseEvent(1001)))
  })
  const cut = (why: string) =>
    Effect.suspend(() => {
      if (!isGone) cutFor ??= why
      return destroy
    })
  const hasAll = () => written === handedOver
  const peer = {
    key: () => key ??= net && Kernel.keyOf(net),
    isGone: () => isGone,
    cut
  }
  const handOver = (bytes: Uint8Array) => {
    const { writeDeadline: duration } = options
    if (webSocket === undefined) {
      return Effect.timeoutOrElse(writer.write(bytes), { duration, orElse: () => cut(writeDeadline) })
    }
    const taken = Effect.callback<void, Error>((resume) =>
      webSocket.send(bytes, (error) => resume(error == null ? Effect.void : Effect.fail(error)))
    )
    return Effect.raceFirst(taken, untilItMoves({ ...peer, hasAll, handedOver: () => handedOver }, duration))
  }
  const writeWhatWaits = Effect.andThen(something.await, () => {
    something.closeUnsafe()
    const bytes = Buffer.concat(waiting)
    waiting = []
    // To who has closed it, nothing is written any more; how it has ended is for the reader to tell
    const isOpen = webSocket === undefined || webSocket.readyState === open
    return Effect.map(isOpen ? handOver(bytes) : Effect.void, () => {
      if (isGone) return
      if (isOpen) handedOver += bytes.length
      if (waiting.length === 0) notFull.openUnsafe()
    })
  })
  yield* Effect.forever(writeWhatWaits).pipe(Effect.catch(() => destroy), Effect.forkScoped)
  const drained = Effect.andThen(
    notFull.await,
    Effect.suspend(() => isGone ? Effect.fail(new PeerGone({})) : Effect.void)
  )

  const pull = yield* Socket.readerBytes(socket)
  let hasEnded = false
  const pulled = (ear: Ear): Heard =>
    Effect.matchEffect(pull, {
      onFailure: ({ reason }): Effect.Effect<never, EndOfInput | PeerGone> => {
        hasEnded = true
        // The peer of a connection that was cut echoes our code
        const hasLeft = !isGone && reason._tag === "SocketCloseError" && inGoodOrder.has(reason.code)
        return hasLeft ? endOfInput : peerGone
      },
      onSuccess: (chunks) => {
        const left = ear.hear(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks), false)
        return left === undefined ? pulled(ear) : Effect.succeed(left)
      }
    })

  const fork = Effect.runForkWith(yield* Effect.context())
  let listening: Ear | undefined
  let pulling: Fiber.Fiber<void> | undefined
  const ended = () => pulling === undefined ? Effect.void : Fiber.await(pulling)
  const mute = () => {
    listening = undefined
    pulling?.interruptUnsafe()
  }
  yield* Effect.addFinalizer(() => {
    mute()
    return ended()
  })

  const connection: Connection = {
    ...peer,
    remoteAddress: ipOf(net?.remoteAddress),
    certificate: undefined,
    listen: (ear) => {
      listening = ear
      const heard = Effect.andThen(ended(), Effect.exit(pulled(ear))) // no two pull at the same time
      pulling = fork(Effect.map(heard, (left) => {
        if (listening !== ear) return
        listening = undefined
        ear.heard(left)
      }))
    },
    mute,
    wake: () => {
      notFull.openUnsafe()
      const ear = listening
      mute()
      ear?.heard(Exit.succeed(Effect.void))
    },
    keepAlive: () => {
      net?.setKeepAlive(true, Duration.toMillis(options.keepAlive))
    },
    hasEnded: () => hasEnded,
    written: () => written,
    write: (bytes) => {
      if (isGone) return
      written += bytes.length
      waiting.push(bytes)
      notFull.closeUnsafe()
      something.openUnsafe()
    },
    untaken: () => written - handedOver,
    isFull: () => !hasAll(),
    isHandedOver: (place) => handedOver >= place,
    drained,
    isAnsweredByReset: Effect.succeed(false),
    presence: Effect.suspend(() =>
      net !== undefined ? presenceOf(net, peer.key()) : Effect.succeed(isGone ? "gone" : undefined)
    ),
    end: drained, // the writer ends its side when the scope does
    destroy,
    cutFor: () => cutFor
  }
  return connection
})
