/** Accounts and declared groups as operators have them: `cpt serve`, `cpt account` and `cpt group` as processes. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { X509Certificate } from "node:crypto"
import { readFileSync, renameSync, writeFileSync } from "node:fs"
import { request } from "node:http"
import { join } from "node:path"
import { text } from "node:stream/consumers"
import { fileURLToPath } from "node:url"
import * as Cpt from "./support/Cpt.ts"

const pem = (name: string) => fileURLToPath(new URL(`support/tls/${name}.pem`, import.meta.url))

/** A server that listens; gives its port. */
const serving = Effect.fnUntraced(function*(args: ReadonlyArray<string>) {
  const server = yield* Cpt.start(["serve", "--port", "0", ...args])
  const port = Number(/:(\d+);/.exec(yield* server.line)?.[1])
  return { ...server, port }
})

/** Somebody who is logged in. */
const loggedIn = Effect.fnUntraced(function*(port: number, name: string) {
  const connection = yield* Cpt.connected(port)
  connection.write(`CONNECT ${name}\n`)
  assert.strictEqual(yield* connection.line, "ACCEPT")
  return connection
})

/** What a login is answered. */
const answer = (port: number, name: string) =>
  Effect.scoped(Effect.gen(function*() {
    const connection = yield* Cpt.connected(port)
    connection.write(`CONNECT ${name}\n`)
    return yield* connection.line
  }))

/** The commands of a server in this place. */
const commands = (data: string) => (...args: ReadonlyArray<string>) => Cpt.run(args, { env: { CPT_DATA: data } })

/** Puts a whole file in the place of another. */
const put = (file: string, contents: unknown) =>
  Effect.sync(() => {
    writeFileSync(`${file}.new`, JSON.stringify(contents))
    renameSync(`${file}.new`, file)
  })

/** What the log says next, without when. */
const logged = ({ note }: { readonly note: Effect.Effect<string> }) =>
  Effect.map(note, (line) => {
    const { level: _, time: _time, ...said } = JSON.parse(line)
    return said
  })

describe("cpt account", () => {
  it.live("has each change in the log with the rules that hold then, but where long lists and addresses are left out", () =>
    Effect.gen(function*() {
      const cases = [[[], ["198.51.100.7", "10.0.0.0/8"]], [["--log-ip=false"], ["2 left out"]]] as const
      for (const [flags, ranges] of cases) {
        const data = yield* Cpt.folder
        const cpt = commands(data)
        const server = yield* serving(["--data", data, ...flags])
        yield* cpt("account", "allow-ip", "bob", "198.51.100.7", "10.0.0.0/8")
        assert.deepStrictEqual(yield* logged(server), { message: "account changed", name: "bob", ranges })
        yield* cpt("account", "require-cert", "bob", "CN=bob")
        const certificates = ["CN=bob"]
        assert.deepStrictEqual(yield* logged(server), { message: "account changed", name: "bob", ranges, certificates })
        yield* cpt("account", "require-cert", "bob", `CN=${"b".repeat(2000)}`, "CN=bob")
        assert.deepInclude(yield* logged(server), { ranges, certificates: ["2 left out"] })
      }
    }))

  it.live("lock ends a session at once, and lasts through a crash; the inbox survives it all", () =>
    Effect.gen(function*() {
      const data = yield* Cpt.folder
      const cpt = commands(data)
      const first = yield* serving(["--data", data])
      const bob = yield* loggedIn(first.port, "bob")
      assert.deepStrictEqual(yield* cpt("account", "lock", "bob"), {
        status: 0,
        stdout: "",
        stderr: "cpt: bob: locked\n"
      })
      assert.strictEqual(yield* bob.line, "DECLINE account_locked")
      assert.strictEqual(yield* bob.line, "(end)")
      const alice = yield* loggedIn(first.port, "alice")
      alice.write("SEND bob a word in private\n")
      assert.strictEqual(yield* alice.line, "ACK")
      yield* first.signal("SIGKILL")
      yield* first.status

      const second = yield* serving(["--data", data])
      assert.strictEqual(yield* answer(second.port, "bob"), "DECLINE account_locked")
      const server = ["--server", `127.0.0.1:${second.port}`]
      const refused = yield* Cpt.run(["sync", "--as", "bob", ...server])
      assert.deepStrictEqual([refused.status, refused.stdout], [3, ""])
      assert.match(refused.stderr, /^cpt: declined: account_locked: [^\n]*\n$/)
      const other = yield* Cpt.run(["sync", "bob", "--as", "eve", ...server])
      assert.deepStrictEqual([other.status, other.stdout], [1, ""])
      assert.strictEqual((yield* cpt("account", "unlock", "bob")).stderr, "cpt: bob: may log in from anywhere\n")
      assert.match((yield* Cpt.run(["sync", "--as", "bob", ...server])).stdout, /^\S+ alice: a word in private\n$/)
      assert.deepStrictEqual(yield* cpt("account", "remove", "bob", "--json"), {
        status: 0,
        stdout: `{"name":"bob","removed":true}\n`,
        stderr: ""
      })
      assert.match((yield* Cpt.run(["sync", "--as", "bob", ...server])).stdout, / alice: a word in private\n$/)
      assert.match((yield* cpt("check")).stdout, /all is well/)
    }))

  it.live("allow-ip binds to ranges, also who is there, until it is any", () =>
    Effect.gen(function*() {
      const data = yield* Cpt.folder
      const cpt = commands(data)
      const { port } = yield* serving(["--data", data])
      assert.strictEqual((yield* cpt("account", "allow-ip", "bob", "127.0.0.1", "fd00::/8")).status, 0)
      const bob = yield* loggedIn(port, "bob")
      const { stderr } = yield* cpt("account", "allow-ip", "bob", "10.0.0.0/8", "fd00::/8")
      assert.strictEqual(stderr, "cpt: bob: only from 10.0.0.0/8 fd00::/8\n")
      assert.strictEqual(yield* bob.line, "DECLINE ip_invalid")
      assert.strictEqual(yield* bob.line, "(end)")
      assert.strictEqual(yield* answer(port, "bob"), "DECLINE ip_invalid")
      yield* cpt("account", "allow-ip", "bob", "any")
      assert.strictEqual(yield* answer(port, "bob"), "ACCEPT")
      yield* cpt("account", "require-cert", "bob", "CN=bob")
      assert.strictEqual(yield* answer(port, "bob"), "DECLINE forbidden")
    }))

  it.live("allow-ip has a range once, and so has a group who is in it, however they are declared", () =>
    Effect.gen(function*() {
      const data = yield* Cpt.folder
      const cpt = commands(data)
      yield* serving(["--data", data])
      const { stderr } = yield* cpt("account", "allow-ip", "bob", "192.0.2.7", "192.0.2.7/32", "::ffff:192.0.2.7")
      assert.strictEqual(stderr, "cpt: bob: only from 192.0.2.7\n")
      const writers = yield* cpt("group", "writers", "news", "ann", "bob", "ann")
      assert.strictEqual(writers.stderr, "cpt: news: read-only, but for ann bob\n")
      const declared = yield* Effect.callback<string>((resume) => {
        const socketPath = join(data, "admin.sock")
        const headers = { "content-type": "application/json" }
        const asked = request({ socketPath, path: "/declared-group", method: "POST", headers }, (response) => {
          resume(Effect.promise(() => text(response)))
        })
        asked.end(`{"name":"staff","members":["ann","ann"],"writers":["bob","bob"]}`)
      })
      assert.deepStrictEqual(JSON.parse(declared), { name: "staff", members: ["ann"], writers: ["bob"] })
    }))

  it.live("require-cert binds to a certificate of TLS, and allow-ip keeps out who has no address", () =>
    Effect.gen(function*() {
      const data = yield* Cpt.folder
      const cpt = commands(data)
      const tls = ["--tls-cert", pem("server"), "--tls-key", pem("server.key"), "--tls-client-ca", pem("ca")]
      const socket = join(data, "cpt.sock")
      const listen = ["--listen", `cpts://127.0.0.1:0,unix://${socket}`]
      const server = yield* Cpt.start(["serve", "--data", data, ...listen, ...tls])
      const port = /cpts:\/\/127\.0\.0\.1:(\d+)/.exec(yield* server.line)?.[1]
      const send = (...args: ReadonlyArray<string>) =>
        Effect.map(Cpt.run(["send", "red", "hi", "--as", "bob", ...args]), ({ status, stderr }) => [
          status,
          /declined: (\w+)/.exec(stderr)?.[1]
        ])
      const plain = ["--server", `127.0.0.1:${port}`, "--tls-ca", pem("ca")]
      const alice = [...plain, "--tls-cert", pem("alice"), "--tls-key", pem("alice.key")]
      const { fingerprint256 } = new X509Certificate(readFileSync(pem("alice")))
      for (const certificate of ["CN=alice", fingerprint256, fingerprint256.replaceAll(":", "").toLowerCase()]) {
        const { stderr } = yield* cpt("account", "require-cert", "bob", "CN=somebody else", certificate)
        assert.match(stderr, /^cpt: bob: only with the certificate CN=somebody else or \S+\n$/)
        assert.deepStrictEqual(yield* send(...plain), [3, "forbidden"])
        assert.deepStrictEqual(yield* send(...alice), [0, undefined])
      }
      yield* cpt("account", "require-cert", "bob", "CN=Alice", `${fingerprint256.slice(0, -2)}00`)
      assert.deepStrictEqual(yield* send(...alice), [3, "forbidden"])
      yield* cpt("account", "require-cert", "bob", "none")
      assert.deepStrictEqual(yield* send("--server", `unix://${socket}`), [0, undefined])
      yield* cpt("account", "allow-ip", "bob", "0.0.0.0/0", "::/0")
      assert.deepStrictEqual(yield* send("--server", `unix://${socket}`), [3, "ip_invalid"])
      assert.deepStrictEqual(yield* send(...plain), [0, undefined])
    }))

  it.live("require-cert says so where nobody is asked for a certificate", () =>
    Effect.gen(function*() {
      const secure = ["--listen", "cpts://127.0.0.1:0", "--tls-cert", pem("server"), "--tls-key", pem("server.key")]
      for (const args of [["--port", "0"], secure]) {
        const data = yield* Cpt.folder
        const cpt = commands(data)
        const server = yield* Cpt.start(["serve", "--data", data, ...args])
        yield* server.line
        const required = yield* cpt("account", "require-cert", "bob", "CN=bob")
        assert.deepStrictEqual([required.status, required.stdout], [0, ""])
        assert.match(
          required.stderr,
          /^cpt: bob: only with the certificate CN=bob\ncpt: warning: nobody can log in as bob now: .*--tls-client-ca\n$/
        )
        const lifted = yield* cpt("account", "require-cert", "bob", "none")
        assert.deepStrictEqual(lifted, { status: 0, stdout: "", stderr: "cpt: bob: may log in from anywhere\n" })
      }
    }))

  it.live("leaves a trace in the log", () =>
    Effect.gen(function*() {
      const data = yield* Cpt.folder
      const server = yield* serving(["--data", data])
      const cpt = commands(data)
      yield* cpt("account", "allow-ip", "bob", "10.0.0.0/8")
      yield* cpt("account", "remove", "bob")
      const { name, ranges } = JSON.parse(yield* server.note)
      assert.deepStrictEqual({ name, ranges }, { name: "bob", ranges: ["10.0.0.0/8"] })
      assert.deepInclude(JSON.parse(yield* server.note), { message: "account removed", name: "bob" })
    }))

  it.live("list and show print what holds, for people and for programs", () =>
    Effect.gen(function*() {
      const data = yield* Cpt.folder
      const cpt = commands(data)
      yield* serving(["--data", data])
      assert.deepStrictEqual(yield* cpt("account", "list"), {
        status: 0,
        stdout: "",
        stderr: "cpt: there are no accounts\n"
      })
      const fingerprint = "AB:".repeat(31) + "CD"
      const odd = "a/b%c?&#+é\"" // goes through a URL
      yield* cpt("account", "add", "carol", odd, "..")
      assert.strictEqual((yield* cpt("account", "show", "..")).stdout, "..\n")
      yield* cpt("account", "remove", "..")
      yield* cpt("account", "lock", "bob")
      yield* cpt("account", "allow-ip", "bob", "10.1.2.3/8", "::ffff:192.0.2.1")
      yield* cpt("account", "require-cert", odd, "O=Example, CN=x", fingerprint)
      const digits = fingerprint.replaceAll(":", "").toLowerCase()
      assert.strictEqual(
        (yield* cpt("account", "list")).stdout,
        `${odd}: only with the certificate O=Example, CN=x or ${digits}\n` +
          "bob: locked; only from 10.0.0.0/8 192.0.2.1\ncarol\n"
      )
      const bob = { name: "bob", locked: true, ranges: ["10.0.0.0/8", "192.0.2.1"] }
      const parsed = (text: string): unknown => text.trimEnd().split("\n").map((line) => JSON.parse(line))
      assert.deepStrictEqual(parsed((yield* cpt("account", "list", "--json")).stdout), [
        { name: odd, certificates: ["O=Example, CN=x", digits] },
        bob,
        { name: "carol" }
      ])
      assert.deepStrictEqual(parsed((yield* cpt("account", "show", "bob", "--json")).stdout), [bob])
      assert.strictEqual((yield* cpt("account", "show", odd, "carol")).stdout.split("\n").length, 3)
      assert.deepStrictEqual(parsed((yield* cpt("account", "unlock", "bob", "--json")).stdout), [
        { name: "bob", ranges: bob.ranges }
      ])
    }))

  it.live("says in one line what cannot be", () =>
    Effect.gen(function*() {
      const data = yield* Cpt.folder
      const cpt = commands(data)
      const { port } = yield* serving(["--data", data])
      const alice = yield* loggedIn(port, "alice")
      alice.write("SEND red hi\nSYNC red 0\n")
      yield* alice.line
      yield* alice.line
      yield* cpt("account", "add", "carol")
      const cases = [
        [["add", "carol"], 1, /^cpt: there is an account carol already\n$/],
        [["add", "red"], 1, /^cpt: red cannot be an account: it is a group already\n$/],
        [["lock", "red"], 1, /^cpt: red cannot be an account: it is a group already\n$/],
        [["unlock", "nobody"], 1, /^cpt: there is no account nobody\n$/],
        [["show", "nobody"], 1, /^cpt: there is no account nobody\n$/],
        [["remove", "nobody"], 1, /^cpt: there is no account nobody\n$/],
        [["allow-ip", "nobody", "any"], 1, /^cpt: there is no account nobody\n$/],
        [["lock", "system"], 2, /^cpt: NAME "system": .*\n$/],
        [["lock", "a b"], 2, /^cpt: NAME "a b": .*\n$/],
        [["lock"], 2, /^cpt: NAME is missing; .*\n$/],
        [["allow-ip", "bob"], 2, /^cpt: RANGE is missing; .*\n$/],
        [["allow-ip", "bob", "10.0.0.0/33"], 2, /^cpt: RANGE "10\.0\.0\.0\/33" is no range of addresses; .*\n$/],
        [
          ["allow-ip", "bob", "::ffff:1.2.3.4/95"],
          2,
          /^cpt: RANGE "::ffff:.*" is no range .* begins behind 96 bits; .*\n$/
        ],
        [["allow-ip", "bob", "any", "::1"], 2, /^cpt: RANGE "any" goes alone.*\n$/],
        [["require-cert", "bob", "AB:CD"], 2, /^cpt: CERTIFICATE "AB:CD" is no certificate; .*\n$/],
        [["list", "--data", join(data, "none")], 4, /^cpt: no server at .*\n$/]
      ] as const
      yield* Effect.forEach(cases, ([args, status, message]) =>
        Effect.map(cpt("account", ...args), (result) => {
          assert.deepStrictEqual([result.status, result.stdout], [status, ""], args.join(" "))
          assert.match(result.stderr, message)
        }), { concurrency: 2 })
      assert.strictEqual((yield* cpt("account", "list")).stdout, "carol\n")
    }))
})

describe("cpt serve --accounts", () => {
  it.live("known lets only declared names in, and SIGHUP changes that for who is there", () =>
    Effect.gen(function*() {
      const data = yield* Cpt.folder
      const cpt = commands(data)
      const config = join(data, "serve.json")
      yield* put(config, { accounts: "known" })
      const server = yield* serving(["--data", data, "--config", config])
      assert.match(yield* server.note, /^cpt: warning: only who has an account may log in, and nobody has one/)
      assert.strictEqual(yield* answer(server.port, "mallory"), "DECLINE forbidden")
      yield* cpt("account", "add", "bob", "carol")
      const [bob, carol] = [yield* loggedIn(server.port, "bob"), yield* loggedIn(server.port, "carol")]
      yield* cpt("account", "remove", "carol")
      assert.strictEqual(yield* carol.line, "DECLINE forbidden")
      assert.strictEqual(yield* carol.line, "(end)")

      const reload = Effect.fnUntraced(function*(accounts: string) {
        yield* put(config, { accounts })
        yield* server.signal("SIGHUP")
        while (!(yield* server.note).includes("changed: accounts"));
      })
      yield* reload("open")
      const mallory = yield* loggedIn(server.port, "mallory")
      yield* reload("known")
      assert.strictEqual(yield* mallory.line, "DECLINE forbidden")
      assert.strictEqual(yield* mallory.line, "(end)")
      bob.write("SEND bob still here\n")
      assert.strictEqual(yield* bob.line, "ACK")
    }))

  it.live("without a directory, accounts are gone when the server stops", () =>
    Effect.gen(function*() {
      const socket = `unix://${join(yield* Cpt.folder, "admin.sock")}`
      const args = ["--memory", "--admin", socket]
      yield* Effect.scoped(Effect.gen(function*() {
        const { port } = yield* serving(args)
        assert.strictEqual((yield* Cpt.run(["account", "lock", "bob", "--admin", socket])).status, 0)
        assert.strictEqual(yield* answer(port, "bob"), "DECLINE account_locked")
      }))
      const { port } = yield* serving(args)
      assert.strictEqual(yield* answer(port, "bob"), "ACCEPT")
    }))
})

describe("cpt serve --accounts-file", () => {
  it.live("has them from a file, also when that changes", () =>
    Effect.gen(function*() {
      const data = yield* Cpt.folder
      const file = join(data, "accounts.json")
      yield* put(file, { accounts: [{ name: "bob" }, { name: "carol", locked: true }] })
      const server = yield* serving(["--data", data, "--accounts-file", file, "--accounts", "known"])
      assert.strictEqual(yield* answer(server.port, "carol"), "DECLINE account_locked")
      assert.strictEqual(yield* answer(server.port, "mallory"), "DECLINE forbidden")
      const bob = yield* loggedIn(server.port, "bob")
      const elsewhere = yield* commands(data)("account", "lock", "bob")
      assert.deepStrictEqual(elsewhere, {
        status: 1,
        stdout: "",
        stderr: `cpt: accounts and groups are declared in ${file}: change them there\n`
      })
      assert.strictEqual((yield* commands(data)("account", "show", "carol")).stdout, "carol: locked\n")

      const logged = Effect.gen(function*() {
        for (;;) {
          const { message } = JSON.parse(yield* server.note)
          if (message.includes(file)) return message
        }
      })
      yield* put(file, { accounts: [{ name: "bob", ranges: ["nowhere"] }] })
      assert.match(
        yield* logged,
        /^what is declared stays as it was: .* is not right: accounts\[0\]\.ranges\[0\]: "nowhere" is no range of addresses/
      )
      assert.strictEqual(yield* answer(server.port, "carol"), "DECLINE account_locked")
      const reload = yield* commands(data)("admin", "reload")
      assert.strictEqual(reload.status, 2)
      assert.match(reload.stderr, /^cpt: .*accounts\[0\]\.ranges\[0\]: "nowhere" is no range of addresses[^\n]*\n$/)
      yield* put(file, { accounts: [{ name: "carol" }, { name: "bob", locked: true }] })
      assert.strictEqual((yield* commands(data)("admin", "reload")).status, 0)
      assert.strictEqual(yield* answer(server.port, "carol"), "ACCEPT")
      assert.strictEqual(yield* bob.line, "DECLINE account_locked")
    }))

  it.live("holds with the settings that are read with it, at one go: who is allowed before and after stays (CPT 3.11)", () =>
    Effect.gen(function*() {
      const data = yield* Cpt.folder
      const [config, file] = [join(data, "serve.json"), join(data, "accounts.json")]
      const [al, bob] = [{ name: "al" }, { name: "bob" }]
      const declared = [{ accounts: [al, bob], groups: [{ name: "team" }] }, { accounts: "known", groups: "known" }]
      const open = [{ accounts: [al] }, { accounts: "open", groups: "open" }]
      const become = Effect.fnUntraced(function*([accounts, settings]: ReadonlyArray<object>) {
        yield* put(file, accounts)
        yield* put(config, settings)
      })
      yield* become(declared)
      const server = yield* serving(["--data", data, "--accounts-file", file, "--config", config])
      const { al: sender, bob: follower } = yield* Effect.all({
        al: loggedIn(server.port, "al"),
        bob: loggedIn(server.port, "bob")
      })
      follower.write("SYNC team 0\n")
      assert.strictEqual(yield* follower.line, "ENDSYNC")
      for (const next of [open, declared, open, declared]) {
        // It sees by itself that the file has changed, so it stands still until it is told
        yield* server.signal("SIGSTOP")
        yield* become(next)
        yield* server.signal("SIGHUP")
        yield* server.signal("SIGCONT")
        const message = "settings reloaded, changed: accounts, groups, accounts and groups"
        while (JSON.parse(yield* server.note).message !== message);
        sender.write("SEND team 1\n")
        assert.strictEqual(yield* sender.line, "ACK")
        assert.match(yield* follower.line, /^MSG team al \d+ 1$/)
        follower.write("SEND al 2\n")
        assert.strictEqual(yield* follower.line, "ACK")
        assert.match(yield* sender.line, /^MSG al bob \d+ 2$/)
      }
      yield* put(config, { accounts: "open" })
      yield* put(file, { accounts: [al, { name: "team" }] })
      const refused = yield* commands(data)("admin", "reload")
      assert.strictEqual(refused.status, 2)
      assert.include(refused.stderr, "team cannot be an account: it is a group")
      assert.strictEqual(yield* answer(server.port, "mallory"), "DECLINE forbidden")
    }))

  it.live("may have thousands of them, which are listed in the order of their names", () =>
    Effect.gen(function*() {
      const data = yield* Cpt.folder
      const file = join(data, "accounts.json")
      const names = Array.from({ length: 2500 }, (_, index) => `user${index}`)
      yield* put(file, {
        accounts: names.map((name) => ({ name })),
        groups: names.map((name) => ({ name: `g-${name}` }))
      })
      yield* serving(["--data", data, "--accounts-file", file])
      const cpt = commands(data)
      const sorted = names.toSorted()
      assert.deepStrictEqual((yield* cpt("account", "list")).stdout.trimEnd().split("\n"), sorted)
      assert.deepStrictEqual(
        (yield* cpt("group", "list", "--json")).stdout.trimEnd().split("\n").map((line) => JSON.parse(line)),
        sorted.map((name) => ({ name: `g-${name}` }))
      )
    }))

  it.live("that is not right keeps a server from starting", () =>
    Effect.gen(function*() {
      const data = yield* Cpt.folder
      const file = join(data, "accounts.json")
      const start = Cpt.run(["serve", "--port", "0", "--memory", "--accounts-file", file])
      const missing = yield* start
      assert.deepStrictEqual(missing, { status: 2, stdout: "", stderr: `cpt: ${file}: there is no such file\n` })
      yield* put(file, { accounts: [{ name: "bob", lock: true }] })
      const { status, stderr } = yield* start
      assert.strictEqual(status, 2)
      assert.match(stderr, /^cpt: .*accounts\.json is not right: accounts\[0\]\.lock: [^\n]*\n$/)
      const word = yield* Cpt.run(["serve", "--accounts", "closed"])
      assert.deepStrictEqual(word, {
        status: 2,
        stdout: "",
        stderr: "cpt: --accounts \"closed\": expected open or known\n"
      })
    }))
})

describe("cpt group", () => {
  it.live("declares groups, whose rules hold at once", () =>
    Effect.gen(function*() {
      const data = yield* Cpt.folder
      const cpt = commands(data)
      const { port } = yield* serving(["--data", data, "--groups", "known"])
      const [alice, bob] = [yield* loggedIn(port, "alice"), yield* loggedIn(port, "bob")]
      alice.write("SEND staff 1\n")
      assert.strictEqual(yield* alice.line, "DECLINE unknown_target")
      assert.strictEqual(
        (yield* cpt("group", "members", "staff", "alice", "bob")).stderr,
        "cpt: staff: for alice bob only\n"
      )
      bob.write("SYNC staff 0\n")
      assert.strictEqual(yield* bob.line, "ENDSYNC")
      alice.write("SEND staff 2\n")
      assert.strictEqual(yield* alice.line, "ACK")
      assert.match(yield* bob.line, /^MSG staff alice \d+ 2$/)

      const tail = yield* Cpt.start(["tail", "staff", "--as", "carol", "--server", `127.0.0.1:${port}`])
      assert.match(yield* tail.note, /^cpt: declined: forbidden: staff: /)
      assert.strictEqual(yield* tail.status, 3)
      const { stderr } = yield* Cpt.run(["tail", "staff", "--server", `127.0.0.1:${port}`], {
        env: { CPT_USERNAME: "carol" }
      })
      assert.match(stderr, /^cpt: declined: forbidden: staff: .* guest "carol-tail-\w+"; .*--as carol, [^\n]*\n$/)
      yield* cpt("group", "invite", "staff", "carol")
      const follower = yield* Cpt.start(["tail", "staff", "--as", "carol", "--server", `127.0.0.1:${port}`])
      assert.match(yield* follower.line, / alice: 2$/)
      assert.strictEqual((yield* cpt("group", "expel", "staff", "carol")).stderr, "cpt: staff: for alice bob only\n")
      assert.match(yield* follower.note, /^cpt: staff: private: you can no longer read staff$/)
      assert.strictEqual(yield* follower.status, 1)

      yield* cpt("group", "writers", "staff", "alice")
      bob.write("SEND staff 3\n")
      assert.strictEqual(yield* bob.line, "DECLINE forbidden")
      yield* cpt("group", "add", "open", "other")
      assert.deepStrictEqual(
        yield* Cpt.run(["tail", "open", "nosuch", "--as", "carol", "--server", `127.0.0.1:${port}`]),
        {
          status: 3,
          stdout: "",
          stderr: "cpt: declined: unknown_target: nosuch: there is no such user or group here\n"
        }
      )
      assert.deepStrictEqual(yield* cpt("group", "list"), {
        status: 0,
        stdout: "open\nother\nstaff: for alice bob only; read-only, but for alice\n",
        stderr: ""
      })
      assert.strictEqual(
        (yield* cpt("group", "show", "staff", "--json")).stdout,
        `{"name":"staff","members":["alice","bob"],"writers":["alice"]}\n`
      )
      const { stdout } = yield* cpt("group", "remove", "staff", "--json")
      assert.strictEqual(stdout, `{"name":"staff","removed":true}\n`)
      assert.match(yield* bob.line, /^MSG staff system 0 private: /)
      bob.write("SYNC staff 0\n")
      assert.strictEqual(yield* bob.line, "DECLINE unknown_target")
    }))

  it.live("has as many members as fit on a command line; a request of more than 2 MiB is refused before it is sent", () =>
    Effect.gen(function*() {
      const data = yield* Cpt.folder
      const cpt = commands(data)
      const server = yield* serving(["--data", data])
      const { port } = server
      const users = Array.from({ length: 8000 }, (_, n) => `u${String(n + 1).padStart(6, "0")}`)
      const named = yield* cpt("group", "members", "staff", ...users)
      assert.deepStrictEqual([named.status, named.stdout], [0, ""])
      const line = { message: "group changed", name: "staff", members: ["8000 left out"] }
      assert.deepStrictEqual(yield* logged(server), line)
      const shown = yield* cpt("group", "show", "staff", "--json")
      assert.deepStrictEqual(JSON.parse(shown.stdout), { name: "staff", members: users })
      const bob = yield* loggedIn(port, "u008000")
      bob.write("SEND staff hi\n")
      assert.strictEqual(yield* bob.line, "ACK")
      // In JSON each quotation mark has two characters
      const quoted = Array.from({ length: 18_000 }, (_, n) => String(n).padStart(64, "\""))
      const refused = yield* cpt("group", "members", "staff", ...quoted)
      assert.deepStrictEqual([refused.status, refused.stdout], [2, ""])
      assert.match(
        refused.stderr,
        /^cpt: a request of \d+ bytes is more than the 2 MiB that a server takes; say it in several commands\n$/
      )
      assert.deepStrictEqual(yield* cpt("group", "show", "staff", "--json"), shown)
      yield* cpt("group", "invite", "staff", "carol", "dave")
      assert.deepStrictEqual(yield* logged(server), {
        ...line,
        members: ["8002 left out"],
        invited: ["carol", "dave"]
      })
      yield* cpt("group", "expel", "staff", ...users)
      assert.deepStrictEqual(yield* logged(server), {
        ...line,
        members: ["carol", "dave"],
        expelled: ["8000 left out"]
      })
      yield* cpt("group", "writers", "staff", "carol")
      assert.deepStrictEqual(yield* logged(server), { ...line, members: ["carol", "dave"], writers: ["carol"] })
    }))

  it.live("says in one line what cannot be", () =>
    Effect.gen(function*() {
      const data = yield* Cpt.folder
      const cpt = commands(data)
      yield* serving(["--data", data])
      yield* cpt("account", "add", "bob")
      yield* cpt("group", "add", "red")
      const cases = [
        [["add", "bob"], 1, /^cpt: bob cannot be a group: it is a user, and has an account\n$/],
        [["add", "red"], 1, /^cpt: there is a declared group red already\n$/],
        [["show", "blue"], 1, /^cpt: there is no declared group blue\n$/],
        [["remove", "blue"], 1, /^cpt: there is no declared group blue\n$/],
        [["invite", "red", "bob"], 1, /^cpt: red is open to everybody: say who its members are\n$/],
        [["members", "red"], 2, /^cpt: name one USER or more, or say --anybody or --nobody\n$/],
        [["members", "red", "bob", "--nobody"], 2, /^cpt: name one USER or more, or say --anybody or --nobody\n$/],
        [["members", "red", "sys tem"], 2, /^cpt: USER "sys tem": .*\n$/],
        [["add", "system"], 2, /^cpt: NAME "system": .*\n$/]
      ] as const
      yield* Effect.forEach(cases, ([args, status, message]) =>
        Effect.map(cpt("group", ...args), (result) => {
          assert.deepStrictEqual([result.status, result.stdout], [status, ""], args.join(" "))
          assert.match(result.stderr, message)
        }), { concurrency: 2 })
    }))
})
