/** Section 2 of docs/protocol.md, over TCP. */
import { layerMemory } from "@cpt/server"
import { describe } from "@effect/vitest"
import { transcript } from "./support/Transcript.ts"

const script = String.raw

describe("CPT 2.1: a name", () => {
  const good = [
    "a",
    "7",
    "Alice",
    "#red",
    "a:b/c@d",
    "SEND",
    "system1",
    "a".repeat(64),
    "é".repeat(32),
    "語".repeat(21) + "a",
    "🦀".repeat(16),
    "x\\u{331}\\u{30a}" // no precomposed form
  ]
  transcript(
    "is 1 to 64 bytes of visible characters",
    good.map((name) =>
      script`
        A> CONNECT ${name}
        A< ACCEPT
        A> SEND ${name} hi
        A< ACK
        A> SYNC ${name} 0
        A< MSG ${name} ${name} <t${good.indexOf(name)}> hi
        A< ENDSYNC
        A: half-close
        A< (end)
      `
    ).join("")
  )

  const bad = [
    "a".repeat(65),
    "é".repeat(32) + "a",
    "🦀".repeat(16) + "a",
    "e\\u{301}", // not in NFC
    "\\u{212b}",
    "a\\u{a0}b", // white space
    "a\\u{3000}b",
    "\\u{2003}",
    "a\\tb",
    "a\\0b", // control
    "a\\u{7f}",
    "a\\u{85}",
    "a\\u{1b}[31m",
    "a\\u{200b}b", // format
    "a\\u{202e}b",
    "\\u{feff}a",
    "a\\u{ad}b",
    "a\\u{e0041}",
    "a\\u{e000}", // private use
    "a\\u{10fffd}",
    "a\\u{378}", // unassigned
    "a\\u{ffff}"
  ]
  transcript(
    "is nothing else, and is refused and not converted",
    bad.map((name) =>
      script`
        N> CONNECT ${name}
        N< DECLINE invalid_command
        N> SEND ${name} hi
        N< DECLINE invalid_command
        N> SYNC ${name} 0
        N< DECLINE invalid_command
        N> CONNECT alice
        N< ACCEPT
        N> SEND ${name} hi
        N< DECLINE invalid_command
        N> SYNC ${name} 0
        N< DECLINE invalid_command
        N: half-close
        N< (end)
      `
    ).join("")
  )

  transcript(
    "is compared exactly",
    script`
      A> CONNECT alice
      A< ACCEPT
      B> CONNECT Alice
      B< ACCEPT
      C> CONNECT alice
      C< DECLINE username_taken
      C> CONNECT ALICE
      C< ACCEPT
      A> SEND Alice hi
      A< ACK
      B< MSG Alice alice <t> hi
      A: nothing more
      C: nothing more
      C> SYNC straße 0
      C< ENDSYNC
      A> SEND strasse hi
      A< ACK
      C: nothing more
    `
  )

  transcript(
    "is not `system`, in any letter case (CPT 2.4, 2.5)",
    ["system", "System", "SYSTEM", "sYsTeM", "ſystem", "syﬆem"].map((name) =>
      script`
        A> CONNECT ${name}
        A< DECLINE username_taken
        A> SEND ${name} hi
        A< DECLINE invalid_command
        A> SYNC ${name} 0
        A< DECLINE invalid_command
        A> CONNECT alice
        A< ACCEPT
        A> SEND ${name} hi
        A< DECLINE invalid_command
        A> SYNC ${name} 0
        A< DECLINE invalid_command
        A> CONNECT ${name}
        A< DECLINE already_logged_in
        A: half-close
        A< (end)
      `
    ).join("")
  )
})

describe("CPT 2.2: users and groups share one name space", () => {
  transcript(
    "a name that was synced is a group, and nobody can connect with it",
    script`
      A> CONNECT alice
      A< ACCEPT
      A> SYNC red 0
      A< ENDSYNC
      B> CONNECT red
      B< DECLINE username_taken
      A> SEND red hi
      A< ACK
      A: half-close
      A< (end)
      B> CONNECT red
      B< DECLINE username_taken
      B> CONNECT bob
      B< ACCEPT
      B> SYNC red 0
      B< MSG red alice <t> hi
      B< ENDSYNC
    `
  )

  transcript(
    "a message waits for a user who has not been here yet",
    script`
      A> CONNECT alice
      A< ACCEPT
      A> SEND bob are you there?
      A< ACK
      B> CONNECT bob
      B< ACCEPT
      B: nothing more
      B> SYNC
      B< MSG bob alice <t> are you there?
      B< ENDSYNC
      A> SYNC bob 0
      A< MSG bob system 0 private: …
      A< ENDSYNC
    `
  )

  transcript(
    "… unless somebody else has made a group of it",
    script`
      A> CONNECT alice
      A< ACCEPT
      A> SEND bob are you there?
      A< ACK
      E> CONNECT eve
      E< ACCEPT
      E> SYNC bob 0
      E< MSG bob alice <t> are you there?
      E< ENDSYNC
      B> CONNECT bob
      B< DECLINE username_taken
    `
  )

  transcript(
    "a private message never becomes public",
    script`
      A> CONNECT alice
      A< ACCEPT
      B> CONNECT bob
      B< ACCEPT
      A> SEND bob a secret
      A< ACK
      B< MSG bob alice <t1> a secret
      B: half-close
      B< (end)
      E> CONNECT eve
      E< ACCEPT
      E> SYNC bob 0
      E< MSG bob system 0 private: …
      E< ENDSYNC
      A> SEND bob another
      A< ACK
      E: nothing more
      E> SYNC bob 0
      E< MSG bob system 0 private: …
      E< ENDSYNC
      B> CONNECT bob
      B< ACCEPT
      B> SYNC
      B< MSG bob alice <t1> a secret
      B< MSG bob alice <t2> another
      B< ENDSYNC
    `
  )

  transcript(
    "a user who is online is a user, also without messages",
    script`
      B> CONNECT bob
      B< ACCEPT
      E> CONNECT eve
      E< ACCEPT
      E> SYNC bob 0
      E< MSG bob system 0 private: …
      E< ENDSYNC
      E> SEND bob hi
      E< ACK
      B< MSG bob eve <t> hi
      E: nothing more
    `
  )

  transcript(
    "a user without messages is forgotten with the session",
    script`
      B> CONNECT bob
      B< ACCEPT
      B: half-close
      B< (end)
      A> CONNECT alice
      A< ACCEPT
      A> SYNC bob 0
      A< ENDSYNC
      B> CONNECT bob
      B< DECLINE username_taken
    `
  )

  transcript(
    "a group without messages is forgotten with the last session that follows it",
    script`
      A> CONNECT alice
      A< ACCEPT
      A> SYNC red 0
      A< ENDSYNC
      B> CONNECT bob
      B< ACCEPT
      B> SYNC red 0
      B< ENDSYNC
      A: cut
      C> CONNECT red
      C< DECLINE username_taken
      B: half-close
      B< (end)
      C> CONNECT red
      C< ACCEPT
      C> SYNC
      C< ENDSYNC
    `
  )

  transcript(
    "with messages it is not",
    script`
      A> CONNECT alice
      A< ACCEPT
      A> SEND red hi
      A< ACK
      A> SYNC red 0
      A< MSG red alice <t> hi
      A< ENDSYNC
      A: cut
      C> CONNECT red
      C< DECLINE username_taken
      C> CONNECT cat
      C< ACCEPT
      C> SYNC red <t>
      C< ENDSYNC
    `
  )

  transcript(
    "an open name stays open for whoever is first, also after its sender has gone",
    script`
      A> CONNECT alice
      A< ACCEPT
      A> SEND red hi
      A< ACK
      A: half-close
      A< (end)
      C> CONNECT red
      C< ACCEPT
      C> SYNC
      C< MSG red alice <t> hi
      C< ENDSYNC
      C> SYNC alice 0
      C< ENDSYNC
      A> CONNECT alice
      A< DECLINE username_taken
    `
  )

  transcript(
    "a name whose last message is no longer kept is nobody's again, when nobody bears or follows it",
    script`
      A> CONNECT alice
      A< ACCEPT
      B> CONNECT bob
      B< ACCEPT
      A> SEND bob one
      A< ACK
      B< MSG bob alice <t1> one
      B: half-close
      B< (end)
      A> SEND red two
      A< ACK
      A> SEND red three
      A< ACK
      A> SYNC bob 0
      A< MSG bob system 0 missing: …
      A< ENDSYNC
      B> CONNECT bob
      B< DECLINE username_taken
    `,
    { store: layerMemory({ messages: 2 }) }
  )

  transcript(
    "… but not while its user is online",
    script`
      A> CONNECT alice
      A< ACCEPT
      B> CONNECT bob
      B< ACCEPT
      A> SEND bob one
      A< ACK
      B< MSG bob alice <t1> one
      A> SEND red two
      A< ACK
      A> SEND red three
      A< ACK
      A> SYNC bob 0
      A< MSG bob system 0 private: …
      A< ENDSYNC
      B> SYNC
      B< MSG bob system 0 missing: …
      B< ENDSYNC
      A> SEND bob four
      A< ACK
      B< MSG bob alice <t2> four
    `,
    { store: layerMemory({ messages: 2 }) }
  )
})

describe("CPT 2.3: groups need no creating", () => {
  transcript(
    "the first SEND makes one",
    script`
      A> CONNECT alice
      A< ACCEPT
      A> SEND red hi
      A< ACK
      B> CONNECT bob
      B< ACCEPT
      B> SYNC red 0
      B< MSG red alice <t> hi
      B< ENDSYNC
    `
  )
})
