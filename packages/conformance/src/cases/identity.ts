/** Every reason to decline; some need an administrator (`--control`). Those that need nobody are in the other profiles, and in this one too. */
import { Effect } from "effect"
import { Inconclusive } from "../Outcome.ts"
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

/** Addresses that nobody has: those of documentation (RFC 5737, 3849). */
const elsewhere = "192.0.2.0/24 2001:db8::/32"

/** How long somebody waits who does not log in: longer than servers do, as far as we know. */
const patience = 15_000

/** Where it is the question who may do what, `forbidden` is no rule of the server's own, which the kit cannot know. */
const isAllowed = Effect.fnUntraced(function*(stage: Stage, peer: Peer, target: string) {
  yield* peer.say(`SEND ${target} hello`)
  const line = yield* peer.hear("ACK | DECLINE forbidden")
  yield* stage.check(!line.startsWith("DECLINE"), `${peer.ownName} hears ACK`, line)
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
    does: "A group is for bob and carol. Each of them sends to it, and carol gets what bob has sent.",
    run: Effect.fnUntraced(function*(stage) {
      const bob = yield* stage.login("bob")
      const carol = yield* stage.login("carol")
      yield* stage.hand("members {group} {bob} {carol}")
      yield* isAllowed(stage, bob, "{group}")
      yield* isAllowed(stage, carol, "{group}")
      yield* stage.play(String.raw`
        carol> SYNC {group} 0
        carol< MSG {group} {bob} <t> hello
        carol< MSG {group} {carol} <u after t> hello
        carol< ENDSYNC
      `)
    })
  },
  "send/3.4/other-groups": {
    title: "a group that is for its members only makes no difference to others",
    level: reading,
    quote: custom,
    needs: ["control"],
    does: "A group is for bob only. Alice sends to another one, and to him.",
    run: Effect.fnUntraced(function*(stage) {
      yield* stage.login("bob")
      const alice = yield* stage.login("alice")
      yield* stage.hand("members {group} {bob}")
      yield* isAllowed(stage, alice, "{other}")
      yield* isAllowed(stage, alice, "{bob}")
    })
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
