/**
 * The threads of the durable store, so that a slow disk stops nobody who does not need it: the writer commits and keeps
 * house, and meanwhile the reader reads, and the checkpointer brings the log into the database. What they do stands in
 * `Writer`, `Retention`, `Reader` and `Checkpointer`; this is who answers which question, and when there is time for what.
 */
import { statSync } from "node:fs"
import { setPriority } from "node:os"
import type { DatabaseSync } from "node:sqlite"
import { type MessagePort, parentPort, Worker, workerData } from "node:worker_threads"
import { Checkpointer, serveCheckpointer } from "./Checkpointer.ts"
import { busyTimeout, locate, lock, open, openReadOnly, placesOf } from "./Database.ts"
import { Reader, type StoredName, type StoredNames, type StoredPage } from "./Reader.ts"
import { type Keep, Retention, type Trimmed } from "./Retention.ts"
import type { Committed, DeclaredName, Moment, Steps } from "./Steps.ts"
import { Writer } from "./Writer.ts"

export interface Settings {
  readonly file: string
  readonly role: "writer" | "reader" | "checkpointer"
  readonly resendWindow: number
  readonly keep: Keep
  /** By the clock of whoever says when messages come. */
  readonly startedAt: Moment
}

export type Question =
  | { readonly op: "commit"; readonly steps: Steps }
  | { readonly op: "name"; readonly name: string }
  | {
    readonly op: "read"
    readonly target: string
    readonly after: number
    readonly except: string | undefined
  }
  | { readonly op: "declared" }
  | { readonly op: "declare"; readonly row: DeclaredName }
  | { readonly op: "names"; readonly after: string }
  /** Whether what it works on is still there. */
  | { readonly op: "look" }
  /** Whether it works: the writer writes something to the disk, the reader reads. */
  | { readonly op: "probe" }
  /** Ends the thread; there is no answer. */
  | { readonly op: "close"; readonly steps: Steps | undefined }
export type Request = Question & { readonly id: number }

/** To each request its result; and what the writer has done by itself. */
export type Reply =
  | { readonly id: number; readonly error: string }
  | { readonly id: number; readonly committed: Committed }
  | { readonly id: number; readonly name: StoredName | undefined }
  | { readonly id: number; readonly page: StoredPage }
  | { readonly id: number; readonly declared: ReadonlyArray<DeclaredName> }
  | { readonly id: number; readonly names: StoredNames }
  | { readonly id: number; readonly works: true }
  | { readonly id: 0; readonly opened: true }
  /** All that has been committed is in its place, and these are gone. */
  | { readonly id: 0; readonly trimmed: ReadonlyArray<Trimmed> }

/** Milliseconds until what was committed is brought to its place at the latest. */
const foldWithin = 100

/** Milliseconds without a commit, after which there is time for the rest; and for what has failed to be tried again. */
const idleAfter = 1000

/** Free pages of the file that are left while there is work, and when there is none: what is recent comes and goes. */
const sparePages = { busy: 1024, idle: 64 }

/** Milliseconds between two looks for what has become too old: a twentieth of the age that it may have, within these. */
const lookEvery = { least: 100, most: 60_000 }

/**
 * Pages in the log, at a guess, with which it is brought into the database, by the checkpointer; and with which the writer
 * waits for that. More of them make a restart slower.
 */
const fullLog = { begin: 4000, wait: 16_000 }

/** Milliseconds that the log's new beginning waits for who reads in it; a backup reads for long. */
const logPatience = 20

/**
 * Of the others but the writer, where all share one core: with 500 who read, an ACK took 2.3 ms without it, and 1.1 with
 * it.
 */
const nice = 4

/** Bytes of the log's file that are left to be used again when there is nothing to do. */
const idleLogBytes = 4 * 1024 * 1024

const serveWriter = (port: MessagePort, settings: Settings) => {
  const { keep, resendWindow, startedAt } = settings
  const file = locate(settings.file)
  const locked = lock(file)
  const db = open(file)
  db.exec("PRAGMA wal_autocheckpoint = 0")
  const writer = new Writer(db, resendWindow, startedAt)
  const stayInPlace = placesOf([settings.file, `${file}-wal`])
  const retention = new Retention(writer, keep)
  const age = keep.age === undefined ? undefined : Math.min(Math.max(lookEvery.least, keep.age / 20), lookEvery.most)
  let [committedAt, foldedAt] = [0, 0]
  let pages = 0 // in the log, at a guess
  let isLeft = true // something to be removed, maybe
  let timer: NodeJS.Timeout | undefined
  let dueAt = 0
  const checkpointer = new Checkpointer(
    () =>
      new Worker(new URL(import.meta.url), {
        workerData: { ...settings, role: "checkpointer" } satisfies Settings,
        execArgv: ["--disable-warning=ExperimentalWarning"],
        resourceLimits: { maxYoungGenerationSizeMb: 1 }
      }),
    () =>
      attempt(() => {
        beginLog("RESTART")
        look(idleAfter) // its file is as long as it was
      })
  )

  /** What need not be done at once: some milliseconds of a transaction. */
  const keepHouse = () => {
    const { bytes, rows } = writer.fold()
    retention.note(bytes, rows)
    return { pages: 2 * rows.length + bytes / 2000, trimmed: retention.step(Date.now()) }
  }

  const hasKeptHouse = (done: ReturnType<typeof keepHouse>) => {
    foldedAt = performance.now()
    isLeft = done.trimmed.length > 0
    pages += done.pages + 4 * done.trimmed.length
    if (done.pages > 0 || isLeft) port.postMessage({ id: 0, trimmed: done.trimmed } satisfies Reply)
    if (pages >= fullLog.wait) beginLog("RESTART")
    else if (pages >= fullLog.begin) checkpointer.begin()
  }

  const beginLog = (mode: "RESTART" | "TRUNCATE") => {
    db.exec(`PRAGMA busy_timeout = ${logPatience}`)
    try {
      const result = db.prepare(`PRAGMA wal_checkpoint(${mode})`).get()
      pages = result?.["busy"] === 0 ? 0 : fullLog.begin / 2
    } finally {
      db.exec(`PRAGMA busy_timeout = ${busyTimeout}`)
    }
  }

  /** Does what is left to do, when no commit takes it along, and says in how many milliseconds to look again. */
  const whenThereIsTime = (): number | undefined => {
    stayInPlace() // the checkpointer would make another one
    const idle = performance.now() - committedAt
    if (idle < foldWithin) return foldWithin
    if (committedAt > foldedAt || isLeft || age !== undefined) {
      hasKeptHouse(retention.guard(() => writer.transact(keepHouse)))
    }
    if (isLeft) return 0
    const given = retention.giveBack(idle < idleAfter ? sparePages.busy : sparePages.idle)
    pages += given // of others in their places: the file is only shorter when the log is in it
    if (given > 0) return 0
    if (idle < idleAfter) return idleAfter
    const isLong = statSync(`${file}-wal`).size > idleLogBytes
    if (pages > 0 || isLong) beginLog(isLong ? "TRUNCATE" : "RESTART")
    if (pages > 0) return idleAfter
    void checkpointer.end()
    return age
  }

  /** Looks after so long at the latest. */
  const look = (within: number) => {
    const at = performance.now() + within
    if (timer !== undefined && dueAt <= at) return
    clearTimeout(timer)
    dueAt = at
    timer = setTimeout(() => {
      timer = undefined
      attempt(() => {
        const next = whenThereIsTime()
        if (next !== undefined) look(next)
      })
    }, within)
  }

  /** What ails the disk, those who want to commit are told; the rest is tried again. */
  const attempt = (work: () => void) => {
    try {
      work()
    } catch {
      look(idleAfter)
    }
  }

  look(0)
  return {
    commit: (id: number, steps: Steps) => {
      const isDue = isLeft || writer.shouldFold || performance.now() - foldedAt >= foldWithin
      const finish = () => {
        const done = isDue ? keepHouse() : undefined
        stayInPlace() // CPT 4.1: what is ACKed is there later too; at the end, where it can still be taken back
        return done
      }
      const { also, committed } = retention.guard(() => writer.commit(steps, finish))
      committedAt = performance.now()
      pages += 4
      const { ends, lines, timestamps } = committed
      port.postMessage({ id, committed } satisfies Reply, [ends.buffer, lines.buffer, timestamps.buffer])
      attempt(() => {
        if (also !== undefined) hasKeptHouse(also)
        look(foldWithin)
      })
    },
    declare: (id: number, row: DeclaredName) => {
      writer.transact(() => {
        writer.declare(row)
        stayInPlace()
      })
      pages += 2
      port.postMessage({ id, declared: [row] } satisfies Reply)
      look(foldWithin)
    },
    look: stayInPlace,
    probe: () => {
      stayInPlace()
      writer.probe()
    },
    close: async (steps: Steps) => {
      clearTimeout(timer)
      await checkpointer.end() // so that nothing is left of the log
      writer.close(steps)
      locked.close()
    }
  }
}

/** What is done for others keeps those waiting less who say something; by itself it is as fast. */
const stepBack = () => {
  if (process.platform !== "linux") return // it would be the whole process
  try {
    setPriority(nice)
  } catch {
    // Where that is not allowed, it is as it was
  }
}

const serveReader = (port: MessagePort, { file }: Settings) => {
  stepBack()
  const db: DatabaseSync = openReadOnly(file)
  const reader = new Reader(db)
  return {
    name: (id: number, name: string) => port.postMessage({ id, name: reader.name(name) } satisfies Reply),
    read: (id: number, { after, except, target }: Extract<Question, { op: "read" }>) => {
      const page = reader.read(target, after, except)
      // Given away, not copied: what a page leaves behind is half as much garbage
      port.postMessage({ id, page } satisfies Reply, [page.lines.buffer])
    },
    declared: (id: number) => port.postMessage({ id, declared: reader.declared() } satisfies Reply),
    names: (id: number, after: string) => port.postMessage({ id, names: reader.names(after) } satisfies Reply),
    probe: () => reader.names(""),
    close: () => db.close()
  }
}

/** Answers requests one after the other; what fails is answered too. */
const serve = (port: MessagePort, settings: Settings): void => {
  const writer = settings.role === "writer" ? serveWriter(port, settings) : undefined
  const reader = settings.role === "reader" ? serveReader(port, settings) : undefined
  const answer = (request: Request) => {
    switch (request.op) {
      case "commit":
        return writer?.commit(request.id, request.steps)
      case "name":
        return reader?.name(request.id, request.name)
      case "read":
        return reader?.read(request.id, request)
      case "declared":
        return reader?.declared(request.id)
      case "declare":
        return writer?.declare(request.id, request.row)
      case "names":
        return reader?.names(request.id, request.after)
      case "look":
        writer?.look()
        return port.postMessage({ id: request.id, works: true } satisfies Reply)
      case "probe":
        writer?.probe()
        reader?.probe()
        return port.postMessage({ id: request.id, works: true } satisfies Reply)
      case "close":
        port.close()
        if (request.steps !== undefined) void writer?.close(request.steps)
        reader?.close()
    }
  }
  port.on("message", (request: Request) => {
    try {
      answer(request)
    } catch (error) {
      port.postMessage(
        { id: request.id, error: error instanceof Error ? error.message : String(error) } satisfies Reply
      )
    }
  })
  port.postMessage({ id: 0, opened: true } satisfies Reply)
}

if (parentPort !== null) {
  const settings: Settings = workerData
  if (settings.role === "checkpointer") {
    stepBack()
    serveCheckpointer(parentPort, settings.file)
  } else serve(parentPort, settings)
}
