/**
 * What is said to a server: commands over a few names, so that sessions meet; and lines that are almost commands, each
 * wrong in one way, or in two.
 */
import { Limits } from "@cpt/schema"
import { Buffer } from "node:buffer"
import type { Random } from "../crash/Random.ts"

export interface Names {
  /** Is in every name that can be borne: what was said in other rounds is of other names. */
  readonly tag: string
  /** The name to log in with. */
  readonly own: string
  /** Names that are what they are for good: users, and groups. */
  readonly settled: readonly [string, ...ReadonlyArray<string>]
  /** Names that become a user or a group, whoever is first: where one thing happens after the other, … */
  readonly loose: readonly [string, ...ReadonlyArray<string>]
  /** … and where several want them at the same time. */
  readonly raced: readonly [string, ...ReadonlyArray<string>]
}

/** Stands in a line for a timestamp that was heard shortly before. */
export const someTime = "{t}"

const numbers = [
  "0",
  "1",
  "999999999999999",
  "1000000000000000",
  "00",
  "01",
  "-1",
  "+1",
  "1e3",
  "0x10",
  "1.0",
  "١",
  "9".repeat(400)
] as const

/** Characters, each of which is forbidden in some place, or looks as if it were. */
const oddCharacters = [
  "\0",
  ..."\r\t\u001b\u007f\u0085\u00a0\u00ad",
  ..."\u200b\u200d\u2028\u202e\u3000\ufeff\ufffd", // invisible ones, and what bad bytes must not become
  ..."\ue000\u0378\ufffe\u0301", // private use, unassigned, no character, without its base
  "é",
  "e\u0301",
  "🦀",
  "👩‍🚀",
  "  ",
  "\r\n",
  "\n",
  "\n\n\n"
] as const

const oddBytes: readonly [ReadonlyArray<number>, ...ReadonlyArray<ReadonlyArray<number>>] = [
  [0xff],
  [0x80],
  [0xc3],
  [0xf0, 0x9f, 0xa6],
  [0xc0, 0x8a], // LF, overlong
  [0xc0, 0xa0], // space, overlong
  [0xe0, 0x80, 0x8a],
  [0xed, 0xa0, 0x80], // surrogates
  [0xed, 0xa0, 0xbd, 0xed, 0xb0, 0x80],
  [0xf4, 0x90, 0x80, 0x80], // beyond Unicode
  [0xfe, 0xff],
  [0, 0, 0, 0]
]

const oddNames = (own: string) =>
  [
    "system",
    "SYSTEM",
    "ſystem",
    "syﬆem",
    own.padEnd(Limits.maxNameBytes, "_"),
    own.padEnd(Limits.maxNameBytes + 1, "_"),
    `${own}${"é".repeat(Limits.maxNameBytes / 2)}`,
    `e\u0301${own}`, // not NFC
    `\u212b${own}`,
    `../${own}`,
    `__proto__.${own}`,
    `%00';--${own}`
  ] as const

const serverLines = [
  "ACK",
  "ACCEPT",
  "ENDSYNC",
  "MSG g a 1 x",
  "MSG a 1 x",
  "DECLINE no",
  "ACK 1",
  "MSG",
  "DECLINE"
] as const
const words = [
  "",
  " ",
  "HELLO",
  "QUIT",
  "connect",
  "Send",
  "SYNC_INBOX",
  "SENDx",
  "SEN",
  "PROXY TCP4 1.2.3.4 1.2.3.4 1 2"
] as const

type Mutation = (line: string, random: Random, names: Names) => string

const withField = (line: string, random: Random, change: (field: string) => string): string => {
  const fields = line.split(" ")
  const at = random.between(0, fields.length - 1)
  fields[at] = change(fields[at] ?? "")
  return fields.join(" ")
}

const mutations: readonly [Mutation, ...ReadonlyArray<Mutation>] = [
  (line) => ` ${line}`,
  (line) => `${line} `,
  (line) => line.replace(" ", "  "),
  (line) => line.replace(" ", "\t"),
  (line) => line.slice(0, Math.max(0, line.lastIndexOf(" "))), // a field is missing
  (line) => line.slice(0, line.indexOf(" ") + 1),
  (line, random) => `${line} ${random.pick(numbers)}`, // one too many
  (line) => line.toLowerCase(),
  (line, random) => line.slice(0, random.between(0, line.length)),
  (line, random) => `${random.pick(words)}${line.slice(line.indexOf(" "))}`,
  (line, random) => withField(line, random, () => ""),
  (line, random, { own }) => withField(line, random, () => random.pick(oddNames(own))),
  (line, random) => withField(line, random, () => random.pick(numbers)),
  (line, random) => withField(line, random, (field) => field + field),
  (line, random) => {
    const at = random.between(0, line.length)
    return line.slice(0, at) + random.pick(oddCharacters) + line.slice(at)
  },
  (_, random) => random.pick(serverLines),
  (_, random) => random.pick(words),
  (line, random) => {
    const around = Limits.maxLineBytes + random.pick([-2, -1, 0, 1, 2, 3, 1000, 60_000, 500_000])
    return line + "x".repeat(Math.max(0, around - Buffer.byteLength(line)))
  }
]

type ByteMutation = (line: Buffer, random: Random) => Buffer

const splice = (line: Buffer, from: number, to: number, bytes: ReadonlyArray<number>) =>
  Buffer.concat([line.subarray(0, from), Uint8Array.from(bytes), line.subarray(to)])

const byteMutations: readonly [ByteMutation, ...ReadonlyArray<ByteMutation>] = [
  (line, random) => {
    const at = random.between(0, line.length)
    return splice(line, at, at, random.pick(oddBytes))
  },
  (line, random) => {
    const at = random.between(0, line.length)
    return splice(line, at, at + 1, [])
  },
  (line, random) => {
    const at = random.between(0, Math.max(0, line.length - 1))
    return splice(line, at, at + 1, [random.between(0, 255)])
  }
]

export class Grammar {
  #serial = 0
  readonly #random: Random
  readonly #names: Names

  constructor(random: Random, names: Names) {
    this.#random = random
    this.#names = names
  }

  /** The line of a command, without its end. */
  command(): string {
    const random = this.#random
    const kind = random.between(1, 10)
    if (kind <= 5) return this.send()
    if (kind <= 8) return this.sync()
    return random.chance(0.7) ? "SYNC" : `CONNECT ${this.#names.own}`
  }

  send(target: string = this.#random.pick(this.#names.settled)): string {
    return `SEND ${target} ${this.#text()}`
  }

  sync(group: string = this.#random.pick(this.#names.settled)): string {
    return `SYNC ${group} ${this.#random.pick(["0", "0", someTime, someTime, "1", "999999999999999"])}`
  }

  /** Wants a name for a user, or for a group. */
  claim(name: string): string {
    return this.#random.chance(0.5) ? `CONNECT ${name}` : this.sync(name)
  }

  /** Almost the line of a command. */
  almost(): Buffer {
    const random = this.#random
    let line = this.command()
    for (let times = random.pick([0, 1, 1, 1, 1, 2]); times > 0; times--) {
      line = random.pick(mutations)(line, random, this.#names)
    }
    const bytes = Buffer.from(line)
    return random.chance(0.3) ? random.pick(byteMutations)(bytes, random) : bytes
  }

  /** The end of a line, which may be odd too. */
  end(): string {
    return this.#random.chance(0.9) ? "\n" : this.#random.pick(["\r\n", "\r\r\n", "\n\n", "\n\r\n", "\n\0\n"])
  }

  /** No two are the same, so that each message can be told from all others. */
  #text(): string {
    const random = this.#random
    const mark = `${this.#names.own}.${this.#serial++}.`
    switch (random.between(1, 12)) {
      case 1:
        return ` ${mark} `
      case 2:
        return `\t${mark}\tx`
      case 3:
        return `${mark} é 🦀 \u202e \ufeff`
      case 4:
        return mark + "x".repeat(random.between(0, 8000))
      default:
        return mark
    }
  }
}
