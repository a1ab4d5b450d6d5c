/** Accounts that an operator declares (CPT 2.2, 3.2), over TCP; and in memory where it depends on what comes first. */
import { Message, Name, Timestamp } from "@cpt/schema"
import { Account, Accounts, Batch, layerMemory, layerSqlite, type MessageStore } from "@cpt/server"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Layer, Schema } from "effect"
import { Buffer } from "node:buffer"
import { join } from "node:path"
import { newFolder } from "./support/folder.ts"
import { patiently } from "./support/patience.ts"
import { distant, lineByLine } from "./support/stores.ts"
import { timedTranscript, transcript } from "./support/Transcript.ts"
import { type Connection, end, overTcp, type World } from "./support/World.ts"

const script = String.raw
const accounts = Accounts.layerMemory

describe("CPT 3.2: a declared account", () => {
  transcript(
    "can be locked before anybody has used it",
    script`
      server: account {"name": "bob", "locked": true}
      A> CONNECT bob
      A< DECLINE account_locked
      A> CONNECT alice
      A< ACCEPT
      server: account {"name": "bob"}
      B> CONNECT bob
      B< ACCEPT
    `,
    { accounts }
  )

  transcript(
    "can be bound to addresses",
    script`
      server: account {"name": "lan", "ranges": ["10.0.0.0/8", "fd00::/8"]}
      server: account {"name": "local", "ranges": ["10.0.0.0/8", "127.0.0.0/30"]}
      server: account {"name": "one", "ranges": ["::ffff:127.0.0.1"]}
      A> CONNECT lan
      A< DECLINE ip_invalid
      A> CONNECT local
      A< ACCEPT
      B> CONNECT one
      B< ACCEPT
    `,
    { accounts }
  )

  transcript(
    "can be bound to a certificate, and clear text has none",
    script`
      server: account {"name": "bob", "certificates": ["CN=bob"]}
      A> CONNECT bob
      A< DECLINE forbidden
    `,
    { accounts }
  )

  transcript(
    "has its rules looked at in the order of the specification",
    script`
      server: account {"name": "bob", "locked": true, "ranges": ["10.0.0.0/8"], "certificates": ["CN=bob"]}
      A> CONNECT bob
      A< DECLINE account_locked
      server: account {"name": "bob", "ranges": ["10.0.0.0/8"], "certificates": ["CN=bob"]}
      A> CONNECT bob
      A< DECLINE ip_invalid
      server: account {"name": "bob", "certificates": ["CN=bob"]}
      A> CONNECT bob
      A< DECLINE forbidden
      A< (end)
    `,
    { accounts }
  )

  transcript(
    "is the only one that connects, where only those do that are known",
    script`
      server: account {"name": "alice"}
      server: account {"name": "bob", "locked": true}
      A> CONNECT alice
      A< ACCEPT
      B> CONNECT mallory
      B< DECLINE forbidden
      B> CONNECT bob
      B< DECLINE account_locked
      server: account {"name": "mallory"}
      B> CONNECT mallory
      B< ACCEPT
    `,
    { accounts, settings: { accounts: "known" } }
  )
})

describe("CPT 2.2: a declared account is a user from the start", () => {
  transcript(
    "whose inbox nobody else reads",
    script`
      server: account {"name": "bob"}
      A> CONNECT alice
      A< ACCEPT
      A> SEND bob a word in private
      A< ACK
      A> SYNC bob 0
      A< MSG bob system 0 private: …
      A< ENDSYNC
      B> CONNECT bob
      B< ACCEPT
      B> SYNC
      B< MSG bob alice <t> a word in private
      B< ENDSYNC
    `,
    { accounts }
  )

  transcript(
    "and stays private when it has been removed",
    script`
      server: account {"name": "bob", "locked": true}
      A> CONNECT alice
      A< ACCEPT
      A> SEND bob 1
      A< ACK
      server: no account bob
      A> SYNC bob 0
      A< MSG bob system 0 private: …
      A< ENDSYNC
      B> CONNECT bob
      B< ACCEPT
      B> SYNC
      B< MSG bob alice <t> 1
      B< ENDSYNC
    `,
    { accounts }
  )
})

describe("CPT 3.11: what is declared holds at once", () => {
  transcript(
    "a lock ends a session that does nothing, and its name is free",
    script`
      A> CONNECT bob
      A< ACCEPT
      server: account {"name": "bob", "locked": true}
      A< DECLINE account_locked
      A< (end)
      server: no account bob
      A> CONNECT bob
      A< ACCEPT
    `,
    { accounts }
  )

  transcript(
    "ranges that no longer fit, and a certificate that is missing",
    script`
      A> CONNECT bob
      A< ACCEPT
      server: account {"name": "bob", "ranges": ["127.0.0.1"]}
      A: nothing more
      server: account {"name": "bob", "ranges": ["10.0.0.0/8"]}
      A< DECLINE ip_invalid
      A< (end)
      A> CONNECT carol
      A< ACCEPT
      server: account {"name": "carol", "certificates": ["${"0a".repeat(32)}"]}
      A< DECLINE forbidden
      A< (end)
    `,
    { accounts }
  )

  transcript(
    "who is no longer known, where only those connect that are",
    script`
      server: account {"name": "alice"}
      server: account {"name": "bob"}
      A> CONNECT alice
      A< ACCEPT
      B> CONNECT bob
      B< ACCEPT
      server: no account alice
      A< DECLINE forbidden
      A< (end)
      server: settings {"accounts": "open"}
      A> CONNECT alice
      A< ACCEPT
      server: settings {"accounts": "known"}
      A< DECLINE forbidden
      A< (end)
      B: nothing more
    `,
    { accounts, settings: { accounts: "known" } }
  )

  timedTranscript(
    "a session that is still logging in",
    script`
      A> CONNECT bob
      (1 second)
      server: account {"name": "bob", "locked": true}
      (5 seconds)
      A< DECLINE account_locked
      A< (end)
    `,
    { accounts, store: distant }
  )

  timedTranscript(
    "a session in the middle of a SYNC, of which the rest is not told",
    script`
      A> CONNECT alice
      A< ACCEPT
      A>> SEND g 1\nSEND g 2\nSEND g 3\n
      A< ACK
      A< ACK
      A< ACK
      B> CONNECT bob
      B< ACCEPT
      B>> SYNC g 0\nSEND g never said\n
      (1 second)
      B< MSG g alice <t> 1
      server: account {"name": "bob", "locked": true}
      (5 seconds)
      B< DECLINE account_locked
      B< (end)
      A> SYNC g 0
      (5 seconds)
      A< MSG g alice <t> 1
      A< MSG g alice <u> 2
      A< MSG g alice <v> 3
      A< ENDSYNC
    `,
    { accounts, store: lineByLine }
  )

  timedTranscript(
    "a session that has to wait, since it was too fast",
    script`
      B> CONNECT bob
      B< ACCEPT
      B>> SEND g 1\nSEND g 2\nSEND g 3\n
      B< ACK
      server: account {"name": "bob", "locked": true}
      B< DECLINE account_locked
      (1 second)
      B< (end)
      A> CONNECT alice
      A< ACCEPT
      (5 seconds)
      A> SYNC g 0
      A< MSG g bob <t> 1
      A< ENDSYNC
    `,
    { accounts, settings: { rateLimit: 1, rateBurst: 2 } }
  )

  timedTranscript(
    "a peer that reads nothing: it is told, and cut a moment later",
    script`
      A> CONNECT alice
      A< ACCEPT
      B> CONNECT bob
      B< ACCEPT
      B> SYNC g 0
      B< ENDSYNC
      B: stop reading
      A> SEND g 1
      A< ACK
      A> SEND g 2
      A< ACK
      server: account {"name": "bob", "locked": true}
      (1 second)
      # its name is free, though it is still there
      server: account {"name": "bob"}
      C> CONNECT bob
      C< ACCEPT
      (3 seconds)
      B: is given up
      B< (broken off)
    `,
    { accounts }
  )
})

const lock = ({ declared }: World, name: string) => {
  const username = Name.Username.make(name)
  return declared.accounts.change(username, () => Effect.succeed({ name: username, locked: true }))
}

const say = (connection: Connection, text: string) => connection.say(Buffer.from(text))
const hear = ({ hear }: Connection) => patiently(hear, () => assert.fail("waited in vain"))

/** A database of its own. */
const onDisk: Layer.Layer<MessageStore, unknown> = Layer.unwrap(
  Effect.map(
    newFolder,
    (folder) => layerSqlite({ file: join(folder, "messages.db") })
  )
)

describe("CPT 3.11: a lock, over TCP", () => {
  for (const [place, store] of [["in memory", layerMemory()], ["on disk", onDisk]] as const) {
    it.live(`in the middle of SENDs: what is ACKed is stored, and nothing is after the DECLINE (${place})`, () =>
      Effect.gen(function*() {
        const world = yield* overTcp({ accounts, store })
        for (let round = 0; round < 8; round++) {
          const name = `bob${round}`
          const bob = yield* world.connect
          yield* say(bob, `CONNECT ${name}\n`)
          assert.strictEqual(yield* hear(bob), "ACCEPT")
          let sent = 0
          const pumping = yield* Effect.suspend(() => {
            const lines = Array.from({ length: 50 }, () => `SEND g${round} ${sent++}\n`)
            return Effect.andThen(say(bob, lines.join("")), Effect.promise(() => new Promise(setImmediate)))
          }).pipe(Effect.forever, Effect.forkChild)
          for (let acks = 0; acks < 100 * round; acks++) assert.strictEqual(yield* hear(bob), "ACK")
          yield* lock(world, name)
          let acked = 100 * round
          let line = yield* hear(bob)
          for (; line === "ACK"; line = yield* hear(bob)) acked++
          pumping.interruptUnsafe()
          assert.strictEqual(line, "DECLINE account_locked")
          assert.strictEqual(yield* hear(bob), end)
          const texts: Array<string> = []
          let at = Timestamp.epoch
          for (let last = false; !last;) {
            const page = yield* world.store.read(Name.Target.make(`g${round}`), { after: at })
            at = page.through
            last = page.last
            texts.push(...Buffer.from(page.lines).toString().split("\n").slice(0, -1))
          }
          const numbers = texts.map((text) => Number(text.split(" ").at(-1)))
          assert.deepStrictEqual(numbers, Array.from({ length: acked }, (_, number) => number))
        }
      }))
  }

  it.live("of a slow reader in the middle of a SYNC comes behind whole lines, and is the last one", () =>
    Effect.gen(function*() {
      const world = yield* overTcp({ accounts })
      const text = Message.Message.make("x".repeat(1000))
      const alice = Name.Username.make("alice")
      for (let count = 0; count < 200; count++) {
        yield* world.store.append(
          alice,
          Batch.of(
            ...Array.from(
              { length: 100 },
              (_, index) => [Name.Target.make("g"), Message.Message.make(`${count} ${index} ${text}`)] as const
            )
          )
        )
      }
      const bob = yield* world.connect
      yield* say(bob, "CONNECT bob\n")
      assert.strictEqual(yield* hear(bob), "ACCEPT")
      yield* say(bob, "SYNC g 0\n")
      assert.match(yield* hear(bob), /^MSG g alice /)
      yield* bob.stopReading
      yield* lock(world, "bob")
      yield* bob.read()
      let heard = 1
      let line = yield* hear(bob)
      for (; line.startsWith("MSG g alice "); line = yield* hear(bob)) {
        assert.isTrue(line.endsWith(text))
        heard++
      }
      assert.strictEqual(line, "DECLINE account_locked")
      assert.strictEqual(yield* hear(bob), end)
      assert.isBelow(heard, 20_000)
    }))
})

describe("CPT 3.11: whatever is declared", () => {
  /** What may be said of an account, and what a login from this machine, in clear text, is then answered. */
  const rules = [
    [{}, "ACCEPT"],
    [{ locked: true }, "DECLINE account_locked"],
    [{ ranges: ["127.0.0.0/8", "::1"] }, "ACCEPT"],
    [{ ranges: ["10.0.0.0/8"] }, "DECLINE ip_invalid"],
    [{ ranges: ["127.0.0.1"], certificates: ["CN=bob"] }, "DECLINE forbidden"],
    [{ locked: true, ranges: ["10.0.0.0/8"] }, "DECLINE account_locked"]
  ] as const
  const Step = Schema.Union([
    Schema.TaggedStruct("declare", { who: Schema.Literals(["ann", "bob"]), rule: Schema.Literals([0, 1, 2, 3, 4, 5]) }),
    Schema.TaggedStruct("remove", { who: Schema.Literals(["ann", "bob"]) }),
    Schema.TaggedStruct("settle", { accounts: Schema.Literals(["open", "known"]) }),
    Schema.TaggedStruct("connect", { who: Schema.Literals(["ann", "bob", "eve"]) })
  ])
  const program = Arbitrary.array(Arbitrary.schema(Step), { minLength: 10, maxLength: 30 })

  it.live.prop(
    "who is logged in is who may be, and all others are told why",
    [program],
    ([program]) =>
      Effect.scoped(Effect.gen(function*() {
        const world = yield* overTcp({ accounts })
        const declared = new Map<string, (typeof rules)[number]>()
        const sessions = new Map<string, Connection>()
        let isKnown = false
        const answerTo = (who: string): string => declared.get(who)?.[1] ?? (isKnown ? "DECLINE forbidden" : "ACCEPT")
        for (const step of program) {
          switch (step._tag) {
            case "declare": {
              const account = Schema.decodeUnknownSync(Account)({ name: step.who, ...rules[step.rule][0] })
              declared.set(step.who, rules[step.rule])
              yield* world.declared.accounts.change(account.name, () => Effect.succeed(account))
              break
            }
            case "remove": {
              if (!declared.delete(step.who)) break
              yield* world.declared.accounts.remove(Name.Username.make(step.who))
              break
            }
            case "settle": {
              isKnown = step.accounts === "known"
              yield* world.reconfigure({ accounts: step.accounts })
              break
            }
            case "connect": {
              if (sessions.has(step.who)) break
              const connection = yield* world.connect
              yield* say(connection, `CONNECT ${step.who}\n`)
              const answer = yield* hear(connection)
              assert.strictEqual(answer, answerTo(step.who), JSON.stringify(step))
              if (answer === "ACCEPT") sessions.set(step.who, connection)
            }
          }
          for (const [who, connection] of sessions) {
            const answer = answerTo(who)
            if (answer === "ACCEPT") {
              yield* say(connection, "SEND red hi\n")
              assert.strictEqual(yield* hear(connection), "ACK", `${who} after ${JSON.stringify(step)}`)
            } else {
              assert.deepStrictEqual([yield* hear(connection), yield* hear(connection)], [answer, end])
              sessions.delete(who)
            }
          }
        }
      })),
    { arbitrary: { runs: 40 } }
  )
})
