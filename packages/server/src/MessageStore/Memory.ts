/**
 * The store in memory: as fast as it gets, gone when the process ends. Bounded by messages and bytes; the oldest go
 * first, over all targets, and a reader who asks behind what is left is told (CPT 5.4).
 */
import { Limits, Name, Timestamp } from "@cpt/schema"
import { Clock, Effect, Exit, Layer } from "effect"
import { Buffer } from "node:buffer"
import type { Batch } from "../Batch.ts"
import { Duplicates } from "../Duplicates.ts"
import { type KeptGroups, type Kind, MessageStore, type Page, type Watcher } from "../MessageStore.ts"
import { Metrics } from "../Metrics.ts"
import { uptime } from "../Uptime.ts"
import { faultOf } from "./Bounds.ts"
import { Chain } from "./Chain.ts"
import * as defaults from "./Defaults.ts"
import { Entry, nameBytes } from "./Entry.ts"
import { Forgotten } from "./Forgotten.ts"
import { headOf } from "./Head.ts"
import { NameMap } from "./NameMap.ts"
import { Order } from "./Order.ts"

export interface MemoryLimits {
  /** Messages kept, over all targets. */
  readonly messages: number
  /** Bytes kept, over all targets: of the lines, and 32 more for each. */
  readonly bytes: number
  /** Milliseconds in which an equal, unconfirmed message is a re-send (CPT 4.4); 0 switches that off. */
  readonly resendWindow: number
}

const defaultLimits: MemoryLimits = { ...defaults.memory, resendWindow: Limits.resendWindow }

const messageOverhead = 32

/** Groups of one page. */
const pageNames = 1000

/**
 * What a name counts of which it is remembered that messages are missing when none is left, within an eighth of the bound of
 * bytes: the oldest are `Forgotten`.
 */
const emptiedBytes = 256

const none = Exit.succeed(0)
const nothing = new Uint8Array(0)

const emptyPage = (through: Timestamp.Timestamp, missingThrough: Timestamp.Timestamp): Page => ({
  lines: nothing,
  count: 0,
  through,
  last: true,
  missingThrough
})

class Memory {
  readonly #entries = new NameMap<Entry>()
  readonly #order = new Order<Entry>()
  readonly #emptied = new Chain<Entry>() // names of which every message is gone
  readonly #forgotten: Forgotten
  readonly #declared = new Map<string, "user" | "group">()
  readonly #duplicates: Duplicates
  readonly #limits: MemoryLimits
  #bytes = 0
  #namesBytes = 0 // of names with messages
  #found = 0 // names that nobody had used or declared

  constructor(limits: MemoryLimits) {
    this.#limits = limits
    this.#forgotten = new Forgotten(limits.bytes)
    this.#duplicates = new Duplicates(limits.resendWindow)
  }

  get bytes(): number {
    return this.#bytes
  }

  /** At `now`, by the time of day, and `up`, on the clock that nobody sets. Gives how many names are new. */
  append(sender: Name.Username, batch: Batch, now: number, up: number): number {
    const before = this.#found
    let entry: Entry | undefined
    this.#duplicates.forEachNew(sender, batch, up, (index) => {
      const target = batch.targets[index]!
      if (entry?.name !== target) entry = this.#entry(target, "open")
      this.#bytes += entry.add(sender, batch, index, Timestamp.next(now, entry.head)) + messageOverhead
      if (entry.weight !== nameBytes.more) {
        this.#emptied.delete(entry)
        this.#namesBytes += entry.weigh()
      }
      this.#order.push(entry)
    })
    const named = this.#found - before
    while (this.#isTooMuch()) this.#dropOldest()
    return named
  }

  #isTooMuch(): boolean {
    const { bytes, messages } = this.#limits
    return this.#order.length > messages || this.#bytes > bytes || this.#namesBytes > Math.max(nameBytes.more, bytes)
  }

  #dropOldest(): void {
    const entry = this.#order.shift()
    if (entry === undefined) return
    this.#bytes -= entry.dropFirst() + messageOverhead
    this.#namesBytes += entry.weigh()
    if (!entry.isEmpty) return
    this.#order.leave(entry)
    this.#emptied.add(entry)
    if (entry.watchers.length === 0) entry.kind = this.#unusedKind(entry.name)
    while (this.#emptied.length * emptiedBytes > this.#limits.bytes / 8) {
      const { oldest } = this.#emptied
      if (oldest === undefined) break
      this.#emptied.delete(oldest)
      if (oldest.watchers.length === 0) this.#forget(oldest)
    }
  }

  read(target: string, after: Timestamp.Timestamp, except: string | undefined): Page {
    const entry = this.#entries.get(target)
    const gone = entry?.missingThrough ?? this.#forgotten.through(target)
    const missingThrough = gone > after ? gone : Timestamp.epoch
    const page = entry?.page(after, except === undefined ? undefined : Buffer.from(headOf(target, except)))
    const head = entry?.head ?? gone
    if (page !== undefined) return { ...page, last: page.through === head, missingThrough }
    return emptyPage(head > after ? head : after, missingThrough)
  }

  watch(target: Name.Name, watcher: Watcher): Timestamp.Timestamp {
    const entry = this.#entry(target, "open")
    entry.watchers = [...entry.watchers, watcher]
    return entry.head
  }

  unwatch(target: string, watcher: Watcher): void {
    const entry = this.#entries.get(target)
    if (entry === undefined) return
    entry.watchers = entry.watchers.filter((other) => other !== watcher)
    if (entry.watchers.length > 0 || !entry.isEmpty) return
    entry.kind = this.#unusedKind(target)
    // Where messages have been dropped, that they were there is not forgotten yet
    if (!this.#emptied.has(entry)) this.#forget(entry)
  }

  /** A page of groups: those behind a name that come first. */
  groups(after: string): KeptGroups {
    let page: Array<Entry> = []
    let through: string | undefined // what is behind it is on a later page
    const cut = () => {
      page = page.toSorted((a, b) => Name.compare(a.name, b.name)).slice(0, pageNames)
      through = page[pageNames - 1]?.name
    }
    for (const entry of this.#entries.values()) {
      const { isEmpty, kind, name } = entry
      if (kind === "user" || isEmpty || Name.compare(name, after) <= 0) continue
      if (through !== undefined && Name.compare(name, through) > 0) continue
      if (page.push(entry) === 2 * pageNames) cut()
    }
    cut()
    return { groups: page.map(({ count, name }) => ({ name, messages: count })), through }
  }

  kindOf(name: string): Kind | undefined {
    return this.#declared.get(name) ?? this.#entries.get(name)?.kind
  }

  claim(name: Name.Name, kind: "user" | "group"): "user" | "group" {
    const entry = this.#entry(name, kind)
    return entry.kind === "open" ? entry.kind = kind : entry.kind
  }

  declare(kind: "user" | "group", names: ReadonlyArray<Name.Name>): ReadonlyArray<Name.Name> {
    const others = names.filter((name) => this.kindOf(name) === (kind === "user" ? "group" : "user"))
    if (others.length > 0) return others
    for (const name of names) {
      this.#declared.set(name, kind)
      const entry = this.#entries.get(name)
      if (entry !== undefined) entry.kind = kind
    }
    return others
  }

  release(names: ReadonlyArray<Name.Name>): void {
    for (const name of names) {
      this.#declared.delete(name)
      const entry = this.#entries.get(name)
      if (entry?.isEmpty === true && entry.watchers.length === 0) entry.kind = "open"
    }
  }

  confirm(sender: string): void {
    this.#duplicates.confirm(sender)
  }

  #entry(name: Name.Name, kind: Kind): Entry {
    let entry = this.#entries.get(name)
    if (entry === undefined) {
      const declared = this.#declared.get(name)
      if (declared === undefined) this.#found++
      entry = new Entry(name, declared ?? kind, this.#forgotten.through(name))
      this.#entries.add(name, entry)
    }
    return entry
  }

  /** Of a name without messages. */
  #forget({ head, name }: Entry): void {
    this.#forgotten.add(name, head)
    this.#entries.delete(name)
  }

  /** What a name is without messages, when nobody bears or follows it. */
  #unusedKind(name: string): Kind {
    return this.#declared.get(name) ?? "open"
  }
}

/** The store in memory. Each layer has messages of its own. It dies with a `RangeError` of limits below 0, and of NaN. */
export const layerMemory = (options?: Partial<MemoryLimits>): Layer.Layer<MessageStore> =>
  Layer.effect(
    MessageStore,
    Effect.gen(function*() {
      const limits = { ...defaultLimits, ...options }
      const fault = faultOf({ ...limits })
      if (fault !== undefined) return yield* Effect.die(new RangeError(fault))
      const clock = yield* Clock.Clock
      const memory = new Memory(limits)
      const metrics = yield* Metrics
      metrics.cachedBytes = metrics.storedBytes = () => memory.bytes
      return MessageStore.of({
        description:
          `in memory only: they are gone when the server stops, and the oldest go when there are more than ` +
          `${limits.messages.toLocaleString("en")} messages or ${Math.floor(limits.bytes / 1024 / 1024)} MiB`,
        append: (sender, batch) => {
          const named = memory.append(sender, batch, clock.currentTimeMillisUnsafe(), uptime(clock))
          return named === 0 ? none : Exit.succeed(named)
        },
        confirm: (sender) => {
          memory.confirm(sender)
          return Exit.void
        },
        read: (target, { after, except }) => Exit.succeed(memory.read(target, after, except)),
        watch: (target, watcher) => Exit.succeed(memory.watch(target, watcher)),
        unwatch: (target, watcher) => {
          memory.unwatch(target, watcher)
          return Exit.void
        },
        kindOf: (name) => Exit.succeed(memory.kindOf(name)),
        claim: (name, kind) => Exit.succeed(memory.claim(name, kind)),
        declare: (kind, names) => Exit.succeed(memory.declare(kind, names)),
        release: (names) => {
          memory.release(names)
          return Exit.void
        },
        groups: (after) => Effect.sync(() => memory.groups(after)),
        failure: () => undefined
      })
    })
  )
