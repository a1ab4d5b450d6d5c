/**
 * A client of CPT: sends with an answer, and reads groups and the own inbox as Streams. It keeps one connection and
 * restores it when it is lost: nothing is lost, and nothing comes twice (CPT 6.3).
 *
 * Users and groups share one space of names, so the own name is the name of the own inbox: `sync(client.username)`
 * reads the private messages.
 */
import { Command, Decline, Limits, Message, Name, Notice, Timestamp } from "@cpt/schema"
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import {
  Clock,
  Context,
  Deferred,
  Duration,
  Effect,
  Iterable,
  Layer,
  Option,
  Pull,
  Result,
  Schedule,
  Schema,
  Semaphore,
  Stream
} from "effect"
import type { Scope } from "effect"
import { Socket } from "effect/socket"
import { isIP } from "node:net"
import * as Connection from "./Connection.ts"
import {
  type ConnectError,
  type ConnectionFailed,
  ConnectionLost,
  InvalidInput,
  OutcomeUnknown,
  type SendError,
  type StreamError
} from "./Errors.ts"
import { Event, type Message as MessageEvent } from "./Event.ts"
import * as Feed from "./Feed.ts"
import type * as Incoming from "./Incoming.ts"
import type { Place } from "./Place.ts"

/** Trust and identity for TLS, in PEM. Without `ca`, the system's authorities are trusted. The server is always verified. */
export interface TlsOptions {
  readonly ca?: string | Uint8Array | undefined
  readonly cert?: string | Uint8Array | undefined
  readonly key?: string | Uint8Array | undefined
  /** The name that the server's certificate must be for, where it is not `host`. */
  readonly servername?: string | undefined
}

export interface Options {
  readonly username: string
  /** 127.0.0.1 by default. */
  readonly host?: string | undefined
  /** 39168 by default. */
  readonly port?: number | undefined
  readonly tls?: TlsOptions | undefined
  /** Of a Unix socket; instead of `host`, `port` and `tls`. */
  readonly path?: string | undefined
  /** Makes the socket of a new connection; instead of all these. */
  readonly socket?: Effect.Effect<Socket.Socket> | undefined
  /**
   * For the connection, for each answer (for each message of one, where it has many), and for restoring a lost
   * connection; 5 seconds by default.
   */
  readonly timeout?: Duration.Input | undefined
  /**
   * When to try again after a lost connection: `follow` as long as it lasts, `send` and `sync` within `timeout`, with pauses
   * of half a second at the most.
   */
  readonly retry?: Schedule.Schedule<unknown> | undefined
  /**
   * How long `follow` hears nothing before it asks; 10 seconds by default. It finds connections that are dead, and new
   * messages of servers that do not push them (those are asked more often while they have some).
   */
  readonly heartbeat?: Duration.Input | undefined
}

/** A group, or the own name for the private messages, and the timestamp after which to begin; 0 is the beginning. */
export interface Start {
  readonly group: string
  readonly after?: number | undefined
  /** `after` is a time on this machine's clock, and not the timestamp of a message: the server's clock may be behind. */
  readonly isTime?: boolean | undefined
}

/** A tenth of a second, then twice as long each time, up to five seconds; jittered, so that not all come back at once. */
export const defaultRetry: Schedule.Schedule<unknown> = Schedule.min([
  Schedule.exponential("100 millis"),
  Schedule.spaced("5 seconds")
]).pipe(Schedule.jittered)

export class CptClient extends Context.Service<CptClient, {
  readonly username: string
  /** Succeeds when the server has acknowledged the message. */
  readonly send: (target: string, message: string) => Effect.Effect<void, SendError>
  /** What a group holds after a timestamp, oldest first; ends there. */
  readonly sync: (group: string, after?: number) => Stream.Stream<Event, StreamError>
  /** The same of one or many groups, and from there on what is new; ends only with an error that reconnecting cannot mend. */
  readonly follow: (starts: ReadonlyArray<string | Start>) => Stream.Stream<Event, StreamError>
}>()("@cpt/client/CptClient") {
  /**
   * Connects and logs in; logs out when the scope closes, and then whatever is asked of the client, or was under way,
   * fails. A name that is taken is an error here.
   */
  static readonly connect = (
    options: Options
  ): Effect.Effect<CptClient["Service"], ConnectError, Scope.Scope> => connect(options)

  static readonly layer = (options: Options): Layer.Layer<CptClient, ConnectError> =>
    Layer.effect(CptClient, connect(options))
}

/** A `SYNC` under way: for whom, and for which of its places. */
interface Syncing extends Connection.Answering {
  readonly feed: Feed.Feed
  readonly place: Place
}

const invalid = (input: InvalidInput["input"]) => (error: Schema.SchemaError) =>
  new InvalidInput({ input, message: error.message })

const decode = <A>(schema: Schema.ConstraintDecoder<A>, input: InvalidInput["input"]) => {
  const decode = Schema.decodeUnknownEffect(schema)
  return (value: unknown) => Effect.mapError(decode(value), invalid(input))
}
const decodeUsername = decode(Name.Username, "username")
const decodeTarget = decode(Name.Target, "target")
const decodeMessage = decode(Message.Message, "message")
const decodeGroup = decode(Name.GroupName, "group")
const decodeAfter = decode(Timestamp.Timestamp, "after")

/** What a new connection may mend. A name that is taken is our own, until the server notices that it is free. */
const isOutage = (error: SendError): boolean => {
  switch (error._tag) {
    case "ConnectionFailed":
    case "ConnectionLost":
    case "NoAnswer":
    case "ProtocolViolation":
    case "UsernameTaken":
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

/** For whom cannot wait for ever: an answer that did not come in time has taken all the time there is. */
const isRestorable = (error: SendError): boolean => isOutage(error) && error._tag !== "NoAnswer"

/** What waiting may mend. */
const isTransient = (error: StreamError): boolean =>
  isOutage(error) || error._tag === "RateLimited" || error._tag === "StorageUnavailable"

/**
 * By how much this machine's clock may be ahead of a server's: who follows from a time on it, asks from so long ago at the
 * latest, and leaves out what was there. With a start that the server's clock has not reached, what comes during an outage
 * would be hidden.
 */
export const maxAhead = Duration.minutes(1)

/** What Node refuses at once, because there can be no such connection, it throws. */
const failing = ({ reader, writer }: Socket.Socket) =>
  Socket.make({
    writer,
    reader: Effect.catchDefect(reader, (cause) => {
      const reason = new Socket.SocketOpenError({ kind: "Unknown", cause })
      return Effect.fail(new Socket.SocketError({ reason }))
    })
  })

const makeSocket = ({ host = "127.0.0.1", path, port = Limits.defaultPort, tls }: Options) => {
  if (path !== undefined) return NodeSocket.makeNet({ path })
  const tcp = { host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: 15_000 }
  if (tls === undefined) return NodeSocket.makeNet(tcp)
  const { ca, cert, key, servername = isIP(host) === 0 ? host : undefined } = tls
  return NodeSocket.makeTls({
    ...tcp,
    rejectUnauthorized: true, // whatever NODE_TLS_REJECT_UNAUTHORIZED says
    ...(ca !== undefined && { ca: Buffer.from(ca) }),
    ...(cert !== undefined && { cert: Buffer.from(cert) }),
    ...(key !== undefined && { key: Buffer.from(key) }),
    ...(servername !== undefined && { servername })
  })
}

const connect = Effect.fn("CptClient.connect")(function*(options: Options) {
  const username = yield* decodeUsername(options.username)
  const inbox = yield* decodeGroup(options.username)
  const timeout = Duration.fromInputUnsafe(options.timeout ?? "5 seconds")
  const heartbeat = Duration.fromInputUnsafe(options.heartbeat ?? "10 seconds")
  const retry = options.retry ?? defaultRetry
  // Where there is not for ever, a pause must not be most of it: whoever is back in time has to be found in time
  const longestPause = Duration.min(Duration.times(timeout, 1 / 20), Duration.millis(500))
  const retryInTime = Schedule.modifyDelay(
    retry,
    ({ duration }) => Effect.succeed(Duration.min(duration, longestPause))
  )
  const socket = options.socket ?? Effect.map(makeSocket(options), failing)
  const scope = yield* Effect.scope
  const closed = Deferred.makeUnsafe<never, ConnectionFailed>()
  const feeds = new Set<Feed.Feed>()
  const followed = new Set<string>() // on this connection
  const wire = Semaphore.makeUnsafe(1)
  let wanted = 0 // how many wait for the wire
  let connection: Connection.Connection<Syncing> | undefined
  let isDown = false
  let lastLoss = ""
  let last: { // message that was acknowledged
    readonly command: Command.Send
    readonly connection: Connection.Connection<Syncing>
    isSettled: boolean // something was said after it, there: the server knows that we have seen its ACK
  } | undefined
  let namesGroups = false // a message has come that names a group
  let oddInbox = false // private messages come in another form than under the own name

  // ---- what comes in

  const onSaid = (said: Incoming.Said, syncing: Syncing | undefined): boolean => {
    const { message, sender, timestamp } = said
    const isSystem = sender === Name.systemName
    if (isSystem && said.group === Name.systemName) {
      tell(Event.Announcement({ message }))
      return false
    }
    if (!isSystem && said.group !== undefined && said.group !== inbox) namesGroups = true
    const isAnswer = syncing !== undefined && answers(said, syncing)
    const group = isAnswer ? syncing.place.group : said.group ?? inbox
    if (isAnswer && !isSystem && group === inbox && said.group !== inbox) oddInbox = true
    const event: MessageEvent = { _tag: "Message", group, sender, timestamp, message }
    for (const feed of feeds) {
      const place = feed.places.get(group)
      const isIts = isAnswer && syncing.feed === feed
      if (place === undefined) continue
      else if (isSystem) {
        if (isIts ? place.isConcerned(Notice.missingThrough(message)) : !isAnswer) feed.notice(group, message)
      } else if (isIts) place.answer(event)
      else if (isAnswer) place.overhear(event)
      else place.live(event)
    }
    return isAnswer
  }

  // The answer for a group names that group, or, of servers that name none, nobody. That for the inbox may also name
  // nobody, or who wrote to us
  const answers = ({ group, sender }: Incoming.Said, { place }: Syncing): boolean =>
    group === place.group ||
    (group === undefined && !namesGroups) ||
    (place.group === inbox && (group === undefined || (group === sender && !followed.has(group))))

  const tell = (event: Exclude<Event, MessageEvent>) => {
    for (const feed of feeds) feed.say(event)
  }

  const listener: Connection.Listener<Syncing> = {
    onSaid,
    onUnreadable: (why) => tell(Event.Unreadable({ why })),
    onLost: (reason) => {
      isDown = true
      lastLoss = reason
      followed.clear()
      for (const feed of feeds) feed.cut()
      tell(Event.Disconnected({ reason }))
      for (const feed of feeds) feed.wake()
    },
    // One consumer that is slow must not hold up the others: what it has no room for, it asks for again
    hasRoom: () => feeds.size === 0 || Iterable.some(feeds, (feed) => feed.hasRoom()),
    isWanted: () => wanted > 0
  }

  // ---- what goes out

  const open = Connection.open(
    { socket, connect: new Command.Connect({ username }), timeout, listener },
    scope
  ).pipe(Effect.tap((opened) =>
    Effect.sync(() => {
      connection = opened
      if (isDown) tell(Event.Reconnected())
      isDown = false
    })
  ))
  const isConnected = () => connection?.isOpen() === true
  const isClosed = () => scope.state._tag === "Closed" // from its beginning on; `closed` may be some finalizers later
  const acquire = Effect.suspend(() => connection?.isOpen() === true ? Effect.succeed(connection) : open)

  /** One command at a time, however many fibers have one; whose turn it is reconnects if need be. */
  const withWire = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.suspend(() => {
      let isWaiting = true
      const arrive = Effect.sync(() => {
        if (isWaiting) wanted--
        isWaiting = false
      })
      wanted++
      look()
      return wire.withPermit(Effect.andThen(arrive, effect)).pipe(Effect.ensuring(arrive))
    })

  /**
   * Tries again after an outage, until there is no time left to restore the connection. Where it is there by then, the
   * attempt is under way, and takes what its answer takes; but it is the last one.
   */
  const restoring =
    (mayRestore: (error: SendError) => boolean) =>
    <A, E extends SendError>(attempt: Effect.Effect<A, E>): Effect.Effect<A, E | ConnectionFailed> =>
      Effect.catchIf(attempt, (error) => !isClosed() && mayRestore(error), (first) => {
        let latest = first
        let isOver = false
        const over = Effect.suspend(() => {
          isOver = true
          return isConnected() ? Effect.never : Effect.fail(Decline.isDeclineError(first) ? first : latest)
        })
        return attempt.pipe(
          Effect.tapError((error) =>
            Effect.sync(() => {
              latest = error
            })
          ),
          Effect.retry({ schedule: retryInTime, while: (error) => !isOver && !isClosed() && mayRestore(error) }),
          Effect.raceFirst(Effect.delay(over, timeout)),
          Effect.raceFirst(Deferred.await(closed))
        )
      })

  /**
   * A server may take a SEND for a re-send of an equal one before it, as long as it cannot know that we have seen the ACK
   * of that one; any other command tells it (CPT 4.4). Gives whether the ACK of this one will be its own: on another
   * connection it may not be, whatever was said before, since a server that has crashed in between knows no more of it.
   */
  const tellApart = (command: Command.Send, connection: Connection.Connection<Syncing>) =>
    Effect.suspend(() => {
      const before = last
      if (before?.command.target !== command.target || before.command.message !== command.message) {
        return Effect.succeed(true)
      }
      const isThere = before.connection === connection
      if (!isThere || before.isSettled) return Effect.succeed(isThere)
      for (const feed of feeds) feed.places.get(inbox)?.jump(Timestamp.max)
      return connection.ask(new Command.Sync({ group: inbox, after: Timestamp.fromMillis(Timestamp.max) })).pipe(
        Effect.catchIf(Decline.isDeclineError, () => Effect.void), // an answer, all the same
        Effect.map(() => {
          before.isSettled = true
          return true
        })
      )
    })

  const send: CptClient["Service"]["send"] = Effect.fn("CptClient.send")(function*(target, message) {
    const command = new Command.Send({ target: yield* decodeTarget(target), message: yield* decodeMessage(message) })
    let unknown = false // whether it may have been stored without our knowing
    const once = Effect.flatMap(acquire, (connection) => {
      const before = unknown
      const say = Effect.suspend(() => {
        unknown = true
        return connection.ask(command)
      }).pipe(Effect.tapError((error) =>
        Effect.sync(() => {
          // Declined now, it may have been stored before
          if (Decline.isDeclineError(error) || (error._tag === "ConnectionLost" && !error.sent)) unknown = before
        })
      ))
      return Effect.tap(tellApart(command, connection), () =>
        Effect.map(say, () => {
          last = { command, connection, isSettled: false }
        }))
    })
    const isSure = yield* once.pipe(
      // A connection that is still there, is not what was declined
      restoring((error) => isRestorable(error) && !(Decline.isDeclineError(error) && isConnected())),
      withWire,
      Effect.mapError((error) =>
        unknown
          ? new OutcomeUnknown({
            message: `the message was sent, but whether it was stored is not known: ${error.message}`,
            cause: error
          })
          : error
      )
    )
    if (isSure) return
    const why =
      "an equal message was sent before the connection was lost, and the server may have taken this one for it"
    return yield* new OutcomeUnknown({ message: why, cause: undefined })
  })

  /** Asks for what a place has missed. */
  const bring = (feed: Feed.Feed, place: Place): Effect.Effect<void, StreamError> =>
    Effect.flatMap(acquire, (connection) => {
      const { group } = place
      const after = place.open(group === inbox || followed.has(group))
      followed.add(group)
      for (const other of feeds) {
        if (other !== feed) other.places.get(group)?.jump(after)
      }
      const isWhole = group === inbox && (after === 0 || oddInbox)
      let isDeclined = false
      if (last?.connection === connection) last.isSettled = true
      return connection.ask(
        isWhole ? new Command.SyncInbox({}) : new Command.Sync({ group, after: Timestamp.fromMillis(after) }),
        {
          feed,
          place,
          hasRoom: () => !feeds.has(feed) || feed.hasRoom(),
          onOver: (how) => {
            if (how === "complete") place.close()
            else place.resume()
            isDeclined = how === "declined"
            if (feed.isOnce && feed.behind() === undefined) feeds.delete(feed)
          }
        }
      ).pipe(
        Effect.mapError((error) =>
          isDeclined && Decline.isDeclineError(error) ? Object.assign(error, { group }) : error
        )
      )
    }).pipe(
      Effect.tapError((error) => Effect.sync(() => Decline.isDeclineError(error) || place.cut())),
      withWire
    )

  /** As {@link bring}, through outages: one that comes after some progress has all the time to itself. */
  const advance = (feed: Feed.Feed, place: Place): Effect.Effect<void, StreamError> =>
    Effect.suspend(() => {
      const from = place.cursor()
      const isFurther = () => place.cursor() > from
      return bring(feed, place).pipe(
        restoring((error) => isRestorable(error) && !isFurther()),
        Effect.catchIf((error) => isRestorable(error) && isFurther(), () => advance(feed, place))
      )
    })

  /** Brings every place to the head of its group, once. */
  const readOnce = Effect.fnUntraced(function*(feed: Feed.Feed) {
    for (let place = feed.behind(); place !== undefined; place = feed.behind()) {
      yield* feed.room
      yield* advance(feed, place)
    }
  })

  /** Brings every place to the head of its group whenever it has fallen behind. */
  const readOn = Effect.fnUntraced(function*(feed: Feed.Feed) {
    let backoff = yield* Schedule.toStepWithSleep(retry)
    let patience = heartbeat
    const pause = (error: StreamError) =>
      Pull.catchDone(backoff(error), () => Effect.fail(error)).pipe(Effect.raceFirst(Deferred.await(closed)))
    while (true) {
      const place = feed.behind()
      if (place === undefined) {
        const isQuiet = Option.isNone(yield* Effect.timeoutOption(feed.fallen, patience))
        if (!isQuiet) continue
        backoff = yield* Schedule.toStepWithSleep(retry)
        patience = yield* poll(feed, patience)
        continue
      }
      yield* feed.room
      if (isClosed()) return yield* Connection.clientClosed()
      if (!isConnected()) yield* pause(new ConnectionLost({ message: lastLoss, sent: false }))
      const result = yield* Effect.result(bring(feed, place))
      if (Result.isSuccess(result)) continue
      if (isClosed() || !isTransient(result.failure)) return yield* Effect.fail(result.failure)
      if (isConnected()) yield* pause(result.failure)
    }
  })

  /** Asks whether there is something new, unless something was heard lately. Gives how long to wait for the next time. */
  const poll = Effect.fnUntraced(function*(feed: Feed.Feed, patience: Duration.Duration) {
    const quiet = connection?.quiet() ?? Infinity
    if (quiet < Duration.toMillis(patience) || connection?.isBusy() === true) return heartbeat
    const count = feed.count()
    for (const place of feed.places.values()) {
      // What becomes of an outage, is seen at the next turn; and a server that declines need not be asked often
      const result = yield* Effect.result(bring(feed, place))
      if (Result.isFailure(result)) return heartbeat
    }
    return Duration.min(heartbeat, feed.count() > count ? Duration.seconds(1) : Duration.times(patience, 2))
  })

  const stream = (
    starts: ReadonlyArray<string | Start>,
    isOnce: boolean
  ): Stream.Stream<Event, StreamError> =>
    Effect.gen(function*() {
      const latest = Math.max(0, (yield* Clock.currentTimeMillis) - Duration.toMillis(maxAhead))
      const places = yield* Effect.forEach(starts, (start) => {
        const { after = 0, group, isTime = false }: Start = typeof start === "string" ? { group: start } : start
        return Effect.all([
          decodeGroup(group),
          Effect.map(decodeAfter(after), (after) => ({ after, from: isTime ? Math.min(after, latest) : after }))
        ])
      })
      const feed = yield* Feed.make({ starts: places, isOnce, onTake: look })
      yield* Effect.acquireRelease(
        Effect.sync(() => feeds.add(feed)),
        () =>
          Effect.sync(() => {
            feeds.delete(feed)
            look()
          })
      )
      const reading = isOnce ? readOnce(feed) : readOn(feed)
      yield* reading.pipe(Effect.onExit((exit) => Effect.sync(() => feed.end(exit))), Effect.forkScoped)
      return feed.stream
    }).pipe(Stream.unwrap)

  const look = () => connection?.look()

  yield* open
  yield* Effect.addFinalizer(() => Deferred.fail(closed, Connection.clientClosed()))
  return CptClient.of({
    username,
    send,
    sync: (group, after) => stream([{ group, after }], true).pipe(Stream.withSpan("CptClient.sync")),
    follow: (starts) => stream(starts, false).pipe(Stream.withSpan("CptClient.follow"))
  })
})
