/**
 * The store in memory: as fast as it gets, gone when the process ends. Bounded by messages and bytes; the oldest go
 * first, over all targets, and a reader who asks behind what is left is told (CPT 5.4).
 */
import { Command, Limits, Timestamp } from "@cpt/schema"
import { Clock, Effect, Exit, Layer, MutableList } from "effect"
import { Duplicates } from "../Duplicates.ts"
import { type Appended, type Draft, type Kind, MessageStore, type Page } from "../MessageStore.ts"
import { Lines } from "./Lines.ts"

export interface MemoryLimits {
  /** Messages kept, over all targets. */
  readonly messages: number
  /** Bytes kept, over all targets: of the lines, and 32 more for each. */
  readonly bytes: number
  /** Milliseconds in which an equal, unconfirmed message is a re-send (CPT 4.4); 0 switches that off. */
  readonly resendWindow: number
}

const defaultLimits: MemoryLimits = {
  messages: 1_000_000,
  bytes: 256 * 1024 * 1024,
  resendWindow: Limits.resendWindow
}

const messageOverhead = 32

/** Of how many names it is remembered that messages are missing when none is left; for the oldest it is forgotten. */
const rememberedNames = 100_000

/** What is kept of one name. */
class Entry {
  readonly name: string
  kind: Kind
  head = Timestamp.epoch // of the last message, also of one that is gone
  missingThrough = Timestamp.epoch
  readonly lines = new Lines()
  readonly watchers = new Set<(message: Appended) => void>()
  #prefix = ""
  #sender = ""
  constructor(name: string, kind: Kind) {
    this.name = name
    this.kind = kind
  }

  /** How the lines of a sender begin: mostly the one's before. */
  prefix(sender: string): string {
    if (this.#sender !== sender) {
      this.#sender = sender
      this.#prefix = Command.msgPrefix(this.name, sender)
    }
    return this.#prefix
  }
}

const thousandths = Array.from({ length: 1000 }, (_, n) => String(n).padStart(3, "0"))
let second = 0
let secondDigits = ""

/** A timestamp as text. Those that follow each other differ in the last digits only: 9 ns, a conversion 163. */
const digits = (timestamp: Timestamp.Timestamp): string => {
  const seconds = Math.floor(timestamp / 1000)
  if (seconds === 0) return String(timestamp)
  if (seconds !== second) {
    second = seconds
    secondDigits = String(seconds)
  }
  return secondDigits + thousandths[timestamp - seconds * 1000]!
}

const nothing = new Uint8Array(0)

class Memory {
  readonly #entries = new Map<string, Entry>()
  readonly #order = MutableList.make<Entry>() // the entry of each message kept, oldest message first
  readonly #emptied = new Set<Entry>() // names of which every message is gone, longest ago first
  readonly #duplicates: Duplicates
  readonly #limits: MemoryLimits
  #bytes = 0

  constructor(limits: MemoryLimits) {
    this.#limits = limits
    this.#duplicates = new Duplicates(limits.resendWindow)
  }

  append(drafts: ReadonlyArray<Draft>, now: number): void {
    for (const draft of drafts) {
      if (!this.#duplicates.isResend(draft, now)) this.#store(draft, now)
    }
    while (this.#order.length > this.#limits.messages || this.#bytes > this.#limits.bytes) this.#dropOldest()
  }

  #store({ message, sender, target }: Draft, now: number): void {
    const entry = this.#entry(target, "open")
    const timestamp = Timestamp.next(now, entry.head)
    const line = `${entry.prefix(sender)}${digits(timestamp)} ${message}`
    this.#bytes += entry.lines.add(line, timestamp, sender) + messageOverhead
    entry.head = timestamp
    if (this.#emptied.size > 0) this.#emptied.delete(entry)
    MutableList.append(this.#order, entry)
    if (entry.watchers.size === 0) return
    const appended = { sender, timestamp, line: entry.lines.last() }
    for (const watcher of entry.watchers) watcher(appended)
  }

  #dropOldest(): void {
    const entry = MutableList.take(this.#order)
    if (entry === MutableList.Empty) return
    const { size, timestamp } = entry.lines.dropFirst()
    this.#bytes -= size + messageOverhead
    entry.missingThrough = timestamp
    if (!entry.lines.isEmpty) return
    this.#emptied.add(entry)
    if (entry.watchers.size === 0) entry.kind = "open"
    for (const oldest of this.#emptied) {
      if (this.#emptied.size <= Math.max(rememberedNames, this.#limits.messages)) break
      this.#emptied.delete(oldest)
      if (oldest.watchers.size === 0) this.#entries.delete(oldest.name)
    }
  }

  read(target: string, after: Timestamp.Timestamp, except: string | undefined): Page {
    const entry = this.#entries.get(target)
    if (entry === undefined) return { lines: nothing, through: after, last: true, missingThrough: Timestamp.epoch }
    const missingThrough = entry.missingThrough > after ? entry.missingThrough : Timestamp.epoch
    const page = entry.lines.page(after, except)
    if (page !== undefined) return { ...page, last: page.through === entry.head, missingThrough }
    const through = entry.head > after ? entry.head : after
    return { lines: nothing, through, last: true, missingThrough }
  }

  watch(target: string, watcher: (message: Appended) => void): Entry {
    const entry = this.#entry(target, "open")
    entry.watchers.add(watcher)
    return entry
  }

  unwatch(entry: Entry, watcher: (message: Appended) => void): void {
    entry.watchers.delete(watcher)
  }

  kindOf(name: string): Kind | undefined {
    return this.#entries.get(name)?.kind
  }

  claim(name: string, kind: "user" | "group"): "user" | "group" {
    const entry = this.#entry(name, kind)
    return entry.kind === "open" ? entry.kind = kind : entry.kind
  }

  forget(name: string): void {
    const entry = this.#entries.get(name)
    if (entry === undefined || !entry.lines.isEmpty || entry.watchers.size > 0) return
    entry.kind = "open"
    // Where messages have been dropped, that they were there is not forgotten yet
    if (!this.#emptied.has(entry)) this.#entries.delete(name)
  }

  confirm(sender: string): void {
    this.#duplicates.confirm(sender)
  }

  #entry(name: string, kind: Kind): Entry {
    let entry = this.#entries.get(name)
    if (entry === undefined) this.#entries.set(name, entry = new Entry(name, kind))
    return entry
  }
}

/** The store in memory. Each layer has messages of its own. */
export const layerMemory = (options?: Partial<MemoryLimits>): Layer.Layer<MessageStore> =>
  Layer.effect(
    MessageStore,
    Effect.gen(function*() {
      const limits = { ...defaultLimits, ...options }
      const clock = yield* Clock.Clock
      const memory = new Memory(limits)
      return MessageStore.of({
        description:
          `in memory only: they are gone when the server stops, and the oldest go when there are more than ` +
          `${limits.messages.toLocaleString("en")} messages or ${Math.floor(limits.bytes / 1024 / 1024)} MiB`,
        append: (drafts) => {
          memory.append(drafts, clock.currentTimeMillisUnsafe())
          return Exit.void
        },
        confirm: (sender) => {
          memory.confirm(sender)
          return Exit.void
        },
        read: (target, { after, except }) => Effect.sync(() => memory.read(target, after, except)),
        watch: (target, watcher) =>
          Effect.map(
            Effect.acquireRelease(
              Effect.sync(() => memory.watch(target, watcher)),
              (entry) => Effect.sync(() => memory.unwatch(entry, watcher))
            ),
            (entry) => entry.head
          ),
        kindOf: (name) => Effect.sync(() => memory.kindOf(name)),
        claim: (name, kind) => Effect.sync(() => memory.claim(name, kind)),
        forget: (name) => Effect.sync(() => memory.forget(name))
      })
    })
  )
