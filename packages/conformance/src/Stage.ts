/** Where a case is played: its names, its timestamps, who takes part, and what was said. */
import { Effect, type Scope } from "effect"
import * as Bytes from "./Bytes.ts"
import type { Dialect } from "./Dialect.ts"
import { tick } from "./Dialect.ts"
import type { Hands } from "./Hands.ts"
import { nameOf, randomOf } from "./Names.ts"
import { Broken, Inconclusive, Miswritten, type Outcome } from "./Outcome.ts"
import type { Times } from "./Pattern.ts"
import { Peer } from "./Peer.ts"
import { type Action, parse, type Step } from "./Script.ts"
import { Transcript } from "./Transcript.ts"
import type { Place } from "./Wire.ts"

export interface Setting {
  readonly place: Place
  /** Milliseconds for a connection, and for each answer. */
  readonly timeout: number
  readonly hands: Hands
  readonly dialect: Dialect
  /** What the names and choices of the case come from. */
  readonly key: string
}

const namePlace = /(?<!\\u)\{([A-Za-z]+)(?::(upper|\d+))?\}/g

export class Stage {
  readonly place: Place
  readonly timeout: number
  readonly hands: Hands
  readonly dialect: Dialect
  readonly transcript = new Transcript()
  readonly times: Times = new Map()
  readonly random: () => number
  readonly #key: string
  readonly #peers = new Map<string, Peer>()
  /** Reasons to decline for which an administrator was asked here: so they are no rules of the server's own. */
  readonly caused = new Set<string>()
  /** What an administrator has to do at the end, to take back what was asked for here. */
  readonly #takesBack = new Set<string>()

  constructor({ dialect, hands, key, place, timeout }: Setting) {
    this.place = place
    this.timeout = timeout
    this.hands = hands
    this.dialect = dialect
    this.random = randomOf(key)
    this.#key = key
  }

  /** The name that stands for `{stem}` here. */
  name(stem: string, how?: string): string {
    const name = nameOf(this.#key, stem)
    if (how === undefined) return name
    return how === "upper" ? name.toUpperCase() : name.padEnd(Number(how), "x")
  }

  names(text: string): string {
    return text.replaceAll(
      namePlace,
      (all, stem: string, how?: string) => stem === "fill" ? all : this.name(stem, how)
    )
  }

  /** A line that is said: names, timestamps and filling in their places. */
  expand(text: string): string {
    const timed = this.names(text).replaceAll(/<([a-z]\w*)([+-]\d+)?>/g, (all, name: string, shift = "0") => {
      const time = this.times.get(name)
      return time === undefined ? all : String(time + BigInt(shift))
    })
    return timed.replace(/\{fill:(\d+)\}/, (place, bytes) => {
      const others = Bytes.fromText(timed.replace(place, "")).length
      return "x".repeat(Math.max(0, Number(bytes) - others))
    })
  }

  peer(who: string): Peer {
    const known = this.#peers.get(who)
    if (known !== undefined) return known
    const peer = new Peer(this, who)
    this.#peers.set(who, peer)
    return peer
  }

  /** Somebody who has logged in. */
  login(who: string): Effect.Effect<Peer, Outcome, Scope.Scope> {
    const peer = this.peer(who)
    return Effect.as(peer.login(), peer)
  }

  /** Something that the case takes for granted: where it fails, nothing has been found out. */
  granted<A, R>(effect: Effect.Effect<A, Outcome, R>): Effect.Effect<A, Outcome, R> {
    return Effect.catchTag(
      effect,
      "Broken",
      ({ message }) => Effect.fail(new Inconclusive({ why: `what it takes for granted is not so: ${message}` }))
    )
  }

  /** Fails unless something is so. */
  check(isSo: boolean, expected: string, came: string): Effect.Effect<void, Broken> {
    return isSo ? Effect.void : Effect.fail(new Broken({ expected, came }))
  }

  /** Plays a transcript. */
  play(script: string): Effect.Effect<void, Outcome, Scope.Scope> {
    return Effect.flatMap(Effect.try({ try: () => parse(script), catch: Miswritten.from }), (lines) => {
      const from = lines.findIndex(({ step }) => step._tag === "Granted") + 1
      const all = (some: typeof lines) => Effect.forEach(some, ({ step }) => this.#perform(step), { discard: true })
      return Effect.andThen(this.granted(all(lines.slice(0, from))), all(lines.slice(from)))
    })
  }

  #perform(step: Step): Effect.Effect<void, Outcome, Scope.Scope> {
    switch (step._tag) {
      case "Say": {
        const peer = this.peer(step.who)
        if (step.how === ">") return peer.say(step.text)
        const bytes = Bytes.fromText(this.expand(step.text))
        return step.how === ">>" ? peer.sayBytes(bytes) : peer.sayOneByOne(bytes)
      }
      case "Hear":
        return Effect.asVoid(this.peer(step.who).hear(step.text, step.within))
      case "Many":
        return Effect.sync(() => this.peer(step.who).tolerate(step.text))
      case "Act":
        return this.#act(this.peer(step.who), step.action)
      case "Hand":
        return this.hand(step.text)
      case "Wait":
        return Effect.sleep(step.millis === "tick" ? tick(this.dialect) : step.millis)
      case "Granted":
        return Effect.void
    }
  }

  #act(peer: Peer, action: Action): Effect.Effect<void, Outcome, Scope.Scope> {
    switch (action) {
      case "login":
        return peer.login()
      case "connect":
        return peer.connect()
      case "half-close":
        return peer.halfClose()
      case "close":
        return peer.close()
      case "cut":
        return peer.cut()
      case "stop reading":
        return Effect.sync(() => peer.stopReading())
      case "read on":
        return Effect.sync(() => peer.readOn())
      case "nothing more":
        return peer.nothingMore()
    }
  }

  /** Waits until the next message has another timestamp, whatever the server's clock counts. */
  get tick(): Effect.Effect<void> {
    return Effect.sleep(tick(this.dialect))
  }

  /** What somebody else does for us: an administrator, or whoever can restart the server. */
  hand(text: string): Effect.Effect<void, Inconclusive> {
    const [verb = "", ...rest] = this.expand(text).split(" ")
    const args = verb === "announce" ? [verb, rest.join(" ")] : [verb, ...rest]
    this.transcript.add("server", ":", args.join(" "))
    this.#remember(verb, rest[0] ?? "")
    const { control, kill, restart } = this.hands
    const hand = verb === "restart" ? restart : verb === "kill" ? kill : control?.(args)
    return hand ?? Effect.fail(new Inconclusive({ why: `nobody can do this here: ${args.join(" ")}` }))
  }

  #remember(verb: string, what: string): void {
    switch (verb) {
      case "refuse":
        this.caused.add(what)
        this.#takesBack.add(`accept ${what}`)
        break
      case "members":
        this.caused.add("forbidden")
        this.#takesBack.add(`remove ${what}`)
        break
      case "lock":
      case "unlock":
      case "allow-ip":
        this.#takesBack.add(`remove ${what}`)
    }
  }

  /** Takes back what an administrator was asked for, as far as that can be done. */
  get tidyUp(): Effect.Effect<void> {
    return Effect.suspend(() =>
      Effect.forEach(
        this.#takesBack,
        (line) => Effect.ignore(this.hands.control?.(line.split(" ")) ?? Effect.void),
        { discard: true }
      )
    )
  }
}
