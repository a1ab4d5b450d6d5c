/**
 * One connection that is logged in. It says one command at a time and waits for its answer; what the server says
 * besides goes to a listener, at once. It ends for good when it is lost: whoever wants another one opens another one.
 *
 * It reads only while somebody needs an answer or has room for messages, so that a slow consumer slows down the server
 * through TCP and nothing piles up here; but an answer is never stuck behind messages that nobody takes.
 */
import { Command, Decline, Framer, Limits } from "@cpt/schema"
import { Clock, Deferred, Duration, Effect, Exit, Fiber, Latch, type Scope } from "effect"
import { Socket } from "effect/socket"
import {
  type ConnectError,
  ConnectionFailed,
  ConnectionLost,
  type ExchangeError,
  explainCause,
  NoAnswer,
  ProtocolViolation
} from "./Errors.ts"
import * as Incoming from "./Incoming.ts"

/** Who takes the messages that answer a `SYNC`. */
export interface Answering {
  readonly hasRoom: () => boolean
  /** The answer is over: `ENDSYNC`, or a `DECLINE` instead. What is said from here on is no part of it. */
  readonly onOver: (how: "complete" | "declined") => void
}

export interface Listener<A extends Answering> {
  /** A message, and whose `SYNC` is being answered while it comes; gives whether it is a part of that answer. */
  readonly onSaid: (said: Incoming.Said, answering: A | undefined) => boolean
  readonly onUnreadable: (why: string) => void
  /** The connection has ended, for this reason; nothing comes any more. */
  readonly onLost: (reason: string) => void
  /** Whether messages can be taken that nobody asked for. */
  readonly hasRoom: () => boolean
  /** Whether somebody waits for the answer to be over. */
  readonly isWanted: () => boolean
}

export interface Connection<A extends Answering> {
  /** Says a command and waits for its answer. One at a time: the caller sees to that. */
  readonly ask: (command: Command.ClientCommand, answering?: A) => Effect.Effect<void, ExchangeError>
  readonly isOpen: () => boolean
  /** Whether an answer is still to come. */
  readonly isBusy: () => boolean
  /** What `Listener` and `Answering` say of room may have changed. */
  readonly look: () => void
  /** For how long nothing was heard, in milliseconds. */
  readonly quiet: () => number
}

export interface Options<A extends Answering> {
  readonly socket: Effect.Effect<Socket.Socket>
  readonly connect: Command.Connect
  readonly timeout: Duration.Duration
  readonly listener: Listener<A>
}

/** How long a connection that sent messages waits for the server to close it, which confirms the last `ACK` (CPT 4.4). */
const farewell = Duration.millis(500)

/** After these a session is over; after the others it can go on (CPT 3.5). */
const endsSession = (error: Decline.DeclineError): boolean => {
  switch (error._tag) {
    case "AccountLocked":
    case "IpInvalid":
    case "NotLoggedIn":
    case "ServerFull":
    case "TooManyConnections":
    case "LoginTimeout":
    case "IdleTimeout":
    case "ShuttingDown":
      return true
    default:
      return false
  }
}

const hasClosed = "the client was closed"

/** Nothing is sent any more, and no connection restored. */
export const clientClosed = () => new ConnectionFailed({ message: hasClosed, reached: false, cause: undefined })

/** Connects and logs in. The connection lives until it is lost, at the longest as long as `scope`. */
export const open = <A extends Answering>(
  options: Options<A>,
  scope: Scope.Scope
): Effect.Effect<Connection<A>, ConnectError> =>
  Effect.uninterruptibleMask(Effect.fnUntraced(function*(restore) {
    const opened = Deferred.makeUnsafe<Connection<A>, ConnectError>()
    const fiber = yield* run(options, opened).pipe(
      Effect.catchCause((cause) => Deferred.failCause(opened, cause)),
      Effect.forkIn(scope)
    )
    // A scope that is closed starts nothing any more, and lets nothing go on
    fiber.addObserver(() => Deferred.doneUnsafe(opened, Effect.failSync(clientClosed)))
    return yield* Effect.onInterrupt(restore(Deferred.await(opened)), () => Fiber.interrupt(fiber))
  }))

const explainSocket = (reason: Socket.SocketErrorReason): string =>
  reason._tag === "SocketCloseError" ? "the server closed the connection" : explainCause(reason.cause)

interface Wait<A> {
  readonly command: Command.ClientCommand
  readonly answering: A | undefined
  readonly answer: Deferred.Deferred<void, ExchangeError>
}

const run = Effect.fnUntraced(function*<A extends Answering>(
  { connect, listener, socket: makeSocket, timeout }: Options<A>,
  opened: Deferred.Deferred<Connection<A>, ConnectError>
) {
  const clock = yield* Clock.Clock
  const now = () => Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n) // whatever the time of day is set to
  const framer = new Framer.Framer(Limits.maxReceivedLineBytes)
  const gate = Latch.makeUnsafe(true)
  const ended = Deferred.makeUnsafe<void>()
  let lost: ExchangeError | undefined
  let waiting: Wait<A> | undefined
  let due: { readonly answer: Wait<A>["answer"]; readonly exit: Exit.Exit<void, ExchangeError> } | undefined
  let heard = now()
  let since = heard // … or last a part of the answer; and for as long as nothing was read, nothing was waited for
  let paused: number | undefined // since then
  let hasSent = false
  let isOpen = false
  let isClosing = false

  // To complete a Deferred runs whoever waits for it, here and now: so that comes last, when all else is in order
  const end = (reason: ExchangeError) => {
    if (lost !== undefined) return
    lost = reason
    settle(Exit.fail(reason))
    if (isOpen) listener.onLost(reason.message)
    tellAnswer()
    Deferred.doneUnsafe(ended, Exit.void)
  }
  const settle = (exit: Exit.Exit<void, ExchangeError>) => {
    if (waiting !== undefined) due = { answer: waiting.answer, exit }
    waiting = undefined
  }
  const tellAnswer = () => {
    const { answer, exit } = due ?? {}
    due = undefined
    if (answer !== undefined && exit !== undefined) Deferred.doneUnsafe(answer, exit)
  }

  const answered = (word: string, ...commands: ReadonlyArray<Command.ClientCommand["_tag"]>) => {
    if (waiting === undefined || !commands.includes(waiting.command._tag)) {
      return end(new ProtocolViolation({ message: `the server said ${word}, which answers nothing that was asked` }))
    }
    waiting.answering?.onOver("complete")
    settle(Exit.void)
  }

  const take = (incoming: Incoming.Incoming) => {
    switch (incoming._tag) {
      case "Said":
        if (listener.onSaid(incoming, waiting?.answering)) since = heard
        return
      case "Accept":
        return answered("ACCEPT", "CONNECT")
      case "Ack":
        return answered("ACK", "SEND")
      case "EndSync":
        return answered("ENDSYNC", "SYNC", "SYNC_INBOX")
      case "Decline": {
        const error = Decline.fromReason(incoming.reason)
        if (waiting === undefined || endsSession(error)) return end(error)
        waiting.answering?.onOver("declined")
        return settle(Exit.fail(error))
      }
      case "Unreadable": {
        if (waiting?.command._tag !== "CONNECT") return listener.onUnreadable(incoming.why)
        const message = `this is no CPT server: it said ${incoming.why}`
        return end(new ProtocolViolation({ message }))
      }
    }
  }

  const mayRead = () =>
    waiting === undefined
      ? listener.hasRoom()
      : waiting.answering === undefined || waiting.answering.hasRoom() || listener.isWanted()

  const scope = yield* Effect.scope
  const socket = yield* makeSocket
  const pull = yield* Socket.readerBytes(socket).pipe(
    Effect.catchTag(
      "SocketError",
      (error) =>
        Effect.fail(new ConnectionFailed({ message: explainSocket(error.reason), reached: false, cause: error }))
    ),
    Effect.timeoutOrElse({
      duration: timeout,
      orElse: () => {
        const message = `no connection within ${Duration.format(timeout)}`
        return Effect.fail(new ConnectionFailed({ message, reached: false, cause: undefined }))
      }
    })
  )
  // Unread bytes would make the kernel reset the connection, and the server could not count on what it last answered
  yield* Effect.addFinalizer(() =>
    hasSent && isClosing
      ? Effect.forever(pull).pipe(Effect.interruptible, Effect.timeoutOption(farewell), Effect.ignore)
      : Effect.void
  )
  const writer = yield* socket.writer

  const read = Effect.gen(function*() {
    while (lost === undefined) {
      if (!mayRead()) {
        gate.closeUnsafe()
        const from = now()
        paused = from
        yield* gate.await
        paused = undefined
        heard = now()
        since = heard - Math.max(from - since, 0)
        continue
      }
      const chunks = yield* pull
      heard = now()
      for (const chunk of chunks) {
        for (const line of framer.push(chunk)) {
          if (lost === undefined) take(Incoming.read(line))
        }
      }
      // What has arrived with an answer cannot belong to what is asked next
      tellAnswer()
    }
  }).pipe(
    Effect.catchTag(
      "SocketError",
      ({ reason }) => Effect.sync(() => end(new ConnectionLost({ message: explainSocket(reason), sent: true })))
    )
  )

  // In the time that an answer may take, at the latest since the last message of one that has begun
  const answerTo = (wait: Wait<A>, asked: number): Effect.Effect<void, ExchangeError> =>
    Effect.suspend(() => {
      const millis = Duration.toMillis(timeout)
      const left = (wait.answering === undefined ? asked : since) + millis - (paused ?? now())
      if (left <= 0 && waiting === wait) {
        const { _tag } = wait.command
        end(new NoAnswer({ command: _tag === "SYNC_INBOX" ? "SYNC" : _tag, timeout }))
      }
      return Deferred.await(wait.answer).pipe(
        Effect.timeoutOrElse({
          duration: paused === undefined ? Math.max(left, 0) : millis,
          orElse: () => answerTo(wait, asked)
        })
      )
    })

  const ask: Connection<A>["ask"] = Effect.fnUntraced(function*(command, answering) {
    // Whoever asked before may have gone away: the answer comes nevertheless
    if (waiting !== undefined) yield* Effect.exit(answerTo(waiting, now()))
    if (lost !== undefined) return yield* new ConnectionLost({ message: lost.message, sent: false })
    const wait: Wait<A> = { command, answering, answer: Deferred.makeUnsafe() }
    waiting = wait
    heard = since = now()
    hasSent ||= command._tag === "SEND"
    yield* writer.write(`${Command.clientLine(command)}\n`).pipe(
      Effect.catchTag(
        "SocketError",
        ({ reason }) => Effect.sync(() => end(new ConnectionLost({ message: explainSocket(reason), sent: true })))
      ),
      Effect.forkIn(scope, { startImmediately: true })
    )
    gate.openUnsafe()
    return yield* answerTo(wait, heard)
  })

  // Runs first when the scope closes
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      isClosing = lost === undefined
      end(new ConnectionLost({ message: hasClosed, sent: true }))
    })
  )
  const reading = yield* Effect.forkIn(read, scope)
  yield* ask(connect).pipe(
    // What came together with the ACCEPT may have ended the session: then there never was one (CPT 3.5)
    Effect.andThen(Effect.suspend(() => lost === undefined ? Effect.void : Effect.fail(lost))),
    Effect.catchTag(
      "ConnectionLost",
      ({ message }) =>
        Effect.fail(new ConnectionFailed({ message: `${message} before the login`, reached: true, cause: undefined }))
    )
  )
  isOpen = true
  yield* Deferred.succeed(opened, {
    ask,
    isOpen: () => lost === undefined,
    isBusy: () => waiting !== undefined,
    look: () => {
      gate.openUnsafe()
    },
    quiet: () => now() - heard
  })
  yield* Effect.raceFirst(Fiber.join(reading), Deferred.await(ended))
}, Effect.scoped)
