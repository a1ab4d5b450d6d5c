/**
 * Generators of what may and may not stand on the wire. They are built from the clauses, not from the schemas under
 * test: the rules in here are written a second time, in the simplest form.
 */
import { Arbitrary, Schema } from "effect"
import type { Arbitrary as Gen } from "effect/Arbitrary"
import { Buffer } from "node:buffer"
import * as Command from "../src/Command.ts"
import { Message } from "../src/Message.ts"
import { GroupName, Name, Target } from "../src/Name.ts"
import { Timestamp } from "../src/Timestamp.ts"

/** As many runs as a wire deserves. */
export const many = { arbitrary: { runs: 1000, size: 12 } }

export const pick = <const A extends string | number>(values: ReadonlyArray<A>): Gen<A> =>
  Arbitrary.schema(Schema.Literals(values))

export const oneOf = <A>(...options: ReadonlyArray<Gen<A>>): Gen<A> =>
  Arbitrary.flatMap(pick(options.map((_, index) => index)), (index) => options[index]!)

export const int = (minimum: number, maximum: number): Gen<number> =>
  Arbitrary.schema(Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum, maximum }))))

const join = (parts: Gen<string>, options: Arbitrary.ArrayOptions): Gen<string> =>
  Arbitrary.map(Arbitrary.array(parts, options), (all) => all.join(""))

export const utf8Length = (text: string): number => Buffer.from(text).length

// Names

const nameParts = pick([
  ..."abZ019._-#@:!~/\\\"'<>[]{}%$",
  ..."éßñçøÅİıſ", // Latin
  ..."αΩжЯאبगकาก한語ㄱ𠮷𝔘", // other scripts, some beyond the BMP
  ..."€№🦀❤👍", // symbols
  "x\u0331\u030a", // combining marks without a precomposed form
  "क्ष",
  "❤\ufe0f",
  "\u0301", // a mark alone
  "SYNC",
  "ACK",
  "MSG",
  "system",
  "0",
  "1700000000000"
])

/** Names of exactly 64 bytes, of characters of one to four bytes. */
export const longestNames: ReadonlyArray<string> = [
  "a".repeat(64),
  "é".repeat(32),
  "語".repeat(21) + "a",
  "🦀".repeat(16),
  "é".repeat(31) + "ab"
]

/** CPT 2.1: names that somebody can bear. */
export const nameText: Gen<string> = oneOf(
  Arbitrary.map(join(nameParts, { minLength: 1, maxLength: 12 }), (text) => text.normalize("NFC")),
  pick(longestNames),
  pick(["a", "0", "7", "1700000000000", "SYNC", "ENDSYNC", "MSG", "system1", "asystem"])
).pipe(Arbitrary.filter((text) => utf8Length(text) <= 64 && text.toLowerCase() !== "system"))

/** What no name may hold (CPT 2.1), one of each kind: white space, controls, format, surrogates, private, unassigned. */
export const notInNames: ReadonlyArray<string> = [
  ..." \t\n\v\f\r\u0085\u00a0\u1680\u2000\u200a\u2028\u2029\u202f\u205f\u3000",
  ..."\u0000\u0007\u001b\u007f\u0080\u009f",
  ..."\u00ad\u061c\u200b\u200c\u200d\u200e\u200f\u202e\u2060\u2066\ufeff\u{e0041}",
  "\ud800",
  "\udbff",
  "\udc00",
  "\udfff",
  ..."\ue000\uf8ff\u{f0000}\u{10fffd}",
  ..."\u0378\ufdd0\uffff\u{1ffff}\u{10ffff}"
]

/** Names in another normal form, which look like others (CPT 2.1). */
export const notNormal: ReadonlyArray<string> = [
  "e\u0301",
  "A\u030a",
  "\u212b", // ångström sign
  "\u2126", // ohm sign
  "\u1112\u1161\u11ab",
  "q\u0307\u0323" // two marks in the wrong order
]

const insert = (into: Gen<string>, what: Gen<string>): Gen<string> =>
  Arbitrary.map(Arbitrary.all([into, what, int(0, 1000)]), ([text, part, seed]) => {
    const characters = Array.from(text)
    const at = seed % (characters.length + 1)
    return [...characters.slice(0, at), part, ...characters.slice(at)].join("")
  })

/** What is no name. */
export const badNameText: Gen<string> = oneOf(
  pick(["", ...notInNames, ...notNormal, ...longestNames.map((name) => `${name}b`)]),
  insert(nameText, pick(notInNames)),
  Arbitrary.map(Arbitrary.all([pick(notNormal), nameText]), ([bad, good]) => `${bad}${good}`)
)

/** CPT 2.1: in any letter case. */
export const reservedText: Gen<string> = pick(["system", "System", "SYSTEM", "sYsTeM", "ſystem", "SYſTEM", "syﬆem"])

// Messages

const messageParts = pick([
  ..."aZ0 ",
  " ",
  "  ",
  "\t",
  "\u00a0",
  "\u2028",
  "\u2029",
  "\u202e",
  "\u200d",
  "\ufeff",
  "\ufffd",
  "e\u0301",
  "é",
  "語",
  "🦀",
  "👩‍👩‍👧",
  "\u{10ffff}",
  "\\n",
  "0",
  "007",
  "1700000000000",
  "999999999999999",
  "1000000000000000",
  "-1",
  "1e3",
  "0x10",
  "system",
  "CONNECT",
  "SEND g x",
  "SYNC",
  "SYNC g 0",
  "ACK",
  "DECLINE x",
  "MSG g a 1 x",
  "MSG a 1 x",
  "ENDSYNC"
])

/** CPT 4.3: texts of messages. */
export const messageText: Gen<string> = oneOf(
  join(messageParts, { minLength: 1, maxLength: 10 }),
  pick([" ", "  ", "\t", " x", "x ", "7", "7 ", " 7", "7 x", "0 x", "0  ", "007 x", "1000000000000000 x", "ACK"])
)

/** Control characters but TAB, and what UTF-8 cannot carry (CPT 1.2, 4.3). */
export const notInMessages: ReadonlyArray<string> = [
  ...Array.from({ length: 32 }, (_, code) => String.fromCharCode(code)).filter((control) => control !== "\t"),
  ...Array.from({ length: 33 }, (_, code) => String.fromCharCode(0x7f + code)),
  "\r\n",
  "\nACK",
  "\nMSG g system 0 x",
  "\r\nSEND g x\r\n"
]

/** Halves of a pair: no character, and UTF-8 has no bytes for them. */
const surrogates: ReadonlyArray<string> = ["\ud800", "\udbff", "\udc00", "\udfff"]

const aSurrogateAlone = Arbitrary.map(
  Arbitrary.all([messageText, pick(surrogates), messageText]),
  (all) => all.join("")
)

/** What is no text of a message. */
export const badMessageText: Gen<string> = oneOf(
  pick(["", ...notInMessages, ...surrogates]),
  insert(messageText, pick(notInMessages)),
  aSurrogateAlone
)

// Timestamps

/** CPT 5.1. */
export const timestampNumber: Gen<number> = oneOf(
  pick([
    0,
    1,
    9,
    10,
    1_700_000_000_000,
    99_999_999_999_999,
    100_000_000_000_000,
    999_999_999_999_998,
    999_999_999_999_999
  ]),
  int(0, 999_999_999_999_999)
)

/** What others may read as a number, and what looks like one. */
export const notTimestamps: ReadonlyArray<string> = [
  "",
  " ",
  " 7",
  "7 ",
  "07",
  "00",
  "0x10",
  "0b1",
  "0o7",
  "1e3",
  "-1",
  "-0",
  "+1",
  "1.0",
  "1.",
  ".5",
  "1_000",
  "1n",
  "1,000",
  "7\n",
  "\t7",
  "7\u0000",
  "٣",
  "７",
  "²",
  "NaN",
  "Infinity",
  "null",
  "1000000000000000",
  "9999999999999999",
  "9".repeat(400)
]

// Commands

const target = Arbitrary.map(nameText, (text) => Target.make(text))
const group = Arbitrary.map(nameText, (text) => GroupName.make(text))
const message = Arbitrary.map(messageText, (text) => Message.make(text))
const timestamp = Arbitrary.map(timestampNumber, (number) => Timestamp.make(number))
/** In a name's place on the wire `system` may stand too. */
const name = Arbitrary.map(oneOf(nameText, nameText, nameText, pick(["system", "System"])), (text) => Name.make(text))

export const clientCommand: Gen<Command.ClientCommand> = oneOf<Command.ClientCommand>(
  Arbitrary.map(name, (username) => new Command.Connect({ username })),
  Arbitrary.map(Arbitrary.all({ target, message }), (fields) => new Command.Send(fields)),
  Arbitrary.map(Arbitrary.all({ group, after: timestamp }), (fields) => new Command.Sync(fields)),
  Arbitrary.Constant(new Command.SyncInbox({}))
)

/** A message that a direct `MSG` can carry: one that does not read as timestamp and message (CPT 6.4). */
const directMessage = Arbitrary.filter(message, (text) => !/^(?:0|[1-9][0-9]{0,14}) ./s.test(text))

export const serverCommand: Gen<Command.ServerCommand> = oneOf<Command.ServerCommand>(
  Arbitrary.Constant(new Command.Accept({})),
  Arbitrary.map(message, (reason) => new Command.Decline({ reason })),
  Arbitrary.Constant(new Command.Ack({})),
  Arbitrary.map(Arbitrary.all({ group: name, sender: name, timestamp, message }), (fields) => new Command.Msg(fields)),
  Arbitrary.map(
    Arbitrary.all({ sender: name, timestamp, message: directMessage }),
    (fields) => new Command.DirectMsg(fields)
  ),
  Arbitrary.Constant(new Command.EndSync({}))
)

/** Strings from a bad neighbourhood: good and bad fields, words, spaces and ends of lines, in any order. */
export const hostileText: Gen<string> = oneOf(
  nameText,
  badNameText,
  reservedText,
  messageText,
  badMessageText,
  pick(notTimestamps),
  join(oneOf(messageParts, nameParts, pick(notInMessages), pick(notInNames), pick(["\n", "\r\n", " "])), {
    maxLength: 8
  })
)

const words = ["CONNECT", "SEND", "SYNC", "ACCEPT", "DECLINE", "ACK", "MSG", "ENDSYNC", "SYNC_INBOX", "DIRECT_MSG"]

/** Lines, most of them nearly a command: a word and some fields, each of which may be a bad one. */
export const anyLine: Gen<string> = oneOf(
  hostileText,
  Arbitrary.map(
    Arbitrary.all([
      oneOf<string>(pick(words), pick(words), pick([...words.map((word) => word.toLowerCase()), "QUIT", "", " "])),
      Arbitrary.array(
        oneOf<string>(nameText, messageText, Arbitrary.map(timestampNumber, String), hostileText, pick([""])),
        { maxLength: 5 }
      )
    ]),
    ([word, fields]) => [word, ...fields].join(" ")
  )
)

// Bytes

const bytes = (...values: ReadonlyArray<number>): Uint8Array => Uint8Array.from(values)

/** Pieces of input for a framer with a limit of `max`: text, ends of lines, what is not UTF-8, runs around the limit. */
export const inputBytes = (max: number): Gen<Uint8Array> =>
  Arbitrary.map(
    Arbitrary.array(
      oneOf<Uint8Array>(
        Arbitrary.map(pick(["a", "é", "語", "🦀", "\ufeff", "\0", "\u2028", "SEND g x", " "]), (text) =>
          Buffer.from(text)),
        Arbitrary.map(pick(["\n", "\n", "\r\n", "\r", "\r\r\n", "\n\n"]), (text) =>
          Buffer.from(text)),
        Arbitrary.map(
          pick([0, 1, 2, 3, 4, 5, 6]),
          (index) =>
            [
              bytes(0xff),
              bytes(0x80), // a continuation alone
              bytes(0xc3), // half a character
              bytes(0xf0, 0x9f, 0xa6), // three quarters
              bytes(0xc0, 0x8a), // LF, overlong
              bytes(0xed, 0xa0, 0x80), // a surrogate
              bytes(0xf4, 0x90, 0x80, 0x80) // beyond Unicode
            ][index]!
        ),
        Arbitrary.map(int(-1, 2), (more) => Buffer.alloc(max + more, "x"))
      ),
      { maxLength: 14 }
    ),
    (parts) => new Uint8Array(Buffer.concat(parts))
  )
