/** Where `cpt serve` listens, and what it says of it; and how clients get there. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { chmodSync, existsSync, readFileSync, statSync, unlinkSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { join } from "node:path"
import { text } from "node:stream/consumers"
import { connect as connectTls } from "node:tls"
import { fileURLToPath } from "node:url"
import * as Cpt from "./support/Cpt.ts"

const pem = (name: string) => fileURLToPath(new URL(`support/tls/${name}.pem`, import.meta.url))
const certificate = ["--tls-cert", pem("server"), "--tls-key", pem("server.key")]

/** A server that listens: what it says, and its URIs. */
const serving = Effect.fnUntraced(function*(args: ReadonlyArray<string>, env: Record<string, string> = {}) {
  const server = yield* Cpt.start(["serve", "--memory", ...args], { env })
  const line = yield* server.line
  const [, places = ""] = /^cpt: listening on (.*); messages are kept in memory only/.exec(line) ?? []
  return { ...server, places: places.split(" and ") }
})

const send = (server: string, ...args: ReadonlyArray<string>) =>
  Cpt.run(["send", "--server", server, ...args, "g", "hi"])

const sent = { status: 0, stdout: "", stderr: "" }

describe("cpt serve --listen", () => {
  it.live("listens in several places at once, and says where", () =>
    Effect.gen(function*() {
      const path = join(yield* Cpt.folder, "cpt.sock")
      const { places, signal, status } = yield* serving([
        "--listen",
        "cpt://127.0.0.1:0,cpts://127.0.0.1:0",
        "--listen",
        `unix://${path}`,
        ...certificate
      ])
      assert.strictEqual(places.length, 3)
      const [clear = "", secure = "", socket = ""] = places
      assert.match(clear, /^cpt:\/\/127\.0\.0\.1:[1-9]\d*$/)
      assert.match(secure, /^cpts:\/\/127\.0\.0\.1:[1-9]\d*$/)
      assert.strictEqual(socket, `unix://${path}`)
      assert.deepStrictEqual(yield* send(clear), sent)
      assert.deepStrictEqual(yield* send(clear.slice("cpt://".length)), sent)
      assert.deepStrictEqual(yield* send(secure, "--tls-ca", pem("ca")), sent)
      assert.deepStrictEqual(yield* send(socket, "--tls"), sent) // there is no TLS on a Unix socket
      const all = yield* Cpt.run(["sync", "g", "--server", socket])
      assert.strictEqual(all.stdout.split("\n").length, 5)
      yield* signal("SIGTERM")
      assert.strictEqual(yield* status, 0)
      assert.isFalse(existsSync(path))
    }))

  it.live("has Unix sockets at paths as long as the system takes, and a longer one for who looks after it", () =>
    Effect.gen(function*() {
      const folder = yield* Cpt.folder
      const data = join(folder, "d".repeat(96 - folder.length - 1)) // its admin.sock has 107 bytes
      for (const [directory, bytes] of [[data, 98], [data, 103], [`${data}dd`, 107]] as const) {
        const uri = `unix://${join(folder, "s".repeat(bytes - folder.length - 1))}`
        const server = yield* Cpt.start(["serve", "--data", directory, "--listen", uri])
        assert.include(yield* server.line, uri)
        assert.deepStrictEqual(yield* send(uri), sent)
        assert.strictEqual((yield* Cpt.run(["status", "--data", directory])).status, 0)
        yield* server.signal("SIGTERM")
        assert.strictEqual(yield* server.status, 0)
      }
      const uri = `unix://${join(folder, "s".repeat(108 - folder.length - 1))}`
      const { stderr } = yield* Cpt.run(["serve", "--memory", "--listen", uri])
      const why =
        /^cpt: cannot listen on \S+: in a path of more than 107 bytes, its file name may have \d\d at the most; .*\n$/
      assert.match(stderr, why)
    }))

  it.live("takes all addresses of IPv4 and of IPv6 at one port, in either order", () =>
    Effect.gen(function*() {
      for (const hosts of [["0.0.0.0", "[::]"], ["[::]", "0.0.0.0"]]) {
        const port = yield* Cpt.freePort
        const uris = hosts.map((host) => `cpt://${host}:${port}`)
        const { places, signal, status } = yield* serving(["--listen", uris.join()])
        assert.deepStrictEqual(places, uris)
        assert.deepStrictEqual(yield* send(`127.0.0.1:${port}`), sent)
        assert.deepStrictEqual(yield* send(`[::1]:${port}`), sent)
        yield* signal("SIGTERM")
        assert.strictEqual(yield* status, 0)
      }
    }))

  it.live("is called as it always was where that is one port in clear text", () =>
    Effect.gen(function*() {
      const { places } = yield* serving([], { CPT_LISTEN: "cpt://[::1]:0" })
      assert.match(places.join(), /^\[::1\]:[1-9]\d*$/)
      const { places: again } = yield* serving(["--host", "[::1]", "--port", "0"])
      assert.match(again.join(), /^\[::1\]:[1-9]\d*$/)
    }))

  it.live("warns of what is open to other machines in clear text, and of nothing else", () =>
    Effect.gen(function*() {
      const listen = "cpts://0.0.0.0:0,cpt://0.0.0.0:0,cpt://127.0.0.1:0"
      const { note, places } = yield* serving(["--listen", listen, ...certificate])
      assert.match(yield* note, new RegExp(`^cpt: warning: ${places[1]} is open to other machines, .* clear text$`))
      const quiet = yield* serving(["--listen", "cpts://0.0.0.0:0,cpt://127.0.0.1:0", ...certificate])
      yield* quiet.signal("SIGTERM")
      assert.strictEqual(yield* quiet.note, "(end)")
    }))

  it.live("comes from the variable or the config file too, and what is nearer to the command line counts", () =>
    Effect.gen(function*() {
      const folder = yield* Cpt.folder
      const file = join(folder, "serve.json")
      const [a, b] = [join(folder, "a"), join(folder, "b")]
      writeFileSync(file, JSON.stringify({ listen: [`unix://${a}`, `unix://${b}`], port: 1 }))
      const both = Cpt.run(["serve", "--memory", "--config", file])
      assert.match((yield* both).stderr, /^cpt: "listen" in .* and "port" in .*: say where in one of them.*\n$/)
      writeFileSync(file, JSON.stringify({ listen: [`unix://${a}`, `unix://${b}`] }))
      assert.deepStrictEqual((yield* serving(["--config", file])).places, [`unix://${a}`, `unix://${b}`])
      assert.match((yield* serving(["--config", file, "--port", "0"])).places.join(), /^127\.0\.0\.1:\d+$/)
      const { places } = yield* serving(["--listen", `unix://${a}.2`], { CPT_PORT: "1" })
      assert.deepStrictEqual(places, [`unix://${a}.2`])
    }))

  it.live("takes over a socket that a killed server has left, and nothing else", () =>
    Effect.gen(function*() {
      const folder = yield* Cpt.folder
      const path = join(folder, "cpt.sock")
      const listen = ["--listen", `unix://${path}`]
      const first = yield* serving(listen)
      const second = yield* Cpt.run(["serve", "--memory", ...listen])
      assert.strictEqual(second.status, 1)
      assert.match(second.stderr, /^cpt: cannot listen on unix:\/\/.*cpt\.sock: somebody listens there already; .*\n$/)
      yield* first.signal("SIGKILL")
      yield* first.status
      assert.isTrue(existsSync(path))
      const third = yield* serving(listen)
      assert.deepStrictEqual(yield* send(third.places.join()), sent)
      const other = join(folder, "letter")
      writeFileSync(other, "Dear Ann")
      const fourth = yield* Cpt.run(["serve", "--memory", "--listen", `unix://${other}`])
      assert.strictEqual(fourth.status, 1)
      assert.match(fourth.stderr, /^cpt: cannot listen on unix:\/\/.*letter: something else is there already; .*\n$/)
      assert.strictEqual(readFileSync(other, "utf8"), "Dear Ann")
    }))

  it.live("does not take a socket for one that somebody listens on because it may not open it", () =>
    Effect.gen(function*() {
      const folder = yield* Cpt.folder
      const path = join(folder, "cpt.sock")
      const listen = ["--listen", `unix://${path}`]
      const first = yield* serving(listen)
      yield* first.signal("SIGKILL")
      yield* first.status
      chmodSync(folder, 0o777)
      chmodSync(path, 0)
      // Root may open everything
      const user = process.getuid?.() === 0 ? 65_534 : undefined
      const { status, stderr } = yield* Cpt.run(["serve", "--memory", ...listen], { user })
      assert.deepStrictEqual([stderr, status], [
        `cpt: cannot listen on unix://${path}: a socket of somebody else is there, not open to this user; ` +
        "remove it if nobody listens there; take another --listen\n",
        1
      ])
      assert.isTrue(existsSync(path))
    }))

  it.live("makes a socket for whom the umask lets", () =>
    Effect.gen(function*() {
      const path = join(yield* Cpt.folder, "cpt.sock")
      yield* serving(["--listen", `unix://${path}`])
      assert.strictEqual(statSync(path).mode & 0o777, 0o777 & ~process.umask())
    }))

  it.live("is refused in one line, by the name of the place that it came from", () =>
    Effect.gen(function*() {
      const folder = yield* Cpt.folder
      const [garbage, key] = [join(folder, "garbage.pem"), pem("alice.key")]
      writeFileSync(garbage, "-----BEGIN CERTIFICATE-----\nhello\n")
      const secure = ["--listen", "cpts://127.0.0.1:0"]
      const cases = [
        [["--listen", "127.0.0.1:1"], {}, /^cpt: --listen "127\.0\.0\.1:1": expected cpt:\/\/HOST\[:PORT\], .*\n$/],
        [["--listen", "cpt://a,b"], {}, /^cpt: --listen "cpt:\/\/a,b": expected .*\n$/],
        [[], { CPT_LISTEN: "unix://x" }, /^cpt: CPT_LISTEN "unix:\/\/x": expected .*\n$/],
        [["--listen", "cpt://127.0.0.1", "--port", "0"], {}, /^cpt: --listen and --port: .*\n$/],
        [["--listen", "cpt://127.0.0.1", "--host", "::"], {}, /^cpt: --listen and --host: .*\n$/],
        [secure, {}, /^cpt: TLS needs a certificate and its key: .*--tls-cert and --tls-key\n$/],
        [[...secure, "--tls-key", key], {}, /^cpt: TLS needs a certificate and its key: .*\n$/],
        [certificate, {}, /^cpt: --tls-cert: TLS is spoken nowhere; .*\n$/],
        [
          [...secure, "--tls-cert", pem("server"), "--tls-key", key],
          {},
          /^cpt: --tls-key ".*": it is not the key .*\n$/
        ],
        [
          [...secure, "--tls-cert", garbage, "--tls-key", key],
          {},
          /^cpt: --tls-cert ".*": expected a certificate.*\n$/
        ],
        [
          [...secure, "--tls-key", key],
          { CPT_TLS_CERT: join(folder, "none") },
          /^cpt: CPT_TLS_CERT ".*none": there is no such file\n$/
        ],
        [
          [...secure, ...certificate, "--tls-client-ca", key],
          {},
          /^cpt: --tls-client-ca ".*": expected a certificate.*\n$/
        ],
        [
          ["--proxy-from", "10.0.0.0/33"],
          {},
          /^cpt: --proxy-from "10\.0\.0\.0\/33": "10\.0\.0\.0\/33" is no range of addresses; .*\n$/
        ],
        [
          ["--proxy-from", "10.0.0.0/8, ::ffff:1.2.3.4/95"],
          {},
          /^cpt: --proxy-from "10\..*95": "::ffff:1\.2\.3\.4\/95" is no range of addresses: IPv4 in the form of IPv6 .*\n$/
        ],
        [["--exempt", "none,::1"], {}, /^cpt: --exempt "none,::1": "none" is no range of addresses; .*\n$/],
        [
          ["--exempt", "::ffff:1.2.3.4/95"],
          {},
          /^cpt: --exempt "::.*95": "::.*95" is no range of addresses: IPv4 in .*\n$/
        ]
      ] as const
      yield* Effect.forEach(
        cases,
        ([args, env, message]) =>
          Effect.map(Cpt.run(["serve", "--memory", ...args], { env }), ({ status, stderr, stdout }) => {
            assert.deepStrictEqual([status, stdout], [2, ""], stderr)
            assert.match(stderr, message)
          }),
        { concurrency: 4 }
      )
    }))

  it.live("that cannot be is one line with the URI, and 1", () =>
    Effect.gen(function*() {
      const taken = yield* Effect.acquireRelease(
        Effect.callback<number>((resume) => {
          const server = createServer().listen(0, "127.0.0.1", () => {
            const address = server.address()
            if (typeof address === "object") resume(Effect.succeed(address?.port ?? 0))
          })
        }),
        () => Effect.void
      )
      for (
        const [uri, message] of [
          [`cpt://127.0.0.1:${taken}`, /^cpt: cpt:\/\/127\.0\.0\.1:\d+ is in use: .*--listen\n$/],
          ["cpt://192.0.2.1:0", /^cpt: cpt:\/\/192\.0\.2\.1:0 is no address of this machine; .*\n$/],
          [
            "unix:///nonexistent/cpt.sock",
            /^cpt: cannot listen on unix:\/\/\/nonexistent\/cpt\.sock: its directory .*\n$/
          ]
        ] as const
      ) {
        const { status, stderr, stdout } = yield* Cpt.run(["serve", "--memory", "--listen", `cpt://127.0.0.1:0,${uri}`])
        assert.deepStrictEqual([status, stdout], [1, ""])
        assert.match(stderr, message)
      }
    }))

  it.live("shows another certificate after SIGHUP, and keeps the one it has where the new one is not right", () =>
    Effect.gen(function*() {
      const folder = yield* Cpt.folder
      const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")]
      writeFileSync(cert, readFileSync(pem("server")))
      writeFileSync(key, readFileSync(pem("server.key")))
      const args = ["--listen", "cpts://127.0.0.1:0", "--tls-cert", cert, "--tls-key", key]
      const { note, places, signal } = yield* serving(args)
      const logged = (level: string, message: RegExp) =>
        Effect.map(note, (line) => JSON.parse(line)).pipe(
          Effect.repeat({ until: (entry) => entry.level === level && message.test(entry.message) })
        )
      writeFileSync(key, readFileSync(pem("alice.key")))
      yield* signal("SIGHUP")
      yield* logged("error", /all stay as they are: --tls-key ".*": it is not the key of the certificate$/)
      assert.deepStrictEqual(yield* send(places.join(), "--tls-ca", pem("ca")), sent)
      writeFileSync(cert, readFileSync(pem("alice")))
      yield* signal("SIGHUP")
      yield* logged("info", /^the certificate in .*cert\.pem is new, and valid until /)
      assert.match((yield* send(places.join(), "--tls-ca", pem("ca"))).stderr, /certificate/)
    }))

  it.live("says in the log that its certificate has expired, and serves who does not mind", () =>
    Effect.gen(function*() {
      const listen = ["--listen", "cpts://127.0.0.1:0", "--tls-cert", pem("expired"), "--tls-key", pem("server.key")]
      const { note, places, signal } = yield* serving(listen)
      const expired = Effect.map(note, (line) => {
        const { level, message } = JSON.parse(line)
        assert.strictEqual(level, "warn")
        assert.match(message, /^the certificate in .*expired\.pem has expired, on Jan {2}1 00:00:00 2025 GMT: /)
      })
      yield* expired
      assert.match((yield* send(places.join(), "--tls-ca", pem("expired"))).stderr, /expired/)
      const socket = connectTls({ port: Number(/\d+$/.exec(places.join())?.[0]), rejectUnauthorized: false })
      socket.end("CONNECT ann\n")
      assert.strictEqual(yield* Effect.promise(() => text(socket)), "ACCEPT\n")
      assert.strictEqual(JSON.parse(yield* note).message, "session ended")
      yield* signal("SIGHUP")
      yield* expired
    }))

  it.live("keeps the certificate that it has when SIGHUP names other files, which have to be right for a restart", () =>
    Effect.gen(function*() {
      const folder = yield* Cpt.folder
      const [config, old] = [join(folder, "serve.json"), join(folder, "old.pem")]
      const configure = (cert: string) =>
        writeFileSync(
          config,
          JSON.stringify({ listen: "cpts://127.0.0.1:0", "tls-cert": cert, "tls-key": pem("server.key") })
        )
      writeFileSync(old, readFileSync(pem("server")))
      configure(old)
      const { note, places, signal } = yield* serving(["--config", config])
      const logged = (message: RegExp) =>
        Effect.map(note, (line) => JSON.parse(line)).pipe(
          Effect.repeat({ until: (entry) => message.test(entry.message) })
        )
      const missing = join(folder, "none.pem")
      configure(missing)
      yield* signal("SIGHUP")
      yield* logged(/all stay as they are: "tls-cert" in .* ".*none\.pem": there is no such file$/)
      unlinkSync(old)
      configure(pem("server"))
      yield* signal("SIGHUP")
      yield* logged(/^a restart is needed for the change of: tls-cert$/)
      assert.deepStrictEqual(yield* send(places.join(), "--tls-ca", pem("ca")), sent)
    }))
})

describe("cpt serve --proxy-from", () => {
  it.live("takes the address that a proxy names, and no connection without", () =>
    Effect.gen(function*() {
      const { places } = yield* serving(["--port", "0", "--proxy-from", "127.0.0.1", "--proxy-from", "fd00::/8"])
      const port = Number(/\d+$/.exec(places.join())?.[0])
      const answer = Effect.fnUntraced(function*(said: string) {
        const { socket } = yield* Cpt.connected(port)
        socket.end(said)
        return yield* Effect.promise(() => text(socket).catch(() => ""))
      })
      assert.strictEqual(
        yield* answer("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nCONNECT ann\nSEND g hi\n"),
        "ACCEPT\nACK\n"
      )
      assert.strictEqual(yield* answer("CONNECT ann\nSEND g hi\n"), "")
    }))
})
