/**
 * What all connections of one round do, chosen before the first of them does anything, from the seed alone: so a round
 * can be repeated, and parts of it can be left out to see whether they matter.
 */
import { Limits } from "@cpt/schema"
import { Buffer } from "node:buffer"
import { Random } from "../crash/Random.ts"
import { Grammar, type Names } from "./Grammar.ts"
import { Reading, targetOf } from "./Reading.ts"

export type Act =
  | { readonly does: "connect" }
  /** Says these bytes, cut at these places, with turns of the event loop between. */
  | { readonly does: "say"; readonly bytes: Buffer; readonly cuts: ReadonlyArray<number> }
  /** Waits until all is answered. */
  | { readonly does: "wait" }
  | { readonly does: "sleep"; readonly millis: number }
  | { readonly does: "stop reading" }
  | { readonly does: "read on" }
  /** Ends its side, and waits for the end of the server's. */
  | { readonly does: "half-close" }
  | { readonly does: "reset" }

/** Whoever it is that does something: one connection at a time. */
interface Part {
  readonly slot: number
  readonly acts: ReadonlyArray<Act>
}

/** What is done at the same time; or, in turns, one part after the other, so that the order of all is known. */
export interface Stage {
  readonly inTurns: boolean
  readonly parts: ReadonlyArray<Part>
}

export interface Script {
  readonly stages: ReadonlyArray<Stage>
  /** Names that several want at the same time. */
  readonly raced: ReadonlySet<string>
}

type Line = string | Buffer

const nothing: Buffer = Buffer.alloc(0)

class Writer {
  readonly random: Random
  readonly grammar: Grammar
  readonly names: Names
  #acts: Array<Act> = []
  #lastSend: Buffer = nothing
  #hasSaidAgain = false

  constructor(random: Random, names: Names) {
    this.random = random
    this.names = names
    this.grammar = new Grammar(random.fork(), names)
  }

  /** What has been written since. */
  take(): ReadonlyArray<Act> {
    this.#lastSend = nothing
    return this.#acts.splice(0)
  }

  do(does: "connect" | "wait" | "stop reading" | "read on" | "half-close" | "reset"): void {
    this.#acts.push({ does })
  }

  sleep(millis: number): void {
    this.#acts.push({ does: "sleep", millis })
  }

  bytes(bytes: Line): void {
    if (bytes.length === 0) return
    this.#acts.push({ does: "say", bytes: Buffer.from(bytes), cuts: this.#cuts(bytes.length) })
  }

  /** Says so many lines in one go. */
  lines(count: number, line: () => Line): void {
    this.#sayAll(count, line, (name) => name.includes(this.names.tag))
  }

  /** As `lines`, but nothing that makes a name what it was not before. */
  harmless(count: number): void {
    const line = () => this.random.chance(0.6) ? this.grammar.command() : this.grammar.almost()
    const { own, settled } = this.names
    this.#sayAll(count, line, (name) => name === own || settled.includes(name))
  }

  login(): void {
    this.do("connect")
    this.bytes(`CONNECT ${this.names.own}\n`)
  }

  /** The last SEND again, as whoever has not seen its ACK; once more, if nothing else was said since. */
  sayAgain(): void {
    this.bytes(this.#lastSend)
    this.#hasSaidAgain = true
  }

  times(low: number, high: number, write: () => void): void {
    for (let times = this.random.between(low, high); times > 0; times--) write()
  }

  #sayAll(count: number, line: () => Line, mayName: (name: string) => boolean): void {
    if (this.#hasSaidAgain) this.#lastSend = nothing
    this.#hasSaidAgain = false
    this.bytes(Buffer.concat(Array.from({ length: count }, () => this.#ended(line, mayName))))
  }

  /** Anywhere, so that a write may have the end of one line and the beginning of the next. */
  #cuts(length: number): ReadonlyArray<number> {
    const { random } = this
    const many = random.pick([0, 0, 1, 3, 20, Infinity])
    if (many === Infinity && length < 600) return Array.from({ length: length - 1 }, (_, index) => index + 1)
    const cuts = Array.from({ length: Math.min(many, 20) }, () => random.between(1, length))
    return cuts.toSorted((a, b) => a - b)
  }

  /** A line with its end. As odd as it is, the names in it are in the range of this round. */
  #ended(write: () => Line, mayName: (name: string) => boolean): Buffer {
    for (;;) {
      const line = write()
      const ended = Buffer.concat([Buffer.from(line), Buffer.from(this.grammar.end())])
      const reading = new Reading()
      reading.take(ended, 0)
      if (!reading.asks.every(({ meaning }) => mayName(targetOf(meaning, undefined) ?? this.names.own))) continue
      if (reading.asks.some(({ meaning }) => meaning._tag === "SEND")) this.#lastSend = ended
      return ended
    }
  }
}

const anyLine = ({ grammar, random }: Writer) => (): Line => random.chance(0.65) ? grammar.command() : grammar.almost()

/** As the protocol says: one command, and its answer. */
const user = (w: Writer) =>
  w.times(5, 20, () => {
    w.lines(1, () => w.grammar.command())
    w.do("wait")
  })

/** Says anything in any way, but takes leave in good order. */
const talker = (w: Writer) =>
  w.times(2, 8, () => {
    switch (w.random.between(1, 12)) {
      case 1:
        w.lines(w.random.between(1, 5), anyLine(w))
        w.bytes(Buffer.from(w.grammar.almost().subarray(0, 20).filter((byte) => byte !== 10))) // and no end
        w.do("half-close")
        w.login()
        break
      case 2:
        w.do("stop reading")
        w.lines(w.random.between(1, 30), anyLine(w))
        w.sleep(w.random.between(1, 50))
        w.do("read on")
        break
      case 3: // "ok", "ok"
        w.lines(1, () => w.grammar.send())
        if (w.random.chance(0.5)) w.do("wait")
        w.sayAgain()
        break
      case 4:
        w.sleep(w.random.between(1, 20))
        break
      default:
        w.lines(w.random.between(1, 12), anyLine(w))
    }
    if (w.random.chance(0.6)) w.do("wait")
  })

/** Is cut off at any moment, comes back, and says again what may not have been heard. */
const reckless = (w: Writer) =>
  w.times(2, 8, () => {
    const isDeaf = w.random.chance(0.2)
    if (isDeaf) w.do("stop reading")
    w.times(0, 3, () => {
      w.harmless(w.random.between(1, 8))
      if (!isDeaf && w.random.chance(0.5)) w.do("wait")
    })
    if (w.random.chance(0.6)) w.lines(1, () => w.grammar.send())
    if (w.random.chance(0.3)) w.bytes("SEND half a li")
    if (w.random.chance(0.3)) w.sleep(w.random.between(0, 5))
    w.do("reset")
    w.login()
    if (w.random.chance(0.7)) w.sayAgain()
  })

/** Says nothing that makes sense. */
const babbler = (w: Writer) =>
  w.times(1, 4, () => {
    w.lines(w.random.between(1, 30), () => w.grammar.almost())
    if (w.random.chance(0.7)) w.do("wait")
    if (w.random.chance(0.3)) w.do("half-close")
    if (w.random.chance(0.6)) w.login()
  })

/** A thousand commands at once. */
const hasty = (w: Writer) => {
  const more = w.random.chance(0.2) ? "x".repeat(1000) : ""
  w.lines(1000, () => w.random.chance(0.9) ? w.grammar.send().slice(0, 300) + more : w.grammar.sync())
  w.do("wait")
}

/** Follows, does not read for a while, and then asks for everything. */
const sleeper = (w: Writer) => {
  for (const name of w.names.settled) if (w.random.chance(0.5)) w.lines(1, () => w.grammar.sync(name))
  w.do("stop reading")
  w.sleep(w.random.between(10, 700))
  w.do("read on")
  w.do("wait")
  w.times(0, 3, () => w.lines(1, () => w.grammar.sync()))
  w.do("wait")
}

/** Wants names that others want too. */
const rival = (w: Writer) => {
  const claim = () => w.grammar.claim(w.random.pick(w.names.raced))
  w.do("half-close")
  w.times(1, 4, () => {
    w.do("connect")
    w.lines(w.random.between(1, 4), claim)
    w.do("wait")
    w.lines(1, () => w.random.chance(0.5) ? w.grammar.sync() : claim())
    w.do("half-close")
  })
  w.login()
}

/** Many that come and go, most of them without a word. */
const crowd = (w: Writer) => {
  w.do("half-close")
  w.times(5, 30, () => {
    w.do("connect")
    if (w.random.chance(0.3)) w.bytes(w.random.pick(["\n", "CONN", "\u{1f980}"]))
    w.do("reset")
  })
  w.login()
}

/** Comes, and does not log in. */
const mute = (w: Writer) => {
  w.do("half-close")
  w.do("connect")
  if (w.random.chance(0.5)) w.lines(1, () => "SYNC")
  if (w.random.chance(0.5)) w.bytes("CONNECT m")
  w.sleep(2300)
  w.login()
}

/** Asks for more than the network holds, and takes nothing of it until it is cut off. */
const deaf = (w: Writer) => {
  w.do("stop reading")
  w.bytes(`SYNC ${w.names.settled[0]} 0\n`.repeat(3000))
  w.sleep(8000)
  w.do("read on")
  w.do("wait")
  w.login()
}

const characters = [user, talker, talker, talker, reckless, reckless, babbler, hasty, sleeper, rival, crowd] as const

/** One thing, of which the answer may depend on what others have done before. */
const anything = (w: Writer) => {
  const loose = w.random.pick(w.names.loose)
  switch (w.random.between(1, 8)) {
    case 1:
      w.do("half-close")
      w.do("connect")
      w.lines(1, () => w.random.chance(0.5) ? `CONNECT ${w.names.own}` : w.grammar.claim(loose))
      break
    case 2:
      w.lines(1, () => w.grammar.send(loose))
      break
    case 3:
    case 4:
      w.lines(1, () => w.grammar.claim(loose))
      break
    default:
      w.lines(1, anyLine(w))
  }
}

const ofFullLength = (name: string) => name + "_".repeat(Limits.maxNameBytes - Buffer.byteLength(name))

export const write = (seed: number, round: number): Script => {
  const random = new Random(seed, round)
  const tag = random.between(36 ** 5, 36 ** 6 - 1).toString(36)
  const people = random.between(2, random.chance(0.2) ? 24 : 9)
  const owns = Array.from({ length: people }, (_, slot) => `u${slot}.${tag}`)
  const groups = [`g.${tag}`, `groupe-é.${tag}`, ofFullLength(`組.${tag}`)] as const
  const loose = [`x.${tag}`, `y.${tag}`, `z🦀.${tag}`] as const
  const raced = [`p.${tag}`, `q.${tag}`, `r🦀.${tag}`] as const
  const names = { tag, settled: [...groups, ...owns], loose, raced } as const
  const writers = owns.map((own) => new Writer(random.fork(), { ...names, own }))
  const part = (writer: Writer): Part => ({ slot: writers.indexOf(writer), acts: writer.take() })

  // Those that are to be users have messages, and the groups too, so that this is final
  const settle = writers.map((w, slot) => {
    w.login()
    for (const group of slot === 0 ? groups : []) w.bytes(`SYNC ${group} 0\n${w.grammar.send(group)}\n`)
    w.bytes(`${w.grammar.send(w.names.own)}\n`)
    return part(w)
  })
  const inTurns = () =>
    Array.from({ length: random.between(10, 60) }, () => {
      const [first = new Writer(random, { ...names, own: "" }), ...others] = writers
      const w = random.pick([first, ...others])
      anything(w)
      return part(w)
    })
  const atOnce = () =>
    writers.map((w) => {
      if (random.chance(0.5)) w.login()
      if (random.chance(0.01)) random.pick([mute, deaf])(w)
      else random.pick(characters)(w)
      return part(w)
    })
  const stages = Array.from(
    { length: random.between(1, 4) },
    (): Stage => random.chance(0.25) ? { inTurns: true, parts: inTurns() } : { inTurns: false, parts: atOnce() }
  )
  return { stages: [{ inTurns: true, parts: settle }, ...stages], raced: new Set(raced) }
}
