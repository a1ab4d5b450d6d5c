/**
 * Somebody in a case: one connection at a time, and what a client knows of it: as whom it is logged in, which answers
 * are still to come, which messages came besides. What it hears is taken as the server's dialect has it.
 */
import { Effect, type Scope } from "effect"
import { Buffer } from "node:buffer"
import * as Bytes from "./Bytes.ts"
import { Broken, Inconclusive, type Outcome, Unsupported } from "./Outcome.ts"
import * as Pattern from "./Pattern.ts"
import type { Stage } from "./Stage.ts"
import * as Wire from "./Wire.ts"

/** A MSG that was heard. */
export interface Message {
  readonly line: string
  /** Undefined in the form of the diagram. */
  readonly group: string | undefined
  readonly sender: string
  readonly timestamp: bigint
  readonly text: string
}

/** In either form. Texts that begin with a number would be ambiguous: ours do not. */
export const parseMessage = (line: string): Message | undefined => {
  const full = /^MSG (\S+) (\S+) (\d+) (.*)$/s.exec(line)
  const [, group, sender = "", timestamp = "", text = ""] = full ??
    /^MSG()? (\S+) (\d+) (.*)$/s.exec(line) ?? []
  return timestamp === "" ? undefined : { line, group, sender, timestamp: BigInt(timestamp), text }
}

/** What a server says for reasons of its own, which have nothing to do with the case: its limits, its rules, its state. */
const itsOwnReasons: ReadonlySet<string> = new Set([
  "forbidden",
  "unknown_target",
  "rate_limited",
  "too_many_connections",
  "server_full",
  "idle_timeout",
  "shutting_down",
  "storage_unavailable"
])

/** How long an end of the server is waited for that would be its way after a DECLINE. */
const closing = 300

/** How long a name that is not free yet is waited for, before it is tried again. */
const again = 50

type Step<A = void> = Effect.Effect<A, Outcome, Scope.Scope>

export class Peer {
  /** As whom it is logged in. */
  name: string | undefined
  readonly #stage: Stage
  readonly #who: string
  #wire: Wire.Wire | undefined
  /** What was said and not answered yet, oldest first: the word, and of a SYNC the group. */
  #pending: Array<{ readonly word: string; readonly group: string | undefined }> = []
  #unfinished = ""
  #isAnswering = false // a line of the answer to a SYNC has come
  #aside: Array<string> = []
  #echoes: Array<string> = []
  #tolerated: Pattern.Pattern | undefined

  constructor(stage: Stage, who: string) {
    this.#stage = stage
    this.#who = who
  }

  get ownName(): string {
    return this.#stage.name(this.#who)
  }

  #forget(): void {
    this.#wire = undefined
    this.name = undefined
    this.#pending = []
    this.#unfinished = ""
    this.#isAnswering = false
    this.#aside = []
    this.#echoes = []
    this.#tolerated = undefined
  }

  connect(): Step {
    const { place, timeout, transcript } = this.#stage
    return Effect.map(Wire.open(place, timeout, transcript, this.#who), (wire) => {
      this.#forget()
      this.#wire = wire
    })
  }

  /** The connection, a new one if there is none; one that the server has ended is what its dialect makes of that. */
  #connected(): Step<Wire.Wire> {
    return Effect.gen({ self: this }, function*() {
      const isLost = this.#wire?.end !== undefined && this.#wire.lines.length === 0
      if (isLost && this.#stage.dialect.closes) yield* this.#comeBack()
      if (this.#wire === undefined) yield* this.connect()
      return this.#wire ?? (yield* Effect.die("connected to nothing"))
    })
  }

  #comeBack(): Step {
    const { name } = this
    this.#forget()
    return name === undefined ? Effect.void : this.login(name)
  }

  /** Logs in on a new connection, and waits for the name if it is not free yet. */
  login(name = this.ownName): Step {
    return Effect.gen({ self: this }, function*() {
      const until = performance.now() + this.#stage.timeout
      for (;;) {
        if (this.#wire === undefined || this.#wire.end !== undefined) yield* this.connect()
        yield* this.say(`CONNECT ${name}`)
        const line = yield* this.#next(this.#stage.timeout)
        if (line !== undefined && /^ACCEPT\b/.test(line)) break
        if (line === "DECLINE unsupported_command") return yield* new Unsupported({ why: `CONNECT ${name}: ${line}` })
        if (performance.now() > until || line?.startsWith("DECLINE username_taken") !== true) {
          return yield* new Inconclusive({ why: `${name} could not log in: ${this.#came(line)}` })
        }
        yield* this.close()
        yield* Effect.sleep(again)
      }
      this.#answered("ACCEPT", name)
    })
  }

  /** Asks for a name until it is accepted, on a new connection each time; it may be in use for a moment still. */
  comesToBe(name: string): Step {
    return Effect.gen({ self: this }, function*() {
      const until = performance.now() + this.#stage.timeout
      for (;;) {
        yield* this.say(`CONNECT ${name}`)
        const line = yield* this.hear("ACCEPT | DECLINE …")
        if (line.startsWith("ACCEPT")) return
        if (this.#isItsOwn(line)) return yield* new Inconclusive({ why: `${this.#who} hears ${line}` })
        if (performance.now() > until) return yield* new Broken({ expected: `${this.#who} hears ACCEPT`, came: line })
        yield* this.close()
        yield* Effect.sleep(again)
      }
    })
  }

  #answered(word: string, name?: string): void {
    const asked = this.#pending.shift()
    this.#isAnswering = false
    if (word === "ACCEPT" && asked?.word === "CONNECT") this.name = name ?? asked.group
  }

  /** Says a line. As in a transcript, with names and timestamps in their places. */
  say(line: string): Step {
    const { dialect } = this.#stage
    if (line === "SYNC" && dialect.inbox === "none") {
      return new Unsupported({ why: "private messages cannot be asked for" })
    }
    const said = line === "SYNC" && dialect.inbox === "named" ? `SYNC ${this.name ?? ""} 0` : line
    return this.sayBytes(Buffer.concat([Bytes.fromText(this.#stage.expand(said)), Buffer.of(10)]), ">")
  }

  sayBytes(bytes: Uint8Array, how = ">>"): Step {
    return Effect.gen({ self: this }, function*() {
      const wire = yield* this.#connected()
      this.#note(bytes)
      yield* wire.say(bytes, how)
    })
  }

  /** One byte a packet, as far as the network leaves them apart. */
  sayOneByOne(bytes: Uint8Array): Step {
    return Effect.forEach(
      bytes,
      (byte) =>
        Effect.andThen(
          this.sayBytes(Buffer.of(byte), ">."),
          Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))
        ),
      { discard: true }
    )
  }

  /** Keeps account of what an answer has to come for. */
  #note(bytes: Uint8Array): void {
    const lines = (this.#unfinished + Buffer.from(bytes).toString()).split("\n")
    this.#unfinished = lines.pop() ?? ""
    for (const line of lines) {
      const [, word = "", field, rest] = /^(\S*) ?(\S*) ?(.*?)\r?$/s.exec(line) ?? []
      const group = word === "SYNC" && field === "" ? this.name : field
      this.#pending.push({ word, group })
      if (word === "SEND" && rest !== undefined) this.#echoes.push(Bytes.canonical(rest))
    }
  }

  get #syncing(): string | undefined {
    const [asked] = this.#pending
    return asked?.word === "SYNC" ? asked.group : undefined
  }

  /** The next line, or how the connection has ended; undefined if there is none in time. Announcements are no answers. */
  #next(millis: number, isAnnounced = false): Step<string | undefined> {
    return Effect.gen({ self: this }, function*() {
      const wire = this.#wire
      if (wire === undefined) return yield* new Broken({ expected: `${this.#who} is connected`, came: "no connection" })
      const until = performance.now() + millis
      for (;;) {
        const heard = yield* wire.peek(Math.max(1, until - performance.now()))
        if (heard === undefined) return undefined
        if (wire.lines.length > 0) wire.lines.shift()
        const line = this.#stage.dialect.crlf && heard.endsWith("\\r") ? heard.slice(0, -2) : heard
        if (isAnnounced || !line.startsWith("MSG system system 0 ")) {
          if (line.startsWith("DECLINE")) yield* this.#declined(wire)
          return line
        }
      }
    })
  }

  /** Servers that close after a DECLINE are given the time to do so. */
  #declined(wire: Wire.Wire): Effect.Effect<void> {
    return this.#stage.dialect.closes ? Effect.asVoid(wire.until(() => wire.end !== undefined, closing)) : Effect.void
  }

  #came(line: string | undefined): string {
    if (line !== undefined) return line
    const unfinished = this.#wire?.unfinished ?? ""
    return `nothing in time${unfinished === "" ? "" : `, but for the beginning of a line: ${unfinished}`}`
  }

  /** Hears a line that is like this, or fails. Gives the line. */
  hear(expected: string, within = this.#stage.timeout): Step<string> {
    return Effect.gen({ self: this }, function*() {
      const pattern = this.compile(expected)
      const tolerated = this.#tolerated
      this.#tolerated = undefined
      const broken = (line: string | undefined) =>
        new Broken({ expected: `${this.#who} hears ${pattern.text}`, came: this.#came(line) })
      const isForMessage = pattern.words.includes("MSG")
      const isForAnnouncement = expected.startsWith("MSG system system ")
      const until = performance.now() + within
      for (;;) {
        const fromAside = isForMessage && this.#syncing === undefined ? this.#aside.shift() : undefined
        const line = fromAside ?? (yield* this.#next(Math.max(1, until - performance.now()), isForAnnouncement))
        if (line === undefined) return yield* broken(line)
        const isEnd = line === Wire.ended || line === Wire.brokenOff
        const message = isForMessage && this.#syncing === undefined ? parseMessage(line) : undefined
        if (message !== undefined && this.#isEcho(message)) continue
        if (pattern.matches(line) || (isEnd && expected === "(closed)")) {
          if (isEnd) this.#forget()
          else if (!line.startsWith("MSG")) this.#answered(line.split(" ")[0] ?? "")
          else if (this.#syncing !== undefined) this.#isAnswering = true
          return line
        }
        if (tolerated?.matches(line) === true || this.#isBesides(line, isForMessage)) continue
        if (/^DECLINE unsupported_command\b/.test(line) && !pattern.words.includes("DECLINE")) {
          return yield* new Unsupported({ why: `${this.#who} hears ${line}` })
        }
        if (this.#isItsOwn(line)) return yield* new Inconclusive({ why: `${this.#who} hears ${line}` })
        return yield* broken(line)
      }
    })
  }

  #isItsOwn(line: string): boolean {
    const [, reason = ""] = /^DECLINE (\w+)/.exec(line) ?? []
    return itsOwnReasons.has(reason) && !this.#stage.caused.has(reason)
  }

  compile(expected: string): Pattern.Pattern {
    const { dialect, times } = this.#stage
    return Pattern.compile(this.#stage.names(expected), times, dialect, this.name)
  }

  /** Whether a line is a message that a client takes at any time; it is put aside. */
  #isBesides(line: string, isForMessage: boolean): boolean {
    const message = parseMessage(line)
    if (message === undefined) return false
    if (this.#isEcho(message)) return true
    const syncing = this.#syncing
    if (syncing === undefined) {
      if (isForMessage) return false
    } else {
      // Private messages in the form of the diagram have no group
      const isOther = message.group === undefined
        ? this.#stage.dialect.diagram === "private" && syncing !== this.name
        : message.group !== syncing
      if (this.#isAnswering || !isOther) return false
    }
    this.#aside.push(line)
    return true
  }

  /** Whether it is one of our own, as servers send them back that do so. */
  #isEcho({ sender, text }: Message): boolean {
    if (!this.#stage.dialect.echo || sender !== this.name) return false
    const at = this.#echoes.indexOf(text)
    if (at !== -1) this.#echoes.splice(at, 1)
    return at !== -1
  }

  /** Before what is heard next there may be any number of lines like this. */
  tolerate(expected: string): void {
    this.#tolerated = this.compile(expected)
  }

  /** Nothing was heard that nobody has taken; and the answer to something new comes next. */
  nothingMore(): Step {
    return Effect.gen({ self: this }, function*() {
      const expected = `${this.#who} hears nothing more`
      const wire = this.#wire
      if (wire === undefined || (wire.end !== undefined && this.#stage.dialect.closes)) return
      const isIn = this.name !== undefined
      yield* this.say(isIn ? "SYNC {nowhere} 0" : "NOTHING")
      for (;;) {
        const line = this.#aside.shift() ?? (yield* this.#next(this.#stage.timeout))
        if (line === undefined || line === Wire.ended || line === Wire.brokenOff) {
          return yield* new Broken({ expected, came: this.#came(line) })
        }
        if (/^DECLINE\b/.test(line) || (isIn && /^ENDSYNC\b/.test(line))) return this.#answered("")
        const message = parseMessage(line)
        if (message?.sender === "system" && message.group === this.#stage.name("nowhere")) continue
        if (this.#stage.dialect.echo && message?.sender === this.name) continue
        return yield* new Broken({ expected, came: line })
      }
    })
  }

  /** Says a SEND and hears its ACK. */
  send(target: string, text: string): Step {
    return Effect.andThen(this.say(`SEND ${target} ${text}`), Effect.asVoid(this.hear("ACK")))
  }

  /** Says a SYNC; gives the messages of its answer. */
  sync(group: string, after: bigint | number = 0): Step<ReadonlyArray<Message>> {
    return Effect.andThen(this.say(`SYNC ${group} ${after}`), this.answer())
  }

  /** The messages of the answer to the SYNC whose turn it is. */
  answer(): Step<ReadonlyArray<Message>> {
    return Effect.gen({ self: this }, function*() {
      const group = this.#syncing ?? "…"
      const messages: Array<Message> = []
      for (;;) {
        const line = yield* this.hear(`MSG ${group} … | ENDSYNC`)
        const message = parseMessage(line)
        if (message !== undefined) messages.push(message)
        else if (line.startsWith("ENDSYNC")) return messages
        else return yield* new Broken({ expected: `${this.#who} hears MSG or ENDSYNC`, came: line })
      }
    })
  }

  /** Asks until a group has so many messages. */
  syncUntil(group: string, count: number): Step {
    return Effect.gen({ self: this }, function*() {
      const until = performance.now() + this.#stage.timeout
      for (;;) {
        const { length } = yield* this.sync(group)
        if (length >= count) return
        if (performance.now() > until) return yield* new Broken({ expected: `${count} messages`, came: String(length) })
        yield* Effect.sleep(5)
      }
    })
  }

  /** The next message that comes by itself. */
  live(within = this.#stage.timeout): Step<Message> {
    return Effect.flatMap(this.hear("MSG …", within), (line) => {
      const message = parseMessage(line)
      return message === undefined
        ? new Broken({ expected: `${this.#who} hears a message`, came: line })
        : Effect.succeed(message)
    })
  }

  /** The newest message of those that have come by themselves; waits for one. */
  newest(): Step<Message> {
    return Effect.gen({ self: this }, function*() {
      let message = yield* this.live()
      while (this.#wire !== undefined && this.#wire.lines.length > 0) message = yield* this.live()
      return message
    })
  }

  halfClose(): Step {
    return this.#wire?.halfClose() ?? Effect.void
  }

  close(): Step {
    return this.#leave((wire) => wire.close(this.#stage.timeout))
  }

  cut(): Step {
    return this.#leave((wire) => wire.cut())
  }

  #leave(how: (wire: Wire.Wire) => Effect.Effect<void>): Step {
    return Effect.suspend(() => {
      const wire = this.#wire
      this.#forget()
      return wire === undefined ? Effect.void : how(wire)
    })
  }

  stopReading(): void {
    this.#wire?.stopReading()
  }

  readOn(): void {
    this.#wire?.readOn()
  }
}
