/**
 * The durable store: one SQLite database, in WAL mode and synced before any ACK. All that waits when the disk is free
 * becomes one transaction with one sync (group commit), so the disk's latency is shared and its throughput is not the
 * limit. The database's work happens in threads (`sqlite/Thread.ts`): who reads, connects or follows does not wait for a
 * commit, and no commit waits while the log is brought into the database. Of targets that somebody watches, the newest
 * lines are in memory too, within a bound.
 */
import { Decline, Limits, Name, Timestamp } from "@cpt/schema"
import { Clock, Context, Deferred, Duration, Effect, Exit, Latch, Layer, Option, Schema } from "effect"
import { Buffer } from "node:buffer"
import { statSync } from "node:fs"
import { Worker } from "node:worker_threads"
import type { Batch } from "../Batch.ts"
import { Keeper } from "../Keeper.ts"
import * as Rows from "../Keeper/Rows.ts"
import { type KeptGroups, type Kind, MessageStore, type Page, type Watcher } from "../MessageStore.ts"
import { Metrics } from "../Metrics.ts"
import { ServerConfig } from "../ServerConfig.ts"
import { uptime } from "../Uptime.ts"
import { faultOf } from "./Bounds.ts"
import { Cache, type Tail } from "./Cache.ts"
import * as defaults from "./Defaults.ts"
import { headOf } from "./Head.ts"
import { placeOf } from "./sqlite/Database.ts"
import type { StoredNames, StoredPage } from "./sqlite/Reader.ts"
import type { Keep } from "./sqlite/Retention.ts"
import { type Committed, type DeclaredName, type Op, op, type Steps } from "./sqlite/Steps.ts"
import type { Question, Reply, Request, Settings } from "./sqlite/Thread.ts"

export interface Options {
  /** The database, a file whatever it is called; made if it is not there. */
  readonly file: string
  /** Milliseconds in which an equal, unconfirmed message is a re-send (CPT 4.4); 0 switches that off. */
  readonly resendWindow?: number | undefined
  /** Bytes of memory for the newest lines of targets that are watched; by default `StoreDefaults.cache`. */
  readonly cache?: number | undefined
  /** What need not be kept; by default everything is. */
  readonly keep?: Keep | undefined
}

/** The database cannot be opened: the message says why. */
export class CannotOpen extends Schema.TaggedError<CannotOpen>()("CannotOpen", { message: Schema.String }) {}

/**
 * A thread has not ended in time when the store was to close, as on a disk that does not answer: it is left behind. All that
 * was acknowledged is on disk. The process cannot end by itself as long as the thread hangs in the system.
 */
export class Hangs extends Schema.TaggedError<Hangs>()("Hangs", { message: Schema.String }) {}

/** Bytes that may wait for the disk, over all sessions; more, and sessions wait before they hand theirs over. */
const maxWaitingBytes = 32 * 1024 * 1024

/**
 * Milliseconds of one transaction, about, but for its sync, which takes as long for one message as for many: what comes
 * meanwhile waits for the next one. How many messages that are is found out: to new names they take ten times as long. Long
 * ones take theirs to be written, with the sync; of them there are so many bytes at most.
 */
const commitMillis = 2
const commitMessages = { first: 1024, least: 32, most: 4096 }
const commitBytes = 512 * 1024

/**
 * Milliseconds that a message takes, after a transaction in which it was so many: the mean of late, but of those that bring
 * names into use the most of late, since every few transactions take much longer, with what is brought to its place.
 */
const messageMillis = (before: number, now: number, isNaming: boolean): number =>
  isNaming ? Math.max(now, 0.95 * before) : 0.9 * before + 0.1 * now

/**
 * Whoever has just got an ACK often has the next message ready. So as long as fewer wait than were committed last, and than
 * this, the disk waits for so many turns of the event loop, if each brings more: one sync is then for more messages, and 50
 * who wait for each ACK get 5 to 10 % more of them.
 */
const gather = { messages: 128, turns: 4 }

/** What goes with the next transaction, however much waits: appends of whoever does not send a lot. */
const smallAppend = { messages: 16, bytes: 4096 }

/** Names that are looked up at the same time. */
const maxLookUps = 256

/** What a message takes beside its text, at a guess. */
const messageOverhead = 200

/** Bytes of one page of what is not in its place yet. */
const pageBytes = 64 * 1024

/** What becomes one transaction. */
class Commit {
  readonly ops: Array<Op> = []
  readonly #times: Array<number> = []
  readonly #uptimes: Array<number> = []
  readonly #names: Array<string> = []
  readonly #targets: Array<string> = []
  readonly #ends: Array<number> = []
  #texts = Buffer.allocUnsafeSlow(4096)
  #length = 0
  /** Of each step, for whoever is told of it. */
  readonly senders: Array<Name.Username | undefined> = []
  readonly targets: Array<Name.Target | undefined> = []
  readonly groups: Array<Name.Name> = [] // that are claimed
  readonly large: Array<Name.Username> = [] // who has sent a lot with it
  /** Gives the steps that brought a name into use. */
  readonly done = Deferred.makeUnsafe<ReadonlyArray<number>, Decline.StorageUnavailable>()
  #name = ""
  #target = ""

  messages = 0
  /** Bytes that they take, at a guess. */
  size = 0

  message(
    code: Op,
    now: number,
    up: number,
    sender: Name.Username,
    { bytes, ends, starts, targets }: Batch,
    index: number
  ): void {
    const [target, start, end] = [targets[index]!, starts[index]!, ends[index]!]
    const length = this.#length + end - start
    // The memory grows, mostly where it is: the smaller one would be garbage, for V8 to look for
    if (length > this.#texts.length) this.#texts = Buffer.from(this.#texts.buffer.transfer(2 * length))
    bytes.copy(this.#texts, this.#length, start, end)
    this.#length = length
    this.size += end - start + messageOverhead
    this.messages++
    this.#step(code, now, up, sender, target === this.#target ? "" : target)
    this.#target = target
    this.senders.push(sender)
    this.targets.push(target)
  }

  /** Of a sender, that it has seen its last ACK; or of a name, that it is claimed. */
  say(code: Op, name: Name.Name): void {
    this.#step(code, 0, 0, name, "")
    if (code === op.claimGroup) this.groups.push(name)
    this.senders.push(undefined)
    this.targets.push(undefined)
  }

  #step(code: Op, now: number, up: number, name: string, target: string): void {
    this.ops.push(code)
    this.#times.push(now)
    this.#uptimes.push(up)
    this.#names.push(name === this.#name ? "" : name)
    this.#targets.push(target)
    this.#ends.push(this.#length)
    this.#name = name
  }

  get steps(): Steps {
    return {
      ops: Uint8Array.from(this.ops),
      times: Float64Array.from(this.#times),
      uptimes: Float64Array.from(this.#uptimes),
      ends: Uint32Array.from(this.#ends),
      names: this.#names.join("\n"),
      targets: this.#targets.join("\n"),
      texts: new Uint8Array(this.#texts.buffer, 0, this.#length)
    }
  }
}

/** What has been committed, and is not in its place yet. */
interface Recent extends Committed {
  readonly senders: Commit["senders"]
  readonly targets: Commit["targets"]
}

/** A target that somebody watches. */
class Watched {
  /** Who has come, and may still be waiting to hear where the target is. */
  users = 0
  readonly watchers = new Set<Watcher>()
  /** Once it is known where the target is; what has come before that is `early`. */
  readonly tail = Deferred.makeUnsafe<Tail, Decline.StorageUnavailable>()
  known: Tail | undefined
  readonly early: Array<
    { readonly line: Uint8Array; readonly timestamp: Timestamp.Timestamp }
  > = []
}

const make = Effect.fnUntraced(function*(options: Options) {
  const cannotOpen = (why: string) => new CannotOpen({ message: `cannot open ${options.file || "a database"}: ${why}` })
  const { keep = {}, resendWindow = Limits.resendWindow } = options
  const fault = faultOf({
    cache: options.cache,
    resendWindow,
    "keep.age": keep.age,
    "keep.messages": keep.messages,
    "keep.bytes": keep.bytes
  })
  if (fault !== undefined) return yield* cannotOpen(fault)
  const file = yield* Effect.try({
    try: () => placeOf(options.file),
    catch: (error) => cannotOpen(error instanceof Error ? error.message : String(error))
  })
  const clock = yield* Clock.Clock
  const settings = {
    file,
    resendWindow,
    keep,
    startedAt: { time: clock.currentTimeMillisUnsafe(), uptime: uptime(clock) }
  }
  const cache = new Cache(options.cache ?? defaults.cache)
  const metrics = yield* Metrics
  const watched = new Map<string, Watched>()
  const kinds = new Map<string, "user" | "group">() // of the names that sessions bear or follow
  const leaving = new Set<string>() // among them: nobody does any more, but something to them is on its way to the disk
  const claiming = new Set<string>() // groups that are not on disk as such yet, and nobody waits for it
  const claims = new Map<string, Commit>() // of users, which wait for the disk
  const declared = new Map<string, "user" | "group">() // by the store's user, and in the database
  const declaring = new Map<string, "user" | "group">() // while it is looked up whether they can be
  const heads = new Map<string, Timestamp.Timestamp>() // of targets that are not all in their places yet
  let recent: Array<Recent> = [] // what is not
  const room = Latch.makeUnsafe(true)
  let waitingBytes = 0
  metrics.queuedBytes = () => waitingBytes
  metrics.cachedBytes = () => cache.bytes
  metrics.storedBytes = () => sizeOf(file) + sizeOf(`${file}-wal`)
  const somethingWaits = Latch.makeUnsafe(false)
  const waiting: [Commit, ...Array<Commit>] = [new Commit()] // in their order
  const large = new Map<Name.Username, Commit>() // of who has sent a lot that waits: they say the rest behind that
  let underWay: Commit | undefined
  let lastMessages = 0 // of the last transaction
  let millisEach = commitMillis / commitMessages.first
  /** Of one transaction, but for those of one append, and of small ones. */
  const mostMessages = () => Math.min(commitMessages.most, Math.max(commitMessages.least, commitMillis / millisEach))

  const writer = yield* thread({ ...settings, role: "writer" }, {
    onHousekeeping: ({ trimmed }) => {
      heads.clear() // what was committed before is in its place; what comes later is told later
      recent = []
      for (const { target, through } of trimmed) {
        const tail = watched.get(target)?.known
        if (tail !== undefined) cache.trim(tail, Timestamp.fromMillis(through))
      }
    },
    // Nobody has anything to store any more; what is left is what peers have seen
    lastSteps: () => waiting[0].steps
  })
  const reader = yield* thread({ ...settings, role: "reader" }) // after the writer has made the database

  const lasting = new Set<string>() // names that are declared in the database
  const rows = yield* Effect.mapError(
    reader.declared,
    () => new CannotOpen({ message: `cannot read what is declared in ${file}` })
  )
  for (const { kind, name } of rows) {
    declared.set(name, kind)
    lasting.add(name)
  }

  /** The transaction that takes what comes behind all that waits. */
  const last = (): Commit => {
    const last = waiting.at(-1)
    if (last !== undefined && last.ops.length < mostMessages() && last.size < commitBytes) return last
    const commit = new Commit()
    waiting.push(commit)
    return commit
  }

  /** The one that takes what somebody says: not behind all that others have said, if it is little. */
  const commitFor = (sender: Name.Username, messages: number, bytes: number): Commit => {
    const isSmall = messages <= smallAppend.messages && bytes <= smallAppend.bytes
    if (isSmall) return large.get(sender) ?? waiting[0]
    const commit = last()
    commit.large.push(sender)
    large.set(sender, commit)
    return commit
  }

  const append = (sender: Name.Username, batch: Batch, now: number, up: number) => {
    const commit = commitFor(sender, batch.count, batch.size)
    const before = commit.size
    const from = commit.ops.length
    for (let index = 0; index < batch.count; index++) {
      const target = batch.targets[index]!
      const kind = kinds.get(target) ?? declared.get(target)
      const code = kind === undefined ? op.message : kind === "user" ? op.messageToUser : op.messageToGroup
      commit.message(code, now, up, sender, batch, index)
    }
    waitingBytes += commit.size - before
    somethingWaits.openUnsafe()
    const to = commit.ops.length
    return Effect.map(
      Deferred.await(commit.done),
      (named) => named.length === 0 ? 0 : named.filter((step) => step >= from && step < to).length
    )
  }

  const tell = (
    target: Name.Target,
    sender: Name.Username,
    timestamp: Timestamp.Timestamp,
    lines: Uint8Array,
    start: number,
    end: number
  ) => {
    const to = watched.get(target)
    if (to === undefined) return
    // Where the target is may have been read after this was committed, and before it is told
    if (to.known !== undefined && timestamp <= to.known.head) return
    const line = lines.subarray(start, end)
    if (to.known === undefined) {
      to.early.push({ line, timestamp })
      return
    }
    const appended = { sender, timestamp, line: cache.append(to.known, line, timestamp) }
    for (const watcher of to.watchers) watcher.tell(appended)
  }

  const tellAll = ({ senders, targets }: Commit, committed: Committed) => {
    const { ends, lines, timestamps } = committed
    let start = 0
    for (let index = 0; index < ends.length; index++) {
      const [sender, target, timestamp] = [senders[index], targets[index], timestamps[index]!]
      const end = ends[index]!
      if (timestamp > 0 && sender !== undefined && target !== undefined) {
        heads.set(target, Timestamp.fromMillis(timestamp))
        tell(target, sender, Timestamp.fromMillis(timestamp), lines, start, end)
      }
      start = end
    }
    if (start > 0) recent.push({ ...committed, senders, targets })
  }

  yield* Effect.gen(function*() {
    yield* somethingWaits.await
    yield* Effect.yieldNow // what else comes in this tick goes with it
    const expected = Math.min(lastMessages, gather.messages)
    for (let turn = 0, before = 0; turn < gather.turns; turn++) {
      const { messages } = waiting[0]
      if (messages === before || messages >= expected) break
      before = messages
      yield* Effect.yieldNow
    }
    const commit = underWay = waiting[0]
    lastMessages = commit.messages
    if (waiting.length === 1) {
      waiting[0] = new Commit()
      somethingWaits.closeUnsafe()
    } else waiting.shift()
    for (const sender of commit.large) if (large.get(sender) === commit) large.delete(sender)
    const begin = performance.now()
    const committed = yield* Effect.exit(writer.commit(commit.steps))
    underWay = undefined
    if (Exit.isSuccess(committed)) {
      const millis = performance.now() - begin
      const { named, syncMillis } = committed.value
      const steps = commit.ops.length
      if (steps >= commitMessages.least) {
        millisEach = messageMillis(millisEach, Math.max(0, millis - syncMillis) / steps, 2 * named.length > steps)
      }
      if (commit.messages > 0) { // else a watchdog asks, or a name is claimed
        metrics.commitSeconds.observe(millis / 1000)
        metrics.commitMessages.observe(commit.messages)
      }
      tellAll(commit, committed.value)
      for (const name of commit.groups) claiming.delete(name)
    } else {
      metrics.failedCommits++
      for (const name of commit.groups) last().say(op.claimGroup, name) // to go with the next message
    }
    for (const name of leaving) {
      if (isUnderWay(name)) continue
      leaving.delete(name)
      if (!watched.has(name)) kinds.delete(name)
    }
    waitingBytes -= commit.size
    if (waitingBytes <= maxWaitingBytes) room.openUnsafe()
    Deferred.doneUnsafe(commit.done, Exit.map(committed, ({ named }) => named))
  }).pipe(Effect.forever, Effect.forkScoped)

  /** What is on disk of a name, with what is not in its place yet. */
  const stored = (name: Name.Name) =>
    Effect.suspend(() => {
      const head = heads.get(name)
      return Effect.map(reader.name(name), (found): { kind: Kind | undefined; head: Timestamp.Timestamp } => ({
        // One that has only been sent to is written when what is recent is brought to its place
        kind: head !== undefined ? found?.kind ?? "open" : found?.isKept === true ? found.kind : undefined,
        head: Timestamp.fromMillis(Math.max(found?.head ?? 0, head ?? 0))
      }))
    })

  const knownKind = (name: Name.Name) =>
    declared.get(name) ?? kinds.get(name) ?? (claiming.has(name) ? "group" as const : undefined)

  const kindOf = (name: Name.Name) =>
    Effect.suspend((): Effect.Effect<Kind | undefined, Decline.StorageUnavailable> => {
      const known = knownKind(name)
      return known === undefined ? Effect.map(stored(name), ({ kind }) => kind) : Effect.succeed(known)
    })

  /** Whether a message to it is on its way to the disk. */
  const isUnderWay = (name: string) =>
    [underWay, ...waiting].some((commit) => commit?.targets.some((to) => to === name))

  /** The same, for many. */
  const allUnderWay = () =>
    new Set<string | undefined>([underWay, ...waiting].flatMap((commit) => commit?.targets ?? []))

  /** The last transaction that is on its way to the disk with something that a sender has said. */
  const lastOf = (sender: string) =>
    [underWay, ...waiting].findLast((commit) => commit?.senders.some((from) => from === sender))

  /** Makes names that have been sent to users or groups, on disk. */
  const claimAll = (names: ReadonlyArray<Name.Name>, kind: "user" | "group") => {
    const commits = new Set<Commit>()
    for (const name of names) {
      const commit = last()
      commit.say(kind === "group" ? op.claimGroup : op.claimUser, name)
      commits.add(commit)
    }
    if (commits.size > 0) somethingWaits.openUnsafe()
    return Effect.uninterruptible(Effect.forEach(commits, ({ done }) => Deferred.await(done), { discard: true }))
  }

  /** Finds out where a target is that is watched for the first time. */
  const start = (target: Name.Name, to: Watched) =>
    Effect.exit(stored(target)).pipe(Effect.map((found) => {
      if (Exit.isSuccess(found)) {
        const tail = cache.open(found.value.head)
        for (const { line, timestamp } of to.early) {
          if (timestamp > tail.head) cache.append(tail, line, timestamp)
        }
        to.early.length = 0
        to.known = tail
        Deferred.doneUnsafe(to.tail, Exit.succeed(tail))
      } else {
        if (watched.get(target) === to) watched.delete(target)
        Deferred.doneUnsafe(to.tail, Exit.failCause(found.cause))
      }
    }))

  const enter = (target: Name.Name) =>
    Effect.suspend(() => {
      let to = watched.get(target)
      const isFirst = to === undefined
      if (to === undefined) watched.set(target, to = new Watched())
      to.users++
      return Effect.as(isFirst ? start(target, to) : Effect.void, to)
    })

  const leave = (target: Name.Name, to: Watched) => {
    if (--to.users > 0) return
    if (watched.get(target) === to) watched.delete(target)
    if (to.known !== undefined) cache.close(to.known)
    // What is on its way to somebody is theirs, also if they have gone meanwhile
    if (isUnderWay(target)) leaving.add(target)
    else kinds.delete(target)
  }

  /** What a name is from now on. */
  const settle = Effect.fnUntraced(
    function*(name: Name.Name, kind: "user" | "group") {
      const wasUnderWay = isUnderWay(name) // and may be in its place before the reader's answer, which is older, is here
      const before = yield* kindOf(name)
      const settled = declared.get(name) ?? kinds.get(name) ?? (before === "open" ? undefined : before) ??
        declaring.get(name)
      kinds.set(name, settled ?? kind)
      if (settled !== undefined) {
        const another = settled === kind ? claims.get(name) : undefined
        if (another !== undefined) yield* Deferred.await(another.done)
        return settled
      }
      // Without messages it lasts as long as somebody bears or follows it; with them it is theirs for good
      if (before === "open" || wasUnderWay || isUnderWay(name) || heads.has(name)) {
        // That an inbox is private must be as safe as what is in it. Whoever follows a group need not wait for the disk
        const commit = last()
        commit.say(kind === "group" ? op.claimGroup : op.claimUser, name)
        somethingWaits.openUnsafe()
        if (kind === "group") claiming.add(name)
        else {
          claims.set(name, commit)
          yield* Deferred.await(commit.done).pipe(
            Effect.onError(() => Effect.sync(() => kinds.delete(name))),
            Effect.ensuring(Effect.sync(() => claims.delete(name)))
          )
        }
      }
      return kind
    }
  )

  const store = MessageStore.of({
    description: `in ${file}`,

    append: (sender, batch) => {
      const done = append(sender, batch, clock.currentTimeMillisUnsafe(), uptime(clock))
      // What is on its way to the disk cannot be called back, so its end is waited for
      if (waitingBytes <= maxWaitingBytes) return Effect.uninterruptible(done)
      room.closeUnsafe()
      return Effect.uninterruptible(Effect.tap(done, room.await))
    },

    // It need not be on disk: it goes with the next message
    confirm: (sender) => {
      commitFor(sender, 0, 0).say(op.confirm, sender)
      return Exit.void
    },

    read: (target, { after, except }) =>
      Effect.suspend(() => {
        const tail = watched.get(target)?.known
        const head = except === undefined ? undefined : Buffer.from(headOf(target, except))
        const page = tail === undefined ? undefined : cache.read(tail, after, head)
        if (page !== undefined) return Effect.succeed(page)
        // As of now: what is brought to its place meanwhile is in one of both
        const commits = heads.has(target) ? recent.slice() : []
        return Effect.map(reader.read({ target, after, except }), (page): Page => {
          const { count, lines, last, missingThrough, through } = page.last && commits.length > 0
            ? withRecent(page, target, except, commits)
            : page
          return {
            lines,
            count,
            through: Timestamp.fromMillis(through),
            last,
            missingThrough: Timestamp.fromMillis(missingThrough),
            release: () => page.lines.buffer.transfer(0)
          }
        })
      }),

    watch: Effect.fnUntraced(function*(target, watcher) {
      const to = yield* enter(target)
      const tail = yield* Effect.onError(Deferred.await(to.tail), () => Effect.sync(() => leave(target, to)))
      to.watchers.add(watcher)
      return tail.head
    }),

    unwatch: (target, watcher) => {
      const to = watched.get(target)
      if (to?.watchers.delete(watcher) === true) leave(target, to)
      return Exit.void
    },

    kindOf,

    claim: (name, kind) =>
      Effect.suspend(() => {
        const said = kind === "user" ? lastOf(name) : undefined
        const settled = settle(name, kind)
        return said === undefined ? settled : Effect.tap(settled, Effect.exit(Deferred.await(said.done)))
      }),

    declare: (kind, names) =>
      Effect.suspend(() => {
        const added = names.filter((name) => declared.get(name) !== kind)
        for (const name of added) declaring.set(name, kind)
        const sentToBefore = allUnderWay()
        return Effect.forEach(added, kindOf, { concurrency: maxLookUps }).pipe(
          Effect.flatMap((found) => {
            const now = found.map((before, index) => knownKind(added[index]!) ?? before)
            const others = added.filter((_, index) => now[index] === (kind === "user" ? "group" : "user"))
            if (others.length > 0) return Effect.succeed(others)
            for (const name of added) declared.set(name, kind)
            const sentTo = allUnderWay()
            const isSentTo = (name: string) => sentToBefore.has(name) || sentTo.has(name) || heads.has(name)
            const open = added.filter((name, index) => now[index] === "open" || isSentTo(name))
            return claimAll(open, kind).pipe(
              Effect.onError(() => Effect.sync(() => added.forEach((name) => declared.delete(name)))),
              Effect.as(others)
            )
          }),
          Effect.ensuring(Effect.sync(() => added.forEach((name) => declaring.delete(name))))
        )
      }),

    release: (names) => {
      for (const name of names) if (!lasting.has(name)) declared.delete(name)
      return Exit.void
    },

    groups: (after) =>
      Effect.suspend(() => {
        const commits = recent.slice() // as of now, as for `read`: on a full disk they may stay there for long
        return Effect.map(reader.names(after), (page) => groupsIn(page, after, commits))
      }),

    failure: () => writer.failure() ?? reader.failure()
  })

  const keeper = Keeper.of({
    description: file,
    load: Effect.flatMap(reader.declared, (rows) => Rows.toKept(file, rows)),
    save: (entry) =>
      Effect.map(writer.declare(Rows.ofEntry(entry)), () => {
        if (entry.rules === undefined) lasting.delete(entry.name)
        else lasting.add(entry.name)
      }),
    changed: undefined,
    notTaken: Effect.void
  })

  return Context.make(MessageStore, store).pipe(Context.add(Keeper, keeper))
})

const nothing = new Uint8Array(0)

/** A last page of what is in its place, and what is behind that, of these commits. */
const withRecent = (
  page: StoredPage,
  target: string,
  except: string | undefined,
  commits: ReadonlyArray<Recent>
): StoredPage => {
  const parts: Array<Uint8Array> = [page.lines]
  let [size, count, through] = [page.lines.length, page.count, page.through]
  for (const { ends, lines, senders, targets, timestamps } of commits) {
    for (let index = 0; index < ends.length; index++) {
      const timestamp = timestamps[index]!
      if (targets[index] !== target || timestamp <= through) continue
      const isWanted = senders[index] !== except
      const line = isWanted ? lines.subarray(index === 0 ? 0 : ends[index - 1], ends[index]) : nothing
      if (size > 0 && size + line.length > pageBytes) {
        return { ...page, lines: Buffer.concat(parts), count, through, last: false }
      }
      through = timestamp
      parts.push(line)
      size += line.length
      if (isWanted) count++
    }
  }
  return { ...page, lines: Buffer.concat(parts), count, through }
}

/** A page of groups: of the names that are in their places, and of what these commits add to them. */
const groupsIn = ({ names, through }: StoredNames, after: string, commits: ReadonlyArray<Recent>): KeptGroups => {
  const known = new Map(names.map((row) => [row.name, row]))
  const counts = new Map<string, number>()
  const isOnPage = (name: string) =>
    Name.compare(name, after) > 0 && (through === undefined || Name.compare(name, through) <= 0)
  for (const { targets, timestamps } of commits) {
    for (let index = 0; index < targets.length; index++) {
      const [target, timestamp] = [targets[index], timestamps[index]!]
      // Of a name that has no row yet, none is in its place; 0 where nothing was stored
      if (target === undefined || timestamp <= (known.get(target)?.head ?? 0) || !isOnPage(target)) continue
      counts.set(target, (counts.get(target) ?? 0) + 1)
    }
  }
  for (const { kind, messages, name } of names) {
    if (kind === "user") counts.delete(name)
    else if (messages > 0) counts.set(name, messages + (counts.get(name) ?? 0))
  }
  const groups = Array.from(counts, ([name, messages]) => ({ name: Name.Name.make(name), messages }))
  return { groups: groups.toSorted((a, b) => Name.compare(a.name, b.name)), through }
}

const sizeOf = (file: string): number => statSync(file, { throwIfNoEntry: false })?.size ?? 0

const isSource = import.meta.url.endsWith(".ts")

/** How much longer than the shutdown deadline a thread may take to end. */
const endWithin = Duration.seconds(1)

/** How often a thread is asked whether it has what it works on, and one that fails, whether it works again. */
const probeEvery = "1 second"

/**
 * Questions that a thread is asked at the same time. Node hands over all that it has answered in one turn of the event loop,
 * and with each a session goes on: when 500 came and followed something, others waited for 70 ms.
 */
const maxAsked = 16

/** What the writer has done by itself. */
type Housekeeping = Extract<Reply, { readonly trimmed: unknown }>

/** A thread on the database, and the questions that it answers. They fail when it cannot, and when it is gone. */
const thread = Effect.fnUntraced(
  function*(settings: Settings, { lastSteps, onHousekeeping }: {
    readonly onHousekeeping?: (done: Housekeeping) => void
    /** What is to be committed when it ends. */
    readonly lastSteps?: () => Steps | undefined
  } = {}) {
    const waiting = new Map<number, (reply: Reply) => void>()
    const later: Array<() => void> = [] // to be asked
    let asked = 0
    let lastId = 0
    let isGone = false
    let isFailing = false
    let failure: string | undefined // the same, but known also while nobody asks for anything
    const patience = Duration.sum((yield* ServerConfig).shutdownDeadline, endWithin)
    const ended = (worker: Worker) =>
      Effect.callback<void>((resume) => {
        worker.once("exit", () => resume(Effect.void))
      })

    const worker = yield* Effect.acquireRelease(
      Effect.callback<Worker, CannotOpen>((resume) => {
        const worker = new Worker(new URL(isSource ? "./sqlite/Thread.ts" : "./sqlite/Thread.js", import.meta.url), {
          workerData: settings,
          execArgv: ["--disable-warning=ExperimentalWarning"],
          resourceLimits: { maxYoungGenerationSizeMb: 8 }
        })
        worker.once("error", (error) => {
          const why = error instanceof Error ? error.message : String(error)
          resume(Effect.fail(new CannotOpen({ message: `cannot open ${settings.file}: ${why}` })))
        })
        worker.once("message", () => resume(Effect.succeed(worker)))
      }),
      (worker) =>
        Effect.gen(function*() {
          if (isGone) return
          worker.postMessage({ id: 0, op: "close", steps: lastSteps?.() } satisfies Request)
          if (Option.isSome(yield* Effect.timeoutOption(ended(worker), patience))) return
          const message = `the ${settings.role} of ${settings.file} does not end: it is left behind`
          yield* Effect.logError(message)
          void worker.terminate() // what it has not committed, nobody has an ACK of
          worker.unref()
          return yield* Effect.die(new Hangs({ message }))
        })
    )
    worker.on("message", (reply: Reply) => {
      if ("trimmed" in reply) return onHousekeeping?.(reply)
      const answer = waiting.get(reply.id)
      if (waiting.delete(reply.id) && asked-- === maxAsked && later.length > 0) setImmediate(askOn)
      answer?.(reply)
    })
    worker.on("error", () => {}) // "exit" follows
    worker.on("exit", () => {
      isGone = true
      for (const [id, answer] of waiting) answer({ id, error: "the database's thread has ended" })
      waiting.clear()
    })

    const askOn = () => {
      for (let ask; asked < maxAsked && (ask = later.shift()) !== undefined; asked++) ask()
    }

    const send = (question: Question, given: ReadonlyArray<ArrayBuffer> = []) =>
      Effect.callback<Reply>((resume) => {
        if (isGone) return resume(Effect.succeed({ id: 0, error: "the database's thread has ended" }))
        const id = ++lastId
        waiting.set(id, (reply) => resume(Effect.succeed(reply)))
        later.push(() => worker.postMessage({ ...question, id } satisfies Request, given))
        if (later.length === 1) askOn()
      })

    const ask = <A>(
      question: Question,
      read: (reply: Reply) => { readonly answer: A } | undefined,
      given: ReadonlyArray<ArrayBuffer> = []
    ) =>
      send(question, given).pipe(Effect.flatMap((reply) => {
        const found = read(reply)
        return found === undefined ? unavailable(reply) : Effect.as(works, found.answer)
      }))

    // Said when it begins and when it is over: what is refused meanwhile may be a lot
    const unavailable = (reply: Reply) =>
      Effect.suspend(() => {
        const why = "error" in reply ? reply.error : "no answer to the question"
        failure = why
        const said = isFailing ? Effect.void : Effect.logError(`the ${settings.role} of ${settings.file} fails: ${why}`)
        isFailing = true
        return Effect.andThen(said, Effect.fail(new Decline.StorageUnavailable({})))
      })
    const works = Effect.suspend(() => {
      failure = undefined
      if (!isFailing) return Effect.void
      isFailing = false
      return Effect.logInfo(`the ${settings.role} of ${settings.file} works again`)
    })

    yield* Effect.gen(function*() {
      yield* Effect.sleep(probeEvery)
      const wasFailing = failure !== undefined
      const reply = yield* send({ op: wasFailing ? "probe" : "look" })
      if (!("works" in reply)) yield* Effect.ignore(unavailable(reply))
      else if (wasFailing) failure = undefined
    }).pipe(Effect.forever, Effect.forkScoped)

    return {
      failure: () => failure,
      names: (after: string) =>
        ask({ op: "names", after }, (reply) => "names" in reply ? { answer: reply.names } : undefined),
      commit: (steps: Steps): Effect.Effect<Committed, Decline.StorageUnavailable> =>
        ask({ op: "commit", steps }, (reply) => "committed" in reply ? { answer: reply.committed } : undefined, [
          steps.ops.buffer,
          steps.times.buffer,
          steps.uptimes.buffer,
          steps.ends.buffer,
          steps.texts.buffer
        ]),
      name: (name: string) =>
        ask({ op: "name", name }, (reply) => "name" in reply ? { answer: reply.name } : undefined),
      read: (page: Omit<Extract<Question, { op: "read" }>, "op">) =>
        ask({ op: "read", ...page }, (reply) => "page" in reply ? { answer: reply.page } : undefined),
      declared: ask({ op: "declared" }, (reply) => "declared" in reply ? { answer: reply.declared } : undefined),
      declare: (row: DeclaredName) =>
        ask({ op: "declare", row }, (reply) => "declared" in reply ? { answer: reply.declared } : undefined)
    }
  }
)

/**
 * The store in a database on disk, which keeps what is declared too. One server at a time. When its scope ends, and its
 * threads do not within a second more than the shutdown deadline of `ServerConfig`, that dies with `Hangs`.
 */
export const layerSqlite = (options: Options): Layer.Layer<MessageStore | Keeper, CannotOpen> =>
  Layer.effectContext(make(options))
