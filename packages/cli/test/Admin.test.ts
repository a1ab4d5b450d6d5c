/** The administration of a running server: `cpt serve` and `cpt admin` as processes, over a real socket. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { existsSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as Cpt from "./support/Cpt.ts"

/** A server that listens; gives its port. */
const serving = Effect.fnUntraced(function*(args: ReadonlyArray<string>, env: Record<string, string> = {}) {
  const server = yield* Cpt.start(["serve", "--port", "0", ...args], { env })
  const port = Number(/:(\d+);/.exec(yield* server.line)?.[1])
  return { ...server, port }
})

describe("cpt admin", () => {
  it.live("announces to everybody who is logged in, in the server's own name", () =>
    Effect.gen(function*() {
      const data = yield* Cpt.folder
      const { port } = yield* serving(["--data", data])
      const nobody = yield* Cpt.run(["admin", "announce", "--data", data, "Anybody here?"])
      assert.deepStrictEqual(nobody, { status: 0, stdout: "", stderr: "cpt: 0 sessions told\n" })
      const ann = yield* Cpt.connected(port)
      ann.write("CONNECT ann\n")
      assert.strictEqual(yield* ann.line, "ACCEPT")
      const somebody = yield* Cpt.run(["admin", "announce", "Back in five minutes"], { env: { CPT_DATA: data } })
      assert.deepStrictEqual(somebody, { status: 0, stdout: "", stderr: "cpt: 1 session told\n" })
      assert.strictEqual(yield* ann.line, "MSG system system 0 Back in five minutes") // CPT 5.9
    }))

  it.live("is for the owner alone, goes with the server, and takes over from one that was killed", () =>
    Effect.gen(function*() {
      // Longer than the path of a Unix socket may be
      const data = join(yield* Cpt.folder, "d".repeat(120))
      const socket = join(data, "admin.sock")
      const announce = Cpt.run(["admin", "announce", "--data", data, "hello"])
      const first = yield* serving(["--data", data])
      assert.strictEqual(statSync(socket).mode & 0o777, 0o600)
      assert.strictEqual((yield* announce).status, 0)
      yield* first.signal("SIGKILL")
      yield* first.status
      assert.isTrue(existsSync(socket))
      assert.strictEqual((yield* announce).status, 4)
      const second = yield* serving(["--data", data])
      assert.strictEqual((yield* announce).status, 0)
      yield* second.signal("SIGTERM")
      assert.strictEqual(yield* second.status, 0)
      assert.isFalse(existsSync(socket))
    }))

  it.live("on TCP wants the token", () =>
    Effect.gen(function*() {
      const folder = yield* Cpt.folder
      const [token, other] = [join(folder, "token"), join(folder, "other")]
      writeFileSync(token, "secret\n")
      writeFileSync(other, "guess\n")
      const port = yield* Cpt.freePort
      const uri = `http://127.0.0.1:${port}`
      yield* serving(["--memory", "--admin", uri, "--admin-token-file", token])
      const announce = (args: ReadonlyArray<string>, env: Record<string, string> = {}) =>
        Cpt.run(["admin", "announce", "--admin", uri, ...args, "hello"], { env })
      assert.strictEqual((yield* announce(["--admin-token-file", token])).status, 0)
      assert.strictEqual((yield* announce([], { CPT_ADMIN_TOKEN: "secret" })).status, 0)
      for (const args of [[], ["--admin-token-file", other]]) {
        const { status, stderr } = yield* announce(args)
        assert.strictEqual(status, 3)
        assert.match(stderr, /^cpt: declined: unauthorized: .*\n$/)
      }
    }))

  it.live("says in one line where there is no server, and what is wrong with what it was given", () =>
    Effect.gen(function*() {
      const folder = yield* Cpt.folder
      const cases = [
        [["--data", folder, "hi"], {}, 4, /^cpt: no server at .*admin\.sock: there is no such socket; .*\n$/],
        [["--admin", "http://127.0.0.1:1", "hi"], {}, 4, /^cpt: no server at http:\/\/127\.0\.0\.1:1: .*\n$/],
        [["hi"], { CPT_ADMIN: "off" }, 2, /^cpt: CPT_ADMIN "off": .*\n$/],
        [["--admin", "here", "hi"], {}, 2, /^cpt: --admin "here": expected .*\n$/],
        [["--admin", "unix://x", "hi"], {}, 2, /^cpt: --admin "unix:\/\/x": expected .*\n$/],
        [["--data", folder, "two\nlines"], {}, 2, /^cpt: TEXT "two\\nlines": .*\n$/],
        [["--data", folder, "hi"], { CPT_TIMEOUT: "5" }, 2, /^cpt: CPT_TIMEOUT "5": .*\n$/]
      ] as const
      yield* Effect.forEach(
        cases,
        ([args, env, status, message]) =>
          Effect.map(Cpt.run(["admin", "announce", ...args], { env }), (result) => {
            assert.deepStrictEqual([result.status, result.stdout], [status, ""])
            assert.match(result.stderr, message)
          }),
        { concurrency: 2 }
      )
    }))

  it.live("is not there with --memory, nor with --admin off", () =>
    Effect.gen(function*() {
      const data = yield* Cpt.folder
      yield* serving(["--data", data, "--admin", "off"])
      assert.isFalse(existsSync(join(data, "admin.sock")))
      yield* serving(["--memory"], { XDG_STATE_HOME: data })
      assert.isFalse(existsSync(join(data, "cpt")))
    }))

  it.live("leaves alone what it finds in its place", () =>
    Effect.gen(function*() {
      const folder = yield* Cpt.folder
      const file = join(folder, "file")
      writeFileSync(file, "precious")
      const { status, stderr } = yield* Cpt.run(["serve", "--memory", "--port", "0", "--admin", `unix://${file}`])
      assert.strictEqual(status, 1)
      assert.match(stderr, /^cpt: no administration at .*: something else is there already\n$/)
      const socket = `unix://${join(folder, "sock")}`
      yield* serving(["--memory", "--admin", socket])
      const second = yield* Cpt.run(["serve", "--memory", "--port", "0", "--admin", socket])
      assert.strictEqual(second.status, 1)
      assert.match(second.stderr, /^cpt: no administration at .*: somebody listens there already\n$/)
    }))
})
