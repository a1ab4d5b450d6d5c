/**
 * A disk that fails when a test says so, under a process that knows nothing of it: the library is `disk.c`, this builds
 * it, switches its faults, and says what a disk may hold after the power went. A process that gets `environment` has
 * all its changes below one directory on that disk.
 */
import { Buffer } from "node:buffer"
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  truncateSync,
  writeFileSync,
  writeSync
} from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

/** In the order of their numbers in disk.c. */
const faults = [
  "none",
  "full",
  "write error",
  "sync error",
  "read-only",
  "slow sync",
  "slow write",
  "read error",
  "held sync"
] as const

/**
 * - `full`: nothing more can be written (ENOSPC), or only as many bytes as its parameter says
 * - `write error`, `sync error`, `read error`: EIO
 * - `read-only`: EROFS, for writes and for what would change a directory
 * - `slow sync`, `slow write`: each takes as many milliseconds longer as its parameter says
 * - `held sync`: a sync does not return before the fault is another one
 */
export type Fault = (typeof faults)[number]

let built: string | undefined | null = null // null: not tried yet

/** The library, built when its source has changed; undefined where it cannot be: elsewhere than on Linux, or without `cc`. */
const build = (): string | undefined => {
  if (built !== null) return built
  built = undefined
  if (process.platform !== "linux") return built
  const source = fileURLToPath(new URL("disk.c", import.meta.url))
  const cache = fileURLToPath(new URL("../../../../node_modules/.cache/", import.meta.url))
  const library = join(cache, `disk-${createHash("sha256").update(readFileSync(source)).digest("hex").slice(0, 16)}.so`)
  if (!existsSync(library)) {
    mkdirSync(cache, { recursive: true })
    const unfinished = `${library}.${process.pid}` // another process may be building it too
    const compiler = process.env["CC"] ?? "cc"
    const { error, status, stderr } = spawnSync(compiler, ["-shared", "-fPIC", "-O2", "-o", unfinished, source, "-ldl"])
    if (error !== undefined) return built // no compiler
    if (status !== 0) throw new Error(`disk.c: ${String(stderr)}`)
    renameSync(unfinished, library)
  }
  built = library
  return built
}

/** Whether tests on it have to be skipped: it needs Linux, and `cc`. */
export const isMissing = (): boolean => build() === undefined

export interface Options {
  /** The directory of the disk; made if it is not there. */
  readonly directory: string
  /** The file with the faults; made, without any, if it is not there. */
  readonly control?: string | undefined
  /**
   * The log for `powerLoss`; made if it is not there, and then what the directory holds counts as synced. With it nothing
   * is really synced. A process that is started again on what another one left, without a loss of power, goes on in the
   * same log.
   */
  readonly log?: string | undefined
}

/** What puts a process on the disk, as a part of its environment. One process at a time. */
export const environment = ({ control, directory, log }: Options): Record<string, string> => {
  const library = build()
  if (library === undefined) throw new Error("the disk cannot be built here: see isMissing")
  mkdirSync(directory, { recursive: true })
  const real = realpathSync(directory)
  if (control !== undefined) makeControl(control)
  if (log !== undefined && !existsSync(log)) {
    const records = filesBelow(real).map((path) => {
      const name = Buffer.from(path)
      const data = readFileSync(join(real, path))
      return Buffer.concat([header(Kind.found, name.length, name.length + data.length), name, data])
    })
    writeFileSync(log, Buffer.concat(records))
  } else if (log !== undefined) {
    // A process that was killed may have left half a record, of a change that it had not made yet
    truncateSync(log, wholeBytes(readFileSync(log)))
  }
  return {
    LD_PRELOAD: library,
    CPT_DISK_DIR: real,
    ...(control === undefined ? {} : { CPT_DISK_CONTROL: control }),
    ...(log === undefined ? {} : { CPT_DISK_LOG: log })
  }
}

const filesBelow = (directory: string): ReadonlyArray<string> =>
  readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.endsWith("-shm"))
    .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))

const makeControl = (control: string) => {
  if (!existsSync(control)) writeFileSync(control, Buffer.alloc(64))
}

const patch = (control: string, offset: number, bytes: Buffer) => {
  makeControl(control)
  const fd = openSync(control, "r+")
  writeSync(fd, bytes, 0, bytes.length, offset)
  closeSync(fd)
}

/** From the next call on, also in a process that runs. `none` ends it. */
export const setFault = (control: string, fault: Fault, parameter = 0): void => {
  const bytes = Buffer.alloc(8)
  bytes.writeUInt32LE(faults.indexOf(fault))
  bytes.writeUInt32LE(parameter, 4)
  patch(control, 0, bytes)
}

/** How many milliseconds the wall clock of the process is ahead of the machine's; negative if it is behind. */
export const setClock = (control: string, milliseconds: number): void => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64LE(BigInt(milliseconds))
  patch(control, 8, bytes)
}

interface Counts {
  readonly syncsBegun: number
  /** … and returned, without an error. */
  readonly syncsDone: number
  /** Calls that failed because of a fault. */
  readonly faults: number
}

/** What has happened on the disk, over all processes that were on it. */
export const counts = (control: string): Counts => {
  const bytes = readFileSync(control)
  return { syncsBegun: bytes.readUInt32LE(16), syncsDone: bytes.readUInt32LE(20), faults: bytes.readUInt32LE(24) }
}

// The log, as in disk.c

const Kind = {
  found: 1,
  opened: 2,
  written: 3,
  truncated: 4,
  unlinked: 5,
  renamed: 6,
  synced: 7,
  syncFailed: 8
} as const

const headerBytes = 24

const header = (kind: number, offset: number, size: number): Buffer => {
  const bytes = Buffer.alloc(headerBytes)
  bytes.writeUInt32LE(kind, 0)
  bytes.writeBigUInt64LE(BigInt(offset), 8)
  bytes.writeBigUInt64LE(BigInt(size), 16)
  return bytes
}

interface Entry {
  readonly at: number
  readonly kind: number
  readonly id: number
  readonly offset: number
  readonly data: Buffer
}

/** The whole records of what there is of a log up to some byte of it. */
function* records(log: Buffer): Generator<Entry> {
  for (let at = 0; at + headerBytes <= log.length;) {
    const end = at + headerBytes + Number(log.readBigUInt64LE(at + 16))
    if (end > log.length) return
    yield {
      at,
      kind: log.readUInt32LE(at),
      id: log.readUInt32LE(at + 4),
      offset: Number(log.readBigUInt64LE(at + 8)),
      data: log.subarray(at + headerBytes, end)
    }
    at = end
  }
}

const wholeBytes = (log: Buffer): number => {
  let end = 0
  for (const { at, data } of records(log)) end = at + headerBytes + data.length
  return end
}

/** What a disk holds of a file. */
class Content {
  #bytes: Buffer
  size: number
  constructor(bytes: Buffer = Buffer.alloc(0)) {
    this.#bytes = bytes
    this.size = bytes.length
  }

  write(offset: number, data: Buffer): void {
    const end = offset + data.length
    this.#room(end)
    data.copy(this.#bytes, offset)
    this.size = Math.max(this.size, end)
  }

  /** What was cut off, and is there again, is zeros. */
  truncate(size: number): void {
    this.#room(size)
    if (size < this.size) this.#bytes.fill(0, size, this.size)
    this.size = size
  }

  #room(size: number): void {
    if (size <= this.#bytes.length) return
    const bytes = Buffer.alloc(Math.max(size, 2 * this.#bytes.length))
    this.#bytes.copy(bytes, 0, 0, this.size)
    this.#bytes = bytes
  }

  copy(): Buffer {
    return Buffer.from(this.#bytes.subarray(0, this.size))
  }
}

/** A change of a file that no sync has covered yet. */
interface Change {
  readonly at: number
  readonly offset: number
  /** Undefined: the file was cut, or grown, to `offset`. */
  readonly data: Buffer | undefined
  /**
   * A sync of it has failed. The kernel then takes the pages for clean, and does not write them again by itself: not even
   * the next sync that succeeds says that this is on the disk.
   */
  isDropped: boolean
}

interface File {
  readonly disk: Content
  changes: Array<Change>
}

/** A change of a directory that is not durable yet: what each of the names means from then on. */
interface Naming {
  readonly at: number
  readonly names: ReadonlyMap<string, File | undefined>
}

const sectorBytes = 512
const pageBytes = 4096

/** How much of what was not synced is there after the power went. */
const fates = ["nothing", "all", "the beginning", "some of it"] as const

/**
 * What a disk may hold after the power went, written into `to`, a directory that is not there yet or is empty.
 *
 * There is all that was synced, whole. Of what was not, anything may have arrived: of the data of a file, each sector
 * (512 bytes) for itself; of the names in a directory, each name's changes in their order. The sync of a file also makes
 * it durable that the file is there, as on ext4; that a name is gone or is another file's now is durable with the sync
 * of its directory.
 *
 * @param random gives numbers from 0 up to 1: another one, another loss
 * @param until the power went when the log had so many bytes; without it, at the log's end
 */
export const powerLoss = (log: string, to: string, random: () => number, until?: number): void => {
  const now = new Map<string, File>() // as the process sees it
  const durable = new Map<string, File>()
  const opened = new Map<number, File | string>() // or a directory's path
  let namings: Array<Naming> = []

  const apply = ({ names }: Naming) => {
    for (const [name, file] of names) {
      if (file === undefined) durable.delete(name)
      else durable.set(name, file)
    }
  }
  /** Makes a naming durable, with those before it that it rests on. */
  const settle = (naming: Naming): void => {
    const index = namings.indexOf(naming)
    if (index === -1) return
    const before = namings.slice(0, index)
    for (const other of before) if ([...other.names.keys()].some((name) => naming.names.has(name))) settle(other)
    namings = namings.filter((other) => other !== naming)
    apply(naming)
  }
  const rename = (at: number, names: ReadonlyMap<string, File | undefined>) => {
    namings.push({ at, names })
    for (const [name, file] of names) {
      if (file === undefined) now.delete(name)
      else now.set(name, file)
    }
  }

  for (const { at, data, id, kind, offset } of records(readFileSync(log).subarray(0, until))) {
    const file = opened.get(id)
    switch (kind) {
      case Kind.found: {
        const found: File = { disk: new Content(Buffer.from(data.subarray(offset))), changes: [] }
        now.set(data.toString("utf8", 0, offset), found)
        durable.set(data.toString("utf8", 0, offset), found)
        break
      }
      case Kind.opened: {
        const name = data.toString()
        if (offset === 0 && !now.has(name)) rename(at, new Map([[name, { disk: new Content(), changes: [] }]]))
        opened.set(id, now.get(name) ?? name)
        break
      }
      case Kind.written:
      case Kind.truncated:
        if (file === undefined || typeof file === "string") throw new Error(`${log}: a change of no file, at ${at}`)
        file.changes.push({ at, offset, data: kind === Kind.written ? data : undefined, isDropped: false })
        break
      case Kind.unlinked:
        rename(at, new Map([[data.toString(), undefined]]))
        break
      case Kind.renamed: {
        const [from = "", name = ""] = data.toString().split("\0")
        rename(at, new Map([[name, now.get(from)], [from, undefined]]))
        break
      }
      case Kind.synced:
        if (file === undefined) throw new Error(`${log}: a sync of no file, at ${at}`)
        if (typeof file === "string") {
          for (const naming of namings) {
            if (naming.at < offset && [...naming.names.keys()].some((name) => isIn(file, name))) settle(naming)
          }
          break
        }
        sync(file, offset, random)
        for (const naming of namings) {
          const isItsCreation = naming.names.size === 1 && [...naming.names.values()].includes(file)
          if (naming.at < offset && isItsCreation) settle(naming)
        }
        break
      case Kind.syncFailed:
        if (typeof file === "object") { for (const change of file.changes) change.isDropped = true }
    }
  }

  const fate = pick(fates, random)
  const lost = new Set<string>()
  const many = fate === "the beginning" ? Math.floor(random() * (namings.length + 1)) : namings.length
  namings.forEach((naming, index) => {
    const names = [...naming.names.keys()]
    const happened = fate !== "nothing" && index < many && (fate !== "some of it" || random() < 0.5)
    if (happened && !names.some((name) => lost.has(name))) apply(naming)
    else for (const name of names) lost.add(name)
  })
  mkdirSync(to, { recursive: true })
  for (const [name, file] of durable) {
    lose(file, random)
    mkdirSync(dirname(join(to, name)), { recursive: true })
    writeFileSync(join(to, name), file.disk.copy(), { mode: 0o600 })
  }
}

const isIn = (directory: string, name: string) => dirname(name) === (directory === "" ? "." : directory)

const pick = <A>(all: readonly [A, ...ReadonlyArray<A>], random: () => number): A =>
  all[Math.floor(random() * all.length)] ?? all[0]

const perform = (disk: Content, { data, offset }: Change) =>
  data === undefined ? disk.truncate(offset) : disk.write(offset, data)

/** A sync that began when the log had `begun` bytes. */
const sync = (file: File, begun: number, random: () => number) => {
  const covered = file.changes.filter(({ at }) => at < begun)
  covered.forEach((change, index) => {
    // A page that was written again is written whole
    const isWrittenAgain = () => covered.slice(index + 1).some((later) => !later.isDropped && sharesPage(later, change))
    if (!change.isDropped || isWrittenAgain() || random() < 0.5) perform(file.disk, change)
  })
  file.changes = file.changes.filter(({ at }) => at >= begun)
}

const sharesPage = (a: Change, b: Change) => {
  const [firstA, lastA] = pages(a)
  const [firstB, lastB] = pages(b)
  return firstA <= lastB && firstB <= lastA
}

const pages = ({ data, offset }: Change): readonly [number, number] => [
  Math.floor(offset / pageBytes),
  data === undefined ? Infinity : Math.floor((offset + data.length - 1) / pageBytes)
]

/** The power goes: of the changes that no sync has covered, some are there and some are not. */
const lose = (file: File, random: () => number) => {
  const fate = pick(fates, random)
  if (fate === "nothing") return
  const many = fate === "the beginning" ? Math.floor(random() * (file.changes.length + 1)) : file.changes.length
  file.changes.forEach((change, index) => {
    if (index > many) return
    const isTorn = fate === "some of it" || fate === "the beginning" && index === many
    if (!isTorn) return perform(file.disk, change)
    const { data, offset } = change
    if (data === undefined) {
      if (random() < 0.5) perform(file.disk, change)
      return
    }
    // A file may have grown without its new data
    if (random() < 0.25 && offset + data.length > file.disk.size) file.disk.truncate(offset + data.length)
    const arrives = pick(["no sector", "each sector", "some sectors"], random)
    for (let start = offset; start < offset + data.length;) {
      const end = Math.min((Math.floor(start / sectorBytes) + 1) * sectorBytes, offset + data.length)
      if (arrives === "each sector" || arrives === "some sectors" && random() < 0.5) {
        file.disk.write(start, data.subarray(start - offset, end - offset))
      }
      start = end
    }
  })
  file.changes = []
}

/** Numbers from 0 up to 1 that look random, and are the same for the same seed. */
export const randomFrom = (seed: number) => (): number => {
  seed = (seed + 0x6d_2b_79_f5) | 0
  let mixed = Math.imul(seed ^ (seed >>> 15), seed | 1)
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000
}
