/**
 * Where a client is tested: a server of our own that follows a transcript (`Script`), the client that runs against it,
 * and what both have said. What the server is asked besides, it answers as the specification has it.
 */
import { Effect, type Scope } from "effect"
import { Buffer } from "node:buffer"
import * as Bytes from "../Bytes.ts"
import { nameOf } from "../Names.ts"
import { Broken, Inconclusive, Miswritten, type Outcome, Unsupported } from "../Outcome.ts"
import { cutShort, Transcript } from "../Transcript.ts"
import type { Wire } from "../Wire.ts"
import { Bell } from "./Bell.ts"
import * as Command from "./Command.ts"
import * as Host from "./Host.ts"
import * as Process from "./Process.ts"
import { type Action, parse, type Step } from "./Script.ts"

export interface Setting {
  readonly command: Command.Command
  readonly role: Command.Role
  /** Milliseconds for each thing that the client has to do. */
  readonly timeout: number
  /** What the names of the case come from. */
  readonly key: string
}

/** How long the messages of a case have been there, in milliseconds. */
const age = 60_000

/** How long a client that has printed all there is may still print something twice. */
const afterthought = 200

/** How long what a client has said may be under way still when it has ended. */
const drain = 100

/** So few tries to connect burden nobody, however far apart they are; so many do. */
const fewTries = 3
const manyTries = 100

/** How many times as often as before is less often, and no accident. */
const fewer = 0.8

const escaped = (text: string): string => text.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&")

const namePlace = /\{([a-z]\w*)\}/g
const timePlace = /<([a-z]\w*)>/g

/** `{group}` is what the client reads, `{target}` to whom it sends: one thing, in both. */
const stemOf = (name: string): string => name === "group" ? "target" : name

/** What the client may have of its own: it is what it says first, unless it was told. */
const isClients = (stem: string): boolean => stem === "user" || stem === "target" || stem === "one"

interface Stored {
  readonly time: number
  readonly line: string
}

export class Scene {
  readonly transcript = new Transcript()
  readonly #setting: Setting
  readonly #bell = new Bell()
  /** What names stand for; those of the client that it was not told, from when it has said them. */
  readonly #names = new Map<string, string>()
  readonly #times = new Map<string, number>()
  readonly #stored: Array<Stored> = []
  /** Who the client has to be, if it is to read its own inbox. */
  #inbox: string | undefined
  /** The timestamp that it has asked for last. */
  #asked = 0
  /** The time of our first message. */
  #first: number | undefined
  #taken = 0
  #refusal: string | undefined
  /** Connections that we have ended. */
  readonly #over = new Set<Wire>()
  #host: Host.Host | undefined
  #process: Process.Process | undefined

  constructor(setting: Setting) {
    this.#setting = setting
    const { command, role } = setting
    if (Command.tells(command, "target")) this.#names.set("target", this.#word("target"))
    if (role !== "send" || Command.tells(command, "message")) this.#names.set("one", this.#word("one"))
  }

  /** How the client has ended, if it has. */
  get ended(): number | string | undefined {
    return this.#process?.ended
  }

  /** What it has said on stderr last. */
  get complaint(): string {
    const [last = ""] = this.#process?.stderr.trim().split("\n").slice(-1) ?? []
    return cutShort(Bytes.toText(Buffer.from(last)))
  }

  play(script: string): Effect.Effect<void, Outcome, Scope.Scope> {
    return Effect.flatMap(
      Effect.try({ try: () => parse(script), catch: Miswritten.from }),
      (steps) => Effect.forEach(steps, (step) => this.#perform(step), { discard: true })
    )
  }

  /** Runs the client, and waits until it connects; false if it does not. */
  connects(): Effect.Effect<boolean, Outcome, Scope.Scope> {
    return Effect.andThen(
      this.#start(undefined, ""),
      Effect.map(
        this.#bell.until(() => this.#wires.length > 0 || this.ended !== undefined, this.#setting.timeout),
        () => this.#wires.length > 0
      )
    )
  }

  #perform(step: Step): Effect.Effect<void, Outcome, Scope.Scope> {
    switch (step._tag) {
      case "Starts":
        return this.#start(step.how, step.text)
      case "Says":
        return this.#says(step.how, step.text)
      case "Hears":
        return this.#hears(step.text)
      case "HearsNothing":
        return this.#hearsNothing(step.millis)
      case "Has":
        return Effect.sync(() => this.#store(this.#expand(step.text)))
      case "Declines":
        return Effect.sync(() => {
          this.#refusal = step.reason
        })
      case "Does":
        return this.#does(step.action)
      case "Prints":
        return this.#prints(step.text)
      case "Tells":
        return this.#tells(step.word)
      case "BacksOff":
        return this.#backsOff(step.millis)
      case "Wait":
        return Effect.sleep(step.millis)
    }
  }

  #does(action: Action): Effect.Effect<void, Outcome> {
    switch (action) {
      case "server: takes a connection":
        return this.#takes()
      case "server: login":
        return Effect.andThen(
          Effect.andThen(this.#takes(), this.#hears("CONNECT {user}")),
          this.#says(">", "ACCEPT")
        )
      case "server: answers":
        return Effect.suspend(() => this.#answer(this.#wire, this.#asked))
      case "server: end":
        return Effect.suspend(() => this.#parts(this.#wire, (wire) => wire.halfClose()))
      case "server: cut":
        return Effect.suspend(() => this.#parts(this.#wire, (wire) => wire.cut()))
      case "server: serves nobody":
        return Effect.sync(() => this.#serves(false))
      case "server: serves again":
        return Effect.sync(() => this.#serves(true))
      case "client: done":
        return this.#exits((how) => how === 0, "exits with 0", false)
      case "client: not done":
        return this.#exits((how) => how !== 0, "does not exit with 0", true)
      case "client: ends":
        return this.#exits(() => true, "exits", false)
    }
  }

  // Names and timestamps

  #word(stem: string): string {
    return nameOf(this.#setting.key, stem)
  }

  #name(name: string): string {
    const stem = stemOf(name)
    const known = this.#names.get(stem)
    if (known !== undefined) return known
    const word = this.#word(stem)
    if (!isClients(stem)) this.#names.set(stem, word)
    return word
  }

  /** Timestamps of ours lie after the first one that was asked for. */
  #time(name: string): number {
    const known = this.#times.get(name)
    if (known !== undefined) return known
    this.#first ??= Math.max(Date.now() - age, this.#asked + 1)
    return this.#first + 10 * Number(name.slice(1))
  }

  #expand(text: string): string {
    return text.replaceAll(namePlace, (_, name: string) => this.#name(name)).replaceAll(
      timePlace,
      (_, name: string) => String(this.#time(name))
    )
  }

  /** What the client has to say, as a regular expression with a group for each thing that it tells us by it. */
  #pattern(text: string): readonly [RegExp, ReadonlyArray<readonly ["name" | "time", string]>] {
    const news: Array<readonly ["name" | "time", string]> = []
    const source = text.split(/(\{[a-z]\w*\}|<[a-z]\w*>)/).map((part) => {
      const [, name, time] = /^(?:\{(\w+)\}|<(\w+)>)$/.exec(part) ?? []
      if (name !== undefined) {
        const stem = stemOf(name)
        if (!isClients(stem) || this.#names.has(stem)) return escaped(this.#name(name))
        news.push(["name", stem])
        return stem === "one" ? "(.+)" : String.raw`([^\s\\]+)`
      }
      if (time === undefined) return escaped(Bytes.canonical(part))
      if (/^t\d+$/.test(time) || this.#times.has(time)) return String(this.#time(time))
      news.push(["time", time])
      return String.raw`(0|[1-9]\d{0,14})`
    })
    return [new RegExp(`^${source.join("")}$`, "u"), news]
  }

  // The client

  #start(how: "with" | "on" | undefined, text: string): Effect.Effect<void, Outcome, Scope.Scope> {
    const { command, role, timeout } = this.#setting
    return Effect.gen({ self: this }, function*() {
      if (how === "with" && role === "send" && !Command.tells(command, "message")) {
        return yield* new Inconclusive({ why: "the command has no place for a {message}" })
      }
      if (how === "on") {
        if (!Command.tells(command, "target")) {
          return yield* new Inconclusive({ why: "the command has no place for a {target}" })
        }
        this.#inbox = this.#word("user")
        this.#names.set("target", this.#inbox)
      }
      const host = yield* Host.open(this.transcript, this.#bell)
      this.#host = host
      const texts = how === "with" ? text.split(" | ") : role === "lines" ? ["{one}", "{two}", "{three}"] : ["{one}"]
      const messages = texts.map((text) => Bytes.fromText(this.#expand(text)).toString())
      const order: Command.Order = {
        role,
        host: Host.host,
        port: host.port,
        user: this.#name("user"),
        target: this.#name("target"),
        message: messages[0] ?? ""
      }
      this.#process = yield* Process.run({
        words: Command.fill(command, order),
        env: Command.environment(order, timeout),
        input: role === "lines" ? messages.map((message) => `${message}\n`).join("") : "",
        transcript: this.transcript,
        bell: this.#bell
      })
    })
  }

  #how(ended: number | string): string {
    const complaint = this.complaint === "" ? "" : ` (${this.complaint})`
    return typeof ended === "number" ? `the client exits with ${ended}${complaint}` : `the client ${ended}`
  }

  #exits(isRight: (how: number | string) => boolean, what: string, mayRun: boolean): Effect.Effect<void, Outcome> {
    return Effect.gen({ self: this }, function*() {
      const isInTime = yield* this.#attend(() => this.ended !== undefined)
      const how = this.ended
      const expected = `the client ${what}`
      if (how !== undefined && !isRight(how)) return yield* new Broken({ expected, came: this.#how(how) })
      if (!isInTime && !mayRun) return yield* new Broken({ expected, came: this.#nothing })
    })
  }

  #prints(text: string): Effect.Effect<void, Outcome> {
    return Effect.gen({ self: this }, function*() {
      const expected = text === "nothing" ? [] : text.split(" ").map((word) => this.#expand(word))
      const isEnough = () =>
        this.ended !== undefined ||
        (expected.length > 0 && expected.every((word) => this.#process?.stdout.includes(word) === true))
      yield* this.#attend(isEnough)
      if (this.ended === undefined) yield* Effect.sleep(afterthought)
      // Of all that could have been printed, what was
      const known = [...this.#names].filter(([stem]) => /^(?:one|two|three|four|five|n\d+)$/.test(stem))
      const words = new Map(known.map(([stem, word]) => [word, `{${stem}}`]))
      const word = new RegExp(known.map(([, word]) => escaped(word)).join("|") || "(?!)", "g")
      const came = this.#process?.stdout.match(word) ?? []
      if (came.join(" ") === expected.join(" ")) return
      const shown = (some: ReadonlyArray<string>) =>
        `the client prints ${some.map((word) => words.get(word) ?? word).join(" ") || "nothing"}`
      return yield* new Broken({ expected: `${shown(expected)}, each once, in this order`, came: shown(came) })
    })
  }

  #tells(word: string): Effect.Effect<void, Outcome> {
    return Effect.gen({ self: this }, function*() {
      const spellings = new RegExp(escaped(word).replaceAll("_", "[-_ ]?"), "i")
      const isTold = () => spellings.test(`${this.#process?.stdout} ${this.#process?.stderr}`)
      yield* this.#attend(() => this.ended !== undefined || isTold())
      if (isTold()) return
      const came = this.complaint === "" ? "not a word" : this.complaint
      return yield* new Broken({ expected: `the client tells its user: ${word}`, came })
    })
  }

  #backsOff(millis: number): Effect.Effect<void, Outcome> {
    return Effect.gen({ self: this }, function*() {
      const until = performance.now() + millis
      yield* Effect.sleep(millis)
      const tries = this.#host?.turnedAway ?? []
      const late = tries.filter((at) => at > until - millis / 2).length
      const early = tries.length - late
      if (tries.length === 0) {
        return yield* new Unsupported({ why: `it does not try to connect again within ${millis / 1000} s` })
      }
      if (tries.length <= fewTries || (tries.length < manyTries && late <= early * fewer)) return
      return yield* new Broken({
        expected: "the client tries to connect less and less often",
        came: `${early} times in ${millis / 2000} s, then ${late} times in as long`
      })
    })
  }

  // The server

  get #wires(): ReadonlyArray<Wire> {
    return this.#host?.wires ?? []
  }

  /** The connection that is the client's last, as far as the transcript has come. */
  get #wire(): Wire | undefined {
    return this.#wires[this.#taken - 1]
  }

  get #nothing(): string {
    return this.ended === undefined ? `nothing within ${this.#setting.timeout / 1000} s` : this.#how(this.ended)
  }

  #serves(isServing: boolean): void {
    this.transcript.add("server", "", isServing ? "serves again" : "breaks off every connection from now on")
    if (this.#host !== undefined) this.#host.isServing = isServing
  }

  /** Ends the connection. What the client says on it, not knowing that yet, counts for nothing. */
  #parts(wire: Wire | undefined, how: (wire: Wire) => Effect.Effect<void>): Effect.Effect<void> {
    if (wire === undefined) return Effect.void
    this.#over.add(wire)
    return how(wire)
  }

  /** A connection on which the client has no more to say: when all is answered, it ends (READING 1.7). */
  get #halfClosed(): Wire | undefined {
    return this.#wires.find((wire) => wire.end !== undefined && wire.lines.length === 0 && !this.#over.has(wire))
  }

  /** A connection on which the client has said something that nobody has taken yet. */
  get #spoken(): Wire | undefined {
    return this.#wires.find((wire) => wire.lines.length > 0 && !this.#over.has(wire))
  }

  #takes(): Effect.Effect<void, Outcome> {
    return Effect.gen({ self: this }, function*() {
      const hasCome = () => this.#wires.length > this.#taken
      yield* this.#bell.until(() => hasCome() || this.ended !== undefined, this.#setting.timeout)
      if (!hasCome()) return yield* new Broken({ expected: "the client connects", came: this.#nothing })
      this.#taken++
    })
  }

  #says(how: ">" | ">>" | ">.", text: string): Effect.Effect<void> {
    return Effect.suspend(() => {
      const wire = this.#wire
      if (wire === undefined) return Effect.void
      const bytes = Bytes.fromText(this.#expand(text) + (how === ">" ? "\\n" : ""))
      for (const line of Bytes.toText(bytes).split("\\n").slice(0, -1)) this.#store(line)
      if (how !== ">.") return wire.say(bytes, how)
      return Effect.forEach(bytes, (byte) => Effect.andThen(wire.say(Uint8Array.of(byte), how), Effect.sleep(1)), {
        discard: true
      })
    })
  }

  /** Remembers a message of what the client reads, once. */
  #store(line: string): void {
    const [, group, time] = /^MSG (\S+) \S+ (\d+) /.exec(line) ?? []
    if (group !== this.#name("target") || time === "0") return
    if (!this.#stored.some((stored) => stored.line === line)) this.#stored.push({ time: Number(time), line })
  }

  #answer(wire: Wire | undefined, after: number): Effect.Effect<void> {
    const newer = this.#stored.filter(({ time }) => time > after).toSorted((one, other) => one.time - other.time)
    const lines = newer.map(({ line }) => `${line}\\n`)
    return wire?.say(Bytes.fromText(`${lines.join("")}ENDSYNC\\n`), ">>") ?? Effect.void
  }

  #hears(text: string): Effect.Effect<void, Outcome> {
    return Effect.gen({ self: this }, function*() {
      const wire = this.#wire
      const expected = text === "(end)" ? "the client ends the connection" : `the client says ${this.#expected(text)}`
      while (true) {
        const line = yield* this.#next(wire)
        if (line === undefined || wire === undefined) return yield* new Broken({ expected, came: this.#nothing })
        if (line === text || (text === "(end)" && line === "(broken off)")) return
        const [pattern, news] = this.#pattern(text)
        const found = pattern.exec(line === "SYNC" ? `SYNC ${this.#name("user")} 0` : line)
        if (found === null) {
          if (!this.#isBesides(line, text)) return yield* new Broken({ expected, came: line })
          yield* this.#serve(wire, line)
          continue
        }
        for (const [index, [kind, name]] of news.entries()) {
          const value = found[index + 1] ?? ""
          if (kind === "name") this.#names.set(name, value)
          else this.#times.set(name, Number(value))
        }
        if (line.startsWith("CONNECT ") && this.#inbox !== undefined && this.#name("user") !== this.#inbox) {
          const why = `it is told to be ${this.#inbox}, in CPT_USERNAME and by {user}, and is ${this.#name("user")}`
          return yield* new Inconclusive({ why })
        }
        const [, after] = /^SYNC \S+ (\d+)$/.exec(line) ?? []
        if (after !== undefined) this.#asked = Number(after)
        return
      }
    })
  }

  /** The expectation for people: what is not known yet, as it stands. */
  #expected(text: string): string {
    return text.replaceAll(namePlace, (place, name: string) => this.#names.get(stemOf(name)) ?? place).replaceAll(
      timePlace,
      (place, name: string) => this.#times.has(name) || /^t\d+$/.test(name) ? String(this.#time(name)) : place
    )
  }

  /** The next line, without a CR before its LF (READING 1.1), or how the client's side has ended. */
  #next(wire: Wire | undefined): Effect.Effect<string | undefined> {
    return Effect.gen({ self: this }, function*() {
      const isThere = () => wire !== undefined && (wire.lines.length > 0 || wire.end !== undefined)
      yield* this.#bell.until(isThere, this.#setting.timeout)
      return wire?.lines.shift()?.replace(/\\r$/, "") ?? wire?.end
    })
  }

  /** Whether a line that was not expected may come all the same: a SYNC of something else. */
  #isBesides(line: string, expected: string): boolean {
    const [, group] = /^SYNC(?: (\S+) \d{1,15})?$/.exec(line) ?? ["", ""]
    if (group === "") return false
    return !expected.startsWith("SYNC") || (group ?? this.#name("user")) !== this.#name("target")
  }

  /** Answers what the transcript does not speak of. */
  #serve(wire: Wire, line: string): Effect.Effect<void> {
    if (line.startsWith("CONNECT ")) {
      const [, name = ""] = line.split(" ")
      if (this.#refusal !== undefined) return wire.say(Bytes.fromText(`DECLINE ${this.#refusal}\\n`), ">")
      this.#names.set("user", name)
      return wire.say(Bytes.fromText("ACCEPT\\n"), ">")
    }
    const [, group = this.#name("user"), after = "0"] = line.split(" ")
    return group === this.#name("target")
      ? this.#answer(wire, Number(after))
      : wire.say(Bytes.fromText("ENDSYNC\\n"), ">")
  }

  /** Waits for something, and answers what the client may ask meanwhile; it has nothing else to say. */
  #attend(isTrue: () => boolean): Effect.Effect<boolean, Outcome> {
    const deadline = performance.now() + this.#setting.timeout
    return Effect.gen({ self: this }, function*() {
      while (true) {
        yield* this.#bell.until(
          () => isTrue() || this.#spoken !== undefined || this.#halfClosed !== undefined,
          Math.max(0, deadline - performance.now())
        )
        if (this.ended !== undefined) {
          yield* this.#bell.until(() => this.#wires.every(({ end }) => end !== undefined), drain)
        }
        if (this.#spoken === undefined && this.#halfClosed !== undefined) {
          yield* this.#parts(this.#halfClosed, (wire) => wire.halfClose())
          continue
        }
        const wire = this.#spoken
        const line = wire?.lines.shift()?.replace(/\\r$/, "")
        if (wire === undefined || line === undefined) {
          return isTrue()
        }
        const isConnect = /^CONNECT \S+$/.test(line)
        if (!isConnect && !this.#isBesides(line, "")) {
          return yield* new Broken({ expected: "the client has nothing more to say", came: line })
        }
        yield* this.#serve(wire, line)
      }
    })
  }

  #hearsNothing(millis: number): Effect.Effect<void, Outcome> {
    return Effect.gen({ self: this }, function*() {
      const came = () => {
        const line = this.#spoken?.lines[0]
        if (line !== undefined) return line
        if (this.ended !== undefined) return this.#how(this.ended)
        return this.#wires.length > this.#taken ? "another connection" : undefined
      }
      yield* this.#bell.until(() => came() !== undefined, Math.min(millis, this.#setting.timeout / 2))
      const line = came()
      if (line === undefined) return
      // A connection tells more by what comes over it
      if (line === "another connection") yield* Effect.sleep(afterthought)
      return yield* new Broken({ expected: `the client waits, for ${millis} ms`, came: came() ?? line })
    })
  }
}
