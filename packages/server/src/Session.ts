/**
 * One connection: connecting → open → closing. It lets through what its state allows, has one dispatch, and one place
 * where errors become DECLINEs. Commands are carried out and answered strictly in order (CPT 3.6), and a peer that does
 * not take its answers is not read any further.
 *
 * What has come is read by its `Intake`; what commands do is in `commands/`; how it hears of others, in `Following`. What
 * need not wait is done where it arrives; for the rest there is a fiber, until it is done (one that stays for as long as a
 * session was a third of its memory, and a sixth of a login).
 */
import { Command, Decline, Limits, type Name, Notice } from "@cpt/schema"
import { Cause, Duration, Effect, Exit, Fiber, Latch, Option } from "effect"
import { type Address, holdOff } from "./Addresses.ts"
import * as AtOnce from "./AtOnce.ts"
import type { Batch } from "./Batch.ts"
import { connect, type Peer, permitted } from "./commands/Connect.ts"
import { mayBeSent } from "./commands/Send.ts"
import { mayFollow, sync } from "./commands/Sync.ts"
import {
  type Connection,
  type Ear,
  type EndOfInput,
  type Heard,
  type Left,
  next,
  type PeerGone,
  peerGone,
  writeDeadline
} from "./Connection.ts"
import { Following, type Parts } from "./Following.ts"
import { countOf, type Gate, Intake, kept, type Request, type Sends } from "./Intake.ts"
import { type Counted, type Limit, reasonOf } from "./Metrics.ts"
import { bytesOf, Outbox } from "./Outbox.ts"
import { Pace } from "./Pace.ts"
import type { Services } from "./Services.ts"
import { noticeLine, type Timelines } from "./Timeline.ts"
import { lately, parts } from "./Turns.ts"
import { uptime } from "./Uptime.ts"

/** How long a peer that was told everything may take to end its side. Without it, a reset may eat our last line. */
const linger = Duration.millis(500)

/** How long a session that has to end looks for lines that are already there. */
const lastLook = Duration.millis(50)

/** How long it goes on looking while there are some. */
const lastWords = Duration.millis(250)

let lastId = 0

/** Bytes of a read, and lines of it, that are answered at once. Whoever sends more has to wait for turns. */
const largeRead = 16 * 1024
const atOnce = 128

/** SENDs in one go of whoever says little. */
const few = 8

/** As how many of them counts one that is no SEND. */
const otherLine = 32

/** Milliseconds after which whoever has to wait is looked at again: it may have gone. */
const longestPause = 1000

const accept = bytesOf(Command.serverLine(new Command.Accept({})))
const endSync = bytesOf(Command.serverLine(new Command.EndSync({})))

// Made once: an error's stack was half of what a DECLINE costs
const rateLimited = Exit.fail(new Decline.RateLimited({}))
const notLoggedIn = Exit.fail(new Decline.NotLoggedIn({}))
const alreadyLoggedIn = Exit.fail(new Decline.AlreadyLoggedIn({}))

/** SENDs give how many names they have brought into use. */
type Answer = Effect.Effect<number | void, Decline.DeclineError | PeerGone>

/** What is done when a session has ended. */
export type Over = (session: Session) => Effect.Effect<void>

/** Made bit by bit, since most sessions only listen. */
export class Session implements Ear, Gate, Peer<Following>, Parts {
  /** Of a process, no two have the same. */
  readonly id = ++lastId
  readonly connection: Connection
  readonly outbox: Outbox
  /** What it is limited by, beside itself; undefined if its address is not. */
  readonly address: Address | undefined
  readonly pace: Pace
  readonly #services: Services
  readonly #intake: Intake
  /** When it came, on the clock of `uptime`. */
  readonly startedAt: number
  /** It is in the middle of something that it was asked for. */
  isAnswering = false
  /** Bytes that came, and SENDs among them that were acknowledged. */
  received = 0
  acknowledged = 0
  #mayBeSent: Name.Target | undefined // where the last message went
  #following: Following | undefined // once it is open
  #helpers: Set<Fiber.Fiber<void>> | undefined
  #farewell: Decline.DeclineError | undefined
  #pauseIsOver: Latch.Latch | undefined
  #isClosing = false
  #isStopping = false // and the peer has been told so
  #isDeaf = false
  #isLate = false
  #hasHeard = false
  #refused: string | undefined // whose login, and why, the last time that one was
  #refusedLogins = 0
  #declinesInARow = 0
  #lotAt: number | undefined // when it has said a lot in one go, on the clock of `uptime`
  #left: Following | undefined // what it was following, at the end
  #why: string | undefined // it ended
  #over: Over | undefined
  #answering: Fiber.Fiber<void> | undefined // where that has to wait
  #isToStop = false // the server stops; what was heard before is answered first
  #hasEnded = false
  #ended: Latch.Latch | undefined

  constructor(
    services: Services,
    connection: Connection,
    address: Address | undefined,
    startedAt = uptime(services.clock)
  ) {
    this.#services = services
    this.connection = connection
    this.address = address
    this.pace = new Pace(services)
    this.startedAt = startedAt
    this.#intake = new Intake(services.config.maxLineBytes)
    this.outbox = new Outbox(connection, services.metrics)
  }

  /**
   * Speaks with the peer until the connection ends.
   *
   * @param over what is done then
   */
  begin(over: Over): void {
    this.#over = over
    this.#services.loginDeadline.add(this)
    this.#listen()
  }

  /** The same, and it is over when that is. Interrupted, it stops. */
  get run(): Effect.Effect<void> {
    const ran = Effect.callback<void>((resume) => {
      this.begin(() => Effect.sync(() => resume(Effect.void)))
      return Effect.suspend(() => {
        this.stop()
        return this.ended
      })
    })
    return Effect.ensuring(ran, Effect.suspend(() => this.account))
  }

  /** Answers what has been heard, says `shutting_down`, and ends in good order. */
  stop(): void {
    this.#isToStop = true
    this.#answering?.interruptUnsafe() // where it waits for what a server that stops does not wait for
    if (this.isAnswering) return
    this.connection.mute()
    this.heard(Exit.succeed(Effect.void))
  }

  /** Waits for the end. */
  get ended(): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.#hasEnded) return Effect.void
      this.#ended ??= Latch.makeUnsafe(false)
      return this.#ended.await
    })
  }

  #listen(): void {
    this.isAnswering = false
    this.#answering = undefined
    this.connection.listen(this)
  }

  heard(left: Heard): void {
    this.isAnswering = true
    const answering = this.#services.fork(Effect.uninterruptible(this.#goOn(left)))
    if (answering.pollUnsafe() === undefined) this.#answering = answering
  }

  /** What has been heard is carried out and answered, also if the server stops meanwhile. */
  #goOn(left: Heard): Effect.Effect<void> {
    if (AtOnce.isDone(left) && Exit.isFailure(left)) return this.#end(left)
    return Effect.flatMap(Effect.exit(AtOnce.isThere(left) ? left.value : Effect.flatten(left)), (over) => {
      const isEnd = Exit.isFailure(over) || this.#hasToEnd() || this.#isToStop
      return isEnd ? this.#end(over) : Effect.sync(() => this.#listen())
    })
  }

  #end(over: Exit.Exit<void, EndOfInput | PeerGone>): Effect.Effect<void> {
    return Effect.gen(() => this.#ending(over)).pipe(
      Effect.catchDefect((defect) => this.#die(defect)),
      Effect.ensuring(this.leaveBehind)
    )
  }

  *#ending(over: Exit.Exit<void, EndOfInput | PeerGone>) {
    yield* this.#turnToEnd
    const concluded = this.#conclude(over)
    if (!AtOnce.isThere(concluded)) yield* Effect.catchDefect(concluded, (defect) => this.#die(defect))
    this.outbox.flush()
    if (!this.#isStopping) yield* this.#leave()
    yield* this.#farewell === undefined ? this.#part() : this.#partSoon
    if (this.#isStopping) yield* this.#leave()
    this.#services.loginDeadline.delete(this)
    if (this.#helpers !== undefined) yield* Fiber.interruptAll(this.#helpers)
    if (this.connection.cutFor() === writeDeadline) this.hit("write-deadline")
  }

  /** It is over for all others, though it may hang in what has no deadline: a store may have none. */
  get leaveBehind(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const over = this.#over?.(this) ?? Effect.void
      this.#over = undefined // once
      return Effect.ensuring(
        over,
        Effect.sync(() => {
          this.#hasEnded = true
          this.#ended?.openUnsafe()
        })
      )
    })
  }

  /** Thousands may go at once. Whether an ACK was seen can only be found out now. */
  get #turnToEnd(): Effect.Effect<void> {
    const { turns } = this.#services
    const mayEnd = this.#isToStop || this.unconfirmed() !== undefined || turns.isFree("end")
    return mayEnd ? Exit.void : turns.next("end")
  }

  /** Says why not, and ends; with time for the peer to read it, or at once. */
  refuse(error: Decline.DeclineError, hasTime: boolean): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#decline(error)
      this.outbox.flush()
      return hasTime ? this.#part() : Effect.ignore(this.connection.end)
    })
  }

  /**
   * Says why, and ends the session now, whatever it is in the middle of; only what is on its way to the disk is answered
   * before. Not to be called while it hears something.
   */
  expel(error: Decline.DeclineError): void {
    if (this.#isDeaf || this.#isClosing) return
    this.#farewell = error
    this.#isDeaf = true
    this.#following?.close()
    this.#pauseIsOver?.openUnsafe()
    this.connection.wake()
  }

  /** What it follows, under its name; undefined before the login, and after the end. */
  get following(): Following | undefined {
    return this.#following
  }

  /** There are other settings: takes those that are not looked up each time. */
  reconfigure(): void {
    this.#intake.maxLineBytes = this.#services.config.maxLineBytes
    this.pace.reconfigure()
  }

  /** Other things are declared, under these names or under any: what it may no longer, ends now. */
  review(names?: ReadonlySet<string>): void {
    const following = this.#following
    this.#mayBeSent = undefined
    if (following === undefined) return
    const { username } = following
    if (names === undefined || names.has(username)) {
      const refused = AtOnce.failure(permitted(this.#services, username, this))
      if (refused !== undefined) return this.expel(refused)
    }
    for (const group of following.followed(names)) {
      if (mayFollow(this.#services, username, group) === undefined) continue
      this.fork(following.leave(group))
      following.announce(noticeLine(group, Notice.noLonger(group)))
    }
  }

  /** The time for the login is over. Whoever is logged in by now is not concerned. */
  expire(): void {
    if (this.#following !== undefined) return
    this.#isLate = true
    this.connection.wake()
  }

  /** Tells the user a line (CPT 5.9); false if none has logged in. */
  announce(line: Uint8Array): boolean {
    this.#following?.announce(line)
    return this.#following !== undefined
  }

  get remoteAddress(): string | undefined {
    return this.connection.remoteAddress
  }

  get certificate(): Connection["certificate"] {
    return this.connection.certificate
  }

  get presence(): Connection["presence"] {
    return this.connection.presence
  }

  /**
   * Cuts the connection now. What has been heard and not carried out yet never is: the name may be the next connection's,
   * on which the same is said again (CPT 4.4).
   */
  get cut(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#isDeaf = true
      this.#following?.close()
      return this.connection.destroy
    })
  }

  follower(username: Name.Username): Following {
    return new Following(username, this)
  }

  /** Until the login there is a deadline, also for a peer that sends a byte a second. */
  beforeDeadline<E>(wait: Effect.Effect<void, E>): Effect.Effect<void, E | Decline.LoginTimeout> {
    const { clock, config } = this.#services
    return Effect.timeoutOrElse(wait, {
      duration: Math.max(0, this.startedAt + Duration.toMillis(config.loginDeadline) - uptime(clock)),
      orElse: () => Effect.fail(new Decline.LoginTimeout({}))
    })
  }

  unconfirmed(): number | undefined {
    return this.outbox.unconfirmed
  }

  hear(bytes: Uint8Array, isOlder: boolean): Left | undefined {
    this.received += bytes.length
    this.#services.metrics.receivedBytes += bytes.length
    const isLarge = bytes.length >= largeRead
    // Not to be heard, but an unread line would become a reset
    if (this.#isDeaf) return isLarge ? this.#whenFree(() => undefined) : undefined
    const wait = this.pace.hearBytes(bytes.length)
    const hasLine = this.#intake.take(bytes)
    // A login waits for nothing but other logins: it would be passed by that of the next connection (CPT 4.4)
    const left = isLarge && !(hasLine && this.#following === undefined)
      ? this.#whenFree((most) => this.#hearLines(most, isOlder))
      : this.#hearLines(atOnce, isOlder)
    if (left !== undefined) this.#intake.keep()
    if (wait === 0) return left
    this.hit("byte-limit")
    return Effect.andThen(left ?? Exit.void, this.#untilBytesAreDue)
  }

  #hearLines(most: number, isOlder: boolean): Left | undefined {
    if (!this.#intake.hasLine) return undefined
    this.#hasHeard = true
    const noted = isOlder ? Exit.void : this.#noteAck()
    if (AtOnce.isThere(noted)) return this.#answer(most, false)
    return Effect.flatMap(noted, () => this.#answer(most, false) ?? Exit.void)
  }

  /** Whether it is known now that messages may go to a target. */
  mayNow(target: Name.Target): boolean {
    if (target === this.#mayBeSent) return true
    const following = this.#following
    if (following === undefined || !AtOnce.isThere(mayBeSent(this.#services, following.username, target))) return false
    this.#mayBeSent = target
    return true
  }

  /**
   * Answers so many lines at most, as long as that need not wait; gives what is left to do, undefined if that is nothing.
   *
   * @param isRest others have come in one go with them
   */
  #answer(most: number, isRest: boolean): Left | undefined {
    const intake = this.#intake
    while (intake.hasLine && !this.#isClosing && !this.#isDeaf) {
      if (most <= 0 && this.#following !== undefined) return this.#whenFree((most) => this.#answer(most, true))
      const request = intake.read(this.#following === undefined ? undefined : this, this.pace.portion(most))
      const count = countOf(request)
      most -= request._tag === "SENDS" ? this.pace.weigh(count) : otherLine
      this.pace.hearCommands(count, isRest || intake.hasLine)
      isRest = true
      const rest = most
      const goOn = () => this.#answer(rest, true) ?? Exit.void
      const left = this.pace.takes(count) ? this.#answerNow(request, goOn) : this.#answerLater(request, goOn)
      if (left !== undefined) return left
    }
    return this.outbox.writeAll() ?? (this.#isClosing ? Exit.void : undefined)
  }

  /** Whether it says so few SENDs in one go, and has not said a lot lately. */
  #isBrief(count: number): boolean {
    if (count > few || this.#intake.hasLine) return false
    if (this.#lotAt === undefined) return true
    if (uptime(this.#services.clock) - this.#lotAt < lately) return false
    this.#lotAt = undefined
    return true
  }

  /** Goes on when it is its turn, maybe now, with as much as may be done in one. */
  #whenFree(go: (most: number) => Left | undefined): Left | undefined {
    const { clock, turns } = this.#services
    this.#lotAt = uptime(clock)
    if (turns.isFree("lines")) return go(parts.lines)
    return Effect.flatMap(turns.next("lines"), () => {
      this.#lotAt = uptime(clock) // the turn may have been long in coming
      return this.#hasToEnd() ? Exit.void : go(parts.lines) ?? Exit.void
    })
  }

  /** Undefined if nothing is left to do before the next one; else what that is, which goes on by itself. */
  #answerNow(request: Request, goOn: () => Left): Left | undefined {
    const done = this.#carryOut(request)
    const count = countOf(request)
    const asked = request._tag === "CONNECT" ? request.username : undefined
    if (AtOnce.isThere(done)) this.#succeed(done.value, count, 0)
    else {
      const error = AtOnce.failure(done)
      if (error === undefined || error._tag === "PeerGone") return this.#settle(done, count, asked, goOn)
      this.#fail(error, count, asked)
    }
    const room = this.outbox.isLarge() ? this.outbox.writeAll() : undefined
    return room === undefined ? undefined : Effect.flatMap(room, goOn)
  }

  /** What came too early is answered when it is due, or refused if that has been going on for too long. */
  #answerLater(request: Request, goOn: () => Left): Left {
    const count = countOf(request)
    this.hit("rate-limit")
    if (this.pace.isFlood) return this.#settle(rateLimited, count, undefined, goOn)
    const later = request._tag === "SENDS" ? kept(request) : request
    this.outbox.flush()
    return Effect.flatMap(this.#pause(() => this.pace.wait(count)), () => {
      if (this.#hasToEnd()) return Exit.void
      return this.pace.takes(count) ? this.#answerNow(later, goOn) ?? goOn() : this.#answerLater(later, goOn)
    })
  }

  /** Waits for the bytes that have been read. */
  get #untilBytesAreDue(): Left {
    return this.#pause(() => this.pace.bytesWait)
  }

  /** Reads nothing meanwhile. A server that stops waits for nobody (CPT 3.8), nor is it waited for who has gone. */
  #pause(wait: () => number): Left {
    return Effect.gen(() => this.#pausing(wait))
  }

  *#pausing(wait: () => number) {
    for (let left; (left = wait()) > 0 && !this.#hasToEnd();) {
      const over = this.#pauseIsOver = Latch.makeUnsafe(false)
      const pause = Effect.interruptible(Effect.timeoutOption(over.await, Math.min(left, longestPause)))
      if (Exit.isFailure(yield* Effect.exit(pause))) this.pace.end()
      if (this.connection.isGone()) return yield* peerGone
    }
  }

  #carryOut(request: Request): Answer {
    if (request._tag === "NONE") return Exit.fail(request.error)
    const following = this.#following
    if (following === undefined) { // CPT 3.1
      return request._tag === "CONNECT" ? this.#login(request.username) : notLoggedIn
    }
    switch (request._tag) {
      case "CONNECT":
        return alreadyLoggedIn
      case "SENDS":
        if (this.#isBrief(request.batch.count)) this.#services.turns.serves()
        return this.#send(following.username, request)
      case "SYNC":
      case "SYNC_INBOX":
        return following.alone(sync(this.#services, following, request), () => this.outbox.push(endSync))
    }
  }

  #send(username: Name.Username, sends: Sends): Answer {
    const { asks, batch } = sends
    if (asks === undefined && this.pace.mayName(batch.count)) return this.#store(username, batch)
    const later = kept(sends)
    const may = asks === undefined ? Exit.void : mayBeSent(this.#services, username, asks)
    return AtOnce.flatMap(may, () => {
      if (asks !== undefined) this.#mayBeSent = asks
      return AtOnce.flatMap(this.#mayName(later.batch), () => this.#store(username, later.batch))
    })
  }

  #store(username: Name.Username, batch: Batch): Answer {
    if (this.#isDeaf) return peerGone // it had to wait, and may have been said again since, by whoever has the name now
    return this.#services.store.append(username, batch)
  }

  /**
   * Something is done that was said, or so many SENDs are stored, in so many milliseconds: nothing where that was done at
   * once, since two looks at the clock would be a fiftieth of such an ACK.
   */
  #succeed(named: number | void, count: number, millis: number): void {
    this.#declinesInARow = 0
    if (named === undefined) return
    const { metrics } = this.#services
    this.acknowledged += count
    metrics.messages += count
    metrics.ackSeconds.observe(millis / 1000, count)
    this.pace.name(named)
    this.outbox.ack(count)
  }

  /** Whoever has brought as many names into use as they may, sends one message at a time, to names that are in use. */
  #mayName({ count, targets }: Batch): Answer {
    if (this.pace.mayName(count)) return Exit.void
    return AtOnce.flatMap(this.#services.store.kindOf(targets[0]!), (kind) => {
      if (kind !== undefined) return Exit.void
      this.hit("max-new-names")
      return rateLimited
    })
  }

  #login(username: Name.Name, isTurn = false): Answer {
    const { clock, isClosed, reviews, turns } = this.#services
    if (isClosed) return Exit.fail(this.#farewell = new Decline.ShuttingDown({}))
    if (this.address?.mayLogIn() === false) {
      this.hit("max-failed-logins")
      this.outbox.flush()
      const until = uptime(clock) + Duration.toMillis(holdOff)
      return Effect.andThen(this.#pause(() => this.#isToStop ? 0 : until - uptime(clock)), rateLimited)
    }
    if (!isTurn && !turns.isFree("login")) return Effect.flatMap(turns.next("login"), () => this.#login(username, true))
    return AtOnce.map(connect(this.#services, username, this), (following) => {
      this.#following = following
      this.#services.loginDeadline.delete(this)
      if (this.#services.reviews !== reviews) this.review() // what allowed it may no longer hold
      if (this.#isDeaf) return // and will be told why
      this.#services.metrics.logins.add("accepted")
      this.outbox.push(accept)
      following.open()
      if (this.#services.isLogged("Debug")) {
        this.#services.fork(Effect.annotateLogs(Effect.logDebug("session logged in"), this.#whose))
      }
    })
  }

  /** The only place where errors become DECLINEs. What the client cannot go on from ends the session (CPT 3.5). */
  #decline(error: Decline.DeclineError): void {
    if (error._tag === "LineTooLong") this.hit("max-line-bytes")
    if (error._tag === "LoginTimeout") this.hit("login-deadline")
    if (error._tag === "IdleTimeout") this.hit("idle-deadline")
    this.outbox.push(bytesOf(Command.declineLine(error)))
    this.#services.metrics.declines.add(reasonOf(error))
    this.#declinesInARow++
    this.#isClosing = this.#declinesInARow >= Limits.maxDeclinesInARow ||
      this.#refusedLogins >= Limits.maxRefusedLogins || error._tag === "LoginTimeout" || error === this.#farewell
    if (this.#isClosing) this.#why = `declined: ${error.reason}`
  }

  /**
   * Carries it out, which is declined if it fails, so many times, and goes on.
   *
   * @param asked who is to be logged in, where it is that
   */
  #settle(done: Answer, times: number, asked: Name.Name | undefined, goOn: () => Left): Left {
    const since = performance.now()
    return Effect.matchEffect(done, {
      onSuccess: (named) => {
        this.#succeed(named, times, performance.now() - since)
        return goOn()
      },
      onFailure: (error) => {
        if (error._tag === "PeerGone") return Effect.fail(error)
        this.#fail(error, times, asked)
        return goOn()
      }
    })
  }

  /** Something could not be done that was said, so many times. */
  #fail(error: Decline.DeclineError, times: number, asked: Name.Name | undefined): void {
    if (asked !== undefined) this.#services.metrics.logins.add(reasonOf(error))
    if (asked !== undefined && this.#following === undefined) {
      this.#refused = `${asked}: ${error.reason}`
      const { _tag } = error
      if (_tag !== "StorageUnavailable") this.#refusedLogins++
      if (_tag !== "StorageUnavailable" && _tag !== "RateLimited" && _tag !== "ShuttingDown") {
        this.address?.failsToLogIn()
      }
    }
    for (let time = 0; time < times && !this.#isClosing; time++) this.#decline(error)
  }

  /** It has reached a limit. */
  hit(limit: Limit): void {
    this.#services.limitHits.hit(limit, this.address?.name ?? this.remoteAddress)
  }

  /** The peer has gone on in good order: it knows of the last ACK, if that had left. */
  #noteAck(): Effect.Effect<void> {
    return this.#following !== undefined && this.outbox.confirmsAck()
      ? this.#services.store.confirm(this.#following.username)
      : Exit.void
  }

  #hasToEnd(): boolean {
    if (this.#isExpelled()) return true
    if (this.#isLate && this.#following === undefined && !this.#isClosing) this.#decline(new Decline.LoginTimeout({}))
    return this.#isClosing
  }

  /** It is to end, and has been told why. */
  #isExpelled(): boolean {
    if (this.#farewell !== undefined && !this.#isClosing) this.#decline(this.#farewell)
    return this.#farewell !== undefined
  }

  /** The conversation is over. */
  #conclude(over: Exit.Exit<void, EndOfInput | PeerGone>): Effect.Effect<void> {
    if (this.#isExpelled() || Exit.isSuccess(over) && this.#isClosing) return Exit.void
    if (Exit.isSuccess(over) || Cause.hasInterrupts(over.cause)) {
      return Effect.map(this.#hearTheRest, () => {
        this.#isStopping = true
        const error = new Decline.ShuttingDown({})
        this.#decline(error)
        this.#why ??= `declined: ${error.reason}`
      })
    }
    const error = Cause.findErrorOption(over.cause)
    if (Option.isNone(error)) return this.#die(Cause.squash(over.cause))
    if (error.value._tag === "PeerGone" || this.connection.isGone()) return this.connection.destroy
    this.#why ??= "peer ended"
    return this.#goodbye
  }

  /** The peer has ended its side: in good order, unless it had gone without reading what was written last. */
  get #goodbye(): Effect.Effect<void> {
    if (this.unconfirmed() === undefined) return Exit.void
    return Effect.flatMap(
      this.connection.isAnsweredByReset,
      (isReset) => isReset ? this.connection.destroy : this.#noteAck()
    )
  }

  /** Goes on to listen, at the end. */
  get #next(): Heard {
    return next(this.connection, this)
  }

  /** What was already there when the server began to stop is still answered; what keeps coming is not waited for. */
  get #hearTheRest(): Effect.Effect<void> {
    return Effect.ignore(Effect.gen(() => this.#hearing()))
  }

  *#hearing() {
    const { clock } = this.#services
    const until = uptime(clock) + Duration.toMillis(lastWords)
    while (!this.#isClosing && uptime(clock) < until) {
      this.#hasHeard = false
      const left = yield* Effect.timeoutOption(this.#next, lastLook)
      if (Option.isSome(left)) yield* left.value
      else if (!this.#hasHeard) return
    }
  }

  /** Ends our side, and for a moment reads over what the peer still says: an unread line would become a reset. */
  #part(): Effect.Effect<void> {
    this.#isDeaf = true
    // Where it has ended, nothing will come that could become a reset
    const isOver = this.connection.hasEnded() && !this.#isStopping
    return Effect.ignore(isOver ? this.connection.end : Effect.gen(() => this.#parting()))
  }

  *#parting() {
    const before = this.received
    const rest = yield* Effect.forkChild(
      Effect.catch(
        Effect.forever(Effect.flatten(this.#next)),
        // The last words were the server's, and the peer has ended in good order after them (CPT 4.4)
        (error) => this.#isStopping && error._tag === "EndOfInput" ? this.#goodbye : Effect.void
      )
    )
    yield* this.connection.end
    const isOver = Option.isSome(yield* Effect.timeoutOption(Fiber.await(rest), linger))
    yield* Fiber.interrupt(rest)
    if (!isOver && this.received > before && !this.#isToStop) yield* this.#turnToGo
  }

  /** What a peer has gone on to say is thrown away by the kernel, which takes long where that is a lot. */
  get #turnToGo(): Effect.Effect<void> {
    return Effect.ignoreCause(
      Effect.interruptible(Effect.timeoutOption(this.#services.turns.next("lines"), linger))
    )
  }

  /** The same, but a peer that does not read is not waited for. */
  get #partSoon(): Effect.Effect<void> {
    return Effect.gen(() => this.#partingSoon())
  }

  *#partingSoon() {
    const cutting = yield* Effect.forkChild(Effect.delay(this.cut, this.#services.config.shutdownDeadline))
    yield* this.#part()
    yield* Fiber.interrupt(cutting)
  }

  #leave(): Effect.Effect<void> {
    const left = this.#following
    if (left === undefined) return Exit.void
    this.#following = undefined
    this.#left = left
    return AtOnce.flatMap(this.#services.directory.exit(left.username, this), () => left.end())
  }

  /** Something is wrong with the server, or with what it was composed of: nobody else would hear of it. */
  #die(defect: unknown): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#why = "failed"
      return Effect.annotateLogs(Effect.logError("session failed", Cause.die(defect)), this.#whose)
    })
  }

  /** Which session it is, and whose, for the log. */
  get #whose() {
    const user = (this.#left ?? this.#following)?.username
    const address = this.#services.config.logAddresses ? this.remoteAddress : undefined
    return {
      session: this.id,
      ...user !== undefined && { user },
      ...address !== undefined && { address }
    }
  }

  /** Says what there was of it, in the log, and to who traces. Nothing of what was said. */
  get account(): Effect.Effect<void> {
    const why = this.connection.cutFor()
    const following = this.#left ?? this.#following
    const totals = {
      ...this.#whose,
      ...this.#refused !== undefined && { refused: this.#refused },
      seconds: Math.round(uptime(this.#services.clock) - this.startedAt) / 1000,
      messages: this.acknowledged,
      delivered: following?.delivered ?? 0,
      received: this.received,
      sent: this.connection.written(),
      why: why === undefined ? this.#why ?? "connection lost" : `cut: ${why}`
    }
    return Effect.andThen(
      Effect.annotateCurrentSpan(totals),
      Effect.annotateLogs(Effect.logInfo("session ended"), totals)
    )
  }

  get timelines(): Timelines["Service"] {
    return this.#services.timelines
  }

  get metrics(): Counted {
    return this.#services.metrics
  }

  /** Runs what the session does beside the conversation, until it ends. */
  fork(effect: Effect.Effect<void>): void {
    const helpers = this.#helpers ??= new Set()
    const fiber = this.#services.fork(
      Effect.catchDefect(effect, (defect) => Effect.andThen(this.#die(defect), this.connection.destroy))
    )
    if (fiber.pollUnsafe() !== undefined) return
    helpers.add(fiber)
    fiber.addObserver(() => helpers.delete(fiber))
  }
}
