/** Section 5 of docs/protocol.md, what comes by itself, over TCP. */
import { describe } from "@effect/vitest"
import { transcript } from "./support/Transcript.ts"

const script = String.raw

const login = ["alice", "bob", "cat"].map((name) => {
  const who = name.slice(0, 1).toUpperCase()
  return script`
      ${who}> CONNECT ${name}
      ${who}< ACCEPT
    `
}).join("")

const follow = (who: string, group = "g"): string =>
  script`
      ${who}> SYNC ${group} 0
      ${who}< ENDSYNC
    `

describe("CPT 5.5: a session follows", () => {
  transcript(
    "a group from its first SYNC on, and not before",
    script`
      ${login}
      A> SEND g 1
      A< ACK
      B: nothing more
      B> SYNC g 0
      B< MSG g alice <t1> 1
      B< ENDSYNC
      A> SEND g 2
      A< ACK
      B< MSG g alice <t2> 2
      A> SEND h 3
      A< ACK
      A> SEND g 4
      A< ACK
      B< MSG g alice <t4> 4
      C: nothing more
    `
  )

  transcript(
    "a group wherever the SYNC began: at the end, or in the future",
    script`
      ${login}
      A> SEND g 1
      A< ACK
      B> SYNC g 999999999999999
      B< ENDSYNC
      C> SYNC g 0
      C< MSG g alice <t1> 1
      C< ENDSYNC
      A> SEND g 2
      A< ACK
      B< MSG g alice <t2> 2
      C< MSG g alice <t2> 2
      B> SYNC g <t2>
      B< ENDSYNC
      A> SEND g 3
      A< ACK
      B< MSG g alice <t3> 3
      C< MSG g alice <t3> 3
    `
  )

  transcript(
    "its own inbox from CONNECT on",
    script`
      A> CONNECT alice
      A< ACCEPT
      A> SEND bob 1
      A< ACK
      B> CONNECT bob
      B< ACCEPT
      A> SEND bob 2
      A< ACK
      B< MSG bob alice <t> 2
    `
  )

  transcript(
    "and hears each message once, in order, however often it syncs",
    script`
      ${login + follow("B") + follow("B") + follow("B")}
      A>> SEND g 1\nSEND g 2\nSEND h 3\nSEND g 4\n
      A< ACK
      A< ACK
      A< ACK
      A< ACK
      B< MSG g alice <t1> 1
      B< MSG g alice <t2> 2
      B< MSG g alice <t4> 4
      B> SYNC g <t1>
      B< MSG g alice <t2> 2
      B< MSG g alice <t4> 4
      B< ENDSYNC
      B: nothing more
      B> SYNC g 999999999999999
      B< ENDSYNC
      A> SEND g 5
      A< ACK
      B< MSG g alice <t5> 5
    `
  )

  transcript(
    "what others say, and not what it says itself",
    script`
      ${login + follow("A") + follow("B")}
      A> SEND g 1
      A< ACK
      B< MSG g alice <t1> 1
      A>> SEND g 2\nSEND g 3\n
      A< ACK
      A< ACK
      B< MSG g alice <t2> 2
      B< MSG g alice <t3> 3
      B> SEND g 4
      B< ACK
      A< MSG g bob <t4> 4
      A: nothing more
      B: nothing more
      A> SEND alice 5
      A< ACK
      A: nothing more
      A> SYNC g <t1>
      A< MSG g alice <t2> 2
      A< MSG g alice <t3> 3
      A< MSG g bob <t4> 4
      A< ENDSYNC
    `
  )

  transcript(
    "until it ends: a new session follows nothing but its inbox",
    script`
      ${login + follow("B")}
      B: cut
      B> CONNECT bob
      B< ACCEPT
      A> SEND g 1
      A< ACK
      A> SEND bob 2
      A< ACK
      B< MSG bob alice <t2> 2
      B: nothing more
      B> SYNC g 0
      B< MSG g alice <t1> 1
      B< ENDSYNC
    `
  )

  transcript(
    "together with others, who all hear the same",
    script`
      ${login + follow("A") + follow("B") + follow("C")}
      A> SEND g 1
      A< ACK
      B< MSG g alice <t1> 1
      C< MSG g alice <t1> 1
      B> SEND g 2
      B< ACK
      A< MSG g bob <t2> 2
      C< MSG g bob <t2> 2
      C> SEND g 3
      C< ACK
      A< MSG g cat <t3> 3
      B< MSG g cat <t3> 3
      C: cut
      A> SEND g 4
      A< ACK
      B< MSG g alice <t4> 4
    `
  )

  transcript(
    "CPT 5.12: what it was told live and asks for again comes again, and what it was not told does not come twice",
    script`
      ${login + follow("B")}
      A> SEND g 1
      A< ACK
      A>> SEND g 2\nSEND g 3\n
      A< ACK
      A< ACK
      B< MSG g alice <t1> 1
      B< MSG g alice <t2> 2
      B< MSG g alice <t3> 3
      B> SYNC g <t1>
      B< MSG g alice <t2> 2
      B< MSG g alice <t3> 3
      B< ENDSYNC
      B: nothing more
    `
  )
})

describe("CPT 5.7: live messages can be switched off", () => {
  transcript(
    "for clients that only poll",
    script`
      ${login + follow("B")}
      A> SEND g 1
      A< ACK
      A> SEND bob 2
      A< ACK
      B: nothing more
      B> SYNC g 0
      B< MSG g alice <t1> 1
      B< ENDSYNC
      B> SYNC
      B< MSG bob alice <t2> 2
      B< ENDSYNC
      A> SEND g 3
      A< ACK
      B: nothing more
      B> SYNC g <t1>
      B< MSG g alice <t3> 3
      B< ENDSYNC
      B> SYNC g 999999999999999
      B< ENDSYNC
    `,
    { settings: { live: false } }
  )
})

describe("CPT 5.9: announcements", () => {
  transcript(
    "reach every session that is logged in, and are not stored",
    script`
      ${login}
      N> SYNC
      N< DECLINE not_logged_in
      server: announce the server will be back at noon
      A< MSG system system 0 the server will be back at noon
      B< MSG system system 0 the server will be back at noon
      C< MSG system system 0 the server will be back at noon
      N> SYNC
      N< DECLINE not_logged_in
      A> SYNC
      A< ENDSYNC
      D> CONNECT dan
      D< ACCEPT
      D: nothing more
      server: announce 1
      server: announce 2
      server: announce 3
      A< MSG system system 0 1
      A< MSG system system 0 2
      A< MSG system system 0 3
      D< MSG system system 0 1
      D< MSG system system 0 2
      D< MSG system system 0 3
      B: cut
      C< MSG system system 0 1
      C< MSG system system 0 2
      C< MSG system system 0 3
    `
  )
})
