/** The administration over TCP: where it can be, and its token. What can be asked of it is in the tests of `cpt`. */
import { Accounts, Admin, layerMemory, Listener, Probes, Program, Server } from "@cpt/server"
import { AdminClient } from "@cpt/server/admin"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Redacted } from "effect"

const place = { host: "127.0.0.1", port: 0 }

/** Beside a server, which has a port of its own. */
const built = <A, E>(administration: Layer.Layer<A, E, Server | Accounts | Program | Layer.Success<typeof store>>) =>
  administration.pipe(
    Layer.provideMerge(Server.layer(Listener.tcp({ port: 0 }))),
    Layer.provide([Accounts.layerOpen, Program.layerNone]),
    Layer.provide(store),
    Layer.build
  )
const store = layerMemory()

const administered = (token: string) =>
  Effect.map(built(Admin.layerTcp({ ...place, token: () => Redacted.make(token) })), Context.get(Admin))

describe("the token", () => {
  it.live("is one line, which may have an end, as that of a file has", () =>
    Effect.gen(function*() {
      for (
        const [kept, shown] of [["secret\n", "secret\n"], ["secret", "secret\r\n"], ["secret\n", "secret"]] as const
      ) {
        const { uri } = yield* administered(kept)
        const client = yield* AdminClient.make({ url: new URL(uri), token: Redacted.make(shown) })
        assert.strictEqual((yield* client.server.status()).users, 0)
      }
    }))

  it.live("that cannot stand in a header of HTTP is refused, by client and server", () =>
    Effect.gen(function*() {
      for (const token of ["two\nlines", "\u{1f980}", " \n", ""]) {
        const url = new URL("http://127.0.0.1:1")
        const refused = yield* Effect.flip(AdminClient.make({ url, token: Redacted.make(token) }))
        assert.strictEqual(refused._tag, "TokenUnusable", JSON.stringify(token))
        const failed = yield* Effect.flip(administered(token))
        assert.strictEqual(failed._tag, "AdminFailed", JSON.stringify(token))
      }
    }))
})

describe("a URL that is not of HTTP", () => {
  it.live("is a failure of every question", () =>
    Effect.gen(function*() {
      const client = yield* AdminClient.make({ url: new URL("ftp://127.0.0.1"), token: undefined })
      assert.strictEqual((yield* Effect.flip(client.server.status()))._tag, "HttpClientError")
    }))
})

describe("a port that there cannot be", () => {
  it.live("is a failure of whoever should listen there", () =>
    Effect.gen(function*() {
      for (const port of [65_536, -1, 1.5, Number.NaN]) {
        const unheard = yield* Effect.flip(Layer.build(Listener.tcp({ port })))
        assert.strictEqual(unheard._tag, "SocketServerError", String(port))
        const admin = Admin.layerTcp({ ...place, port, token: () => Redacted.make("secret") })
        assert.strictEqual((yield* Effect.flip(built(admin)))._tag, "AdminFailed", String(port))
        const probes = Probes.layerTcp({ ...place, port })
        assert.strictEqual((yield* Effect.flip(built(probes)))._tag, "AdminFailed", String(port))
      }
    }))
})
