/** Groups that an operator declares (CPT 2.3, 5.14), over TCP; and in memory where it depends on what comes first. */
import { Accounts, layerMemory } from "@cpt/server"
import { describe } from "@effect/vitest"
import { distant, lineByLine } from "./support/stores.ts"
import { timedTranscript, transcript } from "./support/Transcript.ts"

const script = String.raw
const accounts = Accounts.layerMemory

describe("a declared group", () => {
  transcript(
    "is a group from the start, and nobody's name",
    script`
      server: group {"name": "red"}
      A> CONNECT red
      A< DECLINE username_taken
      A> CONNECT alice
      A< ACCEPT
      A> SEND red hi
      A< ACK
      B> CONNECT bob
      B< ACCEPT
      B> SYNC red 0
      B< MSG red alice <t> hi
      B< ENDSYNC
      server: no group red
      C> CONNECT red
      C< DECLINE username_taken
    `,
    { accounts }
  )

  transcript(
    "can be for its members only",
    script`
      server: group {"name": "staff", "members": ["alice", "bob"]}
      A> CONNECT alice
      A< ACCEPT
      A>> SEND staff 1\nSEND staff 2\n
      A< ACK
      A< ACK
      E> CONNECT eve
      E< ACCEPT
      E> SEND staff let me in
      E< DECLINE forbidden
      E> SYNC staff 0
      E< DECLINE forbidden
      E>> SEND open 1\nSEND staff 2\nSEND staff 3\nSEND open 4\nSYNC staff 0\nSEND open 5\n
      E< ACK
      E< DECLINE forbidden
      E< DECLINE forbidden
      E< ACK
      E< DECLINE forbidden
      E< ACK
      B> CONNECT bob
      B< ACCEPT
      B> SYNC staff 0
      B< MSG staff alice <t> 1
      B< MSG staff alice <u> 2
      B< ENDSYNC
      B> SEND staff 3
      B< ACK
      B> SYNC open 0
      B< MSG open eve <v> 1
      B< MSG open eve <w> 4
      B< MSG open eve <x> 5
      B< ENDSYNC
    `,
    { accounts }
  )

  transcript(
    "is closed to who is not a member also in the chunk of the login",
    script`
      server: group {"name": "staff", "members": []}
      E>> CONNECT eve\nSEND staff 1\nSEND other 2\nSYNC staff 0\n
      E< ACCEPT
      E< DECLINE forbidden
      E< ACK
      E< DECLINE forbidden
    `,
    { accounts }
  )

  transcript(
    "can be read only, but for some, who may read it too",
    script`
      server: group {"name": "news", "writers": ["alice"]}
      server: group {"name": "closed", "members": ["bob"], "writers": ["alice"]}
      A> CONNECT alice
      A< ACCEPT
      B> CONNECT bob
      B< ACCEPT
      E> CONNECT eve
      E< ACCEPT
      B> SYNC news 0
      B< ENDSYNC
      B> SYNC closed 0
      B< ENDSYNC
      E> SYNC news 0
      E< ENDSYNC
      E> SYNC closed 0
      E< DECLINE forbidden
      A> SYNC closed 0
      A< ENDSYNC
      A> SEND news 1
      A< ACK
      B< MSG news alice <t> 1
      E< MSG news alice <t> 1
      A> SEND closed 2
      A< ACK
      B< MSG closed alice <u> 2
      B> SEND news 3
      B< DECLINE forbidden
      B> SEND closed 4
      B< DECLINE forbidden
      E> SEND news 5
      E< DECLINE forbidden
    `,
    { accounts }
  )
})

describe("what is declared of a group holds at once", () => {
  transcript(
    "who is no longer a member is told nothing more of it, and so",
    script`
      server: group {"name": "staff", "members": ["alice", "bob"]}
      A> CONNECT alice
      A< ACCEPT
      B> CONNECT bob
      B< ACCEPT
      B> SYNC staff 0
      B< ENDSYNC
      B> SYNC other 0
      B< ENDSYNC
      A> SEND staff 1
      A< ACK
      B< MSG staff alice <t> 1
      B> SEND staff 2
      B< ACK
      server: group {"name": "staff", "members": ["alice"]}
      B< MSG staff system 0 private: …
      A> SEND staff 3
      A< ACK
      B> SEND staff 4
      B< DECLINE forbidden
      B> SYNC staff 0
      B< DECLINE forbidden
      A> SEND other 5
      A< ACK
      B< MSG other alice <u> 5
      server: group {"name": "staff", "members": ["alice", "bob"]}
      A> SEND staff 6
      A< ACK
      B: nothing more
      B> SYNC staff <t>
      B< MSG staff bob <v> 2
      B< MSG staff alice <w> 3
      B< MSG staff alice <x> 6
      B< ENDSYNC
      A> SEND staff 7
      A< ACK
      B< MSG staff alice <y> 7
    `,
    { accounts }
  )

  transcript(
    "a group that is declared while others follow it",
    script`
      A> CONNECT alice
      A< ACCEPT
      B> CONNECT bob
      B< ACCEPT
      A> SYNC red 0
      A< ENDSYNC
      B> SYNC red 0
      B< ENDSYNC
      server: group {"name": "red", "members": ["alice"]}
      B< MSG red system 0 private: …
      A> SEND red 1
      A< ACK
      B: nothing more
      server: no group red
      B> SYNC red 0
      B< MSG red alice <t> 1
      B< ENDSYNC
    `,
    { accounts }
  )

  timedTranscript(
    "in the middle of a SYNC: the rest of the answer is not told",
    script`
      server: group {"name": "staff", "members": ["alice", "bob"]}
      A> CONNECT alice
      A< ACCEPT
      A>> SEND staff 1\nSEND staff 2\nSEND staff 3\n
      A< ACK
      A< ACK
      A< ACK
      B> CONNECT bob
      B< ACCEPT
      B> SYNC staff 0
      (1 second)
      B< MSG staff alice <t> 1
      server: group {"name": "staff", "members": ["alice"]}
      (5 seconds)
      B< MSG staff system 0 private: …
      B< ENDSYNC
      B< MSG staff system 0 private: …
      B> SEND other 1
      B< ACK
    `,
    { accounts, store: lineByLine }
  )

  timedTranscript(
    "while a SYNC is still finding out where the group is",
    script`
      server: group {"name": "staff", "members": ["bob"]}
      B> CONNECT bob
      (5 seconds)
      B< ACCEPT
      B> SYNC staff 0
      (1500 ms)
      server: group {"name": "staff", "members": []}
      (5 seconds)
      B< DECLINE forbidden
      A> CONNECT alice
      (5 seconds)
      A< ACCEPT
      server: group {"name": "staff", "members": ["bob"], "writers": ["alice"]}
      A> SEND staff 1
      (5 seconds)
      A< ACK
    `,
    { accounts, store: distant }
  )

  timedTranscript(
    "of a follower that is behind",
    script`
      server: group {"name": "staff", "members": ["alice", "bob"]}
      A> CONNECT alice
      A< ACCEPT
      B> CONNECT bob
      B< ACCEPT
      B> SYNC staff 0
      B< ENDSYNC
      B: stop reading
      A> SEND staff 1
      A< ACK
      (1 second)
      A> SEND staff 2
      A< ACK
      (1 second)
      server: group {"name": "staff", "members": ["alice"]}
      A> SEND staff 3
      A< ACK
      B: read on
      B< MSG staff alice <t> 1
      B< MSG staff system 0 private: …
      B: nothing more
    `,
    { accounts, store: layerMemory() }
  )
})

describe("CPT 2.3: where only declared groups are known", () => {
  const settings = { groups: "known" } as const

  transcript(
    "all else is unknown, but for users",
    script`
      server: group {"name": "red"}
      server: account {"name": "carol"}
      A> CONNECT alice
      A< ACCEPT
      A> SEND red 1
      A< ACK
      A> SEND blue 2
      A< DECLINE unknown_target
      A> SYNC blue 0
      A< DECLINE unknown_target
      A> SEND carol 3
      A< ACK
      A> SYNC carol 0
      A< MSG carol system 0 private: …
      A< ENDSYNC
      A> SEND bob 4
      A< DECLINE unknown_target
      B> CONNECT bob
      B< ACCEPT
      A>> SEND bob 5\nSEND blue 6\nSEND bob 7\nSEND red 8\n
      A< ACK
      A< DECLINE unknown_target
      A< ACK
      A< ACK
      B< MSG bob alice <t> 5
      B< MSG bob alice <u> 7
      A> SEND alice 9
      A< ACK
      A> SYNC
      A< MSG alice alice <v> 9
      A< ENDSYNC
      B: half-close
      B< (end)
      A> SEND bob 10
      A< ACK
    `,
    { accounts, settings }
  )

  transcript(
    "followers of others are told so, when that begins",
    script`
      A> CONNECT alice
      A< ACCEPT
      B> CONNECT bob
      B< ACCEPT
      B> SYNC blue 0
      B< ENDSYNC
      A> SEND blue 1
      A< ACK
      B< MSG blue alice <t> 1
      server: settings {"groups": "known"}
      B< MSG blue system 0 private: …
      A> SEND blue 2
      A< DECLINE unknown_target
      server: settings {"groups": "open"}
      A> SEND blue 3
      A< ACK
      B: nothing more
    `,
    { accounts }
  )

  timedTranscript(
    "who has to be looked up first, is",
    script`
      A> CONNECT alice
      (5 seconds)
      A< ACCEPT
      A>> SEND bob 1\nSEND bob 2\nSEND alice 3\n
      (5 seconds)
      A< DECLINE unknown_target
      A< DECLINE unknown_target
      A< ACK
      B> CONNECT bob
      (5 seconds)
      B< ACCEPT
      A>> SEND bob 4\nSEND bob 5\n
      (1 second)
      A< ACK
      A< ACK
      B< MSG bob alice <t> 4
      B< MSG bob alice <u> 5
      A> SEND bob 6
      A< ACK
      B< MSG bob alice <v> 6
    `,
    { accounts, settings, store: distant }
  )
})
