/**
 * One connection, in its own scope: connecting → open → closing. It reads lines, lets through what its state
 * allows, has one dispatch, and one place where errors become DECLINEs. Commands are carried out and answered strictly
 * in order (CPT 3.6), and a peer that does not take its answers is not read any further.
 *
 * What commands do is in `commands/`; how a session hears of others, in `Following`.
 */
import { Command, Decline, Framer, Limits, type Name } from "@cpt/schema"
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import { Clock, Context, Duration, Effect, Exit, Fiber, Option, Result, Scope } from "effect"
import type { Socket } from "effect/socket"
import type { Accounts } from "./Accounts.ts"
import { connect, logout, type Peer } from "./commands/Connect.ts"
import { confirm, send } from "./commands/Send.ts"
import { sync } from "./commands/Sync.ts"
import type { Directory } from "./Directory.ts"
import { Following } from "./Following.ts"
import * as Inlet from "./Inlet.ts"
import type * as Kernel from "./Kernel.ts"
import { MessageStore } from "./MessageStore.ts"
import { Outbox } from "./Outbox.ts"
import * as Outlet from "./Outlet.ts"
import { ServerConfig } from "./ServerConfig.ts"
import type { Timelines } from "./Timeline.ts"

/** What a session needs of its server. */
export type Services = Accounts | Directory | MessageStore | Timelines

export interface Session {
  /** Speaks with the peer until the connection ends. Interrupted, it says `shutting_down` and ends in good order. */
  readonly run: Effect.Effect<void>
  /** Says why not, and ends. */
  readonly refuse: (error: Decline.DeclineError) => Effect.Effect<void>
  /** Tells the user a line, if one has logged in (CPT 5.9). */
  readonly announce: (line: Uint8Array) => void
  /** What the kernel calls its connection, if it is one of TCP. */
  readonly connection: () => Kernel.Key | undefined
  /** Cuts the connection now. */
  readonly cut: Effect.Effect<void>
}

/** How long a peer that was told everything may take to end its side. Without it, a reset may eat our last line. */
const linger = Duration.millis(500)

/** How long a session that has to end looks for lines that are already there. */
const lastLook = Duration.millis(50)

/** How long it goes on looking while there are some. */
const lastWords = Duration.millis(250)

/** Milliseconds on a clock that nobody sets. */
const uptime = (clock: Clock.Clock) => Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)

const nothing = new Uint8Array(0)
const accept = Command.serverLine(new Command.Accept({}))
const endSync = Command.serverLine(new Command.EndSync({}))

/** What there is to answer: a command, SENDs that came in one go and are carried out in one go, or what is no command. */
type Request =
  | Exclude<Command.ClientCommand, Command.Send>
  | { readonly _tag: "SENDS"; readonly sends: Array<Sent> }
  | { readonly _tag: "NONE"; readonly error: Decline.DeclineError }

type Sent = NonNullable<ReturnType<typeof Command.readSend>>

const requestsOf = (lines: ReadonlyArray<Framer.Line>): ReadonlyArray<Request> => {
  const requests: Array<Request> = []
  let sends: Array<Sent> | undefined
  let target: Name.Target | undefined
  for (const line of lines) {
    const send = typeof line === "string" ? Command.readSend(line, target) : undefined
    if (send === undefined) {
      sends = undefined
      requests.push(readLine(line))
      continue
    }
    target = send.target
    if (sends === undefined) requests.push({ _tag: "SENDS", sends: sends = [send] })
    else sends.push(send)
  }
  return requests
}

const readLine = (line: Framer.Line): Request => {
  if (typeof line !== "string") {
    return {
      _tag: "NONE",
      error: line.reason === "TooLong" ? new Decline.LineTooLong({}) : new Decline.InvalidCommand({})
    }
  }
  const read = Command.readClientLine(line)
  if (Result.isFailure(read)) return { _tag: "NONE", error: read.failure }
  return read.success._tag === "SEND" ? { _tag: "SENDS", sends: [read.success] } : read.success
}

/** An address in its own form: a dual-stack listener shows IPv4 peers as `::ffff:10.0.0.1`. */
const ipOf = (address: string | undefined): string | undefined =>
  address?.startsWith("::ffff:") === true ? address.slice(7) : address

export const make = Effect.fnUntraced(function*(socket: Socket.Socket): Effect.fn.Return<
  Session,
  Socket.SocketError,
  Services | Scope.Scope
> {
  const services = yield* Effect.context<Services | Scope.Scope>()
  const config = Context.get(services, ServerConfig)
  const store = Context.get(services, MessageStore)
  const clock = Context.get(services, Clock.Clock)
  const net = Option.getOrUndefined(Context.getOption(services, NodeSocket.NetSocket))
  const startedAt = uptime(clock)
  const remoteAddress = ipOf(net?.remoteAddress)
  const outlet = yield* (net === undefined ? Outlet.fromWriter(socket, config) : Outlet.fromNet(net, config))
  const inlet = net === undefined ? yield* Inlet.fromReader(socket, hear) : Inlet.fromNet(net, hear)
  const outbox = new Outbox(outlet)
  const framer = Framer.make(config.maxLineBytes)

  const parts = { outlet, outbox, services, scope: Context.get(services, Scope.Scope) }

  let following: Following | undefined // once it is open
  let closing = false
  let stopping = false
  let parting = false
  let heard = false
  let refusedLogins = 0
  let declinesInARow = 0

  /** Until the login there is a deadline, also for a peer that sends a byte a second. */
  const beforeLogin = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.suspend(() =>
      Effect.timeoutOrElse(effect, {
        duration: Math.max(0, startedAt + Duration.toMillis(config.loginDeadline) - uptime(clock)),
        orElse: () => Effect.fail(new Decline.LoginTimeout({}))
      })
    )

  const peer: Peer<Following> = {
    remoteAddress,
    follower: (username) => new Following(username, parts),
    beforeDeadline: (rule) => Exit.isExit(rule) ? rule : beforeLogin(rule),
    presence: outlet.presence,
    cut: outlet.destroy
  }

  const login = (command: Command.Connect) =>
    connect(command, peer).pipe(
      Effect.tapError((error) =>
        Effect.sync(() => {
          if (error._tag !== "StorageUnavailable") refusedLogins++
        })
      ),
      Effect.map((follower) => {
        following = follower
        outbox.answer(accept)
        follower.open()
      })
    )

  const stored = (sender: Name.Username, sends: ReadonlyArray<Sent>) => {
    const storedNow = send(store, sends.map(({ message, target }) => ({ sender, target, message })))
    if (Exit.isExit(storedNow)) {
      if (Exit.isSuccess(storedNow)) outbox.ack(sends.length)
      return storedNow
    }
    return Effect.map(storedNow, () => outbox.ack(sends.length))
  }

  const carryOut = (request: Request): Effect.Effect<void, Decline.DeclineError | Outlet.PeerGone, Services> => {
    if (request._tag === "NONE") return Effect.fail(request.error)
    if (following === undefined) { // CPT 3.1
      return request._tag === "CONNECT" ? login(request) : Effect.fail(new Decline.NotLoggedIn({}))
    }
    switch (request._tag) {
      case "CONNECT":
        return Effect.fail(new Decline.AlreadyLoggedIn({}))
      case "SENDS":
        return stored(following.username, request.sends)
      case "SYNC":
      case "SYNC_INBOX":
        return following.alone(sync(following, request), () => outbox.answer(endSync))
    }
  }

  /** The only place where errors become DECLINEs. What the client cannot go on from ends the session (CPT 3.5). */
  const decline = (error: Decline.DeclineError) => {
    outbox.answer(Command.declineLine(error))
    declinesInARow++
    closing = declinesInARow >= Limits.maxDeclinesInARow || refusedLogins >= Limits.maxRefusedLogins ||
      error._tag === "LoginTimeout"
  }

  const settle = <R>(request: Request, done: Effect.Effect<void, Decline.DeclineError | Outlet.PeerGone, R>) =>
    Effect.matchEffect(done, {
      onSuccess: () =>
        Effect.sync(() => {
          declinesInARow = 0
        }),
      onFailure: (error) =>
        error._tag === "PeerGone" ? Effect.fail(error) : Effect.sync(() => {
          const times = request._tag === "SENDS" ? request.sends.length : 1
          for (let i = 0; i < times && !closing; i++) decline(error)
        })
    })

  const answer = Effect.fnUntraced(function*(requests: ReadonlyArray<Request>) {
    for (const request of requests) {
      yield* settle(request, carryOut(request))
      if (closing) break
      if (outbox.isLarge()) yield* outbox.write(nothing)
    }
    yield* outbox.write(nothing)
  })

  /** The peer has gone on in good order: it knows of the last ACK, if that had left. */
  const noteAck = () => following !== undefined && outbox.confirmsAck() ? confirm(store, following.username) : Exit.void

  /** The peer has ended its side: in good order, unless it had gone without reading what was written last. */
  const goodbye = Effect.suspend(() =>
    outbox.awaitsConfirmation()
      ? Effect.flatMap(outlet.isAnsweredByReset, (isReset) => isReset ? outlet.destroy : noteAck())
      : Effect.void
  )

  /** Carries out what need not wait, where it arrives; what must wait is the session's to do. */
  function hear(bytes: Uint8Array): Effect.Effect<void, Outlet.PeerGone, Services> | undefined {
    const lines = framer.push(bytes)
    if (lines.length === 0 || parting) return undefined
    heard = true
    const noted = noteAck()
    const requests = requestsOf(lines)
    const [first] = requests
    if (!Exit.isExit(noted) || requests.length > 1 || first?._tag !== "SENDS" || following === undefined) {
      return Effect.andThen(noted, answer(requests))
    }
    const done = stored(following.username, first.sends)
    if (!Exit.isExit(done) || Exit.isFailure(done)) return Effect.andThen(settle(first, done), outbox.write(nothing))
    declinesInARow = 0
    outbox.flush()
    return outlet.isFull() || outlet.isGone() ? outlet.drained : undefined
  }

  // Interrupted only where it waits for the peer to speak: what has been heard is carried out and answered
  const converse = Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      while (!closing) {
        yield* yield* restore(following === undefined ? beforeLogin(inlet.next) : inlet.next)
      }
    })
  )

  /** What was already there when the server began to stop is still answered; what keeps coming is not waited for. */
  const hearTheRest = Effect.gen(function*() {
    const until = uptime(clock) + Duration.toMillis(lastWords)
    while (!closing && uptime(clock) < until) {
      heard = false
      const left = yield* Effect.timeoutOption(inlet.next, lastLook)
      if (Option.isSome(left)) yield* left.value
      else if (!heard) return
    }
  }).pipe(Effect.ignore)

  /** Ends our side, and for a moment reads over what the peer still says: an unread line would become a reset. */
  const part = Effect.gen(function*() {
    parting = true
    if (inlet.hasEnded() && !stopping) return yield* outlet.end // nothing will come that could become a reset
    const rest = yield* Effect.forkChild(
      Effect.catch(
        inlet.next,
        // The last words were the server's, and the peer has ended in good order after them (CPT 4.4)
        (error) => stopping && error._tag === "EndOfInput" ? goodbye : Effect.void
      )
    )
    yield* outlet.end
    yield* Effect.timeoutOption(Fiber.await(rest), linger)
    yield* Fiber.interrupt(rest)
  }).pipe(Effect.ignore, Effect.provide(services))

  const leave = Effect.suspend(() => {
    if (following === undefined) return Effect.void
    const left = following
    following = undefined
    return Effect.andThen(logout(left.username, peer), Effect.suspend(() => left.end()))
  })

  const run = converse.pipe(
    Effect.catchTags({
      LoginTimeout: (error) => Effect.sync(() => decline(error)),
      EndOfInput: () => outlet.isGone() ? outlet.destroy : goodbye,
      PeerGone: () => outlet.destroy
    }),
    Effect.onInterrupt(() =>
      Effect.andThen(
        hearTheRest,
        Effect.sync(() => {
          stopping = true
          decline(new Decline.ShuttingDown({}))
        })
      )
    ),
    Effect.ensuring(Effect.suspend(() => {
      outbox.flush()
      return stopping ? Effect.andThen(part, leave) : Effect.andThen(leave, part)
    })),
    Effect.provide(services)
  )

  const refuse = (error: Decline.DeclineError) =>
    Effect.suspend(() => {
      decline(error)
      outbox.flush()
      return part
    })

  return {
    run,
    refuse,
    announce: (line) => following?.announce(line),
    connection: outlet.connection,
    cut: outlet.destroy
  }
})
