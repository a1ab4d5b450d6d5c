/**
 * The durable store: one SQLite database, in WAL mode and synced before any ACK. All that waits when the disk is free
 * becomes one transaction with one sync (group commit), so the disk's latency is shared and its throughput is not the
 * limit. The database's work happens in two threads (`SqliteThread.ts`): who reads, connects or follows does not wait
 * for a commit.
 */
import { Command, Decline, Limits, type Name, Timestamp } from "@cpt/schema"
import { Clock, Deferred, Effect, Exit, Latch, Layer, Schema, Semaphore } from "effect"
import { Buffer } from "node:buffer"
import { Worker } from "node:worker_threads"
import { type Appended, type Draft, type Kind, MessageStore } from "../MessageStore.ts"
import type { Question, Reply, Request, Settings, Step, StoredName } from "./SqliteThread.ts"

export interface Options {
  /** The database; made if it is not there. */
  readonly file: string
  /** Milliseconds in which an equal, unconfirmed message is a re-send (CPT 4.4); 0 switches that off. */
  readonly resendWindow?: number | undefined
}

/** The database cannot be opened: the message says why. */
export class CannotOpen extends Schema.TaggedError<CannotOpen>()("CannotOpen", { message: Schema.String }) {}

/** Drafts that may wait for the disk, over all sessions; more, and sessions wait before they hand theirs over. */
const maxWaitingDrafts = 65_536

/** A place in the next transaction, and who waits for it. */
interface Waiting {
  readonly step: Step
  readonly drafts: ReadonlyArray<Draft>
  readonly done: Deferred.Deferred<void, Decline.StorageUnavailable>
}

const make = Effect.fnUntraced(function*(options: Options) {
  const settings = { file: options.file, resendWindow: options.resendWindow ?? Limits.resendWindow }
  const writer = yield* thread({ ...settings, role: "writer" })
  const reader = yield* thread({ ...settings, role: "reader" }) // after the writer has made the database
  const watchers = new Map<string, Set<(message: Appended) => void>>()
  const kinds = new Map<string, "user" | "group">() // of the names that sessions bear or follow
  const room = Semaphore.makeUnsafe(maxWaitingDrafts)
  const somethingWaits = Latch.makeUnsafe(false)
  let waiting: Array<Waiting> = []
  let committing: Array<Waiting> = []

  const enqueue = (step: Step, drafts: ReadonlyArray<Draft> = []) => {
    const done = Deferred.makeUnsafe<void, Decline.StorageUnavailable>()
    waiting.push({ step, drafts, done })
    // That an ACK was seen need not be on disk: it goes with the next message
    if (step._tag !== "confirm") somethingWaits.openUnsafe()
    return Deferred.await(done)
  }

  const tell = ({ drafts }: Waiting, timestamps: ReadonlyArray<number>) => {
    drafts.forEach(({ message, sender, target }, index) => {
      const watching = watchers.get(target)
      const timestamp = Timestamp.fromMillis(timestamps[index] ?? 0)
      if (watching === undefined || timestamp === 0) return
      const line = Buffer.from(`${Command.msgLine(target, sender, timestamp, message)}\n`)
      for (const watcher of watching) watcher({ sender, timestamp, line })
    })
  }

  yield* Effect.gen(function*() {
    yield* somethingWaits.await
    yield* Effect.yieldNow // what else comes in this tick goes with it
    somethingWaits.closeUnsafe()
    committing = waiting
    waiting = []
    const committed = yield* Effect.exit(writer.commit(committing.map(({ step }) => step)))
    if (Exit.isSuccess(committed)) {
      const appends = committing.filter(({ step }) => step._tag === "append")
      appends.forEach((append, index) => tell(append, committed.value[index] ?? []))
    }
    const result = Exit.asVoid(committed)
    for (const { done } of committing) Deferred.doneUnsafe(done, result)
    committing = []
  }).pipe(Effect.forever, Effect.forkScoped)

  const kindOf = (name: Name.Name) =>
    Effect.suspend((): Effect.Effect<Kind | undefined, Decline.StorageUnavailable> => {
      const known = kinds.get(name)
      if (known !== undefined) return Effect.succeed(known)
      return Effect.map(reader.name(name), (stored) => stored?.kind === "none" ? undefined : stored?.kind)
    })

  return MessageStore.of({
    description: `in ${options.file}`,

    append: (drafts) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const became = drafts.flatMap(({ target }) => {
          const kind = kinds.get(target)
          return kind === undefined ? [] : [[target, kind] as const]
        })
        return enqueue({ _tag: "append", now, drafts, kinds: became }, drafts)
      }).pipe(
        room.withPermits(Math.min(drafts.length, maxWaitingDrafts)),
        Effect.uninterruptible // what is on its way to the disk cannot be called back, so its end is waited for
      ),

    confirm: (sender) =>
      Effect.sync(() => {
        enqueue({ _tag: "confirm", sender })
      }),

    read: (target, { after, except }) =>
      Effect.map(reader.read(target, after, except), ({ last, lines, missingThrough, through }) => ({
        lines,
        through: Timestamp.fromMillis(through),
        last,
        missingThrough: Timestamp.fromMillis(missingThrough)
      })),

    watch: (target, watcher) =>
      Effect.gen(function*() {
        // What is told before it is known where this begins may be behind that or not
        let early: Array<Appended> | undefined = []
        const listen = (message: Appended) => early === undefined ? watcher(message) : void early.push(message)
        yield* Effect.acquireRelease(
          Effect.sync(() => {
            const watching = watchers.get(target)
            if (watching === undefined) watchers.set(target, new Set([listen]))
            else watching.add(listen)
          }),
          () =>
            Effect.sync(() => {
              const watching = watchers.get(target)
              if (watching?.delete(listen) === true && watching.size === 0) watchers.delete(target)
            })
        )
        const head = Timestamp.fromMillis((yield* reader.name(target))?.head ?? 0)
        const behind = early.filter(({ timestamp }) => timestamp > head)
        early = undefined
        behind.forEach(watcher)
        return head
      }),

    kindOf,

    claim: (name, kind) =>
      Effect.gen(function*() {
        const before = yield* kindOf(name)
        const settled = kinds.get(name) ?? (before === "open" ? undefined : before)
        if (settled !== undefined) {
          kinds.set(name, settled)
          return settled
        }
        kinds.set(name, kind)
        // Where there are messages already, what the name is must be as safe as they are before anyone is told
        const isTarget = ({ drafts }: Waiting) => drafts.some(({ target }) => target === name)
        if (before === "open" || committing.some(isTarget) || waiting.some(isTarget)) {
          yield* Effect.onError(enqueue({ _tag: "claim", name, kind }), () => Effect.sync(() => kinds.delete(name)))
        }
        return kind
      }),

    forget: (name) =>
      Effect.sync(() => {
        if (!watchers.has(name)) kinds.delete(name)
      })
  })
})

const isSource = import.meta.url.endsWith(".ts")

/** A thread on the database, and the questions that it answers. They fail when it cannot, and when it is gone. */
const thread = Effect.fnUntraced(function*(settings: Settings) {
  const waiting = new Map<number, (reply: Reply) => void>()
  let lastId = 0
  let isGone = false

  const worker = yield* Effect.acquireRelease(
    Effect.callback<Worker, CannotOpen>((resume) => {
      const worker = new Worker(new URL(isSource ? "./SqliteThread.ts" : "./SqliteThread.js", import.meta.url), {
        workerData: settings,
        execArgv: ["--disable-warning=ExperimentalWarning"]
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
        worker.postMessage("close")
      })
  )
  worker.on("message", (reply: Reply) => {
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

  const ask = (question: Question) =>
    Effect.callback<Reply, Decline.StorageUnavailable>((resume) => {
      if (isGone) return resume(Effect.fail(new Decline.StorageUnavailable({})))
      const id = ++lastId
      waiting.set(id, (reply) => resume(Effect.succeed(reply)))
      worker.postMessage({ ...question, id } satisfies Request)
    })
  const unavailable = (reply: Reply) =>
    Effect.andThen(
      Effect.logError(
        `the store ${settings.role} failed: ${"error" in reply ? reply.error : "no answer to the question"}`
      ),
      Effect.fail(new Decline.StorageUnavailable({}))
    )
  return {
    commit: (steps: ReadonlyArray<Step>) =>
      Effect.flatMap(
        ask({ op: "commit", steps }),
        (reply) => "committed" in reply ? Effect.succeed(reply.committed) : unavailable(reply)
      ),
    name: (name: string): Effect.Effect<StoredName | undefined, Decline.StorageUnavailable> =>
      Effect.flatMap(
        ask({ op: "name", name }),
        (reply) => "name" in reply ? Effect.succeed(reply.name) : unavailable(reply)
      ),
    read: (target: string, after: number, except: string | undefined) =>
      Effect.flatMap(
        ask({ op: "read", target, after, except }),
        (reply) => "page" in reply ? Effect.succeed(reply.page) : unavailable(reply)
      )
  }
})

/** The store in a database on disk. One server at a time. */
export const layerSqlite = (options: Options): Layer.Layer<MessageStore, CannotOpen> =>
  Layer.effect(MessageStore, make(options))
