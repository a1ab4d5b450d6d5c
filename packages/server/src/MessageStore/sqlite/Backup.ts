/** A copy of a database as it is at one moment, whoever writes to it meanwhile. */
import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { setImmediate } from "node:timers/promises"
import { openToLook, placeOf, refuseDamaged, sqlite, syncDirectory, value } from "./Database.ts"

/** Pages between two reports of progress: some ten milliseconds. */
const stepPages = 4096

export interface BackupProgress {
  /** Pages of 4 KiB. When all of them are copied, the copy is checked. */
  readonly donePages: number
  readonly totalPages: number
}

/**
 * Copies a database; rejects when it cannot, or when what it has copied is damaged. When it is interrupted, it ends soon. In
 * all these cases nothing is left of it.
 */
export const backup = async (
  file: string,
  copy: string,
  { onProgress, signal }: { readonly onProgress: (progress: BackupProgress) => void; readonly signal: AbortSignal }
): Promise<void> => {
  const to = placeOf(copy)
  const { db, verify } = openToLook(placeOf(file))
  const unfinished = join(dirname(to), `.${basename(to)}.${process.pid}.tmp`)
  try {
    if (existsSync(to)) throw new Error(`${to} is there already`)
    closeSync(openSync(unfinished, "wx", 0o600))
    // What is committed from here on is not in the copy: without this it would begin anew with each commit
    db.exec("BEGIN")
    db.prepare("SELECT count(*) FROM sqlite_schema").get()
    await sqlite().backup(db, unfinished, {
      rate: stepPages,
      progress: ({ remainingPages, totalPages }) => {
        signal.throwIfAborted()
        onProgress({ donePages: totalPages - remainingPages, totalPages })
      }
    })
    verify()
    signal.throwIfAborted()
    const copied = new (sqlite().DatabaseSync)(unfinished)
    try {
      // A file by itself: nothing is made beside it by whoever reads it
      copied.exec("PRAGMA journal_mode = DELETE")
      const totalPages = Number(value(copied, "PRAGMA page_count"))
      onProgress({ donePages: totalPages, totalPages })
      await setImmediate() // what is said of it is seen before this, which takes a while and is one piece
      refuseDamaged(copied, "1")
    } finally {
      copied.close()
    }
    signal.throwIfAborted()
    const descriptor = openSync(unfinished, "r+")
    fsyncSync(descriptor)
    closeSync(descriptor)
    renameSync(unfinished, to)
    syncDirectory(dirname(to))
  } finally {
    db.close()
    for (const suffix of ["", "-wal", "-shm", "-journal"]) rmSync(`${unfinished}${suffix}`, { force: true })
  }
}
