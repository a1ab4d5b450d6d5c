/** The example of `Peer.ts`, and what it promises of peers under a clock that nobody moves. */
import { Accounts, layerMemory, Server } from "@cpt/server"
import { makeListener } from "@cpt/server/testing"
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"

const serverOf = (memory: ReturnType<typeof makeListener>) =>
  Server.layer(memory.listener).pipe(Layer.provide([Accounts.layerOpen, layerMemory()]))

describe("peers of a server that is provided around the test", () => {
  it.effect("are as the example has them, and the server does not wait for them", () => {
    const memory = makeListener()
    return Effect.gen(function*() {
      const alice = yield* memory.connect
      yield* alice.say("CONNECT alice\n")
      assert.strictEqual(yield* alice.line, "ACCEPT")
    }).pipe(Effect.provide(serverOf(memory)))
  })

  it.effect("are not waited for either where they take nothing", () => {
    const memory = makeListener()
    return Effect.gen(function*() {
      const alice = yield* memory.connect
      yield* alice.stopReading
      yield* alice.say("CONNECT alice\nSEND red hi\nSYNC red 0\n")
      const bob = yield* memory.connect
      yield* bob.say("CONNECT bob\n")
      assert.strictEqual(yield* bob.line, "ACCEPT")
    }).pipe(Effect.provide(serverOf(memory)))
  })

  it.effect("hear that it stops, and that it has ended in good order", () => {
    const memory = makeListener()
    return Effect.gen(function*() {
      const alice = yield* Effect.gen(function*() {
        const alice = yield* memory.connect
        yield* alice.say("CONNECT alice\n")
        assert.strictEqual(yield* alice.line, "ACCEPT")
        return alice
      }).pipe(Effect.provide(serverOf(memory)))
      assert.strictEqual(yield* alice.line, "DECLINE shutting_down")
      const { reason } = yield* Effect.flip(alice.line)
      assert.deepInclude(reason, { _tag: "SocketCloseError", code: 1000 })
    })
  })
})

const shared = makeListener()
layer(serverOf(shared))("a peer of a server that tests share", (it) => {
  it.effect("is gone when its scope is closed, and its name is free", () =>
    Effect.gen(function*() {
      const logIn = Effect.gen(function*() {
        const alice = yield* shared.connect
        yield* alice.say("CONNECT alice\n")
        assert.strictEqual(yield* alice.line, "ACCEPT")
        return alice
      })
      const { hasEnded } = yield* Effect.scoped(logIn)
      yield* hasEnded
      yield* logIn
    }))
})
