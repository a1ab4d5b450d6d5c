/** Flags, environment and config file: which server a command goes to, and as whom. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Buffer } from "node:buffer"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { createServer as createClear, type Server, type Socket } from "node:net"
import { userInfo } from "node:os"
import { join, relative } from "node:path"
import { createServer } from "node:tls"
import { fileURLToPath } from "node:url"
import * as FakeServer from "../../client/test/FakeServer.ts"
import * as Cpt from "./support/Cpt.ts"
import { run } from "./support/Here.ts"

/** A folder for `$XDG_CONFIG_HOME` with this config file. */
const configured = (text: string | Uint8Array) =>
  Effect.map(Cpt.folder, (home) => {
    mkdirSync(join(home, "cpt"))
    writeFileSync(join(home, "cpt", "config.json"), text)
    return home
  })

const takesHi = (server: FakeServer.FakeServer, username: string) =>
  Effect.gen(function*() {
    const peer = yield* server.login(username)
    yield* peer.hears("SEND g hi")
    yield* peer.says("ACK")
  })

const send = ["send", "g", "hi"]

describe("settings", () => {
  it.live("come from flags, else the environment, else the config file", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const address = `127.0.0.1:${server.port}`
      const home = yield* configured(JSON.stringify({ server: "nowhere.invalid:1", as: "carol" }))
      const inFile = yield* configured(JSON.stringify({ server: address, as: "carol", timeout: "2s" }))
      const environment = { CPT_SERVER: "nowhere.invalid:1", CPT_USERNAME: "bob", XDG_CONFIG_HOME: home }
      const done = { status: 0, stdout: "", notes: [] }
      for (
        const [args, env, name] of [
          [["-s", address, "-u", "alice"], environment, "alice"],
          [[`--server=${address}`], environment, "bob"],
          [[], { ...environment, CPT_SERVER: address, CPT_USERNAME: "" }, "carol"],
          [[], { XDG_CONFIG_HOME: inFile }, "carol"],
          [["--as", "dave"], { XDG_CONFIG_HOME: inFile }, "dave"],
          [[], { CPT_SERVER: address }, userInfo().username]
        ] as const
      ) {
        assert.deepStrictEqual(yield* Cpt.during(run([...send, ...args], env), takesHi(server, name)), done)
      }
    }))

  it.live("are refused by the name of the place that they come from", () =>
    Effect.gen(function*() {
      const file = "config file .*config\\.json"
      for (
        const [env, text, message] of [
          [{ CPT_SERVER: "a b" }, "{}", /^CPT_SERVER "a b": expected HOST/],
          [{ CPT_USERNAME: "system" }, "{}", /^CPT_USERNAME "system": /],
          [{ CPT_TIMEOUT: "soon" }, "{}", /^CPT_TIMEOUT "soon": /],
          [{ CPT_TLS: "maybe" }, "{}", /^CPT_TLS "maybe": expected true or false$/],
          [{ CPT_TLS_CA: "/nonexistent" }, "{}", /^CPT_TLS_CA "\/nonexistent": there is no such file/],
          [{}, `{"server":"a:b:c"}`, /^"server" in .*config\.json "a:b:c": /],
          [{}, `{"server":1}`, new RegExp(`^the ${file} is not right: .*server`)],
          [{}, `{"sever":"a"}`, new RegExp(`^the ${file} is not right: .*sever`)],
          [{}, "{", new RegExp(`^the ${file} is not right: it is no JSON$`)],
          [{}, "", new RegExp(`^the ${file} is not right: it is no JSON$`)],
          [
            {},
            Buffer.from(`{"as":"J\xfcrgen"}`, "latin1"),
            new RegExp(`^the ${file} is not right: it is not valid UTF-8$`)
          ]
        ] as const
      ) {
        const { notes, status } = yield* run(send, { ...env, XDG_CONFIG_HOME: yield* configured(text) })
        assert.deepStrictEqual([status, notes.length], [2, 1], String(text))
        assert.match(notes[0] ?? "", message)
      }
    }))

  it.live.skipIf(process.platform !== "linux")(
    "are refused where they are not UTF-8, and a U+FFFD that is one is a name",
    () =>
      Effect.gen(function*() {
        const server = yield* FakeServer.onPort
        const args = [...send, "-s", `127.0.0.1:${server.port}`]
        for (const name of ["CPT_USERNAME", "CPT_TIMEOUT", "XDG_CONFIG_HOME"]) {
          assert.deepStrictEqual(yield* Cpt.run(args, { as: `${name}=$'/J\\xfcrgen'`, shell: "" }), {
            status: 2,
            stdout: "",
            stderr: `cpt: ${name} "/J\ufffdrgen": it is not valid UTF-8\n`
          })
        }
        assert.strictEqual(yield* server.accepted, 0)
        const { status } = yield* Cpt.during(
          Cpt.run(args, { env: { CPT_USERNAME: "J\ufffdrgen" } }),
          takesHi(server, "J\ufffdrgen")
        )
        assert.strictEqual(status, 0)
      })
  )

  it.live("are not read from a relative folder, which would be another one in each directory", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const home = yield* configured("{")
      const env = { CPT_SERVER: `127.0.0.1:${server.port}`, CPT_USERNAME: "alice" }
      const near = { ...env, XDG_CONFIG_HOME: relative(process.cwd(), home) }
      const sent = yield* Cpt.during(run(send, near), takesHi(server, "alice"))
      assert.deepStrictEqual(sent, { status: 0, stdout: "", notes: [] })
    }))

  it.live("may be a folder where the config file should be, and that is said", () =>
    Effect.gen(function*() {
      const home = yield* Cpt.folder
      mkdirSync(join(home, "cpt", "config.json"), { recursive: true })
      const { notes, status } = yield* run(send, { XDG_CONFIG_HOME: home })
      assert.strictEqual(status, 2)
      assert.match(notes.join("\n"), /^cannot read the config file .*config\.json: it is a directory$/)
    }))
})

const pem = (name: string) => fileURLToPath(new URL(`support/tls/${name}.pem`, import.meta.url))

describe("--tls", () => {
  const secure = (requestCert = false) =>
    FakeServer.on(
      () =>
        createServer({
          cert: readFileSync(pem("server")),
          key: readFileSync(pem("server.key")),
          ca: readFileSync(pem("ca")),
          requestCert,
          rejectUnauthorized: requestCert
        }),
      "secureConnection"
    )

  it.live("is on where a file for it is named nearer to the command line than that it is off", () =>
    Effect.gen(function*() {
      const server = yield* secure()
      const file = ["--tls-ca", pem("ca")]
      const to = ["--as", "alice", "--server", `127.0.0.1:${server.port}`]
      const home = yield* configured(`{"tls":false}`)
      for (
        const [args, env] of [
          [file, { CPT_TLS: "false" }],
          [file, { XDG_CONFIG_HOME: home }],
          [[], { CPT_TLS_CA: pem("ca"), XDG_CONFIG_HOME: home }]
        ] as const
      ) {
        const { notes, status } = yield* Cpt.during(run([...send, ...to, ...args], env), takesHi(server, "alice"))
        assert.deepStrictEqual([status, notes], [0, []])
      }
    }))

  it.live("encrypts, and verifies the server", () =>
    Effect.gen(function*() {
      const server = yield* secure()
      for (const host of ["127.0.0.1", "localhost"]) {
        const args = [...send, "--as", "alice", "--server", `${host}:${server.port}`, "--tls", "--tls-ca", pem("ca")]
        const { notes, status } = yield* Cpt.during(run(args), takesHi(server, "alice"))
        assert.deepStrictEqual([status, notes], [0, []])
      }
    }))

  it.live("does not talk to a server that it cannot trust", () =>
    Effect.gen(function*() {
      const server = yield* secure()
      const { notes, status } = yield* run([...send, "--server", `127.0.0.1:${server.port}`, "--tls"])
      assert.strictEqual(status, 4)
      assert.match(notes.join("\n"), /^no connection to .*certificate.*$/)
    }))

  // Node would then take any certificate, where it is not told otherwise
  it.live("does not do so either where NODE_TLS_REJECT_UNAUTHORIZED is 0", () =>
    Effect.gen(function*() {
      const server = yield* secure()
      const to = ["--server", `127.0.0.1:${server.port}`, "--tls"]
      const careless = { env: { NODE_TLS_REJECT_UNAUTHORIZED: "0" } }
      for (const args of [[...send, ...to], ["conformance", `cpts://127.0.0.1:${server.port}`]]) {
        const { stderr } = yield* Cpt.run(args)
        const despite = yield* Cpt.run(args, careless)
        assert.strictEqual(despite.status, 4)
        assert.isTrue(despite.stderr.endsWith(`\n${stderr}`), despite.stderr) // after a warning of Node's own
      }
    }))

  it.live("is on where there are certificates, and shows the own one", () =>
    Effect.gen(function*() {
      const server = yield* secure(true)
      const { notes, status } = yield* Cpt.during(
        run([...send, "--as", "alice"], {
          CPT_SERVER: `127.0.0.1:${server.port}`,
          CPT_TLS_CA: pem("ca"),
          CPT_TLS_CERT: pem("alice"),
          CPT_TLS_KEY: pem("alice.key")
        }),
        takesHi(server, "alice")
      )
      assert.deepStrictEqual([status, notes], [0, []])
    }))

  it.live("says so where the server does not speak TLS", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.onPort
      const { notes, status } = yield* Cpt.during(
        run([...send, "--server", `127.0.0.1:${server.port}`, "--tls"]),
        Effect.flatMap(server.accept, (peer) => peer.says("DECLINE invalid_command"))
      )
      assert.strictEqual(status, 4)
      assert.match(notes.join("\n"), /^no connection to .*: the server does not speak TLS; .*$/)
    }))

  it.live("says in a few words how TLS has failed, and not where in the source of OpenSSL", () =>
    Effect.gen(function*() {
      const { port } = yield* Effect.acquireRelease(
        Effect.callback<{ readonly server: Server; readonly port: number }>((resume) => {
          const certificate = { key: readFileSync(pem("server.key")), cert: readFileSync(pem("server")) }
          const tls = createServer(certificate)
          const server = createClear((socket) => {
            tls.emit("connection", socket)
            tls.once(
              "secureConnection",
              (secured: Socket) => secured.once("data", () => socket.write(Buffer.alloc(600)))
            )
          })
          server.listen(0, "127.0.0.1", () => {
            const address = server.address()
            if (address !== null && typeof address === "object") {
              resume(Effect.succeed({ server, port: address.port }))
            }
          })
        }),
        ({ server }) => Effect.sync(() => server.close())
      )
      const { notes, status } = yield* run(
        [...send, "--server", `cpts://localhost:${port}`, "--tls-ca", pem("ca"), "--timeout", "1s"]
      )
      assert.strictEqual(status, 4)
      assert.match(notes.join("\n"), /: TLS has failed \(bad record type\) before the login; [^:]*$/)
    }))
})
