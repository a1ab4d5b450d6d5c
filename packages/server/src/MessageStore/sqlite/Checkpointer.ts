/**
 * Brings the log into the database while the writer goes on: of 16 MB that takes 20 ms, most of it a sync, for which
 * everybody who sends would wait. What has come meanwhile is left, and the writer begins the log anew in 2 ms.
 */
import { once } from "node:events"
import type { MessagePort, Worker } from "node:worker_threads"
import { connect } from "./Database.ts"

/** Each leaves what is committed meanwhile: with 50 who send as much as they can, an eighth of what there was before. */
const passes = 3

/** Its thread, which there is only while it is needed: it takes 8 MB. */
export class Checkpointer {
  readonly #make: () => Worker
  readonly #done: () => void
  #worker: Worker | undefined
  #isAtWork = false

  /** @param done is called when there is little left in the log, for the writer to begin it anew */
  constructor(make: () => Worker, done: () => void) {
    this.#make = make
    this.#done = done
  }

  /** Begins, unless it is at work. */
  begin(): void {
    if (this.#isAtWork) return
    this.#isAtWork = true
    this.#worker ??= this.#start()
    this.#worker.postMessage("begin")
  }

  /** Ends its thread, when it has done what it is at. */
  async end(): Promise<void> {
    const worker = this.#worker
    if (worker === undefined) return
    worker.postMessage("end")
    await once(worker, "exit")
  }

  #start(): Worker {
    const worker = this.#make()
    worker.on("message", () => {
      this.#isAtWork = false
      this.#done()
    })
    worker.on("error", () => {}) // the writer does it all when the log has become long; and "exit" follows
    worker.on("exit", () => {
      this.#worker = undefined
      this.#isAtWork = false
    })
    return worker
  }
}

/** What the thread does. */
export const serveCheckpointer = (port: MessagePort, file: string): void => {
  const db = connect(file)
  const checkpoint = db.prepare("PRAGMA wal_checkpoint(PASSIVE)")
  port.on("message", (what: "begin" | "end") => {
    if (what === "end") {
      db.close()
      return port.close()
    }
    try {
      for (let pass = 0; pass < passes; pass++) checkpoint.get()
    } catch {
      // What ails the disk, the writer meets too, and says
    }
    port.postMessage("done")
  })
}
