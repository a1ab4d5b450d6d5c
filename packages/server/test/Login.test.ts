/** Section 3 of docs/protocol.md, over TCP. */
import { Decline } from "@cpt/schema"
import { Accounts } from "@cpt/server"
import { describe } from "@effect/vitest"
import { Effect } from "effect"
import { transcript } from "./support/Transcript.ts"

const script = String.raw

describe("CPT 3.1: before login", () => {
  transcript(
    "a well-formed SEND or SYNC is declined, and has no effect",
    script`
      A> SEND red hi
      A< DECLINE not_logged_in
      A> SYNC red 0
      A< DECLINE not_logged_in
      A> SYNC
      A< DECLINE not_logged_in
      B> CONNECT red
      B< ACCEPT
      B> SYNC
      B< ENDSYNC
      A> CONNECT alice
      A< ACCEPT
    `
  )

  transcript(
    "what is wrong in itself is refused with its own word",
    script`
      A> SEND red
      A< DECLINE invalid_command
      A> SEND system hi
      A< DECLINE invalid_command
      A> SYNC red 01
      A< DECLINE invalid_command
      A> HELLO
      A< DECLINE invalid_command
      A> ACK
      A< DECLINE unsupported_command
      A> CONNECT
      A< DECLINE invalid_command
      A> CONNECT alice
      A< ACCEPT
    `
  )
})

describe("CPT 3.2: CONNECT", () => {
  transcript(
    "is declined while the name is in use, which the session can go on from",
    script`
      A> CONNECT alice
      A< ACCEPT
      B> CONNECT alice
      B< DECLINE username_taken
      B> CONNECT bob
      B< ACCEPT
      A: nothing more
    `
  )

  transcript(
    "a second one changes nothing",
    script`
      A> CONNECT alice
      A< ACCEPT
      A> CONNECT bob
      A< DECLINE already_logged_in
      A> CONNECT alice
      A< DECLINE already_logged_in
      A> CONNECT a b
      A< DECLINE invalid_command
      B> CONNECT bob
      B< ACCEPT
      B> SEND alice hi
      B< ACK
      A< MSG alice bob <t> hi
      A> SEND bob ho
      A< ACK
      B< MSG bob alice <u> ho
    `
  )

  transcript(
    "finds the name free the moment its connection has ended",
    script`
      A> CONNECT alice
      A< ACCEPT
      A: half-close
      A< (end)
      A> CONNECT alice
      A< ACCEPT
      A>> SEND g
      A: cut
      A> CONNECT alice
      A< ACCEPT
      ${"A> ?\nA< DECLINE invalid_command\n".repeat(20)}
      A< (end)
      A> CONNECT alice
      A< ACCEPT
    `
  )

  transcript(
    "gives the name to one of many who ask at the same time",
    script`
      A: connect
      B: connect
      C: connect
      A> CONNECT alice
      A< ACCEPT
      B>> CONNECT alice\nCONNECT alice\n
      C>> CONNECT alice\nCONNECT bob\n
      B< DECLINE username_taken
      B< DECLINE username_taken
      C< DECLINE username_taken
      C< ACCEPT
    `
  )

  describe("asks the rules for accounts", () => {
    const rules = (): Parameters<typeof Accounts.layerOf>[0] => {
      let alices = 0
      return ({ remoteAddress, username }) => {
        switch (username) {
          case "alice": // once
            return alices++ === 0 ? Effect.void : Effect.fail(new Decline.AccountLocked({}))
          case "lan":
            return remoteAddress?.startsWith("10.") === true ? Effect.void : Effect.fail(new Decline.IpInvalid({}))
          case "local":
            return remoteAddress === "127.0.0.1" ? Effect.void : Effect.fail(new Decline.IpInvalid({}))
          case "custom":
            return Effect.fail(new Decline.Declined({ reason: "not_today" }))
          case "closed":
            return Effect.fail(new Decline.Forbidden({}))
          default:
            return Effect.void
        }
      }
    }

    transcript(
      "and says their word",
      script`
        A> CONNECT lan
        A< DECLINE ip_invalid
        A> CONNECT custom
        A< DECLINE not_today
        A> CONNECT local
        A< ACCEPT
        B> CONNECT closed
        B< DECLINE forbidden
      `,
      { accounts: Accounts.layerOf(rules()) }
    )

    transcript(
      "after reserved names and groups, and before it looks whether the name is in use",
      script`
        B> CONNECT bob
        B< ACCEPT
        B> SYNC lan 0
        B< ENDSYNC
        C> CONNECT lan
        C< DECLINE username_taken
        A> CONNECT alice
        A< ACCEPT
        C> CONNECT alice
        C< DECLINE account_locked
        C> CONNECT system
        C< DECLINE username_taken
        C< (end)
      `,
      { accounts: Accounts.layerOf(rules()) }
    )
  })
})

describe("CPT 3.3: of what is not for a server", () => {
  const session = (line: string, word: string) =>
    script`
      A> ${line}
      A< DECLINE ${word}
      A> SYNC
      A< ENDSYNC
    `
  transcript(
    "a server's words are unsupported, whatever stands behind them",
    `
      A> CONNECT alice
      A< ACCEPT
    ` + [
      "ACCEPT",
      "ACK",
      "ENDSYNC",
      "DECLINE",
      "MSG",
      "ACCEPT alice",
      "ACK 1",
      "DECLINE not_logged_in",
      "MSG g alice 1 hi",
      "MSG \\x20",
      "ACK \\0"
    ].map((line) => session(line, "unsupported_command")).join("")
  )

  transcript(
    "unknown words are invalid",
    `
      A> CONNECT alice
      A< ACCEPT
    ` +
      [
        "QUIT",
        "PING",
        "CONNECTED bob",
        "SYNCS g 0",
        "SEN g hi",
        "ACKS",
        "accept",
        "SYNC_INBOX",
        "constructor",
        "SEND_ g hi"
      ]
        .map((line) => session(line, "invalid_command")).join("")
  )
})

describe("CPT 3.5: the server closes", () => {
  transcript(
    "not after a DECLINE that the client can go on from",
    script`
      A> SEND g hi
      A< DECLINE not_logged_in
      A> ${"x".repeat(9000)}
      A< DECLINE line_too_long
      A> CONNECT system
      A< DECLINE username_taken
      A> CONNECT alice
      A< ACCEPT
      A> CONNECT alice
      A< DECLINE already_logged_in
      A> MSG
      A< DECLINE unsupported_command
      A> SEND g hi
      A< ACK
    `
  )

  transcript(
    "after the third refused login (CPT 3.7), and answers nothing more",
    script`
      B> CONNECT bob
      B< ACCEPT
      A> CONNECT bob
      A< DECLINE username_taken
      A> CONNECT
      A< DECLINE invalid_command
      A> SYNC
      A< DECLINE not_logged_in
      A> CONNECT system
      A< DECLINE username_taken
      A>> CONNECT bob\nCONNECT alice\nSYNC\n
      A< DECLINE username_taken
      A< (end)
      C>> CONNECT bob\nCONNECT bob\nCONNECT bob\nCONNECT bob\nCONNECT cat\n
      C< DECLINE username_taken
      C< DECLINE username_taken
      C< DECLINE username_taken
      C< (end)
      C> CONNECT cat
      C< ACCEPT
    `
  )

  transcript(
    "after 20 declines in a row (CPT 3.10), whatever their words",
    script`
      A> CONNECT alice
      A< ACCEPT
      ${"A> ?\nA< DECLINE invalid_command\nA> ACK\nA< DECLINE unsupported_command\n".repeat(9)}
      A> CONNECT alice
      A< DECLINE already_logged_in
      A> SEND g hi
      A< ACK
      ${"A> ?\nA< DECLINE invalid_command\n".repeat(19)}
      A> SYNC alice 0
      A< ENDSYNC
      ${"A> ?\nA< DECLINE invalid_command\n".repeat(20)}
      A< (end)
    `
  )

  transcript(
    "… also when they come at once",
    script`
      A>> ${"SEND g hi\\n".repeat(30)}
      ${"A< DECLINE not_logged_in\n".repeat(20)}
      A< (end)
      A>> ${"?\\n".repeat(19)}CONNECT alice\n${"?\\n".repeat(19)}SYNC\n${"?\\n".repeat(200)}
      ${"A< DECLINE invalid_command\n".repeat(19)}
      A< ACCEPT
      ${"A< DECLINE invalid_command\n".repeat(19)}
      A< ENDSYNC
      ${"A< DECLINE invalid_command\n".repeat(20)}
      A< (end)
    `
  )
})

describe("CPT 3.6: commands of one session", () => {
  transcript(
    "are carried out and answered strictly in order, also when they are pipelined",
    script`
      B> CONNECT bob
      B< ACCEPT
      A>> SYNC\nCONNECT bob\nCONNECT alice\nSEND bob 1\n?\nSEND g 2\nSYNC g 0\nSEND g 3\nSYNC g 0\nCONNECT x\nSEND bob 4\nSYNC bob 0\nACK\nSYNC\n
      A< DECLINE not_logged_in
      A< DECLINE username_taken
      A< ACCEPT
      A< ACK
      A< DECLINE invalid_command
      A< ACK
      A< MSG g alice <t2> 2
      A< ENDSYNC
      A< ACK
      A< MSG g alice <t2> 2
      A< MSG g alice <t3> 3
      A< ENDSYNC
      A< DECLINE already_logged_in
      A< ACK
      A< MSG bob system 0 private: …
      A< ENDSYNC
      A< DECLINE unsupported_command
      A< ENDSYNC
      B< MSG bob alice <t1> 1
      B< MSG bob alice <t4> 4
    `
  )
})
