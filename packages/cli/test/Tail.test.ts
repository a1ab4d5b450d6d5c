/** `cpt tail`: follows, reconnects, keeps its place. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as FakeServer from "../../client/test/FakeServer.ts"
import * as Cpt from "./support/Cpt.ts"
import { during, folder, start } from "./support/Cpt.ts"
import * as Disk from "./support/Disk.ts"
import { run } from "./support/Here.ts"

const at = (server: FakeServer.OnPort) => ["--server", `127.0.0.1:${server.port}`, "--as", "alice"]

/** What was said, without the times. */
const said = (stdout: string): ReadonlyArray<string> =>
  stdout.trimEnd().split("\n").map((line) => line.replace(/(\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d /, ""))

describe("cpt tail", () => {
  it.live("prints what there is, and each new message as it comes, until it is interrupted", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const tailing = yield* start(["tail", "g", ...at(server)])
      const peer = yield* server.login("alice")
      yield* peer.hears("SYNC g 0")
      yield* peer.says("MSG g bob 1 old", "ENDSYNC")
      assert.deepStrictEqual(said(yield* tailing.line), ["bob: old"])
      for (const text of ["one", "two"]) {
        yield* peer.says(`MSG g bob ${text === "one" ? 2 : 3} ${text}`)
        assert.deepStrictEqual(said(yield* tailing.line), [`bob: ${text}`])
      }
      yield* tailing.signal("SIGINT")
      assert.deepStrictEqual([yield* tailing.status, yield* tailing.note], [130, "(end)"])
    }))

  it.live("says the group where there are several", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const { status, stdout } = yield* during(
        run(["tail", "g", "alice", "g", "--count", "2", ...at(server)]),
        Effect.gen(function*() {
          const peer = yield* server.login("alice")
          yield* peer.hears("SYNC g 0")
          yield* peer.says("MSG g bob 1 to all", "ENDSYNC")
          yield* peer.hears("SYNC")
          yield* peer.says("MSG alice bob 2 to you", "ENDSYNC")
        })
      )
      assert.deepStrictEqual([status, ...said(stdout)], [0, "g bob: to all", "alice bob: to you"])
    }))

  it.live("ends after --count messages, wherever they come from", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const { status, stdout } = yield* during(
        run(["tail", "g", "--count", "3", "--since", "5", "--json", ...at(server)]),
        Effect.gen(function*() {
          const peer = yield* server.login("alice")
          yield* peer.hears("SYNC g 5")
          yield* peer.says("MSG g bob 6 a", "MSG system system 0 hello", "MSG g bob 7 b", "ENDSYNC")
          yield* peer.says("MSG g bob 8 c", "MSG g bob 9 d")
        })
      )
      assert.strictEqual(status, 0)
      assert.deepStrictEqual(stdout.trimEnd().split("\n").map((line) => JSON.parse(line).timestamp), [6, 7, 8])
    }))

  it.live("takes a guest's name, and its own for its inbox", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const names: Array<string> = []
      const env = { CPT_SERVER: `127.0.0.1:${server.port}`, CPT_USERNAME: "alice" }
      for (const groups of [["g"], []]) {
        yield* during(
          run(["tail", ...groups, "--count", "1"], env),
          Effect.gen(function*() {
            const peer = yield* server.accept
            names.push(yield* peer.line)
            yield* peer.says("ACCEPT")
            const sync = yield* peer.line
            yield* peer.says(sync === "SYNC" ? "MSG alice bob 1 hi" : "MSG g bob 1 hi", "ENDSYNC")
          })
        )
      }
      assert.match(names[0] ?? "", /^CONNECT alice-tail-[a-z0-9]{4}$/)
      assert.strictEqual(names[1], "CONNECT alice")
    }))

  it.live("reconnects for ever, says so, and goes on where it was", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const { notes, status, stdout } = yield* during(
        run(["tail", "g", "--count", "3", ...at(server)]),
        Effect.gen(function*() {
          const peer = yield* server.login("alice")
          yield* peer.hears("SYNC g 0")
          yield* peer.says("MSG g bob 1 one", "ENDSYNC", "MSG g bob 2 two", "DECLINE shutting_down")
          for (let i = 0; i < 2; i++) yield* Effect.flatMap(server.accept, (peer) => peer.cuts)
          yield* Effect.flatMap(server.accept, (peer) => peer.says("DECLINE username_taken"))
          const again = yield* server.login("alice")
          yield* again.hears("SYNC g 2")
          yield* again.says("MSG g bob 3 three", "ENDSYNC")
        })
      )
      assert.deepStrictEqual([status, ...said(stdout)], [0, "bob: one", "bob: two", "bob: three"])
      assert.deepStrictEqual(notes, ["connection lost: the server is shutting down; reconnecting", "connected again"])
    }))

  it.live("exits with 3 where reconnecting cannot help", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const { notes, status } = yield* during(
        run(["tail", "g", ...at(server)]),
        Effect.gen(function*() {
          const peer = yield* server.login("alice")
          yield* peer.line
          yield* peer.says("ENDSYNC", "DECLINE account_locked")
          yield* Effect.flatMap(server.accept, (peer) => peer.says("DECLINE account_locked"))
        })
      )
      assert.strictEqual(status, 3)
      assert.match(notes.at(-1) ?? "", /^declined: account_locked: /)
    }))

  it.live("gives a server that is not there --timeout to come, and exits with 4 then", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      yield* server.close
      const { notes, status } = yield* run(["tail", "g", "--timeout", "200ms", ...at(server)])
      assert.deepStrictEqual([status, notes.length], [4, 1])
    }))

  it.live("prints what there is around a hole, and says it at once", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const { notes, status, stdout } = yield* during(
        run(["tail", "g", "--count", "1", ...at(server)]),
        Effect.gen(function*() {
          const peer = yield* server.login("alice")
          yield* peer.line
          yield* peer.says("MSG g system 0 missing: messages up to 7", "MSG g bob 8 here", "ENDSYNC")
        })
      )
      assert.deepStrictEqual([status, ...said(stdout)], [6, "bob: here"])
      assert.deepStrictEqual(notes, ["g: missing: messages up to 7"])
    }))

  it.live("exits with 1 on somebody else's inbox", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const { notes, status } = yield* during(
        run(["tail", "bob", ...at(server)]),
        Effect.gen(function*() {
          const peer = yield* server.login("alice")
          yield* peer.line
          yield* peer.says("MSG bob system 0 private: bob is a user", "ENDSYNC")
        })
      )
      assert.deepStrictEqual([status, notes], [1, ["bob: private: bob is a user"]])
    }))

  it.live("ends quietly when its reader has gone, also while nothing comes", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      // A shell, because only there stdout is a pipe, and not a socket
      const piped = yield* start(["tail", "g", ...at(server)], { shell: "| head -1" })
      const peer = yield* server.login("alice")
      yield* peer.line
      yield* peer.says("MSG g bob 1 one", "ENDSYNC")
      assert.deepStrictEqual(said(yield* piped.line), ["bob: one"])
      if (process.platform !== "linux") yield* peer.says("MSG g bob 2 two")
      assert.deepStrictEqual([yield* piped.status, yield* piped.note], [0, "(end)"])
    }))

  it.live.skipIf(process.platform !== "linux")(
    "ends quietly when there never was a reader, while nothing comes",
    () =>
      Effect.gen(function*() {
        const server = yield* FakeServer.onPort
        const piped = yield* start(["tail", "g", ...at(server)], { shell: "| true" })
        const peer = yield* server.login("alice")
        yield* peer.line
        yield* peer.says("ENDSYNC")
        assert.deepStrictEqual([yield* piped.status, yield* piped.note], [0, "(end)"])
      })
  )

  it.live.skipIf(process.platform !== "linux")(
    "ends quietly when its reader goes while it waits for a server",
    () =>
      Effect.forEach(["true", "sleep 0.5"], (reader) =>
        Effect.scoped(Effect.gen(function*() {
          const server = yield* FakeServer.onPort
          yield* server.close
          const piped = yield* start(["tail", "g", "--timeout", "1h", ...at(server)], { shell: `| ${reader}` })
          assert.deepStrictEqual([yield* piped.status, yield* piped.note], [0, "(end)"])
        })))
  )

  it.live.skipIf(process.platform !== "linux" || process.getuid?.() !== 0)(
    "goes on where its reader cannot be seen, since it is another user's",
    () =>
      Effect.gen(function*() {
        const server = yield* FakeServer.onPort
        const piped = yield* start(["tail", "g", "--count", "1", ...at(server)], {
          shell: "| cat",
          as: "setpriv --reuid 65534 --clear-groups"
        })
        const peer = yield* server.login("alice")
        yield* peer.line
        yield* peer.says("ENDSYNC")
        yield* Effect.sleep("2500 millis") // a reader that can be seen to have gone is missed after one second
        yield* peer.says("MSG g bob 1 one")
        assert.deepStrictEqual(said(yield* piped.line), ["bob: one"])
      })
  )

  it.live("stops reading where nobody reads its output, and can be interrupted even so", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const tailing = yield* start(["tail", "g", ...at(server)])
      const peer = yield* server.login("alice")
      yield* peer.line
      yield* peer.says("ENDSYNC")
      tailing.child.stdout.pause()
      // 60 MB are more than all buffers between here and there hold
      let taken = 0
      yield* Effect.forkScoped(Effect.forEach(
        Array.from({ length: 1000 }, (_, i) => i + 1),
        (i) => Effect.tap(peer.says(`MSG g bob ${i} ${"x".repeat(60_000)}`), () => Effect.sync(() => taken++)),
        { discard: true }
      ))
      for (let before = -1; before !== taken;) {
        before = taken
        yield* Effect.sleep("100 millis")
      }
      assert.isBelow(taken, 1000)
      yield* tailing.signal("SIGTERM")
      assert.strictEqual(yield* tailing.status, 143)
    }))
})

describe("--cursor-file", () => {
  /** Runs until so many messages have come; gives what was asked for. */
  const tailing = (server: FakeServer.OnPort, file: string, count: number, ...more: ReadonlyArray<string>) =>
    Effect.gen(function*() {
      const asked: Array<string> = []
      const result = yield* during(
        run(["tail", "g", "h", "--cursor-file", file, "--count", String(count), ...more, ...at(server)]),
        Effect.gen(function*() {
          const peer = yield* server.login("alice")
          for (const group of ["g", "h"]) {
            const line = yield* peer.line
            asked.push(line)
            const after = Number(line.split(" ")[2])
            const timestamps = [1, 2, 3, 4].filter((at) => at > after)
            yield* peer.says(...timestamps.map((at) => `MSG ${group} bob ${at} ${group}${at}`), "ENDSYNC")
          }
        })
      )
      return { ...result, asked, said: said(result.stdout) }
    })

  it.live("goes on after the last message that was printed, group by group", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const file = join(yield* folder, "place")
      const first = yield* tailing(server, file, 6)
      assert.deepStrictEqual(first.said, ["g1", "g2", "g3", "g4", "h1", "h2"].map((text) => `${text[0]} bob: ${text}`))
      assert.deepStrictEqual(JSON.parse(readFileSync(file, "utf8")), {
        version: 1,
        groups: [{ group: "g", timestamp: 4 }, { group: "h", timestamp: 2 }]
      })
      // What is in the file wins over --since
      const second = yield* tailing(server, file, 2, "--since", "3")
      assert.deepStrictEqual(second.asked, ["SYNC g 4", "SYNC h 2"])
      assert.deepStrictEqual(second.said, ["h bob: h3", "h bob: h4"])
    }))

  it.live("begins with --since where there is no file yet, or an empty one", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const home = yield* folder
      writeFileSync(join(home, "empty"), "")
      for (const name of ["none", "empty"]) {
        const { asked } = yield* tailing(server, join(home, name), 4, "--since", "2")
        assert.deepStrictEqual(asked, ["SYNC g 2", "SYNC h 2"])
      }
      assert.deepStrictEqual(readdirSync(home).toSorted(), ["empty", "none"])
    }))

  it.live("keeps where it began, also where no message came: the next run leaves out nothing", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const file = join(yield* folder, "place")
      const places = (): ReadonlyArray<{ readonly group: string; readonly timestamp: number }> =>
        JSON.parse(readFileSync(file, "utf8")).groups
      const before = Date.now()
      for (
        const [group, since, back] of [["past", "1h", 3_600_000], ["future", "2099-01-01T00:00:00Z", 60_000]] as const
      ) {
        const { status } = yield* during(
          run(["tail", group, "--cursor-file", file, "--since", since, ...at(server)]),
          Effect.gen(function*() {
            const peer = yield* server.login("alice")
            yield* peer.line
            yield* peer.says("ENDSYNC", "DECLINE account_locked")
            yield* Effect.flatMap(server.accept, (again) => again.says("DECLINE account_locked"))
          })
        )
        assert.strictEqual(status, 3)
        const { timestamp = 0 } = places().find((place) => place.group === group) ?? {}
        assert.isAtLeast(timestamp, before - back)
        assert.isAtMost(timestamp, Date.now() - back)
      }
      const [past] = places()
      yield* during(
        run(["tail", "past", "--cursor-file", file, "--since", "0s", "--count", "1", ...at(server)]),
        Effect.gen(function*() {
          const peer = yield* server.login("alice")
          yield* peer.hears(`SYNC past ${past?.timestamp}`)
          yield* peer.says(`MSG past bob ${before} in between`, "ENDSYNC")
        })
      )
      assert.deepInclude(places(), { group: "past", timestamp: before })
    }))

  it.live("keeps a place in the server's time, though this machine's clock is ahead: the next run leaves out nothing", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const file = join(yield* folder, "place")
      const now = Date.now() - 30_000 // of the server
      const between = `MSG g bob ${now + 1} in between`
      for (const since of ["0s", "2099-01-01T00:00:00Z", `${now + 3_600_000}`]) {
        writeFileSync(file, "")
        const first = yield* during(
          run(["tail", "g", "--cursor-file", file, "--since", since, ...at(server)]),
          Effect.gen(function*() {
            const peer = yield* server.login("alice")
            assert.isBelow(Number((yield* peer.line).split(" ")[2]), now)
            yield* peer.says(`MSG g bob ${now - 1} old`, `MSG g bob ${now} there before`, "ENDSYNC")
            yield* peer.says("DECLINE account_locked")
            yield* Effect.flatMap(server.accept, (again) => again.says("DECLINE account_locked"))
          })
        )
        assert.strictEqual(first.stdout, "")
        const second = yield* during(
          run(["tail", "g", "--cursor-file", file, "--count", "1", ...at(server)]),
          Effect.gen(function*() {
            const peer = yield* server.login("alice")
            yield* peer.hears(`SYNC g ${now}`)
            yield* peer.says(between, "ENDSYNC")
          })
        )
        assert.deepStrictEqual(said(second.stdout), ["bob: in between"])
      }
    }))

  it.live("does not begin where there was no connection", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const file = join(yield* folder, "place")
      yield* server.close
      yield* run(["tail", "g", "--cursor-file", file, "--since", "1h", "--timeout", "100ms", ...at(server)])
      assert.deepStrictEqual(JSON.parse(readFileSync(file, "utf8")).groups, [])
    }))

  it.live("moves back to the first message that comes, where the file is ahead of the server's clock", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const file = join(yield* folder, "place")
      writeFileSync(file, JSON.stringify({ version: 1, groups: [{ group: "g", timestamp: 1000 }] }))
      yield* during(
        run(["tail", "g", "--cursor-file", file, "--count", "3", ...at(server)]),
        Effect.gen(function*() {
          const peer = yield* server.login("alice")
          yield* peer.hears("SYNC g 1000")
          yield* peer.says("ENDSYNC", "MSG g bob 0 when?", "MSG g bob 900 first", "MSG g bob 899 late")
        })
      )
      assert.deepStrictEqual(JSON.parse(readFileSync(file, "utf8")).groups, [{ group: "g", timestamp: 900 }])
    }))

  it.live("keeps a link, and replaces what it points to, or puts it there", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const home = yield* folder
      writeFileSync(join(home, "real"), "")
      for (const [link, to] of [["link", "real"], ["dangling", "new"]] as const) {
        symlinkSync(to, join(home, link))
        yield* tailing(server, join(home, link), 8)
        assert.isTrue(lstatSync(join(home, link)).isSymbolicLink())
        assert.include(readFileSync(join(home, to), "utf8"), "\"timestamp\":4")
      }
    }))

  it.live("is written though whoever wrote it before was killed meanwhile", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const home = yield* folder
      mkdirSync(join(home, ".place.lock"))
      yield* tailing(server, join(home, "place"), 8)
      assert.include(readFileSync(join(home, "place"), "utf8"), "\"timestamp\":4")
      assert.deepStrictEqual(readdirSync(home), ["place"])
    }))

  describe.skipIf(Disk.isMissing())("on a disk that does not answer (needs Linux, and cc)", () => {
    /** A process that is in the middle of writing its place. */
    const stuck = Effect.fnUntraced(function*(server: FakeServer.OnPort, home: string) {
      const control = join(yield* folder, "control")
      const process = yield* start(["tail", "g", "--count", "1", "--cursor-file", join(home, "place"), ...at(server)], {
        env: Disk.environment({ directory: home, control })
      })
      const peer = yield* server.login("alice")
      yield* peer.line
      yield* peer.says("ENDSYNC")
      Disk.setFault(control, "held sync")
      const { syncsBegun } = Disk.counts(control)
      yield* peer.says("MSG g bob 5 one")
      while (Disk.counts(control).syncsBegun === syncsBegun) yield* Effect.sleep("5 millis")
      return { process, goesOn: Effect.sync(() => Disk.setFault(control, "none")) }
    })

    const groups = (home: string): unknown => JSON.parse(readFileSync(join(home, "place"), "utf8")).groups

    it.live("leaves nothing behind for ever where it is killed", () =>
      Effect.gen(function*() {
        const server = yield* FakeServer.onPort
        const home = yield* folder
        const { process } = yield* stuck(server, home)
        yield* process.signal("SIGKILL")
        yield* process.status
        yield* tailing(server, join(home, "place"), 8)
        assert.deepStrictEqual(readdirSync(home), ["place"])
      }))

    it.live("is waited for by others, but not for long, and keeps what they have written then", () =>
      Effect.gen(function*() {
        const server = yield* FakeServer.onPort
        const home = yield* folder
        const { goesOn, process } = yield* stuck(server, home)
        yield* during(
          run(["tail", "h", "--count", "1", "--cursor-file", join(home, "place"), ...at(server)]),
          Effect.gen(function*() {
            const peer = yield* server.login("alice")
            yield* peer.line
            yield* peer.says("MSG h bob 7 two", "ENDSYNC")
          })
        )
        assert.deepStrictEqual(groups(home), [{ group: "h", timestamp: 7 }])
        yield* goesOn
        assert.deepStrictEqual([yield* process.status, yield* process.note], [0, "(end)"])
        assert.deepStrictEqual(groups(home), [{ group: "h", timestamp: 7 }, { group: "g", timestamp: 5 }])
        assert.deepStrictEqual(readdirSync(home), ["place"])
      }))
  })

  it.live("keeps the places of others that have the same file", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const file = join(yield* folder, "place")
      writeFileSync(file, JSON.stringify({ version: 1, groups: [{ group: "old", timestamp: 1 }] }))
      const tailing = Effect.fnUntraced(function*(group: string, count: number) {
        const process = yield* start(["tail", group, "--count", `${count}`, "--cursor-file", file, ...at(server)])
        const peer = yield* server.login("alice")
        yield* peer.hears(`SYNC ${group} 0`)
        yield* peer.says("ENDSYNC")
        return { process, peer }
      })
      const g = yield* tailing("g", 2)
      const h = yield* tailing("h", 1)
      yield* g.peer.says("MSG g bob 5 one")
      yield* g.process.line
      yield* h.peer.says("MSG h bob 7 two")
      assert.strictEqual(yield* h.process.status, 0)
      yield* g.peer.says("MSG g bob 8 three")
      assert.strictEqual(yield* g.process.status, 0)
      assert.sameDeepMembers(JSON.parse(readFileSync(file, "utf8")).groups, [
        { group: "old", timestamp: 1 },
        { group: "g", timestamp: 8 },
        { group: "h", timestamp: 7 }
      ])
    }))

  it.live("refuses a file that it cannot use, before anything is printed", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const home = yield* folder
      mkdirSync(join(home, "folder"))
      for (
        const [name, content, message] of [
          ["damaged", "{\"version\":1,\"gro", /is damaged, or is none: remove it/],
          ["other", "[1, 2]", /is damaged, or is none/],
          ["future", "{\"version\":2,\"groups\":[]}", /is damaged, or is none/],
          ["negative", "{\"version\":1,\"groups\":[{\"group\":\"g\",\"timestamp\":-1}]}", /is damaged, or is none/],
          ["folder", undefined, /no ordinary file/],
          [join("none", "place"), undefined, /there is no such file or directory/]
        ] as const
      ) {
        const file = join(home, name)
        if (content !== undefined) writeFileSync(file, content)
        const { notes, status, stdout } = yield* run(["tail", "g", "--cursor-file", file, ...at(server)])
        assert.deepStrictEqual([status, stdout, notes.length], [2, "", 1], name)
        assert.match(notes[0] ?? "", message)
        if (content !== undefined) assert.strictEqual(readFileSync(file, "utf8"), content)
      }
      assert.isFalse(existsSync(join(home, "none")))
      assert.strictEqual(yield* server.accepted, 0)
    }))

  it.live.skipIf(Disk.isMissing())("is no usage error where its disk is full", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const directory = yield* folder
      const control = join(yield* folder, "control")
      Disk.setFault(control, "full")
      const { status, stderr } = yield* Cpt.run(
        ["tail", "g", "--cursor-file", join(directory, "place"), ...at(server)],
        {
          env: Disk.environment({ directory, control })
        }
      )
      assert.strictEqual(status, 1)
      assert.match(stderr, /^cpt: cannot write the cursor file .*place: no space left on device\n$/)
      assert.deepStrictEqual(readdirSync(directory), [])
    }))

  it.live("is not ahead of stdout", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const file = join(yield* folder, "place")
      const piped = yield* start(["tail", "g", "--cursor-file", file, ...at(server)])
      const peer = yield* server.login("alice")
      yield* peer.line
      piped.child.stdout.destroy()
      yield* peer.says("MSG g bob 1 lost", "ENDSYNC")
      assert.strictEqual(yield* piped.status, 0)
      assert.deepStrictEqual(JSON.parse(readFileSync(file, "utf8")).groups, [])
    }))

  it.live("is not ahead of a file that takes only the beginning of a message", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const home = yield* folder
      const file = join(home, "place")
      const { status, stderr } = yield* during(
        Cpt.run(["tail", "g", "--cursor-file", file, "--count", "1", ...at(server)], {
          as: "ulimit -f 4;",
          shell: `>${join(home, "out")}`
        }),
        Effect.gen(function*() {
          const peer = yield* server.login("alice")
          yield* peer.line
          yield* peer.says(`MSG g bob 1 ${"x".repeat(5000)}`, "ENDSYNC")
        })
      )
      assert.strictEqual(readFileSync(join(home, "out")).length, 4096)
      assert.deepStrictEqual([status, stderr], [1, "cpt: cannot write to stdout: file too large\n"])
      assert.deepStrictEqual(JSON.parse(readFileSync(file, "utf8")).groups, [])
    }))
})
