/** `cpt sync`, and how messages look. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import * as FakeServer from "../../client/test/FakeServer.ts"
import * as Cpt from "./support/Cpt.ts"
import { during, folder } from "./support/Cpt.ts"
import { run } from "./support/Here.ts"

const at = (server: FakeServer.OnPort) => ["--server", `127.0.0.1:${server.port}`]

/** A server that answers one SYNC. */
const answering = (server: FakeServer.FakeServer, command: string | RegExp, ...lines: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const peer = yield* server.accept
    const connect = yield* peer.line
    yield* peer.says("ACCEPT")
    assert.match(yield* peer.line, typeof command === "string" ? new RegExp(`^${command}$`) : command)
    yield* peer.says(...lines, "ENDSYNC")
    return connect.replace("CONNECT ", "")
  })

const day = Date.parse("2026-11-23T10:00:00.123Z")

describe("cpt sync", () => {
  it.live("prints what a group holds: time, sender, message", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const result = yield* during(
        Cpt.run(["sync", "g", ...at(server)]),
        answering(
          server,
          "SYNC g 0",
          `MSG g bob ${day} Hello, all`,
          `MSG g eve ${day + 1000} two:  spaces`,
          "MSG g old 0 when?"
        )
      )
      assert.deepStrictEqual(result, {
        status: 0,
        stderr: "",
        stdout: "--:--:-- old: when?\n2026-11-23 10:00:00 bob: Hello, all\n2026-11-23 10:00:01 eve: two:  spaces\n"
          .replaceAll(`${new Date().toISOString().slice(0, 10)} `, "")
      })
    }))

  it.live("prints JSON with --json: one object a line, everything in it safe", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const { status, stdout } = yield* during(
        run(["sync", "g", "--json", ...at(server)]),
        answering(
          server,
          "SYNC g 0",
          `MSG g bob ${day} "quoted" \\ dr\u00e9i`,
          `MSG g ev\u202eil ${day + 1} \u001b[31mred\u0007\u009b\u200b\u2028`,
          "MSG g old 0 when?"
        )
      )
      assert.strictEqual(status, 0)
      assert.match(stdout, /^[\n\u0020-\u007e\u00e9]*$/)
      assert.include(stdout, "\\u001b[31mred\\u0007\\u009b\\u200b\\u2028")
      assert.deepStrictEqual(stdout.trimEnd().split("\n").map((line) => JSON.parse(line)), [
        { group: "g", sender: "old", message: "when?", timestamp: 0, time: null },
        {
          group: "g",
          sender: "bob",
          message: "\"quoted\" \\ dr\u00e9i",
          timestamp: day,
          time: "2026-11-23T10:00:00.123Z"
        },
        {
          group: "g",
          sender: "ev\u202eil",
          message: "\u001b[31mred\u0007\u009b\u200b\u2028",
          timestamp: day + 1,
          time: "2026-11-23T10:00:00.124Z"
        }
      ])
    }))

  it.live("makes visible what would steer a terminal or deceive a reader", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const { stdout } = yield* during(
        run(["sync", "g", ...at(server)]),
        answering(
          server,
          "SYNC g 0",
          "MSG g ev\u202eil 1 \u001b[2J\ttab \u0000\u007f\u009b \u2066x\u2069 z\u200bw",
          "MSG g bob 2 \u{1f468}\u200d\u{1f469}\u200d\u{1f467} \u2764\ufe0f"
        )
      )
      const [first = "", second = ""] = stdout.split("\n")
      assert.isTrue(
        first.endsWith(" ev\\u{202e}il: \\u{1b}[2J\\ttab \\u{00}\\u{7f}\\u{9b} \\u{2066}x\\u{2069} z\\u{200b}w")
      )
      assert.isTrue(second.endsWith(" bob: \u{1f468}\u200d\u{1f469}\u200d\u{1f467} \u2764\ufe0f"))
    }))

  it.live("asks for what is newer than --since", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      for (
        const [since, after] of [
          ["all", "0"],
          ["1700000000000", "1700000000000"],
          ["2026-11-23T10:00:00.123Z", String(day)],
          ["2026-11-23T11:00:00.123+01:00", String(day)],
          ["2026-11-23t10:00:00z", String(day - 123)],
          ["2016-12-31T23:59:60Z", "1483228800000"]
        ] as const
      ) {
        yield* during(run(["sync", "g", "--since", since, ...at(server)]), answering(server, `SYNC g ${after}`))
      }
      const before = Date.now()
      const ask = (since: string) =>
        Effect.gen(function*() {
          let after = 0
          yield* during(
            run(["sync", "g", "--since", since, ...at(server)]),
            Effect.gen(function*() {
              const peer = yield* server.accept
              yield* peer.says("ACCEPT")
              yield* peer.line
              after = Number((yield* peer.line).split(" ")[2])
              yield* peer.says("ENDSYNC")
            })
          )
          return after
        })
      for (const [since, millis] of [["10m", 600_000], ["2h30m", 9_000_000], ["1d", 86_400_000]] as const) {
        const after = yield* ask(since)
        assert.isAtLeast(after, before - millis)
        assert.isAtMost(after, Date.now() - millis)
      }
    }))

  it.live("takes a guest's name, and its own for its inbox", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const env = { CPT_SERVER: `127.0.0.1:${server.port}`, CPT_USERNAME: "alice" }
      const name = (args: ReadonlyArray<string>, command: string, more: Readonly<Record<string, string>> = {}) =>
        Effect.gen(function*() {
          let name = ""
          yield* during(
            run(args, { ...env, ...more }),
            Effect.map(answering(server, command), (given) => {
              name = given
            })
          )
          return name
        })
      assert.match(yield* name(["sync", "g"], "SYNC g 0"), /^alice-sync-[a-z0-9]{4}$/)
      assert.strictEqual(yield* name(["sync", "g", "--as", "bob"], "SYNC g 0"), "bob")
      assert.strictEqual(yield* name(["sync"], "SYNC"), "alice")
      assert.strictEqual(yield* name(["sync", "--since", "5"], "SYNC alice 5"), "alice")
      assert.strictEqual(yield* name(["sync", "alice"], "SYNC"), "alice")
      // As much of a long name as there is room for
      const guest = yield* name(["sync", "g"], "SYNC g 0", { CPT_USERNAME: "\u00e9".repeat(32) })
      assert.match(guest, /^\u00e9{27}-sync-[a-z0-9]{4}$/)
    }))

  it.live("takes another guest's name where that one is taken", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const names: Array<string> = []
      const { status } = yield* during(
        run(["sync", "g", ...at(server)]),
        Effect.gen(function*() {
          const refused = yield* server.accept
          names.push(yield* refused.line)
          yield* refused.says("DECLINE username_taken")
          names.push(`CONNECT ${yield* answering(server, "SYNC g 0")}`)
        })
      )
      assert.strictEqual(status, 0)
      assert.notStrictEqual(names[0], names[1])
    }))

  it.live("exits with 6 on a hole, after it has printed what there is", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const { notes, status, stdout } = yield* during(
        run(["sync", "g", ...at(server)]),
        answering(server, "SYNC g 0", "MSG g system 0 missing: messages up to 7 are gone", "MSG g bob 8 still here")
      )
      assert.strictEqual(status, 6)
      assert.match(stdout, /bob: still here\n$/)
      assert.deepStrictEqual(notes, ["g: missing: messages up to 7 are gone"])
    }))

  it.live("exits with 1 on somebody else's inbox, and on what else a server has to say", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      for (const text of ["private: bob is a user", "the disk is full \u001b[2J"]) {
        const { notes, status, stdout } = yield* during(
          run(["sync", "bob", ...at(server)]),
          answering(server, "SYNC bob 0", `MSG bob system 0 ${text}`)
        )
        assert.deepStrictEqual([status, stdout], [1, ""])
        assert.deepStrictEqual(notes, [`bob: ${text.replace("\u001b", "\\u{1b}")}`])
      }
    }))

  it.live("exits with 1 where a line of the answer cannot be read, and prints the others", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      for (
        const [bytes, why] of [
          [Buffer.from("MSG g bob 1 \u00ff\n", "latin1"), "a line that is not UTF-8"],
          [Buffer.from(`MSG g bob 1 ${"y".repeat(65_536)}\n`), "a line that is too long"]
        ] as const
      ) {
        const { notes, status, stdout } = yield* during(
          run(["sync", "g", ...at(server)]),
          Effect.gen(function*() {
            const peer = yield* server.accept
            yield* peer.says("ACCEPT")
            yield* peer.line
            yield* peer.line
            yield* peer.writes(bytes)
            yield* peer.says("MSG g system 0 missing: messages up to 0 are gone", "MSG g bob 2 two", "ENDSYNC")
          })
        )
        assert.strictEqual(status, 1)
        assert.match(stdout, /bob: two\n$/)
        assert.include(notes, `the server said ${why}, which was skipped`)
      }
    }))

  it.live("prints announcements to people", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const { notes, status, stdout } = yield* during(
        run(["sync", "g", ...at(server)]),
        answering(server, "SYNC g 0", "MSG system system 0 maintenance at noon")
      )
      assert.deepStrictEqual({ notes, status, stdout }, {
        status: 0,
        stdout: "",
        notes: ["announcement: maintenance at noon"]
      })
    }))

  it.live("exits with 3 where the server declines", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const { notes, status } = yield* during(
        run(["sync", "g", "--as", "alice", ...at(server)]),
        Effect.gen(function*() {
          const peer = yield* server.login("alice")
          yield* peer.line
          yield* peer.says("DECLINE forbidden")
        })
      )
      assert.deepStrictEqual([status, notes], [3, [
        "declined: forbidden: g: this is not allowed here; ask who runs it"
      ]])
    }))

  it.live("says that a guest is not allowed in, or to read a group, and who else could be", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      for (const isIn of [false, true]) {
        let guest = ""
        const { notes, status } = yield* during(
          run(["sync", "g", ...at(server)], { CPT_USERNAME: "alice" }),
          Effect.gen(function*() {
            const peer = yield* server.accept
            guest = (yield* peer.line).replace("CONNECT ", "")
            if (isIn) {
              yield* peer.says("ACCEPT")
              yield* peer.hears("SYNC g 0")
            }
            yield* peer.says("DECLINE forbidden")
          })
        )
        const what = `${isIn ? "g: " : ""}this is not allowed here to the guest "${guest}"`
        assert.match(guest, /^alice-sync-/)
        assert.deepStrictEqual([status, notes], [3, [
          `declined: forbidden: ${what}; say who you are with --as alice, or ask who runs it`
        ]])
      }
    }))

  it.live("says which name is taken where each of a guest is", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const refusing = Effect.forever(Effect.flatMap(server.accept, (peer) => peer.says("DECLINE username_taken")))
      const { notes, status } = yield* Effect.raceFirst(
        run(["sync", "g", "--timeout", "300ms", ...at(server)], { CPT_USERNAME: "alice" }),
        refusing
      )
      assert.strictEqual(status, 3)
      assert.match(notes.join(), /^declined: username_taken: .* name "alice-sync-[a-z0-9]{4}"; take another with --as$/)
    }))

  it.live("has --timeout to restore a lost connection, and then all that the rest of the answer takes", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const texts = Array.from({ length: 10 }, (_, i) => `message ${i + 1}`)
      const { status, stdout } = yield* during(
        run(["sync", "g", "--as", "alice", "--timeout", "300ms", ...at(server)]),
        Effect.gen(function*() {
          const peer = yield* server.login("alice")
          yield* peer.hears("SYNC g 0")
          yield* peer.cuts
          yield* Effect.flatMap(server.accept, (refused) => refused.cuts)
          const again = yield* server.login("alice")
          yield* again.hears("SYNC g 0")
          for (const [i, text] of texts.entries()) {
            yield* Effect.sleep("100 millis")
            yield* again.says(`MSG g bob ${i + 1} ${text}`)
          }
          yield* again.says("ENDSYNC")
        })
      )
      assert.strictEqual(status, 0)
      assert.deepStrictEqual(stdout.match(/message \d+/g), texts)
    }))

  it.live("exits with 4 where the answer does not come, whatever else does", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const result = yield* during(
        Cpt.run(["sync", "g", "--as", "alice", "--timeout", "300ms", ...at(server)]),
        Effect.gen(function*() {
          const peer = yield* server.login("alice")
          yield* peer.hears("SYNC g 0")
          const chatter = Effect.delay(peer.says("MSG system system 0 hi", "MSG h bob 1 hi"), "20 millis")
          yield* Effect.raceFirst(Effect.forever(chatter), peer.isLeft)
        })
      )
      assert.strictEqual(result.status, 4)
      assert.match(result.stderr, /^cpt: .*: the server did not answer SYNC within 300ms; .*--timeout\n$/m)
    }))

  it.live("goes on where it was after a lost connection, and exits with 4 where there is none any more", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const args = ["sync", "g", "--as", "alice", "--timeout", "300ms", ...at(server)]
      const { status, stdout } = yield* during(
        run(args),
        Effect.gen(function*() {
          const peer = yield* server.login("alice")
          yield* peer.hears("SYNC g 0")
          yield* peer.says("MSG g bob 1 one")
          yield* peer.cuts
          const again = yield* server.login("alice")
          const after = yield* again.line
          yield* again.says(...(after === "SYNC g 0" ? ["MSG g bob 1 one"] : []), "MSG g bob 2 two", "ENDSYNC")
        })
      )
      assert.strictEqual(status, 0)
      assert.deepStrictEqual(stdout.match(/: (.*)/g), [": one", ": two"])
      const lost = yield* during(
        run(args),
        Effect.gen(function*() {
          const peer = yield* server.login("alice")
          yield* peer.hears("SYNC g 0")
          yield* server.close
          yield* peer.ends
        })
      )
      assert.strictEqual(lost.status, 4)
    }))

  it.live("ends quietly when nobody reads its output any more", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const syncing = yield* Cpt.start(["sync", "g", ...at(server)])
      const peer = yield* server.accept
      yield* peer.says("ACCEPT")
      syncing.child.stdout.destroy()
      yield* Effect.promise(() => once(syncing.child.stdout, "close"))
      yield* peer.line
      yield* peer.line
      yield* peer.says("MSG g bob 1 one", "ENDSYNC")
      assert.deepStrictEqual([yield* syncing.status, yield* syncing.note], [0, "(end)"])
    }))

  it.live("fails where its output is a file for which there is no room, though it takes the beginning", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const file = join(yield* folder, "out")
      const { status, stderr } = yield* during(
        Cpt.run(["sync", "g", ...at(server)], { as: "ulimit -f 4;", shell: `>${file}` }),
        answering(server, "SYNC g 0", `MSG g bob ${day} ${"x".repeat(5000)}`)
      )
      assert.strictEqual(readFileSync(file).length, 4096)
      assert.deepStrictEqual([status, stderr], [1, "cpt: cannot write to stdout: file too large\n"])
    }))
})
