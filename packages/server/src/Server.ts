/**
 * A server: every connection of its listeners becomes a Session, as long as there is room, until it stops. The public
 * layer; what it needs (a listener, a store, account rules) is for whoever composes a server to choose.
 */
import { Decline, type Message, type Name, Notice } from "@cpt/schema"
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import {
  Clock,
  Context,
  Duration,
  Effect,
  Exit,
  Fiber,
  FiberHandle,
  Latch,
  Layer,
  LogLevel,
  Option,
  References,
  Schedule,
  Tracer
} from "effect"
import type { NetAddress } from "effect/net"
import { type Socket, SocketServer } from "effect/socket"
import type * as Net from "node:net"
import { Accounts } from "./Accounts.ts"
import { Addresses } from "./Addresses.ts"
import { Admission } from "./Admission.ts"
import * as AtOnce from "./AtOnce.ts"
import type { Connection } from "./Connection.ts"
import * as Descriptors from "./Descriptors.ts"
import { Directory } from "./Directory.ts"
import { IdleDeadline } from "./IdleDeadline.ts"
import { IsLogged } from "./IsLogged.ts"
import * as Kernel from "./Kernel.ts"
import { LimitHits } from "./LimitHits.ts"
import { isNetServer, type Listener } from "./Listener.ts"
import { Arrivals, type Before } from "./Listener/Arrivals.ts"
import { type Arrival, type Passage, ProxiedClient } from "./Listener/Entrance.ts"
import { LoginDeadline } from "./LoginDeadline.ts"
import { MessageStore } from "./MessageStore.ts"
import { type Counted, Metrics } from "./Metrics.ts"
import { NetConnection } from "./NetConnection.ts"
import * as OtherConnection from "./OtherConnection.ts"
import { Roll } from "./Roll.ts"
import { ServerConfig, type Settings } from "./ServerConfig.ts"
import type { Services } from "./Services.ts"
import type { Session } from "./Session.ts"
import { noticeLine, Timelines } from "./Timeline.ts"
import { Turns } from "./Turns.ts"
import { uptime } from "./Uptime.ts"

/** How often peers are looked for that no longer answer what is under way to them: found within 45 s (CPT 3.2). */
const findDeadEvery = Duration.seconds(10)

/** Of how many in one go: of 5,000 who have come lately it took 50 ms. */
const lookedAtOnce = 32

/** How long sessions may take to end that have been cut: one that has not then waits for what has no deadline. */
const endWithin = Duration.seconds(2)

/** How often addresses are forgotten that limits need not know any more. */
const forgetEvery = Duration.seconds(10)

/** Who is connected, and what there has been of the session so far. */
export interface SessionInfo {
  /** Of a process, no two have the same. */
  readonly id: number
  /** Undefined before the login. */
  readonly user: Name.Username | undefined
  /** Where the peer is; undefined on a Unix socket. */
  readonly address: string | undefined
  /** Milliseconds that it has been there. */
  readonly age: number
  /** Groups that it follows. */
  readonly groups: number
  /** Milliseconds between the last message of what it follows and the last one that it has been told. */
  readonly lag: number
  /** Messages that were acknowledged to it, and that it was told. */
  readonly messages: number
  readonly delivered: number
  /** Bytes. */
  readonly received: number
  readonly sent: number
}

export class Server extends Context.Service<Server, {
  /** Where it listens, in the order of the listeners, with the ports that the system chose if it was asked to. */
  readonly addresses: ReadonlyArray<NetAddress.SocketAddress>
  /** Tells everybody who is logged in (CPT 5.9); gives how many that are. */
  readonly announce: (text: Message.Message) => Effect.Effect<number>
  /**
   * Other settings, also for those who are there. What is declared may change in the same step (`Declared.prepare`), so
   * that nobody is judged by half of it.
   */
  readonly reconfigure: (settings: Partial<Omit<Settings, "live">>, declare?: () => void) => Effect.Effect<void>
  readonly settings: Readonly<Settings>
  /** Everybody who is connected, in the order in which they came, behind the one with this id. */
  readonly sessions: (after: number) => Iterable<SessionInfo>
  /** Groups that somebody follows, and how many do. */
  readonly groups: Timelines["Service"]["groups"]
  /** Ends a session with `shutting_down`, as a stop would: its user may come again. False if there is none such. */
  readonly close: (id: number) => Effect.Effect<boolean>
  /**
   * From now on nobody new is served; those who are logged in go on. It is over (`drained`) when the last of them has gone,
   * or after so long, as it was said last.
   */
  readonly drain: (within: Duration.Duration) => Effect.Effect<void>
  readonly isDraining: () => boolean
  readonly drained: Effect.Effect<void>
}>()("@cpt/server/Server") {
  /**
   * One chat over one or more listeners. Serves from when it is built until its scope ends: then it takes no more
   * connections, lets every session answer what it has heard and say `shutting_down`, and after the shutdown deadline
   * cuts whoever is still there. Sessions whose store never answers are then left behind, which is said in the log.
   *
   * Several of them in one graph of Layers are one chat over one store, and over several stores have nothing to do with
   * each other.
   */
  static readonly layer = <E = SocketServer.SocketServerError>(
    ...listeners: readonly [Listener<E>, ...ReadonlyArray<Listener<E>>]
  ): Layer.Layer<Server, E, MessageStore | Accounts> =>
    Layer.effect(this, make(listeners)).pipe(Layer.provide(Directory.layer.pipe(Layer.provideMerge(Timelines.layer))))
}

const make = Effect.fnUntraced(function*<E>(listeners: ReadonlyArray<Listener<E>>) {
  const config = { ...yield* ServerConfig }
  yield* Descriptors.warnIfShort(config)
  const clock = yield* Clock.Clock
  const fork = Effect.runForkWith(yield* Effect.context())
  const metrics = yield* Metrics
  const limitHits = yield* LimitHits.make(config)
  const [isLogged, least] = [yield* IsLogged, yield* References.MinimumLogLevel]
  const timelines = yield* Timelines
  const turns = new Turns(config, limitHits)
  const services: Services = {
    config,
    clock,
    accounts: yield* Accounts,
    directory: yield* Directory,
    store: yield* MessageStore,
    // Read when it is their turn: a store in memory does it at the call
    timelines: { ...timelines, read: (...page) => turns.page(Effect.suspend(() => timelines.read(...page))) },
    loginDeadline: new LoginDeadline(clock, config),
    metrics,
    limitHits,
    turns,
    addresses: new Addresses(config, () => uptime(clock)),
    isLogged: (level) => LogLevel.isGreaterThanOrEqualTo(level, least) && isLogged(level),
    isClosed: false,
    reviews: 0,
    fork
  }
  const admission = new Admission(services)
  const { sessions } = admission
  watch(services.metrics, sessions, timelines)
  const fibers = new Roll<number, Fiber.Fiber<unknown, unknown>>() // of the connections of listeners that are not ours
  let draining = false
  const drained = Latch.makeUnsafe(false)
  const drainDeadline = yield* FiberHandle.make()
  const noteDrained = () => {
    if (draining && sessions.size === 0) drained.openUnsafe()
  }

  /** Other things are declared, under these names or under any. */
  const review = (names?: ReadonlySet<string>) => {
    services.reviews++
    for (const session of sessions) session.review(names)
  }
  yield* services.accounts.declared.onChange(review)

  // A span that nobody sees is not made
  const isTraced = (yield* Tracer.Tracer) !== Context.get(Context.empty(), Tracer.Tracer)
  const run = (session: Session) =>
    isTraced ? Effect.withSpan(session.run, "cpt.session", { kind: "server" }) : session.run

  /** Its place is free again. */
  const leave = (session: Session) => {
    admission.leave(session)
    noteDrained()
  }
  const over = (session: Session) =>
    Effect.ensuring(
      session.account,
      Effect.suspend(() => {
        leave(session)
        return session.connection.destroy
      })
    )
  const arrive = (connection: Connection, before?: Before) => {
    services.metrics.connections++
    return admission.session(connection, before)
  }
  /** Over when the session is, or when it has been refused. */
  const serve = (session: Session, admitted = admission.admit(session, false)) => {
    const served = Effect.flatMap(admitted, (verdict) => verdict === "refused" ? Effect.void : run(session))
    return Effect.ensuring(served, Effect.sync(() => leave(session)))
  }
  const serveNet: typeof serve = (session, admitted) =>
    Effect.ensuring(serve(session, admitted), session.connection.destroy)
  const netConnection = (socket: Net.Socket, client?: Arrival["client"]) =>
    new NetConnection(socket, config, services.fork, client)
  /** Gives what waits: for who is let in, nothing does. */
  const begin = (socket: Net.Socket, client?: Arrival["client"], before?: Before): Effect.Effect<void> => {
    const session = arrive(netConnection(socket, client), before)
    const admitted = admission.admit(session, before?.limits !== undefined)
    if (isTraced || !AtOnce.isDone(admitted)) return serveNet(session, admitted)
    session.begin(over)
    return Exit.void
  }
  const arrivals = new Arrivals(services)
  const accept = (socket: Net.Socket, passage: Passage | undefined) =>
    passage === undefined
      ? begin(socket)
      : arrivals.letIn(socket, passage, ({ client, socket }, before) => begin(socket, client, before))
  const serveAny = (socket: Socket.Socket) =>
    Effect.withFiber((fiber) => {
      fibers.set(fiber.id, fiber)
      return Effect.flatMap(Effect.serviceOption(NodeSocket.NetSocket), (net) =>
        Option.isSome(net)
          ? Effect.flatMap(ProxiedClient, (client) => serveNet(arrive(netConnection(net.value, client))))
          : Effect.scoped(
            Effect.flatMap(OtherConnection.make(socket, config), (connection) => serve(arrive(connection)))
          )).pipe(
          Effect.catchTag("SocketError", () => Effect.void), // it ended before it began
          Effect.ensuring(Effect.sync(() => fibers.delete(fiber.id)))
        )
    })

  const open = yield* Effect.forEach(
    listeners,
    (listener) => Effect.map(Layer.build(listener), Context.get(SocketServer.SocketServer))
  )
  yield* Effect.forkScoped(services.loginDeadline.watch)
  yield* Effect.forkScoped(new IdleDeadline(clock, config).watch(sessions))
  yield* Effect.sync(() => services.addresses.forget()).pipe(
    Effect.schedule(Schedule.spaced(forgetEvery)),
    Effect.forkScoped
  )
  // CPT 3.2
  const findDead = Effect.gen(function*() {
    const dead = yield* Effect.promise(Kernel.dead)
    let looked = 0
    for (const { connection } of sessions) {
      connection.keepAlive()
      const key = dead.size === 0 ? undefined : connection.key()
      if (key !== undefined && dead.has(key)) yield* connection.cut("its host is gone")
      if (++looked % lookedAtOnce === 0) yield* Effect.yieldNow
    }
  })
  yield* Effect.forkScoped(Effect.schedule(findDead, Schedule.spaced(findDeadEvery)))

  const running = yield* Effect.forEach(
    open,
    (server) => Effect.forkScoped(isNetServer(server) ? server.accept(accept) : server.run(serveAny))
  )
  yield* Effect.addFinalizer(() =>
    Effect.gen(function*() {
      services.isClosed = true
      turns.hurry()
      const cutting = yield* Effect.forkChild(Effect.gen(function*() {
        yield* Effect.sleep(config.shutdownDeadline)
        yield* Effect.forEach(sessions, ({ connection }) => connection.cut("shutdown deadline"), { discard: true })
        yield* Effect.sleep(endWithin)
        const left = sessions.size === 1 ? "1 session is" : `${sessions.size} sessions are`
        yield* Effect.logError(`the store does not answer: ${left} left behind`)
        yield* Effect.forEach([...sessions], ({ leaveBehind }) => leaveBehind, { discard: true })
      }))
      const stopping = [...sessions]
      for (const session of stopping) session.stop()
      // At once: listeners that are not ours would end theirs one after the other, and ours are to let nobody in meanwhile
      yield* Fiber.interruptAll([...fibers, ...running])
      yield* Effect.forEach(stopping, ({ ended }) => ended, { discard: true })
      yield* Fiber.interrupt(cutting)
    })
  )

  return Server.of({
    addresses: open.map(({ address }) => address),
    announce: (text) =>
      Effect.sync(() => {
        const line = noticeLine(Notice.sender, text)
        let told = 0
        for (const session of sessions) if (session.announce(line)) told++
        return told
      }),
    settings: config,
    reconfigure: (settings, declare) =>
      Effect.suspend(() => {
        Object.assign(config, settings)
        declare?.()
        for (const session of sessions) session.reconfigure()
        review()
        return Descriptors.warnIfShort(config)
      }),
    *sessions(after) {
      const now = uptime(clock)
      for (const session of sessions) if (session.id > after) yield infoOf(session, now)
    },
    groups: services.timelines.groups,
    close: (id) =>
      Effect.sync(() => {
        for (const session of sessions) {
          if (session.id !== id) continue
          session.expel(new Decline.ShuttingDown({}))
          return true
        }
        return false
      }),
    drain: (within) =>
      Effect.suspend(() => {
        draining = services.isClosed = true
        noteDrained()
        return Effect.asVoid(FiberHandle.run(drainDeadline, Effect.delay(drained.open, within)))
      }),
    isDraining: () => draining,
    drained: drained.await
  })
})

const infoOf = (session: Session, now: number): SessionInfo => {
  const { acknowledged, connection, following, id, received, remoteAddress, startedAt } = session
  return {
    id,
    user: following?.username,
    address: remoteAddress,
    age: now - startedAt,
    groups: following?.groups ?? 0,
    lag: following?.lag ?? 0,
    messages: acknowledged,
    delivered: following?.delivered ?? 0,
    received,
    sent: connection.written()
  }
}

/** What can be seen of sessions at any time. */
const watch = (metrics: Counted, sessions: Roll<number, Session>, timelines: Timelines["Service"]): void => {
  const fold = (add: (sum: number, session: Session) => number) => () => {
    let sum = 0
    for (const session of sessions) sum = add(sum, session)
    return sum
  }
  metrics.sessions = () => sessions.size
  metrics.followedTargets = timelines.followed
  metrics.users = fold((users, { following }) => following === undefined ? users : users + 1)
  metrics.lateSessions = fold((late, { following }) => (following?.lag ?? 0) > 0 ? late + 1 : late)
  metrics.followerLag = fold((lag, { following }) => Math.max(lag, (following?.lag ?? 0) / 1000))
  metrics.untakenBytes = fold((bytes, { connection }) => bytes + connection.untaken())
}
