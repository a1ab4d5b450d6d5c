/** Section 5 of docs/protocol.md, what is asked for, over TCP. */
import { layerMemory } from "@cpt/server"
import { describe } from "@effect/vitest"
import { failingReads } from "./support/stores.ts"
import { transcript } from "./support/Transcript.ts"

const script = String.raw

const alice = script`
      A> CONNECT alice
      A< ACCEPT
    `
const sends = (...texts: ReadonlyArray<string>): string => texts.map((text) => `A> SEND g ${text}\nA< ACK\n`).join("")

describe("CPT 5.1: SYNC gives every message after a timestamp, oldest first", () => {
  transcript(
    "none at it, and none before",
    script`
      ${alice + sends("1", "2", "3", "4")}
      A> SYNC g 0
      A< MSG g alice <t1> 1
      A< MSG g alice <t2> 2
      A< MSG g alice <t3> 3
      A< MSG g alice <t4> 4
      A< ENDSYNC
      A> SYNC g <t1>
      A< MSG g alice <t2> 2
      A< MSG g alice <t3> 3
      A< MSG g alice <t4> 4
      A< ENDSYNC
      A> SYNC g <t3-1>
      A< MSG g alice <t3> 3
      A< MSG g alice <t4> 4
      A< ENDSYNC
      A> SYNC g <t3>
      A< MSG g alice <t4> 4
      A< ENDSYNC
      A> SYNC g <t4-1>
      A< MSG g alice <t4> 4
      A< ENDSYNC
      A> SYNC g <t4>
      A< ENDSYNC
      A> SYNC g <t4+1>
      A< ENDSYNC
      A> SYNC g 1
      A< MSG g alice <t1> 1
      A< MSG g alice <t2> 2
      A< MSG g alice <t3> 3
      A< MSG g alice <t4> 4
      A< ENDSYNC
      A> SYNC g 999999999999999
      A< ENDSYNC
    `
  )

  transcript(
    "`after` is a decimal integer of at most 15 digits",
    alice +
      [
        "00",
        "01",
        "-1",
        "+1",
        "1.0",
        "1e3",
        "0x10",
        "1000000000000000",
        "٣",
        "７",
        "now",
        "1,000",
        "\"0\"",
        "1_0",
        "NaN"
      ].map((
        after
      ) =>
        script`
      A> SYNC g ${after}
      A< DECLINE invalid_command
      A> SYNC
      A< ENDSYNC
    `
      ).join("")
  )

  const many = Array.from({ length: 2000 }, (_, index) => `${index}${" é".repeat(index % 700)}`)
  transcript(
    "there is no limit to the answer",
    script`
      ${alice}
      A>> ${many.map((text) => `SEND g ${text}\\n`).join("")}
      ${many.map(() => "A< ACK\n").join("")}
      A> SYNC g 0
      ${many.map((text, index) => `A< MSG g alice <t${index}> ${text}\n`).join("")}
      A< ENDSYNC
      A> SYNC g <t1998>
      A< MSG g alice <t1999> ${many[1999] ?? ""}
      A< ENDSYNC
      A> SYNC g <t1000>
      ${many.slice(1001).map((text, index) => `A< MSG g alice <t${index + 1001}> ${text}\n`).join("")}
      A< ENDSYNC
    `
  )

  transcript(
    "a group that nobody has sent to is empty, and not an error (CPT 5.3)",
    script`
      ${alice}
      A> SYNC nothing 0
      A< ENDSYNC
      A> SYNC nothing 1700000000000
      A< ENDSYNC
    `
  )

  transcript(
    "what the session said itself is in it too (CPT 5.5)",
    script`
      ${alice}
      B> CONNECT bob
      B< ACCEPT
      A> SYNC g 0
      A< ENDSYNC
      ${sends("mine")}
      B> SEND g yours
      B< ACK
      A< MSG g bob <t2> yours
      ${sends("mine too")}
      A> SYNC g 0
      A< MSG g alice <t1> mine
      A< MSG g bob <t2> yours
      A< MSG g alice <t3> mine too
      A< ENDSYNC
    `
  )
})

describe("CPT 5.2: the own inbox", () => {
  transcript(
    "comes with a bare SYNC, or after a timestamp with the own name",
    script`
      ${alice}
      B> CONNECT bob
      B< ACCEPT
      A> SYNC
      A< ENDSYNC
      B> SEND alice 1
      B< ACK
      A< MSG alice bob <t1> 1
      A> SEND alice 2
      A< ACK
      B> SEND alice 3
      B< ACK
      A< MSG alice bob <t3> 3
      A> SYNC
      A< MSG alice bob <t1> 1
      A< MSG alice alice <t2> 2
      A< MSG alice bob <t3> 3
      A< ENDSYNC
      A> SYNC alice 0
      A< MSG alice bob <t1> 1
      A< MSG alice alice <t2> 2
      A< MSG alice bob <t3> 3
      A< ENDSYNC
      A> SYNC alice <t1>
      A< MSG alice alice <t2> 2
      A< MSG alice bob <t3> 3
      A< ENDSYNC
      A> SYNC alice <t3>
      A< ENDSYNC
      B> SYNC
      B< ENDSYNC
    `
  )
})

describe("CPT 5.3: another user's name", () => {
  transcript(
    "leaks nothing: not now, not later, not how much there is",
    script`
      ${alice}
      B> CONNECT bob
      B< ACCEPT
      E> CONNECT eve
      E< ACCEPT
      A> SEND bob a secret
      A< ACK
      B< MSG bob alice <t> a secret
      E> SYNC bob 0
      E< MSG bob system 0 private: bob is a user, and only bob can read these messages
      E< ENDSYNC
      E> SYNC bob <t>
      E< MSG bob system 0 private: bob is a user, and only bob can read these messages
      E< ENDSYNC
      E> SYNC bob 999999999999999
      E< MSG bob system 0 private: bob is a user, and only bob can read these messages
      E< ENDSYNC
      A> SEND bob another
      A< ACK
      B< MSG bob alice <u> another
      E: nothing more
    `
  )
})

describe("CPT 5.4: where messages are no longer kept", () => {
  transcript(
    "the answer begins with what is missing",
    script`
      ${alice + sends("1", "2", "3")}
      A> SYNC g 0
      A< MSG g alice <t1> 1
      A< MSG g alice <t2> 2
      A< MSG g alice <t3> 3
      A< ENDSYNC
      ${sends("4", "5")}
      A> SYNC g 0
      A< MSG g system 0 missing: …
      A< MSG g alice <t3> 3
      A< MSG g alice <t4> 4
      A< MSG g alice <t5> 5
      A< ENDSYNC
      A> SYNC g <t1>
      A< MSG g system 0 missing: …
      A< MSG g alice <t3> 3
      A< MSG g alice <t4> 4
      A< MSG g alice <t5> 5
      A< ENDSYNC
      A> SYNC g <t2-1>
      A< MSG g system 0 missing: …
      A< MSG g alice <t3> 3
      A< MSG g alice <t4> 4
      A< MSG g alice <t5> 5
      A< ENDSYNC
      # nothing after t2 is gone
      A> SYNC g <t2>
      A< MSG g alice <t3> 3
      A< MSG g alice <t4> 4
      A< MSG g alice <t5> 5
      A< ENDSYNC
    `,
    { store: layerMemory({ messages: 3 }) }
  )

  transcript(
    "also when nothing is left, and in an inbox",
    script`
      ${alice}
      A> SEND alice 1
      A< ACK
      ${sends("2", "3", "4")}
      A> SYNC
      A< MSG alice system 0 missing: …
      A< ENDSYNC
      A> SEND alice 5
      A< ACK
      A> SYNC alice 0
      A< MSG alice system 0 missing: …
      A< MSG alice alice <t> 5
      A< ENDSYNC
    `,
    { store: layerMemory({ messages: 3 }) }
  )

  transcript(
    "also where bytes are the limit",
    script`
      ${alice + sends("x".repeat(4000), "y".repeat(4000), "z".repeat(4000))}
      A> SYNC g 0
      A< MSG g system 0 missing: …
      A< MSG g alice <t1> ${"y".repeat(4000)}
      A< MSG g alice <t2> ${"z".repeat(4000)}
      A< ENDSYNC
    `,
    { store: layerMemory({ bytes: 10_000 }) }
  )

  const other = (n: number) => `A> SEND other${n} ${"x".repeat(3000)}\nA< ACK\n`
  transcript(
    "also where so many names have lost theirs since that it is not known of which",
    script`
      ${alice + sends("hello")}
      A> SYNC g 0
      A< MSG g alice <t1> hello
      A< ENDSYNC
      B> CONNECT bob
      B< ACCEPT
      A: half-close
      A< (end)
      A> CONNECT alice
      A< ACCEPT
      ${Array.from({ length: 299 }, (_, n) => other(n)).join("")}
      A> SYNC g 0
      A< MSG g system 0 missing: …
      A< ENDSYNC
      B> SYNC g 0
      B< MSG g system 0 missing: …
      B< ENDSYNC
      A> SEND g again
      A< ACK
      B< MSG g alice <t2> again
      B> SYNC g <t2>
      B< ENDSYNC
    `,
    { store: layerMemory({ bytes: 64 * 1024 }) }
  )
})

describe("CPT 5.11: a store that cannot be read", () => {
  const long = Array.from({ length: 40 }, (_, index) => `${index} ${"x".repeat(8000)}`)
  transcript(
    "is declined before the first line of the answer",
    script`
      ${alice}
      A> SEND broken hi
      A< ACK
      A> SYNC broken 0
      A< DECLINE storage_unavailable
      A> SYNC g 0
      A< ENDSYNC
    `,
    { store: failingReads }
  )

  transcript(
    "is noticed where it fails in the middle, and the answer ends",
    script`
      ${alice}
      ${long.map((text) => `A> SEND half ${text}\nA< ACK\n`).join("")}
      A> SYNC half 0
      ${long.slice(0, 32).map((text, index) => `A< MSG half alice <t${index}> ${text}\n`).join("")}
      A< MSG half system 0 missing: …
      A< ENDSYNC
      A> SYNC
      A< ENDSYNC
    `,
    { store: failingReads }
  )
})

describe("CPT 5.13: a session follows a bounded number of groups", () => {
  transcript(
    "one more is forbidden; the same again, the own inbox and other users' are not counted",
    script`
      ${alice}
      B> CONNECT bob
      B< ACCEPT
      A> SYNC g1 0
      A< ENDSYNC
      A> SYNC bob 0
      A< MSG bob system 0 private: …
      A< ENDSYNC
      A> SYNC g2 0
      A< ENDSYNC
      A> SYNC g3 0
      A< DECLINE forbidden
      A> SYNC g1 0
      A< ENDSYNC
      A> SYNC alice 0
      A< ENDSYNC
      A> SYNC
      A< ENDSYNC
      A> SYNC bob 0
      A< MSG bob system 0 private: …
      A< ENDSYNC
      B> SEND g3 hi
      B< ACK
      A: nothing more
      B> SEND g2 hi
      B< ACK
      A< MSG g2 bob <t> hi
    `,
    { settings: { maxFollowedGroups: 2 } }
  )
})
