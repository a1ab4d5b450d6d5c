/**
 * Every reason to decline; most need an administrator (`--control`). Those that need nobody are in the other profiles, and
 * in this one too. What is refused to everybody, so that one can hear it (`refuse REASON`), is refused while no other case
 * is under way.
 */
import { Effect } from "effect"
import { Broken, Inconclusive } from "../Outcome.ts"
import type { Peer } from "../Peer.ts"
import type { Stage } from "../Stage.ts"
import { define } from "./define.ts"

const reading = "our reading" as const

const locked = "The account is locked by an administrator."
const invalidIp = "The account is IP range protected, but the client IP does't matches."
const closing =
  "The server does not close on a DECLINE that the client can go on from; it closes after one that ends the session (lock, limits, shutdown, login refused three times), and after 20 declines in a row."
const custom =
  "Custom words, only where no default fits: `not_logged_in`, `line_too_long`, `rate_limited`, `unknown_target`, `forbidden`, `storage_unavailable`, `server_full`, `too_many_connections`, `login_timeout`, `idle_timeout`, `shutting_down`."

const known = "(A deployment can close this: only declared groups, else `DECLINE unknown_target`.)"

/** Addresses that nobody has: those of documentation (RFC 5737, 3849). */
const elsewhere = "192.0.2.0/24 2001:db8::/32"

/** How long somebody waits who does not log in: longer than servers do, as far as we know. */
const patience = 15_000

/** So many new groups, or people from one address, are too many, where the server was set up to find that. */
const tooMany = 15

const those = (stem: string): ReadonlyArray<string> =>
  Array.from({ length: tooMany }, (_, i) => `${stem}${String.fromCharCode(97 + i)}`)

/** Sends to new groups, one after the other, until that is too much; gives the group of the message that is declined. */
const sendTooMuch = Effect.fnUntraced(function*(alice: Peer) {
  for (const group of those("group")) {
    yield* alice.say(`SEND {${group}} hi`)
    const line = yield* alice.hear("ACK | DECLINE rate_limited")
    if (line.startsWith("DECLINE")) return group
  }
  return yield* new Broken({ expected: `one of ${tooMany} messages is declined as rate_limited`, came: "no DECLINE" })
})

/** With TLS whoever is too many may be cut before the handshake, which costs much: then there is no word to be heard. */
const isCut = () => Effect.fail(new Inconclusive({ why: "whoever is too many is cut before the handshake of TLS" }))

/** Connects, and logs in, until that is too much. */
const connectTooOften = Effect.fnUntraced(function*(stage: Stage) {
  for (const guest of those("guest")) {
    const peer = stage.peer(guest)
    yield* Effect.catchTag(peer.connect(), "Unreachable", isCut)
    yield* peer.say(`CONNECT {${guest}}`)
    const line = yield* peer.hear("ACCEPT | DECLINE too_many_connections")
    if (line.startsWith("DECLINE")) return
  }
  return yield* new Broken({ expected: `one of ${tooMany} is declined as too_many_connections`, came: "no DECLINE" })
})

export const identity = define("identity", {
  "connect/3.2/account-locked": {
    title: "an account that is locked is declined as account_locked",
    quote: locked,
    needs: ["control"],
    script: String.raw`
      server: lock {alice}
      ---
      alice> CONNECT {alice}
      alice< DECLINE account_locked
    `
  },
  "connect/3.2/unlocked": {
    title: "an account that is unlocked is accepted again",
    quote: locked,
    needs: ["control"],
    script: String.raw`
      server: lock {alice}
      alice> CONNECT {alice}
      alice< DECLINE account_locked
      alice: close
      server: unlock {alice}
      ---
      alice> CONNECT {alice}
      alice< ACCEPT
    `
  },
  "connect/3.2/others-are-not-locked": {
    title: "nobody else is locked with an account",
    quote: locked,
    needs: ["control"],
    script: String.raw`
      server: lock {alice}
      ---
      bob> CONNECT {bob}
      bob< ACCEPT
    `
  },
  "connect/3.2/locked-while-there": {
    title: "who is there when the account is locked is told so, and the connection ends",
    level: reading,
    quote: closing,
    needs: ["control"],
    script: String.raw`
      alice: login
      server: lock {alice}
      ---
      alice< DECLINE account_locked
      alice< (closed)
      alice> CONNECT {alice}
      alice< DECLINE account_locked
    `
  },
  "connect/3.2/lock-keeps-messages": {
    title: "what was sent to an account that is locked is there when it is unlocked",
    level: reading,
    quote: closing,
    needs: ["inbox", "control"],
    script: String.raw`
      alice: login
      alice: close
      server: lock {alice}
      bob: login
      bob> SEND {alice} see you
      bob< ACK
      server: unlock {alice}
      alice: login
      ---
      alice> SYNC
      alice< MSG {alice} {bob} <t> see you
      alice< ENDSYNC
    `
  },
  "connect/3.2/ip-invalid": {
    title: "an account that is bound to other addresses is declined as ip_invalid",
    quote: invalidIp,
    needs: ["control"],
    script: String.raw`
      server: allow-ip {alice} ${elsewhere}
      ---
      alice> CONNECT {alice}
      alice< DECLINE ip_invalid
    `
  },
  "connect/3.2/ip-valid": {
    title: "an account that is bound to addresses is accepted from one of them",
    quote: invalidIp,
    needs: ["control", "network"],
    script: String.raw`
      server: allow-ip {alice} ${elsewhere} 0.0.0.0/0 ::/0
      ---
      alice> CONNECT {alice}
      alice< ACCEPT
    `
  },
  "send/3.4/forbidden": {
    title: "who is no member of a group cannot send to it: that is forbidden",
    level: reading,
    quote: custom,
    needs: ["control"],
    script: String.raw`
      bob: login
      alice: login
      server: members {group} {bob}
      ---
      alice> SEND {group} is anybody there?
      alice< DECLINE forbidden
      bob> SYNC {group} 0
      bob< ENDSYNC
    `
  },
  "sync/3.4/forbidden": {
    title: "who is no member of a group cannot read it: that is forbidden, and nothing of it comes",
    level: reading,
    quote: custom,
    needs: ["control"],
    script: String.raw`
      bob: login
      alice: login
      server: members {group} {bob}
      bob> SEND {group} between us
      bob< ACK
      ---
      alice> SYNC {group} 0
      alice< DECLINE forbidden
      bob> SEND {group} still between us
      bob< ACK
      alice: nothing more
    `
  },
  "send/3.4/members": {
    title: "who is a member of a group is served there",
    level: reading,
    quote: custom,
    needs: ["control"],
    script: String.raw`
      bob: login
      carol: login
      server: members {group} {bob} {carol}
      ---
      bob> SEND {group} hello
      bob< ACK
      carol> SEND {group} hello
      carol< ACK
      carol> SYNC {group} 0
      carol< MSG {group} {bob} <t> hello
      carol< MSG {group} {carol} <u after t> hello
      carol< ENDSYNC
    `
  },
  "send/3.4/other-groups": {
    title: "a group that is for its members only makes no difference to others",
    level: reading,
    quote: custom,
    needs: ["control"],
    script: String.raw`
      bob: login
      alice: login
      server: members {group} {bob}
      ---
      alice> SEND {other} hello
      alice< ACK
      alice> SEND {bob} hello
      alice< ACK
    `
  },
  "send/2.3/unknown-target": {
    title:
      "where groups have to be known, a SEND to another one is unknown_target, nothing of it is stored, and it goes on",
    level: reading,
    quote: known,
    needs: ["control"],
    isAlone: true,
    script: String.raw`
      alice: login
      server: refuse unknown_target
      ---
      alice> SEND {group} is anybody there?
      alice< DECLINE unknown_target
      server: accept unknown_target
      alice> SEND {group} now there is
      alice< ACK
      alice> SYNC {group} 0
      alice< MSG {group} {alice} <t> now there is
      alice< ENDSYNC
    `
  },
  "sync/2.3/unknown-target": {
    title: "where groups have to be known, a SYNC of another one is unknown_target, and it goes on",
    level: reading,
    quote: known,
    needs: ["control"],
    isAlone: true,
    script: String.raw`
      alice: login
      server: refuse unknown_target
      ---
      alice> SYNC {group} 0
      alice< DECLINE unknown_target
      server: accept unknown_target
      alice> SYNC {group} 0
      alice< ENDSYNC
    `
  },
  "send/2.3/known-target": {
    title: "where groups have to be known, those that are declared are there, and so are users",
    level: reading,
    quote: known,
    needs: ["control"],
    isAlone: true,
    script: String.raw`
      alice: login
      bob: login
      server: members {group} {alice} {bob}
      server: refuse unknown_target
      ---
      alice> SEND {group} hello
      alice< ACK
      alice> SEND {bob} hello
      alice< ACK
      bob> SYNC {group} 0
      bob< MSG {group} {alice} <t> hello
      bob< ENDSYNC
    `
  },
  "send/3.4/rate-limited": {
    title: "what is too much in too short a time is rate_limited, and not stored",
    level: reading,
    quote: custom,
    needs: ["control"],
    isAlone: true,
    does:
      "Alice sends to fifteen groups that nobody has heard of, one after the other, until she is declined as rate_limited. Of that message nothing is there.",
    run: Effect.fnUntraced(function*(stage) {
      const alice = yield* stage.login("alice")
      yield* stage.hand("refuse rate_limited")
      const group = yield* sendTooMuch(alice)
      yield* stage.hand("accept rate_limited")
      const bob = yield* stage.login("bob")
      const message = (yield* bob.sync(`{${group}}`)).find(({ sender }) => sender === alice.ownName)
      yield* stage.check(message === undefined, "no message of alice in its group", message?.line ?? "")
    })
  },
  "send/3.5/rate-limited": {
    title: "who is rate_limited goes on, and is served when it is no longer too much",
    level: reading,
    quote: closing,
    needs: ["control"],
    isAlone: true,
    does:
      "Alice sends until she is declined as rate_limited. A second after that limit was lifted she sends the same again, and it is stored.",
    run: Effect.fnUntraced(function*(stage) {
      const alice = yield* stage.login("alice")
      yield* stage.hand("refuse rate_limited")
      const group = yield* stage.granted(sendTooMuch(alice))
      yield* stage.hand("accept rate_limited")
      yield* Effect.sleep(1000)
      yield* alice.send(`{${group}}`, "hi")
      const { length } = yield* alice.sync(`{${group}}`)
      yield* stage.check(length === 1, "one message", String(length))
    })
  },
  "send/3.4/storage-unavailable": {
    title: "what cannot be stored is storage_unavailable, and not there later",
    level: reading,
    quote: custom,
    needs: ["control"],
    isAlone: true,
    script: String.raw`
      alice: login
      alice> SEND {group} before
      alice< ACK
      server: refuse storage_unavailable
      ---
      alice> SEND {group} meanwhile
      alice< DECLINE storage_unavailable
      server: accept storage_unavailable
      bob: login
      bob> SYNC {group} 0
      bob< MSG {group} {alice} <t> before
      bob< ENDSYNC
    `
  },
  "send/3.5/storage-unavailable": {
    title: "whose message could not be stored goes on, and sends it when it can be",
    level: reading,
    quote: closing,
    needs: ["control"],
    isAlone: true,
    script: String.raw`
      alice: login
      server: refuse storage_unavailable
      alice> SEND {group} hello
      alice< DECLINE storage_unavailable
      server: accept storage_unavailable
      ---
      alice> SEND {group} hello
      alice< ACK
      alice> SYNC {group} 0
      alice< MSG {group} {alice} <t> hello
      alice< ENDSYNC
    `
  },
  "connect/3.4/server-full": {
    title: "who comes when the server is full is told server_full before anything was asked, and the connection ends",
    level: reading,
    quote: custom,
    needs: ["control"],
    isAlone: true,
    script: String.raw`
      alice: login
      server: refuse server_full
      ---
      bob: connect
      bob< DECLINE server_full
      bob< (closed)
    `
  },
  "connect/3.5/server-full": {
    title: "who is there when the server is full goes on, and others come in when there is room again",
    level: reading,
    quote: closing,
    needs: ["control"],
    isAlone: true,
    script: String.raw`
      alice: login
      server: refuse server_full
      bob: connect
      bob< DECLINE server_full
      bob< (closed)
      ---
      alice> SEND {group} still here
      alice< ACK
      server: accept server_full
      bob> CONNECT {bob}
      bob< ACCEPT
    `
  },
  "connect/3.4/too-many-connections": {
    title:
      "who is too many from one address is told too_many_connections before anything was asked, and the connection ends",
    level: reading,
    quote: custom,
    needs: ["network", "control"],
    isAlone: true,
    does:
      "Fifteen people connect and log in, one after the other, until one is declined as too_many_connections. Another one connects, and hears that without a word; the connection ends.",
    run: Effect.fnUntraced(function*(stage) {
      yield* stage.hand("refuse too_many_connections")
      yield* connectTooOften(stage)
      yield* stage.play(String.raw`
        alice: connect
        alice< DECLINE too_many_connections
        alice< (closed)
      `)
    })
  },
  "connect/3.5/too-many-connections": {
    title: "who is there goes on when others are too many, and others come in when they are no longer",
    level: reading,
    quote: closing,
    needs: ["network", "control"],
    isAlone: true,
    does:
      "Alice is logged in when others connect until one is declined as too_many_connections. She is served as before, and when that limit was lifted bob logs in.",
    run: Effect.fnUntraced(function*(stage) {
      yield* stage.login("alice")
      yield* stage.hand("refuse too_many_connections")
      yield* stage.granted(connectTooOften(stage))
      yield* stage.play(String.raw`
        alice> SEND {group} still here
        alice< ACK
        server: accept too_many_connections
        bob> CONNECT {bob}
        bob< ACCEPT
      `)
    })
  },
  "decline/3.4/idle-timeout": {
    title: "who says nothing for long is told idle_timeout, the connection ends, and the name can be had again",
    level: reading,
    quote: custom,
    needs: ["control"],
    isAlone: true,
    script: String.raw`
      server: refuse idle_timeout
      alice: login
      ---
      alice< (within 10 s) DECLINE idle_timeout
      alice< (closed)
      alice> CONNECT {alice}
      alice< ACCEPT
    `
  },
  "decline/3.4/not-idle": {
    title: "who says something now and then is not idle",
    level: reading,
    quote: custom,
    needs: ["control"],
    isAlone: true,
    script: String.raw`
      server: refuse idle_timeout
      alice: login
      ---
      (1 s)
      alice> SYNC {nowhere} 0
      alice< ENDSYNC
      (1 s)
      alice> SYNC {nowhere} 0
      alice< ENDSYNC
      (1 s)
      alice> SYNC {nowhere} 0
      alice< ENDSYNC
      (1 s)
      alice> SYNC {nowhere} 0
      alice< ENDSYNC
    `
  },
  "decline/3.4/login-timeout": {
    title: "who does not log in is told login_timeout, and the connection ends",
    level: reading,
    quote: custom,
    isIdle: true,
    does: "Somebody connects and says nothing for 15 seconds. If the server ends that, it says why.",
    run: Effect.fnUntraced(function*(stage) {
      const alice = stage.peer("alice")
      yield* alice.connect()
      const line = yield* Effect.catchTag(
        alice.hear("…", patience),
        "Broken",
        () => Effect.fail(new Inconclusive({ why: `the server waits longer than ${patience / 1000} s for a login` }))
      )
      yield* stage.check(line === "DECLINE login_timeout", "alice hears DECLINE login_timeout", line)
      yield* alice.hear("(closed)")
    })
  },
  "msg/5.9/announcement": {
    title: "what an administrator announces comes to everybody, from system, at no time",
    level: reading,
    quote: "Announcements: `MSG system system 0 <text>` to every session that is logged in.",
    needs: ["control"],
    script: String.raw`
      alice: login
      bob: login
      server: announce back in five minutes
      ---
      alice< MSG system system 0 back in five minutes
      bob< MSG system system 0 back in five minutes
    `
  }
})
