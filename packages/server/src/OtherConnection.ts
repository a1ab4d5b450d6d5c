/** A connection over any `Socket`: WebSocket, in memory. Ends with its scope. */
import { Effect, Exit, Fiber, Latch } from "effect"
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
import type { Options } from "./NetConnection.ts"

/**
 * Codes of a WebSocket that its peer has closed in good order: for a reason or without one (1005), or as a page that goes
 * away (1001). The others say that something went wrong, or that nobody has closed it (1006).
 */
const inGoodOrder: ReadonlySet<number> = new Set([1000, 1001, 1005])

export const make = Effect.fnUntraced(function*(socket: Socket.Socket, options: Options) {
  const writer = yield* socket.writer
  const something = Latch.makeUnsafe(false)
  const notFull = Latch.makeUnsafe(true)
  let waiting: Array<Uint8Array> = []
  let written = 0
  let handedOver = 0
  let isGone = false
  let cutFor: string | undefined
  const destroy = Effect.suspend(() => {
    isGone = true
    notFull.openUnsafe()
    return Effect.ignore(writer.write(new Socket.CloseEvent(1001)))
  })
  const cut = (why: string) =>
    Effect.suspend(() => {
      if (!isGone) cutFor ??= why
      return destroy
    })
  const writeWhatWaits = Effect.gen(function*() {
    yield* something.await
    something.closeUnsafe()
    const bytes = Buffer.concat(waiting)
    waiting = []
    yield* Effect.timeoutOrElse(writer.write(bytes), {
      duration: options.writeDeadline,
      orElse: () => cut(writeDeadline)
    })
    if (isGone) return
    handedOver += bytes.length
    if (waiting.length === 0) notFull.openUnsafe()
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
    remoteAddress: undefined,
    certificate: undefined,
    key: () => undefined,
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
    keepAlive: () => {},
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
    isFull: () => written > handedOver,
    isGone: () => isGone,
    isHandedOver: (place) => handedOver >= place,
    drained,
    isAnsweredByReset: Effect.succeed(false),
    presence: Effect.sync(() => isGone ? "gone" : undefined),
    end: drained, // the writer ends its side when the scope does
    destroy,
    cut,
    cutFor: () => cutFor
  }
  return connection
})
