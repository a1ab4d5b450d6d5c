/** `cpt send` as a process, against a server of a script; and what scripts rely on (docs/cli.md). */
import { Decline } from "@cpt/schema"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as FakeServer from "../../client/test/FakeServer.ts"
import { during, run, start } from "./support/Cpt.ts"
import * as Here from "./support/Here.ts"

const at = (server: FakeServer.OnPort) => ["--server", `127.0.0.1:${server.port}`, "--as", "alice"]

const acks = (peer: FakeServer.Peer, ...lines: ReadonlyArray<string>) =>
  Effect.forEach(lines, (line) => Effect.andThen(peer.hears(line), peer.says("ACK")))

const success = { status: 0, stdout: "", stderr: "" }

describe("cpt send TARGET MESSAGE", () => {
  it.live("exits with 0 once the message is acknowledged, and does not touch stdin", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const sending = yield* start(["send", "group1", "Hello, all", ...at(server)])
      const peer = yield* server.login("alice")
      yield* peer.hears("SEND group1 Hello, all")
      yield* peer.says("ACK")
      // stdin is still open here
      assert.strictEqual(yield* sending.status, 0)
    }))

  it.live("goes on to send when nobody reads any more what --json tells of it", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const lines = Array.from({ length: 200 }, (_, index) => `${index}`)
      const stdin = lines.map((line) => `${line}\n`).join("")
      const result = yield* during(
        run(["send", "g", "--json", ...at(server)], { stdin, shell: "| head -1" }),
        Effect.flatMap(server.login("alice"), (peer) => acks(peer, ...lines.map((line) => `SEND g ${line}`)))
      )
      assert.deepStrictEqual(result, { ...success, stdout: `{"target":"g","message":"0"}\n` })
    }))

  it.live.skipIf(process.platform !== "linux")(
    "refuses a message that is not UTF-8, and sends a U+FFFD that is one",
    () =>
      Effect.gen(function*() {
        const server = yield* FakeServer.onPort
        const refused = yield* run(["send", "g", ...at(server)], { shell: "$'a\\xffb'" })
        assert.deepStrictEqual(refused, { status: 2, stdout: "", stderr: "cpt: \"a\ufffdb\" is not valid UTF-8\n" })
        assert.strictEqual(yield* server.accepted, 0)
        const result = yield* during(
          run(["send", "g", "a\ufffdb", ...at(server)]),
          Effect.flatMap(server.login("alice"), (peer) => acks(peer, "SEND g a\ufffdb"))
        )
        assert.deepStrictEqual(result, success)
      })
  )

  it.live("takes a message that looks like a flag behind --", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const result = yield* during(
        run(["send", ...at(server), "g", "--", "--json"]),
        Effect.flatMap(server.login("alice"), (peer) => acks(peer, "SEND g --json"))
      )
      assert.deepStrictEqual(result, success)
    }))

  it.live("does not take the message for the value of a flag", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const result = yield* during(
        run(["send", ...at(server), "g", "--tls=false", "yes"]),
        Effect.flatMap(server.login("alice"), (peer) => acks(peer, "SEND g yes"))
      )
      assert.deepStrictEqual(result, success)
    }))

  it.live("exits with 3 on a DECLINE, with the reason and what it means", () =>
    Effect.forEach(
      [
        ...Decline.knownReasons.map((reason) => [reason, reason] as const),
        ["not_today", "not_today"],
        ["not today, sorry", "not today, sorry"],
        ["\u007f\u009b31m", "\"\\\\u007f\\\\u009b31m\""]
      ] as const,
      ([reason, shown]) =>
        Effect.scoped(Effect.gen(function*() {
          const server = yield* FakeServer.onPort
          const { notes, status } = yield* during(
            Here.run(["send", "g", "hi", ...at(server), "--timeout", "500ms"]),
            Effect.gen(function*() {
              const peer = yield* server.login("alice")
              yield* peer.hears("SEND g hi")
              yield* server.close
              yield* peer.says(`DECLINE ${reason}`)
            })
          )
          assert.strictEqual(status, 3, reason)
          assert.match(notes.join("\n"), new RegExp(`^declined: ${shown}: .+$`))
        })),
      { concurrency: 4 }
    ))

  it.live("waits for its name, which another command may soon be done with, and for a server that is restarted", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const result = yield* during(
        run(["send", "g", "hi", ...at(server)]),
        Effect.gen(function*() {
          for (const reason of ["username_taken", "username_taken", "shutting_down"]) {
            const peer = yield* server.accept
            yield* peer.hears("CONNECT alice")
            yield* peer.says(`DECLINE ${reason}`)
          }
          yield* acks(yield* server.login("alice"), "SEND g hi")
        })
      )
      assert.deepStrictEqual(result, success)
    }))

  it.live("waits for a server that is restarted while it logs in, though nothing listens meanwhile", () =>
    Effect.forEach(
      [(peer: FakeServer.Peer) => peer.says("DECLINE shutting_down"), (peer: FakeServer.Peer) => peer.ends],
      (leave) =>
        Effect.scoped(Effect.gen(function*() {
          const server = yield* FakeServer.onPort
          const { notes, status } = yield* during(
            Here.run(["send", "g", "hi", ...at(server)]),
            Effect.gen(function*() {
              const peer = yield* server.accept
              yield* peer.hears("CONNECT alice")
              yield* server.close
              yield* leave(peer)
              yield* peer.isLeft
              yield* Effect.sleep("300 millis") // it is refused now, which nobody here can hear
              yield* server.listen
              yield* acks(yield* server.login("alice"), "SEND g hi")
            })
          )
          assert.deepStrictEqual([status, ...notes], [0])
        }))
    ))

  it.live("says what to do where the name stays taken", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const refusing = Effect.forever(Effect.flatMap(server.accept, (peer) => peer.says("DECLINE username_taken")))
      const { status, stderr } = yield* Effect.raceFirst(
        run(["send", "g", "hi", ...at(server), "--timeout", "300ms"]),
        refusing
      )
      assert.strictEqual(status, 3)
      assert.match(stderr, /^cpt: declined: username_taken: .*"alice".*--as\n$/)
    }))

  it.live("exits with 4 where nothing listens, or nothing answers", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const mute = yield* run(["send", "g", "hi", ...at(server), "--timeout", "100ms"])
      yield* server.close
      const none = yield* run(["send", "g", "hi", ...at(server)])
      assert.deepStrictEqual([mute.status, none.status], [4, 4])
      assert.match(
        mute.stderr,
        /^cpt: 127\.0\.0\.1:\d+: the server did not answer CONNECT within 100ms; .*--timeout\n$/
      )
      assert.match(none.stderr, /^cpt: no connection to 127\.0\.0\.1:\d+: connection refused; .*--server\n$/)
    }))

  it.live("says the message again after a lost connection, once", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const result = yield* during(
        run(["send", "g", "hi", ...at(server)]),
        Effect.gen(function*() {
          const peer = yield* server.login("alice")
          yield* peer.hears("SEND g hi")
          yield* peer.cuts
          yield* acks(yield* server.login("alice"), "SEND g hi")
        })
      )
      assert.deepStrictEqual(result, success)
    }))

  it.live("exits with 5 where it cannot know whether the message was stored", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const { status, stderr } = yield* during(
        run(["send", "g", "hi", ...at(server), "--timeout", "300ms"]),
        Effect.gen(function*() {
          const peer = yield* server.login("alice")
          yield* peer.hears("SEND g hi")
          yield* server.close
          yield* peer.ends
        })
      )
      assert.strictEqual(status, 5)
      assert.match(stderr, /^cpt: the message was sent, but whether it was stored is not known: .*\n$/)
    }))

  it.live("exits with 5 where a server that has crashed may have taken a line for the equal one before it", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const { status, stderr } = yield* during(
        run(["send", "g", ...at(server)], { stdin: "ok\nok\n" }),
        Effect.gen(function*() {
          const peer = yield* server.login("alice")
          yield* acks(peer, "SEND g ok")
          yield* peer.hears("SYNC alice 999999999999999")
          yield* peer.says("ENDSYNC")
          yield* peer.hears("SEND g ok")
          yield* peer.cuts
          yield* acks(yield* server.login("alice"), "SEND g ok")
        })
      )
      assert.strictEqual(status, 5)
      assert.match(stderr, /^cpt: .*an equal message .*\n$/)
    }))

  for (const [signal, status] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
    it.live(`exits with ${status} on ${signal}, also while it waits`, () =>
      Effect.gen(function*() {
        const server = yield* FakeServer.onPort
        const sending = yield* start(["send", "g", "hi", ...at(server)])
        const peer = yield* server.login("alice")
        yield* peer.hears("SEND g hi")
        yield* sending.signal(signal)
        assert.strictEqual(yield* sending.status, status)
        assert.strictEqual(yield* sending.note, "(end)")
      }))
  }
})

describe("cpt send TARGET", () => {
  it.live("sends each line of stdin, in order, over one connection", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const result = yield* during(
        run(["send", "g", ...at(server)], { stdin: "one\r\n\n\r\n  two \ndr\u00e9i\nlast" }),
        Effect.flatMap(server.login("alice"), (peer) =>
          acks(peer, "SEND g one", "SEND g   two ", "SEND g dr\u00e9i", "SEND g last"))
      )
      assert.deepStrictEqual(result, success)
    }))

  it.live("sends a line when it comes, not when all have come", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const sending = yield* start(["send", "g", ...at(server)])
      const peer = yield* server.login("alice")
      yield* sending.writes("one\nt")
      yield* acks(peer, "SEND g one")
      yield* sending.writes("wo\n")
      yield* acks(peer, "SEND g two")
      sending.child.stdin.end()
      assert.strictEqual(yield* sending.status, 0)
    }))

  it.live("is done when there is nothing to say", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const result = yield* during(run(["send", "g", ...at(server)], { stdin: "" }), server.login("alice"))
      assert.deepStrictEqual(result, success)
    }))

  it.live("says why it cannot read stdin", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const fails = (why: string) => ({ status: 1, stdout: "", stderr: `cpt: cannot read stdin: ${why}\n` })
      const ofFolder = yield* run(["send", "g", ...at(server)], { shell: "</" })
      assert.deepStrictEqual(ofFolder, fails("it is a directory"))
      assert.strictEqual(yield* server.accepted, 0)
      const forWriting = run(["send", "g", ...at(server)], { shell: "0>/dev/null" })
      assert.deepStrictEqual(yield* during(forWriting, server.login("alice")), fails("it is not open for that"))
    }))

  it.live("ends at the first line that the server declines, and names it", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const { status, stderr } = yield* during(
        run(["send", "g", ...at(server)], { stdin: "one\n\nthree\nfour\n" }),
        Effect.gen(function*() {
          const peer = yield* server.login("alice")
          yield* acks(peer, "SEND g one")
          yield* peer.hears("SEND g three")
          yield* peer.says("DECLINE line_too_long")
          assert.strictEqual(yield* peer.rest, "")
        })
      )
      assert.strictEqual(status, 3)
      assert.match(stderr, /^cpt: line 3: declined: line_too_long: .*\n$/)
    }))

  it.live("ends at the first line that is no message, and names it", () =>
    Effect.forEach(
      [
        ["one\ntwo\u0007\nthree\n", /^cpt: line 2: .*control characters.*\n$/],
        [Buffer.from("6f6e650a74ff0a74680a", "hex"), /^cpt: line 2: .*UTF-8\n$/],
        [`one\n${"\u00e9".repeat(32_769)}\nthree\n`, /^cpt: line 2: it is longer than 65536 bytes\n$/]
      ] as const,
      ([stdin, message]) =>
        Effect.scoped(Effect.gen(function*() {
          const server = yield* FakeServer.onPort
          const { status, stderr } = yield* during(
            run(["send", "g", ...at(server)], { stdin }),
            Effect.gen(function*() {
              const peer = yield* server.login("alice")
              yield* acks(peer, "SEND g one")
              assert.strictEqual(yield* peer.rest, "")
            })
          )
          assert.strictEqual(status, 2)
          assert.match(stderr, message)
        }))
    ))
})
