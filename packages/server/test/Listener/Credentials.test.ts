/** A certificate in files that change while the server runs. */
import { Accounts, Credentials, layerMemory, Listener, Server } from "@cpt/server"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Effect, Layer, Logger, Queue } from "effect"
import { execFileSync } from "node:child_process"
import { X509Certificate } from "node:crypto"
import { once } from "node:events"
import { closeSync, mkdirSync, openSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { open } from "node:fs/promises"
import { join } from "node:path"
import { text } from "node:stream/consumers"
import { connect, type TLSSocket } from "node:tls"
import { alice, authority, cert, key, server } from "../support/certificate.ts"
import { clockAt } from "../support/clock.ts"
import { newFolder } from "../support/folder.ts"
import { patiently } from "../support/patience.ts"

const old = { key, cert }

const put = (folder: string, pair: { readonly key: string; readonly cert: string }) => {
  writeFileSync(join(folder, "tls.crt"), pair.cert)
  writeFileSync(join(folder, "tls.key"), pair.key)
  return { cert: join(folder, "tls.crt"), key: join(folder, "tls.key") }
}

const fingerprint = (pem: string): string => new X509Certificate(pem).fingerprint256

/** A server with its certificate in these files: what it shows to who connects, and what it logs. */
const started = Effect.fnUntraced(function*(files: Credentials.Files) {
  const log = yield* Queue.unbounded<string>()
  const logger = Logger.make<unknown, void>(({ logLevel, message }) =>
    void Queue.offerUnsafe(log, `${logLevel} ${message}`)
  )
  const { credentials, port } = yield* Effect.gen(function*() {
    const credentials = yield* Credentials.fromFiles(files)
    const services = yield* Server.layer(Listener.tcp({ port: 0, credentials })).pipe(
      Layer.provide([layerMemory(), Accounts.layerOpen]),
      Layer.build
    )
    const [address] = Context.get(services, Server).addresses
    return { credentials, port: address !== undefined && "port" in address ? address.port : assert.fail("no port") }
  }).pipe(Effect.provide(Logger.layer([logger])))
  const connected = Effect.acquireRelease(
    Effect.promise(async () => {
      const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false })
      await once(socket, "secureConnect")
      return socket
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )
  const shown = Effect.scoped(Effect.map(connected, (socket) => socket.getPeerCertificate().fingerprint256))
  const logged = patiently(Queue.take(log), () => assert.fail("nothing was logged"))
  return { credentials, connected, shown, logged }
})

const talks = (socket: TLSSocket) =>
  Effect.promise(() => {
    socket.end("CONNECT ann\n")
    return text(socket)
  })

const ways: ReadonlyArray<
  readonly [string, (folder: string) => Effect.Effect<Credentials.Files>, (at: string) => void]
> = [
  ["are written over", (at) => Effect.sync(() => put(at, old)), (at) => void put(at, server)],
  ["are renamed into their places", (at) => Effect.sync(() => put(at, old)), (at) => {
    mkdirSync(join(at, "new"))
    const made = put(join(at, "new"), server)
    renameSync(made.cert, join(at, "tls.crt"))
    renameSync(made.key, join(at, "tls.key"))
  }],
  // Kubernetes: tls.crt -> ..data/tls.crt, ..data -> ..2026; certbot: live/… -> archive/…
  ["are behind a link that is swapped", (at) =>
    Effect.sync(() => {
      mkdirSync(join(at, "..1"))
      put(join(at, "..1"), old)
      symlinkSync("..1", join(at, "..data"))
      for (const name of ["tls.crt", "tls.key"]) symlinkSync(join("..data", name), join(at, name))
      return { cert: join(at, "tls.crt"), key: join(at, "tls.key") }
    }), (at) => {
    mkdirSync(join(at, "..2"))
    put(join(at, "..2"), server)
    symlinkSync("..2", join(at, "..tmp"))
    renameSync(join(at, "..tmp"), join(at, "..data"))
  }]
]

describe("Credentials in files", () => {
  for (const [how, make, change] of ways) {
    it.live(`that ${how} are shown from then on, and sessions go on`, () =>
      Effect.gen(function*() {
        const at = yield* newFolder
        const { connected, logged, shown } = yield* started(yield* make(at))
        assert.strictEqual(yield* shown, fingerprint(cert))
        const before = yield* connected
        change(at)
        assert.match(yield* logged, /^Info the certificate in .*tls\.crt is new, and valid until .*$/)
        assert.strictEqual(yield* shown, fingerprint(server.cert))
        assert.strictEqual(yield* talks(before), "ACCEPT\n")
      }))
  }

  it.live("that are not right are reported once and change nothing, until they are", () =>
    Effect.gen(function*() {
      const at = yield* newFolder
      const files = put(at, old)
      const { logged, shown } = yield* started(files)
      writeFileSync(files.cert, server.cert) // its key is still to come
      assert.match(yield* logged, /^Error .*tls\.key: it is not the key of the certificate; .*$/)
      assert.strictEqual(yield* shown, fingerprint(cert))
      rmSync(files.cert)
      assert.match(yield* logged, /^Error .*tls\.crt: there is no such file; .*$/)
      writeFileSync(files.cert, server.cert.slice(0, 300))
      assert.match(yield* logged, /^Error .*tls\.crt: expected a certificate in PEM; .*$/)
      assert.strictEqual(yield* shown, fingerprint(cert))
      put(at, server)
      assert.match(yield* logged, /^Info /)
      assert.strictEqual(yield* shown, fingerprint(server.cert))
    }))

  it.live.skipIf(process.platform === "win32")(
    "that a pipe has taken the place of keep nobody waiting",
    () =>
      Effect.gen(function*() {
        const at = yield* newFolder
        const files = put(at, old)
        const { credentials, logged, shown } = yield* started(files)
        rmSync(files.cert)
        execFileSync("mkfifo", [files.cert])
        assert.match(yield* logged, /^Error .*tls\.crt: it is no file that can be read again; .*$/)
        const { message, which } = yield* Effect.flip(credentials.prepare)
        assert.deepStrictEqual([which, message], ["cert", "it is no file that can be read again"])
        assert.strictEqual(yield* shown, fingerprint(cert))
        rmSync(files.cert)
        put(at, server)
        assert.match(yield* logged, /^Info /)
      })
  )

  it.live.skipIf(process.platform === "win32")(
    "that the system does not give are reported once, and tried again",
    () =>
      Effect.gen(function*() {
        const at = yield* newFolder
        const files = put(at, old)
        const { credentials, logged, shown } = yield* started(files)
        const pipe = join(at, "pipe")
        execFileSync("mkfifo", [pipe])
        // As many as Node has threads for files, each of which waits until somebody writes
        const waiting = Array.from({ length: 4 }, () => open(pipe))
        const write = Effect.sync(() => closeSync(openSync(pipe, "r+")))
        yield* Effect.addFinalizer(() => write) // else the test would not end where it fails
        put(at, server)
        assert.match(yield* logged, /^Error .*tls\.crt: the system does not answer, it cannot be read now; .*$/)
        const { message, which } = yield* Effect.flip(credentials.prepare)
        assert.deepStrictEqual([which, message], ["cert", "the system does not answer, it cannot be read now"])
        yield* write
        for (const file of yield* Effect.promise(() => Promise.all(waiting))) yield* Effect.promise(() => file.close())
        assert.match(yield* logged, /^Info /)
        assert.strictEqual(yield* shown, fingerprint(server.cert))
      })
  )

  it.live("are also read when somebody asks, and used when all else is ready", () =>
    Effect.gen(function*() {
      const at = yield* newFolder
      const { credentials, shown } = yield* started(put(at, old))
      put(at, server)
      const use = yield* credentials.prepare
      assert.strictEqual(yield* shown, fingerprint(cert))
      yield* use
      assert.strictEqual(yield* shown, fingerprint(server.cert))
      writeFileSync(join(at, "tls.key"), key)
      const error = yield* Effect.flip(credentials.prepare)
      assert.deepStrictEqual([error.which, error.message], ["key", "it is not the key of the certificate"])
      assert.strictEqual(yield* shown, fingerprint(server.cert))
    }))

  it.live("whose time has not come, or is over, are used, and the log says so each time they are read", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const logger = Logger.make<unknown, void>(({ logLevel, message }) => void log.push(`${logLevel} ${message}`))
      const files = put(yield* newFolder, old)
      let today = "2023-12-31"
      const clock = clockAt(yield* Clock.Clock, () => Date.parse(today))
      yield* Effect.gen(function*() {
        const { prepare } = yield* Credentials.fromFiles(files)
        assert.deepStrictEqual(log.splice(0), [
          `Warn the certificate in ${files.cert} is not valid before Jan  1 00:00:00 2024 GMT: clients that check it do not connect`
        ])
        today = "2024-01-02"
        yield* Effect.flatten(prepare)
        assert.deepStrictEqual(log.splice(0), [])
        today = "2124-01-02"
        yield* Effect.flatten(prepare)
        assert.deepStrictEqual(log.splice(0), [
          `Warn the certificate in ${files.cert} has expired, on Jan  1 00:00:00 2124 GMT: clients that check it do not connect`
        ])
      }).pipe(Effect.provide(Logger.layer([logger])), Effect.provideService(Clock.Clock, clock))
    }))

  it.live("trust other clients from then on, also where those resume a session", () =>
    Effect.gen(function*() {
      const at = yield* newFolder
      const clientCa = join(at, "ca.crt")
      writeFileSync(clientCa, authority)
      const files = { ...put(at, old), clientCa }
      const credentials = yield* Credentials.fromFiles(files)
      const services = yield* Server.layer(Listener.tcp({ port: 0, credentials })).pipe(
        Layer.provide([layerMemory(), Accounts.layerOpen]),
        Layer.build
      )
      const [address] = Context.get(services, Server).addresses
      const options = {
        port: address !== undefined && "port" in address ? address.port : 0,
        host: "127.0.0.1",
        ca: cert
      }
      const first = connect({ ...options, servername: "localhost", ...alice })
      const [said, [session]] = yield* Effect.all([talks(first), Effect.promise(() => once(first, "session"))], {
        concurrency: 2
      })
      assert.strictEqual(said, "ACCEPT\n")
      writeFileSync(clientCa, cert)
      yield* Effect.flatten(credentials.prepare)
      const again = connect({ ...options, servername: "localhost", ...alice, session })
      again.on("error", () => {})
      again.end("CONNECT ann\n")
      assert.strictEqual(yield* Effect.promise(() => text(again).catch(() => "")), "")
    }))
})

describe("Credentials", () => {
  it.live("are refused by what is wrong with them", () =>
    Effect.gen(function*() {
      const expected = "expected a certificate in PEM"
      for (
        const [pem, which, message] of [
          [{ key, cert: "" }, "cert", expected],
          [{ key, cert: key }, "cert", expected],
          [{ key: cert, cert }, "key", "expected a private key in PEM, without a passphrase"],
          [{ key: server.key, cert }, "key", "it is not the key of the certificate"],
          [{ key, cert, clientCa: "nobody" }, "clientCa", expected]
        ] as const
      ) {
        const error = yield* Effect.flip(Credentials.make(pem))
        assert.deepStrictEqual([error.which, error.message], [which, message])
      }
    }))
})
