/** Section 1 of docs/protocol.md, over TCP. */
import { describe } from "@effect/vitest"
import { transcript } from "./support/Transcript.ts"

const script = String.raw

/** Each of these lines gets this answer, before login and after it, and the session goes on. */
const answers = (lines: ReadonlyArray<string>, answer: string): string =>
  lines.map((line) =>
    script`
      N> ${line}
      N< ${answer}
      N: half-close
      N< (end)
      A> ${line}
      A< ${answer}
      A> SYNC
      A< ENDSYNC
    `
  ).join("")

const login = script`
      A> CONNECT alice
      A< ACCEPT
    `

describe("CPT 1.1: a line ends with LF", () => {
  transcript(
    "and one CR directly before it belongs to the end",
    script`
      A> CONNECT alice\r
      A< ACCEPT
      A> SEND g hi\r
      A< ACK
      A>> SEND g ho\r
      A>> \n
      A< ACK
      A> SYNC g 0\r
      A< MSG g alice <t> hi
      A< MSG g alice <u> ho
      A< ENDSYNC
    `
  )

  transcript(
    "any other CR is a control character",
    login + answers(
      [
        "SEND g a\\rb",
        "SEND g hi\\r\\r",
        "SEND g \\rhi",
        "CONNECT al\\rice",
        "CONNECT bob\\r\\r",
        "\\rSYNC",
        "ACK\\r\\r",
        "\\r\\r"
      ],
      "DECLINE invalid_command"
    ) + script`
      A> SYNC g 0
      A< ENDSYNC
    `
  )

  transcript(
    "no other character ends one",
    script`
      A> CONNECT alice
      A< ACCEPT
      A> SEND g a\u{2028}b\u{2029}c
      A< ACK
      A> SEND g a\u{b}b
      A< DECLINE invalid_command
      A> SEND g a\u{c}b
      A< DECLINE invalid_command
      A> SEND g a\u{85}b
      A< DECLINE invalid_command
      A> SEND g a\0b
      A< DECLINE invalid_command
      A> SEND g a\\nb
      A< ACK
      A> SYNC g 0
      A< MSG g alice <t> a\u{2028}b\u{2029}c
      A< MSG g alice <u> a\\nb
      A< ENDSYNC
    `
  )

  transcript("an empty one is no command", login + answers(["", "\\r", "\\x20", "\\t"], "DECLINE invalid_command"))
})

describe("CPT 1.2: text is UTF-8", () => {
  transcript(
    "and what is not is declined, and not repaired",
    login + answers(
      [
        "SEND g \\xff",
        "SEND g caf\\xe9",
        "SEND g \\xc3",
        "SEND g \\xf0\\x9f\\xa6",
        "SEND g \\x80",
        "SEND g \\xc0\\x8a", // LF, overlong
        "SEND g \\xc1\\xa1",
        "SEND g \\xed\\xa0\\x80", // a surrogate
        "SEND g \\xf4\\x90\\x80\\x80", // beyond Unicode
        "CONNECT b\\xff",
        "SYNC \\xff 0",
        "\\xff",
        "ACK \\xff",
        "\\u{feff}SYNC",
        "\\u{feff}CONNECT bob"
      ],
      "DECLINE invalid_command"
    ) + script`
      A> SYNC g 0
      A< ENDSYNC
    `
  )

  transcript(
    "so the replacement character is a character, and all others come back as they were",
    script`
      A> CONNECT ålice🦀
      A< ACCEPT
      A> SEND g \u{fffd} é e\u{301} 語 🦀 👩‍👩‍👧 \u{202e} \u{feff} \u{10ffff} ~
      A< ACK
      A> SYNC g 0
      A< MSG g ålice🦀 <t> \u{fffd} é e\u{301} 語 🦀 👩‍👩‍👧 \u{202e} \u{feff} \u{10ffff} ~
      A< ENDSYNC
    `
  )
})

describe("CPT 1.3: fields are parted by exactly one space", () => {
  transcript(
    "and nothing else may stand before, between or behind them",
    login + answers(
      [
        "CONNECT",
        "CONNECT\\x20",
        "CONNECT  bob",
        "CONNECT bob\\x20",
        " CONNECT bob",
        "CONNECT b ob",
        "CONNECT\\tbob",
        "SEND",
        "SEND\\x20",
        "SEND g",
        "SEND g\\x20",
        "SEND  g hi",
        "SEND  hi",
        " SEND g hi",
        "SEND\\tg hi",
        "SEND g\\thi",
        "SYNC\\x20",
        "SYNC g",
        "SYNC g\\x20",
        "SYNC  0",
        "SYNC  g 0",
        "SYNC g  0",
        "SYNC g 0\\x20",
        "SYNC g 0 0",
        " SYNC"
      ],
      "DECLINE invalid_command"
    )
  )

  transcript(
    "but the last field of SEND takes the rest of the line, with all its spaces",
    script`
      A> CONNECT alice
      A< ACCEPT
      A> SEND g  hi
      A< ACK
      A> SEND g a  b   c\x20\x20
      A< ACK
      A> SEND g \x20
      A< ACK
      A> SEND g SEND g hi
      A< ACK
      A> SYNC g 0
      A< MSG g alice <t1>  hi
      A< MSG g alice <t2> a  b   c\x20\x20
      A< MSG g alice <t3> \x20
      A< MSG g alice <t4> SEND g hi
      A< ENDSYNC
    `
  )
})

describe("CPT 1.4: a line has at most 8,192 bytes without its end", () => {
  const longest = "x".repeat(8192 - "SEND g ".length)
  transcript(
    "exactly so many are fine, whatever its end, and one more is declined",
    script`
      A> CONNECT alice
      A< ACCEPT
      A> SEND g ${longest}
      A< ACK
      A> SEND g ${longest}x
      A< DECLINE line_too_long
      A> SEND g ${longest.slice(1)}y\r
      A< ACK
      A> SEND g ${longest}y\r
      A< DECLINE line_too_long
      A> SEND g ${longest.slice(2)}é
      A< ACK
      A> SEND g ${longest.slice(1)}é
      A< DECLINE line_too_long
      A> SYNC g 0
      A< MSG g alice <t1> ${longest}
      A< MSG g alice <t2> ${longest.slice(1)}y
      A< MSG g alice <t3> ${longest.slice(2)}é
      A< ENDSYNC
    `
  )

  transcript(
    "a longer one is declined once, however long, and the session goes on at the next line",
    script`
      A> ${"x".repeat(1_000_000)}
      A< DECLINE line_too_long
      A> CONNECT alice
      A< ACCEPT
      A>> SEND g ${"x".repeat(100_000)}
      A< DECLINE line_too_long
      A>> ${"y".repeat(100_000)}
      A>> SEND g not a command\nSEND g hi\n${"z".repeat(9000)}\nSEND g ho\n
      A< ACK
      A< DECLINE line_too_long
      A< ACK
      A: nothing more
      A> SYNC g 0
      A< MSG g alice <t> hi
      A< MSG g alice <u> ho
      A< ENDSYNC
    `
  )

  transcript(
    "what comes in one packet with its beginning is answered before it",
    script`
      A> CONNECT alice
      A< ACCEPT
      A>> SEND g one\nSEND g two\nSEND g ${"x".repeat(10_000)}
      A< ACK
      A< ACK
      A< DECLINE line_too_long
      A>> ${"x".repeat(10_000)}\nSEND g three\n${"y".repeat(8193)}
      A< ACK
      A< DECLINE line_too_long
      A>> \nSYNC g 0\n
      A< MSG g alice <t> one
      A< MSG g alice <u> two
      A< MSG g alice <v> three
      A< ENDSYNC
    `
  )

  transcript(
    "whatever it would have been",
    script`
      A> ${"\\xff".repeat(8193)}
      A< DECLINE line_too_long
      A> CONNECT ${"é".repeat(5000)}
      A< DECLINE line_too_long
      A> ACK ${"x".repeat(9000)}
      A< DECLINE line_too_long
      A> ACK ${"x".repeat(8000)}
      A< DECLINE unsupported_command
    `
  )

  transcript(
    "another limit is a setting",
    script`
      A> CONNECT alice
      A< ACCEPT
      A> SEND g 1234567890123
      A< ACK
      A> SEND g 12345678901234
      A< DECLINE line_too_long
      A> SEND g 1234567890123\r
      A< ACK
    `,
    { settings: { maxLineBytes: 20 } }
  )

  transcript(
    "a reload changes it for who is there, also in the middle of a line",
    script`
      A> CONNECT alice
      A< ACCEPT
      A>> SEND g 12345
      server: settings {"maxLineBytes": 20}
      A>> 67890123\r\nSEND g 12345678901234\n
      A< ACK
      A< DECLINE line_too_long
      A>> SEND g 123456789012345
      A< DECLINE line_too_long
      server: settings {"maxLineBytes": 40}
      A>> 67890\nSEND g 123456789012345\nSEND g 123456789012345
      A< ACK
      server: settings {"maxLineBytes": 10}
      A>> 6\nSEND g hi\n
      A< DECLINE line_too_long
      A< ACK
    `
  )

  transcript(
    "CPT 1.9: it is declined as soon as that is certain",
    script`
      A>> ${"x".repeat(20)}
      A>> \r
      A>> \n
      A< DECLINE invalid_command
      A>> ${"x".repeat(20)}
      A>> \r
      A>> \r
      A< DECLINE line_too_long
      A>> \n
      A>> ${"x".repeat(21)}
      A< DECLINE line_too_long
      A>> \n
      A> CONNECT alice
      A< ACCEPT
    `,
    { settings: { maxLineBytes: 20 } }
  )
})

describe("CPT 1.5: bytes after the last LF at the end of input are not a command", () => {
  transcript(
    "and are not answered",
    script`
      A> CONNECT alice
      A< ACCEPT
      A> SEND g hi
      A< ACK
      A>> SEND g lost
      A: half-close
      A< (end)
      B>> CONNECT bob
      B: half-close
      B< (end)
      B> CONNECT bob
      B< ACCEPT
      B> SYNC g 0
      B< MSG g alice <t> hi
      B< ENDSYNC
    `
  )

  transcript(
    "nor after a reset",
    script`
      A> CONNECT alice
      A< ACCEPT
      A> SEND g hi
      A< ACK
      A>> SEND g lost\r
      A: cut
      B> CONNECT bob
      B< ACCEPT
      B> SYNC g 0
      B< MSG g alice <t> hi
      B< ENDSYNC
    `
  )
})

describe("CPT 1.6: input may arrive in any cut", () => {
  transcript(
    "command words are upper case",
    login + answers(["send g hi", "Send g hi", "SENd g hi", "sync", "connect bob", "ack"], "DECLINE invalid_command")
  )

  transcript(
    "one byte at a time",
    script`
      A>. CONNECT ålice\r\n
      A< ACCEPT
      A>. SEND g é 語 🦀\n?\nSYNC g 0\n
      A< ACK
      A< DECLINE invalid_command
      A< MSG g ålice <t> é 語 🦀
      A< ENDSYNC
    `
  )

  transcript(
    "all at once",
    script`
      A>> CONNECT alice\r\nSEND g 1\nSEND g 2\r\nSYNC g 0\n\nSEND g 3\nSYNC\nSYNC g 0\nSEND g
      A< ACCEPT
      A< ACK
      A< ACK
      A< MSG g alice <t1> 1
      A< MSG g alice <t2> 2
      A< ENDSYNC
      A< DECLINE invalid_command
      A< ACK
      A< ENDSYNC
      A< MSG g alice <t1> 1
      A< MSG g alice <t2> 2
      A< MSG g alice <t3> 3
      A< ENDSYNC
      A: nothing more
      A>> \x204\n
      A< ACK
    `
  )

  transcript(
    "a character in two packets",
    script`
      A>> CONNECT 語\xf0\x9f
      A>> \xa6\x80\nSEND g \xe8
      A< ACCEPT
      A>> \xaa
      A>> \x9e\n
      A< ACK
      A> SYNC g 0
      A< MSG g 語🦀 <t> 語
      A< ENDSYNC
    `
  )

  const lines = Array.from({ length: 3000 }, (_, index) => `message ${index}`)
  transcript(
    "thousands of lines in a few packets",
    script`
      B> CONNECT bob
      B< ACCEPT
      B> SYNC g 0
      B< ENDSYNC
      A>> CONNECT alice\n${lines.map((line) => `SEND g ${line}\\n`).join("")}SYNC g 0\n
      A< ACCEPT
      ${lines.map(() => "A< ACK\n").join("")}
      ${lines.map((line, index) => `A< MSG g alice <t${index}> ${line}\n`).join("")}
      A< ENDSYNC
      ${lines.map((line, index) => `B< MSG g alice <t${index}> ${line}\n`).join("")}
    `
  )
})

describe("CPT 1.7: a client may half-close", () => {
  transcript(
    "all it asked for is answered before the server closes",
    script`
      B> CONNECT bob
      B< ACCEPT
      B> SEND g before
      B< ACK
      A>> CONNECT alice\nSEND g hi\nSYNC g 0\nSEND g ho\n?\nSYNC bob 0\n
      A: half-close
      A< ACCEPT
      A< ACK
      A< MSG g bob <t1> before
      A< MSG g alice <t2> hi
      A< ENDSYNC
      A< ACK
      A< DECLINE invalid_command
      A< MSG bob system 0 private: …
      A< ENDSYNC
      A< (end)
      B> SYNC g 0
      B< MSG g bob <t1> before
      B< MSG g alice <t2> hi
      B< MSG g alice <t3> ho
      B< ENDSYNC
    `
  )

  transcript(
    "and need not have said anything",
    script`
      A: connect
      A: half-close
      A< (end)
      A> CONNECT alice
      A< ACCEPT
      A: half-close
      A< (end)
      A> CONNECT alice
      A< ACCEPT
    `
  )

  const history = Array.from({ length: 800 }, (_, index) => `${index} ${"x".repeat(8000)}`)
  transcript(
    "also when the answer is longer than what the network holds",
    script`
      A>> CONNECT alice\n${history.map((text) => `SEND g ${text}\\n`).join("")}
      A< ACCEPT
      ${history.map(() => "A< ACK\n").join("")}
      B>> CONNECT bob\nSYNC g 0\nSEND g end\n
      B: half-close
      B: stop reading
      A> SYNC alice 0
      A< ENDSYNC
      B: read on
      B< ACCEPT
      ${history.map((text, index) => `B< MSG g alice <t${index}> ${text}\n`).join("")}
      B< ENDSYNC
      B< ACK
      B< (end)
    `
  )
})

describe("CPT 1.10: the server ends its lines with LF alone", () => {
  // … or this would read ACCEPT\r
  transcript(
    "also when the client does not",
    script`
      A> CONNECT alice\r
      A< ACCEPT
    `
  )
})
