import { Decline, Notice, Timestamp } from "@cpt/schema"
import { assert, describe, it } from "@effect/vitest"
import { Clock, type Duration, Effect, Exit, Fiber, Latch, Schedule, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { jumpingClock } from "../../server/src/testing/JumpingClock.ts"
import { type ClientError, CptClient, type Event, isMessage } from "../src/index.ts"
import * as FakeServer from "./FakeServer.ts"

/** Reconnects at once: for tests on real sockets, where nothing is measured. */
const retry = Schedule.spaced("1 millis")

const texts = (events: ReadonlyArray<Event>): ReadonlyArray<string> =>
  events.filter(isMessage).map(({ message }) => message)

const tags = (events: ReadonlyArray<Event>): ReadonlyArray<string> => events.map(({ _tag }) => _tag)

/** What a client does while the server follows its script. */
const during = <A, E, R>(client: Effect.Effect<A, E, R>, script: Effect.Effect<unknown>) =>
  Effect.map(Effect.all([client, script], { concurrency: 2 }), ([result]) => result)

/** A client that is logged in as alice, and the server's end of its connection. */
const alice = (server: FakeServer.FakeServer) =>
  Effect.all([
    CptClient.connect({ username: "alice", retry, ...server.options }),
    server.login("alice")
  ], { concurrency: 2 })

/** A message that is said again since its connection was lost, to a server that is gone for so long, and heard in so long. */
const sendingAgain = Effect.fnUntraced(function*(
  server: Effect.Success<typeof FakeServer.inMemory>,
  [client, peer]: Effect.Success<ReturnType<typeof alice>>,
  gone: Duration.Input,
  heard: Duration.Input
) {
  const sending = yield* Effect.forkChild(client.send("g", "1"))
  yield* peer.hears("SEND g 1")
  yield* server.refuse
  yield* peer.cuts
  yield* peer.isLeft
  yield* TestClock.adjust(gone)
  yield* server.admit
  const [again] = yield* Effect.all([server.login("alice"), TestClock.adjust(heard)], { concurrency: 2 })
  yield* again.hears("SEND g 1")
  return { again, sending }
})

const acksOk = (peer: FakeServer.Peer) => Effect.andThen(peer.hears("SEND g ok"), peer.says("ACK"))

describe("connect", () => {
  it.live("logs in with its name", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const [client] = yield* alice(server)
      assert.strictEqual(client.username, "alice")
    }))

  it.live("knows each reason of a decline as an error of its own, and takes any other word", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      for (
        const reason of [
          ...Decline.knownReasons,
          "not_invited",
          "name taken, sorry",
          "\u001b[31m",
          "\u007f",
          "\u009b31m"
        ]
      ) {
        const error = yield* during(
          Effect.flip(CptClient.connect({ username: "alice", ...server.options })),
          Effect.gen(function*() {
            const peer = yield* server.accept
            yield* peer.hears("CONNECT alice")
            yield* peer.says(`DECLINE ${reason}`)
            // "The client SHOULD close the TCP connection upon the reception of this packet"
            yield* peer.isLeft
          })
        )
        assert.isTrue(Decline.isDeclineError(error), reason)
        if (!/[\u0000-\u001f\u007f-\u009f]/.test(reason)) assert.strictEqual("reason" in error && error.reason, reason)
      }
    }))

  it.live("fails where what comes with the ACCEPT ends the session, and says how", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      for (
        const [line, tag] of [
          ["DECLINE account_locked", "AccountLocked"],
          ["DECLINE shutting_down", "ShuttingDown"],
          ["ACCEPT", "ProtocolViolation"]
        ] as const
      ) {
        const error = yield* during(
          Effect.flip(CptClient.connect({ username: "alice", ...server.options })),
          Effect.gen(function*() {
            const peer = yield* server.accept
            yield* peer.hears("CONNECT alice")
            yield* peer.says("ACCEPT", line)
            yield* peer.isLeft
          })
        )
        assert.strictEqual(error._tag, tag)
      }
    }))

  it.live("fails when nobody listens", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      yield* server.close
      const error = yield* Effect.flip(CptClient.connect({ username: "alice", ...server.options }))
      assert.deepInclude(error, { _tag: "ConnectionFailed", message: "connection refused" })
    }))

  it.live("fails where there can be no such connection", () =>
    Effect.gen(function*() {
      const noPem = { cert: "no PEM", key: "no PEM" }
      for (const options of [{ port: 65_536 }, { port: -1 }, { port: 1.5 }, { port: Number.NaN }, { tls: noPem }]) {
        const error = yield* Effect.flip(CptClient.connect({ username: "alice", ...options }))
        assert.strictEqual(error._tag, "ConnectionFailed", JSON.stringify(options))
        assert.include(["there can be no such port", "the certificate or its key is not in PEM"], error.message)
      }
    }))

  it.live("fails when the server closes instead of an answer", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const error = yield* during(
        Effect.flip(CptClient.connect({ username: "alice", ...server.options })),
        Effect.flatMap(server.accept, (peer) => Effect.andThen(peer.line, peer.ends))
      )
      assert.deepInclude(error, {
        _tag: "ConnectionFailed",
        message: "the server closed the connection before the login"
      })
    }))

  it.live("says so when it is no CPT server", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const error = yield* during(
        Effect.flip(CptClient.connect({ username: "alice", ...server.options })),
        Effect.flatMap(server.accept, (peer) => peer.says("SSH-2.0-OpenSSH_9.9"))
      )
      assert.strictEqual(error._tag, "ProtocolViolation")
      assert.include(error.message, "SSH-2.0-OpenSSH_9.9")
    }))

  it.effect("does not wait for an answer for ever", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.inMemory
      const connecting = yield* CptClient.connect({ username: "alice", timeout: "3 seconds", ...server.options }).pipe(
        Effect.flip,
        Effect.forkChild
      )
      const peer = yield* server.accept
      yield* peer.hears("CONNECT alice")
      yield* TestClock.adjust("3 seconds")
      assert.deepInclude(yield* Fiber.join(connecting), { _tag: "NoAnswer", command: "CONNECT" })
      yield* peer.isLeft
    }))

  it.effect("refuses names that cannot be, before it connects", () =>
    Effect.gen(function*() {
      for (const username of ["", "a b", "system", "SYSTEM", "x".repeat(65), "a\nSEND g hi"]) {
        const error = yield* Effect.flip(CptClient.connect({ username, socket: Effect.die("connected") }))
        assert.deepInclude(error, { _tag: "InvalidInput", input: "username" })
      }
    }))
})

describe("send", () => {
  it.live("succeeds with the ACK, whatever else is said before it", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const [client, peer] = yield* alice(server)
      yield* during(
        client.send("group1", "Hello ceci est un test"),
        Effect.gen(function*() {
          yield* peer.hears("SEND group1 Hello ceci est un test")
          yield* peer.says(
            "MSG alice bob 5 psst",
            "MSG system system 0 maintenance at noon",
            "MSG bob 6 diagram",
            "ACK"
          )
        })
      )
    }))

  it.live("says one message at a time, however many want to say one", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const [client, peer] = yield* alice(server)
      const all = yield* Effect.forEach(["1", "2", "3"], (text) => client.send("g", text), { concurrency: "unbounded" })
        .pipe(Effect.forkChild)
      const heard: Array<string> = []
      for (let i = 0; i < 3; i++) {
        heard.push(yield* peer.line)
        // A pipelining client would have said the next one by now
        yield* peer.says(`MSG alice bob ${i + 1} x`)
        yield* peer.says("ACK")
      }
      yield* Fiber.join(all)
      assert.deepStrictEqual(heard, ["SEND g 1", "SEND g 2", "SEND g 3"])
    }))

  it.live("fails with the reason of a DECLINE, and can go on after it", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const [client, peer] = yield* alice(server)
      const error = yield* during(
        Effect.flip(client.send("g", "1")),
        Effect.andThen(peer.line, peer.says("DECLINE rate_limited"))
      )
      assert.strictEqual(error._tag, "RateLimited")
      yield* during(client.send("g", "2"), Effect.andThen(peer.hears("SEND g 2"), peer.says("ACK")))
    }))

  it.live("goes on with a new connection where the server closes after a DECLINE", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const [client, peer] = yield* alice(server)
      yield* during(
        Effect.flip(client.send("g", "1")),
        peer.line.pipe(Effect.andThen(peer.says("DECLINE forbidden")), Effect.andThen(peer.ends))
      )
      yield* during(
        client.send("g", "2"),
        Effect.gen(function*() {
          const peer = yield* server.login("alice")
          yield* peer.hears("SEND g 2")
          yield* peer.says("ACK")
        })
      )
    }))

  // CPT 6.3: it re-sends the one message whose ACK it did not see
  it.live("sends again what was not acknowledged, and nothing else", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const [client, peer] = yield* alice(server)
      yield* during(client.send("g", "1"), Effect.andThen(peer.hears("SEND g 1"), peer.says("ACK")))
      yield* during(
        client.send("g", "2"),
        Effect.gen(function*() {
          yield* peer.hears("SEND g 2")
          yield* peer.cuts
          const again = yield* server.login("alice")
          yield* again.hears("SEND g 2")
          yield* again.says("ACK")
        })
      )
    }))

  it.live("waits for its name where the server still counts the lost connection", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const [client, peer] = yield* alice(server)
      yield* during(
        client.send("g", "1"),
        Effect.gen(function*() {
          yield* peer.hears("SEND g 1")
          yield* peer.cuts
          for (let i = 0; i < 3; i++) {
            const refused = yield* server.accept
            yield* refused.hears("CONNECT alice")
            yield* refused.says("DECLINE username_taken")
          }
          const again = yield* server.login("alice")
          yield* again.hears("SEND g 1")
          yield* again.says("ACK")
        })
      )
    }))

  // CPT 4.4: else the server could take the second for the first, if it never hears that we have seen its ACK
  it.live("says something else between two equal messages", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const [client, peer] = yield* alice(server)
      yield* during(
        Effect.andThen(client.send("g", "ok"), client.send("g", "ok")),
        Effect.gen(function*() {
          yield* acksOk(peer)
          yield* peer.hears("SYNC alice 999999999999999")
          yield* peer.says("ENDSYNC")
          yield* acksOk(peer)
        })
      )
    }))

  it.live("does not claim that an equal message was stored where the connection was lost in between", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const [client, peer] = yield* alice(server)
      yield* during(client.send("g", "ok"), acksOk(peer))
      yield* peer.ends
      yield* peer.isLeft
      const error = yield* during(
        Effect.flip(client.send("g", "ok")),
        Effect.flatMap(server.login("alice"), acksOk)
      )
      assert.strictEqual(error._tag, "OutcomeUnknown")
    }))

  // CPT 4.4: after a crash a server counts each sender's last message as unconfirmed, whatever it was told before
  it.live("does not claim it either where the connection was lost after it was told apart", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const [client, peer] = yield* alice(server)
      yield* during(client.send("g", "ok"), acksOk(peer))
      const error = yield* during(
        Effect.flip(client.send("g", "ok")),
        Effect.gen(function*() {
          yield* peer.hears("SYNC alice 999999999999999")
          yield* peer.says("ENDSYNC")
          yield* peer.hears("SEND g ok")
          yield* peer.cuts
          const again = yield* server.login("alice")
          yield* acksOk(again)
        })
      )
      assert.strictEqual(error._tag, "OutcomeUnknown")
    }))

  it.live("does not claim it either where the first was followed by a SYNC, on the connection that was lost", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const [client, peer] = yield* alice(server)
      yield* during(
        Effect.andThen(client.send("g", "ok"), Stream.runDrain(client.sync("h"))),
        Effect.gen(function*() {
          yield* acksOk(peer)
          yield* peer.hears("SYNC h 0")
          yield* peer.says("ENDSYNC")
        })
      )
      yield* peer.ends
      yield* peer.isLeft
      const error = yield* during(
        Effect.flip(client.send("g", "ok")),
        Effect.flatMap(server.login("alice"), acksOk)
      )
      assert.strictEqual(error._tag, "OutcomeUnknown")
    }))

  it.live("is sure again of what is said on the new connection", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const [client, peer] = yield* alice(server)
      yield* during(client.send("g", "ok"), acksOk(peer))
      yield* peer.ends
      yield* peer.isLeft
      yield* during(
        Effect.all([Effect.flip(client.send("g", "ok")), client.send("g", "ok"), client.send("g", "other")]),
        Effect.gen(function*() {
          const again = yield* server.login("alice")
          yield* acksOk(again)
          yield* again.hears("SYNC alice 999999999999999")
          yield* again.says("ENDSYNC")
          for (const line of ["SEND g ok", "SEND g other"]) {
            yield* again.hears(line)
            yield* again.says("ACK")
          }
        })
      )
    }))

  it.live("survives a cut at every byte of what the server says", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const answer = "MSG alice bob 5 psst\nACK\n"
      for (let at = 0; at < answer.length; at++) {
        const said = yield* Effect.scoped(Effect.gen(function*() {
          const [client, peer] = yield* alice(server)
          const said: Array<string> = []
          yield* during(
            client.send("g", "once"),
            Effect.gen(function*() {
              said.push(yield* peer.line)
              yield* peer.writes(answer.slice(0, at))
              yield* peer.ends
              const again = yield* server.login("alice")
              said.push(yield* again.line)
              yield* again.writes(answer)
            })
          )
          return said
        }))
        assert.deepStrictEqual(said, ["SEND g once", "SEND g once"])
      }
    }))

  it.effect("says that the outcome is unknown where the connection cannot be restored", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.inMemory
      const [client, peer] = yield* alice(server)
      const sending = yield* Effect.forkChild(Effect.flip(client.send("g", "1")))
      yield* peer.hears("SEND g 1")
      yield* server.refuse
      yield* peer.cuts
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* Fiber.join(sending))._tag, "OutcomeUnknown")
    }))

  it.effect("waits for the ACK on a connection that was restored at the last moment as long as for any other", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.inMemory
      const { again, sending } = yield* sendingAgain(server, yield* alice(server), "4 seconds", "900 millis")
      yield* TestClock.adjust("4 seconds")
      yield* again.says("ACK")
      yield* Fiber.join(sending)
    }))

  it.effect("finds a server that is back shortly before the time to restore the connection is over", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.inMemory
      const pair = yield* Effect.all([
        CptClient.connect({ username: "alice", ...server.options }), // waits longer and longer between two attempts
        server.login("alice")
      ], { concurrency: 2 })
      const { again, sending } = yield* sendingAgain(server, pair, "4600 millis", "390 millis")
      yield* again.says("ACK")
      yield* Fiber.join(sending)
    }))

  it.effect("says that the outcome is unknown where the server does not answer", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.inMemory
      const [client, peer] = yield* alice(server)
      const sending = yield* Effect.forkChild(Effect.flip(client.send("g", "1")))
      yield* peer.hears("SEND g 1")
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* Fiber.join(sending))._tag, "OutcomeUnknown")
      // A late answer must not count for the next message
      yield* peer.isLeft
    }))

  it.effect("says that nothing was stored where the connection was lost before", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.inMemory
      const [client, peer] = yield* alice(server)
      yield* server.refuse
      yield* peer.cuts
      yield* peer.isLeft
      const sending = yield* Effect.forkChild(Effect.flip(client.send("g", "1")))
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* Fiber.join(sending))._tag, "ConnectionFailed")
    }))

  it.effect("does not say on the wire what cannot be said", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.inMemory
      const [client, peer] = yield* alice(server)
      for (
        const [target, message] of [["a b", "x"], ["", "x"], ["system", "x"], ["g", ""], ["g", "a\nSEND g b"]] as const
      ) {
        assert.strictEqual((yield* Effect.flip(client.send(target, message)))._tag, "InvalidInput")
      }
      yield* during(
        client.send("g", " two  spaces "),
        Effect.andThen(peer.hears("SEND g  two  spaces "), peer.says("ACK"))
      )
    }))

  it.live("ends in good order after its messages, so that the last ACK counts", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const peer = yield* Effect.scoped(Effect.gen(function*() {
        const [client, peer] = yield* alice(server)
        yield* during(client.send("g", "1"), Effect.andThen(peer.line, peer.says("ACK", "MSG alice bob 5 unread")))
        return peer
      }))
      yield* peer.isLeft
      assert.isUndefined(yield* peer.error)
    }))
})

/** What the server says of a group that holds these messages, from a timestamp on. */
const log = (group: string, ...texts: ReadonlyArray<string>) => (after: number) =>
  texts.map((text, i) => ({ at: i + 1, text })).filter(({ at }) => at > after).map(({ at, text }) =>
    `MSG ${group} bob ${at} ${text}\n`
  ).join("")

describe("sync", () => {
  it.live("gives what the group holds after a timestamp, and ends", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const [client, peer] = yield* alice(server)
      const events = yield* during(
        Stream.runCollect(client.sync("group1", 2)),
        Effect.gen(function*() {
          yield* peer.hears("SYNC group1 2")
          yield* peer.says(
            "MSG group1 red 3 Before joined",
            "MSG group1 alice 4 Hello",
            "ENDSYNC",
            "MSG group1 red 5 later"
          )
        })
      )
      assert.deepStrictEqual(events, [
        { _tag: "Message", group: "group1", sender: "red", timestamp: 3, message: "Before joined" },
        { _tag: "Message", group: "group1", sender: "alice", timestamp: 4, message: "Hello" }
      ])
    }))

  it.live("asks for the inbox as the specification has it, and reads both of its forms", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const [client, peer] = yield* alice(server)
      const [all, newer] = yield* during(
        Effect.all([Stream.runCollect(client.sync("alice")), Stream.runCollect(client.sync("alice", 7))]),
        Effect.gen(function*() {
          yield* peer.hears("SYNC")
          yield* peer.says("MSG alice red 3 with a group", "MSG alice red 4 5 o'clock", "ENDSYNC")
          yield* peer.hears("SYNC alice 7")
          yield* peer.says("MSG alice red 8 newer", "ENDSYNC")
        })
      )
      assert.deepStrictEqual(texts(all), ["with a group", "5 o'clock"])
      assert.deepStrictEqual(texts(newer), ["newer"])
    }))

  it.live("reads the form of the specification's diagram", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const [client, peer] = yield* alice(server)
      const events = yield* during(
        Stream.runCollect(client.sync("alice")),
        Effect.andThen(peer.hears("SYNC"), peer.says("MSG red 3 Private message", "ENDSYNC"))
      )
      assert.deepStrictEqual(events, [
        { _tag: "Message", group: "alice", sender: "red", timestamp: 3, message: "Private message" }
      ])
    }))

  it.live("takes that form in the answer for a group for a part of it, unless the server names groups", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const [client, peer] = yield* alice(server)
      const [first, second] = yield* during(
        Effect.all([Stream.runCollect(client.sync("g")), Stream.runCollect(client.sync("h"))]),
        Effect.gen(function*() {
          yield* peer.hears("SYNC g 0")
          yield* peer.says("MSG red 3 Hello", "MSG blue 4 all", "ENDSYNC")
          yield* peer.hears("SYNC h 0")
          yield* peer.says("MSG h red 5 in a group", "MSG blue 6 to alice", "ENDSYNC")
        })
      )
      assert.deepStrictEqual(first, [
        { _tag: "Message", group: "g", sender: "red", timestamp: 3, message: "Hello" },
        { _tag: "Message", group: "g", sender: "blue", timestamp: 4, message: "all" }
      ])
      assert.deepStrictEqual(texts(second), ["in a group"])
    }))

  it.live("tells holes, the inboxes of others, other notices and announcements from messages", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const [client, peer] = yield* alice(server)
      const events = yield* during(
        Stream.runCollect(client.sync("g")),
        Effect.gen(function*() {
          yield* peer.line
          yield* peer.says(
            "MSG g system 0 missing: messages up to 7",
            "MSG g system 0 private: g is a user",
            "MSG g system 0 disk full",
            "MSG system system 0 maintenance",
            "MSG other system 0 missing: not asked for",
            "MSG g bob 8 hi",
            "ENDSYNC"
          )
        })
      )
      assert.deepStrictEqual(tags(events), ["Hole", "Private", "Notice", "Announcement", "Message"])
    }))

  it.live("fails with the reason of a DECLINE", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const [client, peer] = yield* alice(server)
      const error = yield* during(
        Effect.flip(Stream.runDrain(client.sync("g"))),
        Effect.andThen(peer.line, peer.says("DECLINE unsupported_command"))
      )
      assert.strictEqual(error._tag, "UnsupportedCommand")
    }))

  it.live("goes on from the last timestamp after a cut at any byte of the answer", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const messages = log("g", "one", "two", "dr\u00e9i", "four")
      const length = Buffer.byteLength(`${messages(0)}ENDSYNC\n`)
      for (let at = 0; at < length; at++) {
        const events = yield* Effect.scoped(Effect.gen(function*() {
          const [client, peer] = yield* alice(server)
          return yield* during(
            Stream.runCollect(client.sync("g")),
            Effect.gen(function*() {
              yield* peer.hears("SYNC g 0")
              yield* peer.writes(Buffer.from(`${messages(0)}ENDSYNC\n`).subarray(0, at))
              yield* peer.ends
              const again = yield* server.login("alice")
              const after = Buffer.from(messages(0)).subarray(0, at).toString().split("\n").length - 1
              yield* again.hears(`SYNC g ${after}`)
              yield* again.writes(`${messages(after)}ENDSYNC\n`)
            })
          )
        }))
        assert.deepStrictEqual(texts(events), ["one", "two", "dr\u00e9i", "four"], `cut at byte ${at}`)
      }
    }))

  it.live("takes names and texts as other servers may have them", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const [client, peer] = yield* alice(server)
      const events = yield* during(
        Stream.runCollect(client.sync("g")),
        Effect.gen(function*() {
          yield* peer.line
          yield* peer.says(
            "MSG g ev\u202eil 1 \u001b[31mred\u0007",
            "MSG g e\u0301 0 no time",
            "MSG g bob 2 ",
            "ENDSYNC"
          )
        })
      )
      assert.deepStrictEqual(texts(events), ["no time", "\u001b[31mred\u0007", ""])
    }))

  it.live("skips what cannot be read, and says so", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const [client, peer] = yield* alice(server)
      const events = yield* during(
        Stream.runCollect(client.sync("g")),
        Effect.gen(function*() {
          yield* peer.line
          yield* peer.writes(Buffer.from("4d5347206720626f622031 ff0a".replace(" ", ""), "hex"))
          yield* peer.says("PING", `MSG g bob 1 ${"x".repeat(70_000)}`, "MSG g bob 2 hi", "ENDSYNC")
        })
      )
      assert.deepStrictEqual(tags(events), ["Unreadable", "Unreadable", "Unreadable", "Message"])
    }))

  it.live("can be left in the middle", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const [client, peer] = yield* alice(server)
      const messages = log("g", ...Array.from({ length: 2000 }, (_, i) => `message ${i}`))(0)
      yield* during(
        Effect.gen(function*() {
          const first = yield* client.sync("g").pipe(Stream.take(1), Stream.runCollect)
          assert.deepStrictEqual(texts(first), ["message 0"])
          yield* client.send("g", "next")
        }),
        Effect.gen(function*() {
          yield* peer.line
          yield* peer.writes(messages)
          // Only after the ENDSYNC it may say something (CPT: "MUST wait for the ENDSYNC message")
          yield* peer.says("ENDSYNC")
          yield* peer.hears("SEND g next")
          yield* peer.says("ACK")
        })
      )
    }))

  it.effect("has its time to restore the connection, and then all that the answer takes", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.inMemory
      const [client, peer] = yield* alice(server)
      const syncing = yield* client.sync("g").pipe(Stream.runCollect, Effect.forkChild)
      yield* peer.hears("SYNC g 0")
      yield* server.refuse
      yield* peer.cuts
      yield* peer.isLeft
      yield* TestClock.adjust("4 seconds")
      yield* server.admit
      const [again] = yield* Effect.all([server.login("alice"), TestClock.adjust("900 millis")], { concurrency: 2 })
      yield* again.hears("SYNC g 0")
      for (let at = 1; at <= 4; at++) {
        yield* TestClock.adjust("4 seconds")
        yield* again.says(`MSG g bob ${at} ${at}`)
      }
      // The next outage comes after progress: it has all the time again
      yield* server.refuse
      yield* again.cuts
      yield* again.isLeft
      yield* TestClock.adjust("4 seconds")
      yield* server.admit
      const [last] = yield* Effect.all([server.login("alice"), TestClock.adjust("900 millis")], { concurrency: 2 })
      yield* last.hears("SYNC g 4")
      yield* last.says("MSG g bob 5 5", "ENDSYNC")
      assert.deepStrictEqual(texts(yield* Fiber.join(syncing)), ["1", "2", "3", "4", "5"])
    }))

  it.effect("gives up where every connection is lost again before it brings anything", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.inMemory
      const [client, peer] = yield* alice(server)
      const syncing = yield* Effect.forkChild(Effect.flip(Stream.runDrain(client.sync("g"))))
      const serving = yield* Effect.forkChild(
        Effect.forever(Effect.flatMap(server.login("alice"), (again) => Effect.andThen(again.line, again.ends)))
      )
      yield* peer.hears("SYNC g 0")
      yield* peer.ends
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* Fiber.join(syncing))._tag, "ConnectionLost")
      yield* Fiber.interrupt(serving)
    }))

  it.effect("does not wait for the rest of an answer for ever", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.inMemory
      const [client, peer] = yield* alice(server)
      const syncing = yield* Effect.forkChild(Effect.flip(Stream.runDrain(client.sync("g"))))
      yield* peer.line
      yield* TestClock.adjust("4 seconds")
      yield* peer.says("MSG g bob 1 one")
      yield* TestClock.adjust("4 seconds")
      yield* peer.says("MSG g bob 2 two")
      yield* TestClock.adjust("5 seconds")
      assert.deepInclude(yield* Fiber.join(syncing), { _tag: "NoAnswer", command: "SYNC" })
    }))

  for (
    const [what, bytes] of [
      ["announcements", "MSG system system 0 hi\n"],
      ["live messages of another group", "MSG h bob 1 hi\n"],
      ["what cannot be read", "PING\n"],
      ["a line that never ends", "MSG g bob 1 "]
    ] as const
  ) {
    it.effect(`does not take ${what} for a part of the answer`, () =>
      Effect.gen(function*() {
        const server = yield* FakeServer.inMemory
        const [client, peer] = yield* alice(server)
        const syncing = yield* Effect.forkChild(Effect.flip(Stream.runDrain(client.sync("g"))))
        yield* peer.line
        for (let second = 1; second <= 4; second++) {
          yield* TestClock.adjust("1 seconds")
          yield* peer.writes(bytes)
        }
        yield* TestClock.adjust("999 millis")
        assert.isUndefined(syncing.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        assert.isDefined(syncing.pollUnsafe())
        assert.deepInclude(yield* Fiber.join(syncing), { _tag: "NoAnswer", command: "SYNC" })
      }))
  }

  it.effect("takes what comes between the parts of an answer, and a long line in parts of its own", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.inMemory
      const [client, peer] = yield* alice(server)
      const syncing = yield* client.sync("g").pipe(
        Stream.filter(isMessage),
        Stream.runCollect,
        Effect.forkChild
      )
      yield* peer.line
      const text = "x".repeat(65_000)
      for (let at = 1; at <= 3; at++) {
        yield* peer.says("MSG system system 0 hi")
        const line = `MSG g bob ${at} ${text}\n`
        for (let from = 0; from < line.length; from += 15_000) {
          yield* TestClock.adjust("900 millis")
          yield* peer.writes(line.slice(from, from + 15_000))
        }
      }
      yield* TestClock.adjust("4900 millis")
      yield* peer.says("ENDSYNC")
      assert.deepStrictEqual(texts(yield* Fiber.join(syncing)), [text, text, text])
    }))

  it.effect("waits for the answer only while it reads: a consumer may take its time, but not make it endless", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.inMemory
      const [client, peer] = yield* alice(server)
      const turn = yield* Latch.make()
      const syncing = yield* client.sync("g").pipe(
        Stream.runForEachArray(() => turn.await),
        Effect.flip,
        Effect.forkChild
      )
      yield* peer.line
      const fill = `MSG system system 0 ${"x".repeat(65_500)}\n` // no room beside it
      yield* peer.says("MSG g bob 1 one")
      yield* TestClock.adjust("1 seconds")
      const pause = Effect.gen(function*() {
        yield* turn.close
        yield* peer.writes(fill)
        yield* peer.writes(fill)
        yield* TestClock.adjust("61 seconds")
      })
      for (let second = 2; second <= 5; second++) {
        yield* pause
        assert.isUndefined(syncing.pollUnsafe())
        yield* turn.open
        yield* TestClock.adjust("1 seconds")
      }
      yield* pause
      yield* turn.open
      assert.deepInclude(yield* Fiber.join(syncing), { _tag: "NoAnswer", command: "SYNC" })
    }))
})

describe("follow", () => {
  it.live("gives what there is, and then what is new, of several groups and the inbox", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const [client, peer] = yield* alice(server)
      const events = yield* during(
        client.follow(["g", { group: "h", after: 4 }, "alice"]).pipe(Stream.take(6), Stream.runCollect),
        Effect.gen(function*() {
          yield* peer.hears("SYNC g 0")
          yield* peer.says("MSG g bob 1 g1", "ENDSYNC")
          yield* peer.hears("SYNC h 4")
          yield* peer.says("MSG h bob 5 h5", "ENDSYNC", "MSG g bob 6 g6")
          yield* peer.hears("SYNC")
          yield* peer.says("MSG alice bob 2 a2", "ENDSYNC")
          yield* peer.says("MSG alice bob 7 a7", "MSG other bob 8 not followed", "MSG h bob 9 h9")
        })
      )
      assert.deepStrictEqual(texts(events), ["g1", "h5", "g6", "a2", "a7", "h9"])
    }))

  it.effect("loses nothing that comes after it has begun, though its start is ahead of the server's clock", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.inMemory
      yield* TestClock.setTime(1_000_000)
      const [client, peer] = yield* alice(server)
      const following = yield* client.follow([{ group: "g", after: 2_000_000, isTime: true }]).pipe(
        Stream.take(4),
        Stream.runCollect,
        Effect.forkChild
      )
      // A minute before now, for clocks that do not agree; what is there, it leaves out
      yield* peer.hears("SYNC g 940000")
      yield* peer.says(
        `MSG g system 0 ${Notice.missing(Timestamp.fromMillis(950_000))}`,
        "MSG g bob 990000 old",
        "ENDSYNC"
      )
      yield* server.refuse
      yield* peer.cuts
      yield* peer.isLeft
      yield* server.admit
      const [again] = yield* Effect.all([server.login("alice"), TestClock.adjust("1 seconds")], { concurrency: 2 })
      yield* again.hears("SYNC g 990000")
      yield* again.says("MSG g bob 995000 new", "ENDSYNC")
      const [passed, ...others] = yield* Fiber.join(following)
      // Where it began, in the server's time
      assert.deepStrictEqual(passed, { _tag: "Passed", group: "g", timestamp: 990_000 })
      assert.deepStrictEqual(tags(others), ["Disconnected", "Reconnected", "Message"])
    }))

  // CPT 6.3: nothing lost, nothing twice
  it.live("reconnects, and goes on from the last timestamp of each group", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const [client, peer] = yield* alice(server)
      const events = yield* during(
        client.follow(["g", "h"]).pipe(
          Stream.takeUntil((event) => isMessage(event) && event.message === "end"),
          Stream.runCollect
        ),
        Effect.gen(function*() {
          yield* peer.hears("SYNC g 0")
          yield* peer.says("MSG g bob 1 g1", "ENDSYNC")
          yield* peer.hears("SYNC h 0")
          yield* peer.says("ENDSYNC", "MSG g bob 2 g2", "MSG h bob 3 h3")
          yield* peer.ends
          const refused = yield* server.accept
          yield* refused.says("DECLINE username_taken")
          const again = yield* server.login("alice")
          yield* again.hears("SYNC g 2")
          yield* again.says("MSG g bob 4 g4", "ENDSYNC")
          yield* again.hears("SYNC h 3")
          yield* again.says("ENDSYNC", "MSG h bob 5 end")
        })
      )
      assert.deepStrictEqual(texts(events), ["g1", "g2", "h3", "g4", "end"])
      assert.deepStrictEqual(
        tags(events).filter((tag) => tag !== "Message"),
        ["Disconnected", "Reconnected"]
      )
    }))

  it.live("goes on after the server says that it is shutting down", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const [client, peer] = yield* alice(server)
      const events = yield* during(
        client.follow(["g"]).pipe(Stream.take(3), Stream.runCollect),
        Effect.gen(function*() {
          yield* peer.line
          yield* peer.says("ENDSYNC", "DECLINE shutting_down")
          const again = yield* server.login("alice")
          yield* again.hears("SYNC g 0")
          yield* again.says("MSG g bob 1 hi", "ENDSYNC")
        })
      )
      assert.deepStrictEqual(events.slice(0, 2), [
        { _tag: "Disconnected", reason: "the server is shutting down" },
        { _tag: "Reconnected" }
      ])
    }))

  it.live("ends with the reason where a group is declined, and says which, though the server closes at once", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      for (const reason of ["forbidden", "not_invited"]) {
        yield* Effect.scoped(Effect.gen(function*() {
          const [client, peer] = yield* alice(server)
          const error = yield* during(
            Effect.flip(Stream.runDrain(client.follow(["g", "h"]))),
            Effect.gen(function*() {
              yield* peer.line
              yield* peer.says("ENDSYNC")
              yield* peer.hears("SYNC h 0")
              yield* peer.says(`DECLINE ${reason}`, "DECLINE shutting_down")
            })
          )
          assert.deepInclude(error, { reason, group: "h" })
        }))
      }
    }))

  it.live("ends with the reason where reconnecting cannot help", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const [client, peer] = yield* alice(server)
      const error = yield* during(
        Effect.flip(Stream.runDrain(client.follow(["g"]))),
        Effect.gen(function*() {
          yield* peer.line
          yield* peer.says("ENDSYNC", "DECLINE account_locked")
          yield* Effect.flatMap(server.accept, (again) => again.says("DECLINE account_locked"))
        })
      )
      assert.strictEqual(error._tag, "AccountLocked")
      assert.notProperty(error, "group")
    }))

  it.live("ends with the reason also where that comes with the ACCEPT", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const [client, peer] = yield* alice(server)
      const error = yield* during(
        Effect.flip(Stream.runDrain(client.follow(["g"]))),
        Effect.gen(function*() {
          yield* peer.line
          yield* peer.ends
          yield* Effect.flatMap(server.accept, (again) => again.says("ACCEPT", "DECLINE account_locked"))
        })
      )
      assert.strictEqual(error._tag, "AccountLocked")
    }))

  // A session follows its inbox from CONNECT on (CPT 5.5), so this happens on servers of ours too
  it.live("sorts out live messages that come before the answer which has them too", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const [client, peer] = yield* alice(server)
      const events = yield* during(
        client.follow(["alice"]).pipe(Stream.take(4), Stream.runCollect),
        Effect.gen(function*() {
          yield* peer.says("MSG alice bob 2 two")
          yield* peer.hears("SYNC")
          yield* peer.says("MSG alice bob 2 two", "MSG alice bob 3 three")
          yield* peer.says("MSG alice bob 1 one", "MSG alice bob 2 two", "MSG alice bob 3 three", "ENDSYNC")
          yield* peer.says("MSG alice bob 4 four")
        })
      )
      assert.deepStrictEqual(texts(events), ["one", "two", "three", "four"])
    }))

  it.live("loses nothing where two messages have one timestamp", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const [client, peer] = yield* alice(server)
      const events = yield* during(
        client.follow(["g"]).pipe(Stream.filter(isMessage), Stream.take(5), Stream.runCollect),
        Effect.gen(function*() {
          yield* peer.hears("SYNC g 0")
          yield* peer.says("MSG g bob 7 one", "MSG g eve 7 one", "ENDSYNC", "MSG g bob 7 two")
          yield* peer.ends
          const again = yield* server.login("alice")
          yield* again.hears("SYNC g 6")
          yield* again.says("MSG g bob 7 one", "MSG g eve 7 one", "MSG g bob 7 two", "MSG g bob 7 three", "ENDSYNC")
          yield* again.says("MSG g bob 8 four")
        })
      )
      assert.deepStrictEqual(texts(events), ["one", "one", "two", "three", "four"])
    }))

  it.effect("asks servers that push nothing, the more often the more there is", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.inMemory
      const [client, peer] = yield* alice(server)
      const following = yield* client.follow(["g"]).pipe(Stream.take(2), Stream.runCollect, Effect.forkChild)
      yield* peer.hears("SYNC g 0")
      yield* peer.says("ENDSYNC")
      yield* TestClock.adjust("10 seconds")
      yield* peer.hears("SYNC g 0")
      yield* peer.says("MSG g bob 5 one", "ENDSYNC")
      yield* TestClock.adjust("1 seconds")
      yield* peer.hears("SYNC g 5")
      yield* peer.says("MSG g bob 6 two", "ENDSYNC")
      assert.deepStrictEqual(texts(yield* Fiber.join(following)), ["one", "two"])
    }))

  it.effect("notices that a connection is dead, though nothing closes it", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.inMemory
      const [client, peer] = yield* alice(server)
      const following = yield* client.follow(["g"]).pipe(Stream.take(3), Stream.runCollect, Effect.forkChild)
      yield* peer.hears("SYNC g 0")
      yield* peer.says("ENDSYNC")
      yield* TestClock.adjust("10 seconds")
      yield* peer.hears("SYNC g 0")
      yield* TestClock.adjust("5 seconds")
      yield* peer.isLeft
      yield* TestClock.adjust("1 seconds")
      const again = yield* server.login("alice")
      yield* again.hears("SYNC g 0")
      yield* again.says("MSG g bob 5 back", "ENDSYNC")
      assert.deepStrictEqual(tags(yield* Fiber.join(following)), ["Disconnected", "Reconnected", "Message"])
    }))

  it.effect("notices that the answer for one group does not come, though another one is busy", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.inMemory
      const [client, peer] = yield* alice(server)
      yield* Effect.forkScoped(Stream.runDrain(client.follow(["a", "b"])))
      yield* peer.hears("SYNC a 0")
      yield* peer.says("ENDSYNC")
      yield* peer.hears("SYNC b 0")
      for (let at = 1; at <= 5; at++) {
        yield* peer.says(`MSG a bob ${at} busy`)
        yield* TestClock.adjust("1 seconds")
      }
      yield* peer.isLeft
      const [again] = yield* Effect.all([server.login("alice"), TestClock.adjust("1 seconds")], { concurrency: 2 })
      yield* again.hears("SYNC a 5")
      yield* again.says("ENDSYNC")
      yield* again.hears("SYNC b 0")
    }))

  it.effect("does not read for a consumer that takes nothing, but hears an ACK behind what is unread", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.inMemory
      const [client, peer] = yield* alice(server)
      const big = (at: number) => `MSG g bob ${at} ${"x".repeat(8000)}\n`
      const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)
      const taken: Array<number> = []
      const hold = yield* Latch.make()
      const following = yield* client.follow(["g"]).pipe(
        Stream.filter(isMessage),
        Stream.take(400),
        Stream.runForEachArray((chunk) => {
          taken.push(...chunk.map(({ timestamp }) => timestamp))
          return hold.await
        }),
        Effect.forkChild
      )
      yield* peer.hears("SYNC g 0")
      yield* peer.says("ENDSYNC")
      for (const at of numbers(1, 301)) yield* peer.writes(big(at))
      yield* TestClock.adjust(0)
      assert.isAbove(yield* server.unread, 250)

      // All of it has to be read to hear the ACK; what there is no room for is asked for again
      yield* during(client.send("g", "hi"), Effect.andThen(peer.hears("SEND g hi"), peer.says("ACK")))
      assert.strictEqual(yield* server.unread, 0)
      yield* hold.open
      const serving = yield* Effect.forkChild(Effect.forever(Effect.gen(function*() {
        const [word, group, after] = (yield* peer.line).split(" ")
        assert.deepStrictEqual([word, group], ["SYNC", "g"])
        for (const at of numbers(Number(after) + 1, 401)) yield* peer.writes(big(at))
        yield* peer.says("ENDSYNC")
      })))
      yield* Fiber.join(following)
      assert.deepStrictEqual(taken, numbers(1, 401))
      yield* Fiber.interrupt(serving)
    }))

  it.effect("keeps for a consumer that takes nothing no more than there is room for, and loses no message", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.inMemory
      const [client, peer] = yield* alice(server)
      const hold = yield* Latch.make()
      const slow = yield* client.follow(["slow"]).pipe(
        Stream.tap(() => hold.await),
        Stream.takeUntil((event) => isMessage(event) && event.message === "three"),
        Stream.runCollect,
        Effect.forkChild
      )
      yield* peer.hears("SYNC slow 0")
      yield* peer.says("MSG slow bob 1 one", "ENDSYNC")
      const taken = new Map<string, number>()
      const quick = yield* client.follow(["quick"]).pipe(
        Stream.takeUntil((event) => isMessage(event)),
        Stream.runForEach(({ _tag }) => Effect.sync(() => taken.set(_tag, (taken.get(_tag) ?? 0) + 1))),
        Effect.forkChild
      )
      yield* peer.hears("SYNC quick 0")
      yield* peer.says("ENDSYNC")
      const long = "x".repeat(60_000)
      for (let i = 0; i < 100; i++) yield* peer.says(`MSG system system 0 ${long}`, `GIBBERISH ${long}`)
      const late = [`MSG slow system 0 ${Notice.missing(Timestamp.fromMillis(2))}`, "MSG slow bob 3 three"]
      yield* peer.says(...late, "MSG quick bob 4 four")
      yield* Fiber.join(quick)
      assert.deepStrictEqual([...taken], [["Announcement", 100], ["Unreadable", 100], ["Message", 1]])

      yield* hold.open
      yield* during(
        Effect.gen(function*() {
          const events = yield* Fiber.join(slow)
          const kept = events.filter(({ _tag }) => _tag === "Announcement" || _tag === "Unreadable")
          assert.isBelow(kept.length, 40) // 1 MiB
          const others = events.filter((event) => !kept.includes(event))
          assert.deepStrictEqual(tags(others), ["Message", "Omitted", "Hole", "Message"])
          assert.deepInclude(others, { _tag: "Omitted", count: 200 - kept.length })
          assert.deepStrictEqual(texts(events), ["one", "three"])
        }),
        Effect.andThen(peer.hears("SYNC slow 1"), peer.says(...late, "ENDSYNC"))
      )
    }))

  it.live("asks again where the SYNC of somebody else on the same connection has left something out", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const [client, peer] = yield* alice(server)
      const events = yield* during(
        Effect.gen(function*() {
          const live = yield* Latch.make()
          const following = yield* client.follow(["g"]).pipe(
            Stream.take(3),
            Stream.tap(() => live.open),
            Stream.runCollect,
            Effect.forkChild
          )
          yield* live.await
          assert.deepStrictEqual(texts(yield* Stream.runCollect(client.sync("g", 5))), ["six"])
          return yield* Fiber.join(following)
        }),
        Effect.gen(function*() {
          yield* peer.hears("SYNC g 0")
          yield* peer.says("MSG g bob 1 one", "ENDSYNC")
          yield* peer.hears("SYNC g 5")
          yield* peer.says("MSG g bob 6 six", "ENDSYNC")
          yield* peer.hears("SYNC g 1")
          yield* peer.says("MSG g bob 5 five", "MSG g bob 6 six", "ENDSYNC")
        })
      )
      assert.deepStrictEqual(texts(events), ["one", "five", "six"])
    }))

  it.live("lets its consumer send, as a bot does", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const [client, peer] = yield* alice(server)
      yield* during(
        client.follow(["g"]).pipe(
          Stream.filter(isMessage),
          Stream.take(2),
          Stream.runForEach(({ message }) => client.send("g", `you said ${message}`))
        ),
        Effect.gen(function*() {
          yield* peer.hears("SYNC g 0")
          yield* peer.says("MSG g bob 1 one", "MSG g bob 2 two", "ENDSYNC")
          for (const text of ["one", "two"]) {
            yield* peer.hears(`SEND g you said ${text}`)
            yield* peer.says("ACK")
          }
        })
      )
    }))
})

describe("a client whose machine is set to another time", () => {
  const hour = 3_600_000

  /** A connection in memory, and how to set the time of day. */
  const onJumpingClock = <A, E>(
    test: (
      client: CptClient["Service"],
      peer: FakeServer.Peer,
      jump: (millis: number) => Effect.Effect<void>
    ) => Effect.Effect<A, E, Scope.Scope>
  ) =>
    Effect.gen(function*() {
      yield* TestClock.setTime(2 * hour)
      const { clock, jump } = yield* jumpingClock
      const server = yield* FakeServer.inMemory
      return yield* Effect.flatMap(alice(server), ([client, peer]) => test(client, peer, jump)).pipe(
        Effect.provideService(Clock.Clock, clock)
      )
    })

  for (const [how, millis] of [["back", -hour], ["forward", hour]] as const) {
    it.effect(`waits for an ACK as long as ever where it is set ${how}`, () =>
      onJumpingClock(Effect.fnUntraced(function*(client, peer, jump) {
        const sending = yield* Effect.forkChild(Effect.flip(client.send("g", "hi")))
        yield* peer.hears("SEND g hi")
        yield* TestClock.adjust("3 seconds")
        yield* jump(millis)
        yield* TestClock.adjust("1 seconds")
        assert.isUndefined(sending.pollUnsafe())
        yield* TestClock.adjust("1 seconds")
        assert.strictEqual(sending.pollUnsafe()?._tag, "Success")
      })))

    it.effect(`takes an answer that goes on where it is set ${how}, and gives up one that does not`, () =>
      onJumpingClock(Effect.fnUntraced(function*(client, peer, jump) {
        const events: Array<Event> = []
        const reading = yield* client.sync("g").pipe(
          Stream.runForEach((event) => Effect.sync(() => events.push(event))),
          Effect.flip,
          Effect.forkChild
        )
        yield* peer.hears("SYNC g 0")
        yield* TestClock.adjust("4 seconds")
        yield* peer.says("MSG g bob 1 one")
        yield* TestClock.adjust(0)
        yield* jump(millis)
        yield* TestClock.adjust("4 seconds")
        yield* peer.says("MSG g bob 2 two")
        yield* TestClock.adjust("4 seconds")
        assert.isUndefined(reading.pollUnsafe())
        yield* TestClock.adjust("1 seconds")
        assert.deepInclude(yield* Fiber.join(reading), { _tag: "NoAnswer", command: "SYNC" })
        assert.deepStrictEqual(texts(events), ["one", "two"])
      })))

    it.effect(`asks as often whether there is something new where it is set ${how}`, () =>
      onJumpingClock(Effect.fnUntraced(function*(client, peer, jump) {
        yield* Effect.forkScoped(Stream.runDrain(client.follow(["g"])))
        yield* peer.hears("SYNC g 0")
        yield* peer.says("ENDSYNC")
        yield* TestClock.adjust("5 seconds")
        yield* peer.says("MSG g bob 1 one")
        yield* TestClock.adjust(0)
        yield* jump(millis)
        yield* TestClock.adjust("5 seconds") // since the ENDSYNC, but not since something was heard
        yield* TestClock.adjust("9 seconds")
        const heard = yield* Effect.forkChild(peer.hears("SYNC g 1"))
        yield* TestClock.adjust(0)
        assert.isUndefined(heard.pollUnsafe())
        yield* TestClock.adjust("1 seconds")
        assert.strictEqual(heard.pollUnsafe()?._tag, "Success")
      })))
  }
})

describe("a client that is closed", () => {
  const why = "the client was closed"

  /** A client that somebody else may close, and the server's end of its connection. */
  const closable = Effect.fnUntraced(function*(server: FakeServer.FakeServer) {
    const scope = yield* Scope.make()
    const [client, peer] = yield* Scope.provide(alice(server), scope)
    return { client, peer, close: Scope.close(scope, Exit.void) }
  })

  const ofSend = (client: CptClient["Service"], message: string) =>
    Effect.forkChild(Effect.flip(client.send("g", message)), { startImmediately: true })

  const ofStream = (stream: Stream.Stream<Event, ClientError.StreamError>) =>
    Effect.forkChild(Effect.flip(Stream.runDrain(stream)), { startImmediately: true })

  it.live("tells of a message that was sent that its outcome is unknown, and of others that they were not sent", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const { client, close, peer } = yield* closable(server)
      const sent = yield* ofSend(client, "1")
      yield* peer.hears("SEND g 1")
      const queued = yield* ofSend(client, "2")
      const waiting = yield* ofStream(client.sync("g"))
      yield* close
      const unknown = yield* Fiber.join(sent)
      assert.strictEqual(unknown._tag, "OutcomeUnknown")
      assert.include(unknown.message, why)
      for (const error of [yield* Fiber.join(queued), yield* Fiber.join(waiting)]) {
        assert.deepInclude(error, { _tag: "ConnectionFailed", message: why })
      }
      for (const later of [yield* ofSend(client, "3"), yield* ofStream(client.sync("g"))]) {
        assert.deepInclude(yield* Fiber.join(later), { _tag: "ConnectionFailed", message: why })
      }
      assert.strictEqual(yield* peer.rest, "")
      assert.strictEqual(yield* server.accepted, 1)
    }))

  it.effect("ends what it follows and reads with an error", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.inMemory
      const { client, close, peer } = yield* closable(server)
      const following = yield* ofStream(client.follow(["g"]))
      yield* peer.hears("SYNC g 0")
      yield* peer.says("ENDSYNC")
      const reading = yield* ofStream(client.sync("h"))
      yield* peer.hears("SYNC h 0")
      yield* peer.says("MSG h bob 5 one")
      yield* close
      for (const ended of [following, reading]) {
        const error = yield* Fiber.join(ended)
        assert.include(["ConnectionFailed", "ConnectionLost"], error._tag)
        assert.strictEqual(error.message, why)
      }
      const later = yield* ofStream(client.follow(["g"]))
      assert.strictEqual((yield* Fiber.join(later)).message, why)
    }))

  it.effect("tells whoever still waits for the login", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.inMemory
      const scope = yield* Scope.make()
      const connecting = yield* Effect.forkChild(
        Effect.flip(Scope.provide(CptClient.connect({ username: "alice", ...server.options }), scope))
      )
      const peer = yield* server.accept
      yield* peer.hears("CONNECT alice")
      yield* Scope.close(scope, Exit.void)
      assert.deepInclude(yield* Fiber.join(connecting), { _tag: "ConnectionFailed", message: why })
    }))

  it.effect("does not go on to restore a connection that was lost before", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.inMemory
      const { client, close, peer } = yield* closable(server)
      const following = yield* ofStream(client.follow(["g"]))
      yield* peer.hears("SYNC g 0")
      yield* peer.says("ENDSYNC")
      const sent = yield* ofSend(client, "1")
      yield* peer.hears("SEND g 1")
      yield* server.refuse
      yield* peer.cuts
      yield* peer.isLeft
      yield* TestClock.adjust("50 millis")
      yield* close
      assert.strictEqual((yield* Fiber.join(sent))._tag, "OutcomeUnknown")
      assert.strictEqual((yield* Fiber.join(following)).message, why)
    }))
})
