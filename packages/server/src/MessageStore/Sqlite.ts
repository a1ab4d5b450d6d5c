/**
 * The durable store: one SQLite database, in WAL mode and synced before any ACK. All that waits when the disk is free
 * becomes one transaction with one sync (group commit), so the disk's latency is shared and its throughput is not the
 * limit. The database's work happens in two threads (`sqlite/Thread.ts`): who reads, connects or follows does not wait
 * for a commit. Of targets that somebody watches, the newest lines are in memory too, within a bound.
 */
import { Command, Decline, Limits, type Name, Timestamp } from "@cpt/schema"
import { Clock, Deferred, Effect, Exit, Latch, Layer, Schema } from "effect"
import { Worker } from "node:worker_threads"
import { type Kind, MessageStore, type Page, type Watcher } from "../MessageStore.ts"
import { Cache, type Tail } from "./Cache.ts"
import { headOf } from "./Head.ts"
import type { Keep } from "./sqlite/Retention.ts"
import type { Question, Reply, Request, Settings } from "./sqlite/Thread.ts"
import { type Committed, type Op, op, type Steps } from "./sqlite/Writer.ts"

export interface Options {
  /** The database; made if it is not there. */
  readonly file: string
  /** Milliseconds in which an equal, unconfirmed message is a re-send (CPT 4.4); 0 switches that off. */
  readonly resendWindow?: number | undefined
  /** Bytes of memory for the newest lines of targets that are watched; by default 64 MiB. */
  readonly cache?: number | undefined
  /** What need not be kept; by default everything is. */
  readonly keep?: Keep | undefined
}

/** The database cannot be opened: the message says why. */
export class CannotOpen extends Schema.TaggedError<CannotOpen>()("CannotOpen", { message: Schema.String }) {}

const defaultCache = 64 * 1024 * 1024

/** Bytes that may wait for the disk, over all sessions; more, and sessions wait before they hand theirs over. */
const maxWaitingBytes = 32 * 1024 * 1024

/** Drafts of one transaction, but for those of one append: some ten milliseconds, which all of them wait for. */
const maxCommitDrafts = 4096

interface Draft {
  readonly sender: Name.Username
  readonly target: Name.Target
  readonly message: string
}

/** What a draft takes, at a guess. */
const sizeOf = ({ message }: Draft): number => message.length + 200

/** A place in the next transaction, and who waits for it. */
type Waiting =
  | {
    readonly _tag: "append"
    readonly now: number
    readonly drafts: ReadonlyArray<Draft>
    readonly done: (result: Exit.Exit<void, Decline.StorageUnavailable>) => void
  }
  | { readonly _tag: "confirm"; readonly sender: Name.Username }
  | {
    readonly _tag: "claim"
    readonly name: Name.Name
    readonly kind: "user" | "group"
    readonly done: (result: Exit.Exit<void, Decline.StorageUnavailable>) => void
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
    { readonly line: Buffer; readonly timestamp: Timestamp.Timestamp }
  > = []
}

const make = Effect.fnUntraced(function*(options: Options) {
  const settings = {
    file: options.file,
    resendWindow: options.resendWindow ?? Limits.resendWindow,
    keep: options.keep ?? {}
  }
  const clock = yield* Clock.Clock
  const cache = new Cache(options.cache ?? defaultCache)
  const watched = new Map<string, Watched>()
  const kinds = new Map<string, "user" | "group">() // of the names that sessions bear or follow
  const claiming = new Map<string, "group">() // what is not on disk yet, and nobody waits for
  const recent = new Map<string, number>() // the heads of targets that are not all in their places yet
  const pending = new Map<string, number>() // drafts on their way, of each target
  const room = Latch.makeUnsafe(true)
  let waitingBytes = 0
  const somethingWaits = Latch.makeUnsafe(false)
  let waiting: Array<Waiting> = []

  const writer = yield* thread({ ...settings, role: "writer" }, {
    onHousekeeping: ({ trimmed }) => {
      recent.clear() // what was committed before is in its place; what comes later is told later
      for (const { target, through } of trimmed) {
        const tail = watched.get(target)?.known
        if (tail !== undefined) cache.trim(tail, Timestamp.fromMillis(through))
      }
    },
    // Nobody has anything to store any more; what is left is what peers have seen
    lastSteps: () => stepsOf(waiting)
  })
  const reader = yield* thread({ ...settings, role: "reader" }) // after the writer has made the database

  const enqueue = (entry: Waiting) => {
    waiting.push(entry)
    // That an ACK was seen need not be on disk: it goes with the next message
    if (entry._tag !== "confirm") somethingWaits.openUnsafe()
  }

  const append = (drafts: ReadonlyArray<Draft>, now: number) =>
    Effect.callback<void, Decline.StorageUnavailable>((resume) => {
      for (const draft of drafts) {
        pending.set(draft.target, (pending.get(draft.target) ?? 0) + 1)
        waitingBytes += sizeOf(draft)
      }
      if (waitingBytes > maxWaitingBytes) room.closeUnsafe()
      enqueue({ _tag: "append", now, drafts, done: resume })
    })

  /** A draft is on its way no more. */
  const settle = (draft: Draft) => {
    const left = (pending.get(draft.target) ?? 0) - 1
    if (left > 0) pending.set(draft.target, left)
    else pending.delete(draft.target)
    waitingBytes -= sizeOf(draft)
  }

  const stepsOf = (batch: ReadonlyArray<Waiting>): Steps => {
    const steps: Steps = { ops: [], times: [], names: [], targets: [], messages: [] }
    const add = (op: Op, time: number, name: string, target: string, message: string) => {
      steps.ops.push(op)
      steps.times.push(time)
      steps.names.push(name)
      steps.targets.push(target)
      steps.messages.push(message)
    }
    for (const entry of batch) {
      if (entry._tag === "confirm") add(op.confirm, 0, entry.sender, "", "")
      else if (entry._tag === "claim") add(entry.kind === "user" ? op.claimUser : op.claimGroup, 0, entry.name, "", "")
      else {
        for (const { message, sender, target } of entry.drafts) {
          const kind = kinds.get(target)
          const code = kind === undefined ? op.message : kind === "user" ? op.messageToUser : op.messageToGroup
          add(code, entry.now, sender, target, message)
        }
      }
    }
    return steps
  }

  const tell = ({ message, sender, target }: Draft, timestamp: Timestamp.Timestamp) => {
    recent.set(target, timestamp)
    const to = watched.get(target)
    if (to === undefined) return
    // Where the target is may have been read after this was committed, and before it is told
    if (to.known !== undefined && timestamp <= to.known.head) return
    const line = Buffer.from(`${Command.msgLine(target, sender, timestamp, message)}\n`)
    if (to.known === undefined) {
      to.early.push({ line, timestamp })
      return
    }
    const appended = { sender, timestamp, line: cache.append(to.known, line, timestamp) }
    for (const watcher of to.watchers) watcher.tell(appended)
  }

  /** What becomes one transaction. */
  const nextBatch = (): ReadonlyArray<Waiting> => {
    let drafts = 0
    const end = waiting.findIndex((entry) =>
      entry._tag === "append" && (drafts += entry.drafts.length) > maxCommitDrafts
    )
    const batch = end === -1 ? waiting : waiting.slice(0, Math.max(1, end))
    waiting = end === -1 ? [] : waiting.slice(batch.length)
    return batch
  }

  yield* Effect.gen(function*() {
    yield* somethingWaits.await
    yield* Effect.yieldNow // what else comes in this tick goes with it
    const batch = nextBatch()
    if (waiting.length === 0) somethingWaits.closeUnsafe()
    const committed = yield* Effect.exit(writer.commit(stepsOf(batch)))
    const timestamps = Exit.isSuccess(committed) ? committed.value : []
    let step = 0
    for (const entry of batch) {
      if (entry._tag !== "append") step++
      else {
        for (const draft of entry.drafts) {
          const timestamp = timestamps[step++] ?? 0
          settle(draft)
          if (timestamp > 0) tell(draft, Timestamp.fromMillis(timestamp))
        }
      }
    }
    if (waitingBytes <= maxWaitingBytes) room.openUnsafe()
    const groups = batch.filter((entry) => entry._tag === "claim" && entry.kind === "group")
    if (Exit.isFailure(committed)) waiting.unshift(...groups) // to go with the next message
    else for (const entry of groups) if (entry._tag === "claim") claiming.delete(entry.name)
    const result = Exit.asVoid(committed)
    for (const entry of batch) if (entry._tag !== "confirm") entry.done(result)
  }).pipe(Effect.forever, Effect.forkScoped)

  /** What is on disk of a name, with what is not in its place yet. */
  const stored = (name: Name.Name) =>
    Effect.suspend(() => {
      const head = recent.get(name)
      return Effect.map(reader.name(name), (found) => ({
        kind: found !== undefined && (found.isKept || head !== undefined) ? found.kind : undefined,
        head: Timestamp.fromMillis(Math.max(found?.head ?? 0, head ?? 0))
      }))
    })

  const kindOf = (name: Name.Name) =>
    Effect.suspend((): Effect.Effect<Kind | undefined, Decline.StorageUnavailable> => {
      const known = kinds.get(name) ?? claiming.get(name)
      return known === undefined ? Effect.map(stored(name), ({ kind }) => kind) : Effect.succeed(known)
    })

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
    kinds.delete(target)
  }

  return MessageStore.of({
    description: `in ${options.file}`,

    append: (sender, batch) => {
      const drafts = Array.from({ length: batch.count }, (_, index): Draft => ({
        sender,
        target: batch.targets[index]!,
        message: batch.bytes.toString("utf8", batch.starts[index], batch.ends[index])
      }))
      const now = clock.currentTimeMillisUnsafe()
      // What is on its way to the disk cannot be called back, so its end is waited for
      return Effect.uninterruptible(
        waitingBytes > maxWaitingBytes ? Effect.andThen(room.await, append(drafts, now)) : append(drafts, now)
      )
    },

    confirm: (sender) => {
      enqueue({ _tag: "confirm", sender })
      return Exit.void
    },

    read: (target, { after, except }) =>
      Effect.suspend(() => {
        const tail = watched.get(target)?.known
        const page = tail === undefined
          ? undefined
          : cache.read(tail, after, except === undefined ? undefined : headOf(target, except))
        if (page !== undefined) return Effect.succeed(page)
        const hasRecent = recent.has(target)
        return Effect.map(reader.read({ target, after, except, hasRecent }), (page): Page => ({
          lines: page.lines,
          through: Timestamp.fromMillis(page.through),
          last: page.last,
          missingThrough: Timestamp.fromMillis(page.missingThrough)
        }))
      }),

    watch: (target, watcher) =>
      Effect.gen(function*() {
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
      Effect.gen(function*() {
        const before = yield* kindOf(name)
        const settled = kinds.get(name) ?? (before === "open" ? undefined : before)
        kinds.set(name, settled ?? kind)
        if (settled !== undefined) return settled
        // Without messages it lasts as long as somebody bears or follows it; with them it is theirs for good
        if (before === "open" || pending.has(name)) {
          // That an inbox is private must be as safe as what is in it. Whoever follows a group need not wait for the disk
          if (kind === "group") {
            claiming.set(name, kind)
            enqueue({ _tag: "claim", name, kind, done: () => {} })
          } else {
            yield* Effect.callback<void, Decline.StorageUnavailable>((resume) => {
              enqueue({ _tag: "claim", name, kind, done: resume })
            }).pipe(Effect.onError(() => Effect.sync(() => kinds.delete(name))))
          }
        }
        return kind
      })
  })
})

const isSource = import.meta.url.endsWith(".ts")

/** What the writer has done by itself. */
type Housekeeping = Extract<Reply, { readonly trimmed: unknown }>

/** A thread on the database, and the questions that it answers. They fail when it cannot, and when it is gone. */
const thread = Effect.fnUntraced(
  function*(settings: Settings, { lastSteps, onHousekeeping }: {
    readonly onHousekeeping?: (done: Housekeeping) => void
    /** What is to be committed when it ends. */
    readonly lastSteps?: () => Steps
  } = {}) {
    const waiting = new Map<number, (reply: Reply) => void>()
    let lastId = 0
    let isGone = false
    let isFailing = false

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
        Effect.callback<void>((resume) => {
          if (isGone) return resume(Effect.void)
          worker.once("exit", () => resume(Effect.void))
          worker.postMessage({ id: 0, op: "close", steps: lastSteps?.() } satisfies Request)
        })
    )
    worker.on("message", (reply: Reply) => {
      if ("trimmed" in reply) return onHousekeeping?.(reply)
      const answer = waiting.get(reply.id)
      waiting.delete(reply.id)
      answer?.(reply)
    })
    worker.on("error", () => {}) // "exit" follows
    worker.on("exit", () => {
      isGone = true
      for (const [id, answer] of waiting) answer({ id, error: "the database's thread has ended" })
      waiting.clear()
    })

    const ask = <A>(question: Question, read: (reply: Reply) => { readonly answer: A } | undefined) =>
      Effect.callback<Reply>((resume) => {
        if (isGone) return resume(Effect.succeed({ id: 0, error: "the database's thread has ended" }))
        const id = ++lastId
        waiting.set(id, (reply) => resume(Effect.succeed(reply)))
        worker.postMessage({ ...question, id } satisfies Request)
      }).pipe(Effect.flatMap((reply) => {
        const found = read(reply)
        return found === undefined ? unavailable(reply) : Effect.as(works, found.answer)
      }))

    // Said when it begins and when it is over: what is refused meanwhile may be a lot
    const unavailable = (reply: Reply) =>
      Effect.suspend(() => {
        const why = "error" in reply ? reply.error : "no answer to the question"
        const said = isFailing ? Effect.void : Effect.logError(`the ${settings.role} of ${settings.file} fails: ${why}`)
        isFailing = true
        return Effect.andThen(said, Effect.fail(new Decline.StorageUnavailable({})))
      })
    const works = Effect.suspend(() => {
      if (!isFailing) return Effect.void
      isFailing = false
      return Effect.logInfo(`the ${settings.role} of ${settings.file} works again`)
    })

    return {
      commit: (steps: Steps): Effect.Effect<Committed, Decline.StorageUnavailable> =>
        ask({ op: "commit", steps }, (reply) => "committed" in reply ? { answer: reply.committed } : undefined),
      name: (name: string) =>
        ask({ op: "name", name }, (reply) => "name" in reply ? { answer: reply.name } : undefined),
      read: (page: Omit<Extract<Question, { op: "read" }>, "op">) =>
        ask({ op: "read", ...page }, (reply) => "page" in reply ? { answer: reply.page } : undefined)
    }
  }
)

/** The store in a database on disk. One server at a time. */
export const layerSqlite = (options: Options): Layer.Layer<MessageStore, CannotOpen> =>
  Layer.effect(MessageStore, make(options))
