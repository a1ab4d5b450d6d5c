/** The lines in the log of each session: who has come, and at the end what there was of it, and why it ended. */
import { Name } from "@cpt/schema"
import { Accounts, IsLogged, type ServerConfig } from "@cpt/server"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Duration, Effect, Layer, Logger, Queue, References } from "effect"
import { Buffer } from "node:buffer"
import { over } from "./support/stores.ts"
import { type Connection, type Options, overTcp, type World } from "./support/World.ts"

type Line = Readonly<Record<string, unknown>>

/** A world whose log is read: gives the next line of a session's end, and all that was ever logged; errors also apart. */
const logged = Effect.fnUntraced(function*(settings: Partial<ServerConfig.Settings> = {}, options: Options = {}) {
  const lines = yield* Queue.unbounded<Line>()
  const everything: Array<string> = []
  const errors: Array<Line> = []
  const logger = Logger.make<unknown, void>(({ cause, fiber, logLevel, message }) => {
    const fields = fiber.getRef(References.CurrentLogAnnotations)
    everything.push(JSON.stringify([message, fields]))
    if (logLevel === "Error") errors.push({ ...fields, message: String(message), cause: Cause.squash(cause) })
    if (String(message) === "session ended") Queue.offerUnsafe(lines, fields)
  })
  const world = yield* Effect.provide(overTcp({ ...options, settings }), Logger.layer([logger]))
  return { world, ended: Queue.take(lines), everything, errors }
})

const say = (who: Connection, ...lines: ReadonlyArray<string>) => who.say(Buffer.from(`${lines.join("\n")}\n`))

const login = Effect.fnUntraced(function*(world: World, name: string) {
  const who = yield* world.connect
  yield* say(who, `CONNECT ${name}`)
  assert.strictEqual(yield* who.hear, "ACCEPT")
  return who
})

/** Sends more than two kernels hold. */
const sendsMuch = Effect.fnUntraced(function*(who: Connection) {
  for (let n = 0; n < 2000; n += 100) {
    yield* say(who, ...Array.from({ length: 100 }, (_, index) => `SEND red ${n + index} ${"x".repeat(8000)}`))
    for (let ack = 0; ack < 100; ack++) assert.strictEqual(yield* who.hear, "ACK")
  }
})

/** Asks for as much, and reads nothing of it. */
const asksForMuchAndSleeps = Effect.fnUntraced(function*(who: Connection) {
  yield* sendsMuch(who)
  yield* who.stopReading
  yield* say(who, "SYNC red 0")
})

describe("the login of a session", () => {
  const cases = [
    ["is a line for who debugs", {}, true, ["ann 127.0.0.1", "bob 127.0.0.1"]],
    ["has no address where they are left out", { logAddresses: false }, true, ["ann undefined", "bob undefined"]],
    ["is none for others", {}, false, []]
  ] as const
  for (const [what, settings, isDebug, expected] of cases) {
    it.live(what, () =>
      Effect.gen(function*() {
        const lines: Array<string> = []
        const logger = Logger.make<unknown, void>(({ fiber, logLevel, message }) => {
          const { address, session, user } = fiber.getRef(References.CurrentLogAnnotations)
          if (String(message) !== "session logged in") return
          assert.deepStrictEqual([logLevel, typeof session], ["Debug", "number"])
          lines.push(`${user} ${address}`)
        })
        const world = yield* Effect.provide(overTcp({ settings }), [
          Logger.layer([logger]),
          Layer.succeed(References.MinimumLogLevel, "Debug"),
          Layer.succeed(IsLogged, (level) => isDebug || level !== "Debug")
        ])
        yield* login(world, "ann")
        const bob = yield* world.connect
        yield* say(bob, "CONNECT system", "CONNECT bob")
        assert.deepStrictEqual([yield* bob.hear, yield* bob.hear], ["DECLINE username_taken", "ACCEPT"])
        assert.deepStrictEqual(lines, [...expected])
      }))
  }
})

describe("the end of a session", () => {
  it.live("is a line with its totals, and nothing that was said", () =>
    Effect.gen(function*() {
      const { ended, everything, world } = yield* logged()
      const [ann, bob] = [yield* login(world, "ann"), yield* login(world, "bob")]
      yield* say(ann, "SYNC red 0")
      assert.strictEqual(yield* ann.hear, "ENDSYNC")
      yield* say(bob, "SEND red secret", "SEND red secrets", "SEND ann secrecy")
      for (let acks = 0; acks < 3; acks++) assert.strictEqual(yield* bob.hear, "ACK")
      const told = [yield* ann.hear, yield* ann.hear, yield* ann.hear]
      yield* ann.halfClose
      const bytes = (lines: ReadonlyArray<string>) => lines.map((line) => `${line}\n`).join("").length
      const line = yield* ended
      assert.deepInclude(line, {
        user: "ann",
        address: "127.0.0.1",
        messages: 0,
        delivered: 3,
        received: bytes(["CONNECT ann", "SYNC red 0"]),
        sent: bytes(["ACCEPT", "ENDSYNC", ...told]),
        why: "peer ended"
      })
      assert.isNumber(line["seconds"])
      yield* bob.halfClose
      assert.deepInclude(yield* ended, { user: "bob", messages: 3, delivered: 0, why: "peer ended" })
      assert.notInclude(everything.join(), "secre")
    }))

  it.live("has no user before the login, and no address where they are left out", () =>
    Effect.gen(function*() {
      const { ended, everything, world } = yield* logged({ logAddresses: false })
      const nobody = yield* world.connect
      yield* nobody.halfClose
      const line = yield* ended
      assert.strictEqual(line["why"], "peer ended")
      assert.notProperty(line, "user")
      yield* (yield* login(world, "ann")).halfClose
      assert.strictEqual((yield* ended)["user"], "ann")
      assert.notInclude(everything.join(), "127.0.0.1")
    }))

  const ends: ReadonlyArray<
    readonly [
      why: string,
      settings: Partial<ServerConfig.Settings>,
      end: (world: World, who: Connection) => Effect.Effect<void>
    ]
  > = [
    ["connection lost", {}, (_, who) => who.cut],
    ["declined: invalid_command", {}, (_, who) => say(who, ...Array.from({ length: 20 }, () => "NONSENSE"))],
    ["declined: shutting_down", {}, (world) => world.stop],
    ["cut: write deadline", { writeDeadline: Duration.millis(200) }, (_, who) => asksForMuchAndSleeps(who)],
    [
      "cut: shutdown deadline",
      { shutdownDeadline: Duration.millis(200) },
      (world, who) => Effect.andThen(asksForMuchAndSleeps(who), world.stop)
    ]
  ]
  for (const [why, settings, end] of ends) {
    it.live(`says why: ${why}`, () =>
      Effect.gen(function*() {
        const { ended, world } = yield* logged(settings)
        yield* end(world, yield* login(world, "ann"))
        assert.deepInclude(yield* ended, { user: "ann", why })
      }))
  }

  it.live("is counted and said where it comes of a limit: the write deadline", () =>
    Effect.gen(function*() {
      const { ended, everything, world } = yield* logged({ writeDeadline: Duration.millis(200) })
      const hits = world.metrics.limitHits.of("write-deadline")
      yield* asksForMuchAndSleeps(yield* login(world, "ann"))
      yield* ended
      assert.strictEqual(world.metrics.limitHits.of("write-deadline") - hits, 1)
      const said = JSON.stringify([["a limit is reached"], { limit: "write-deadline", address: "127.0.0.1" }])
      assert.deepStrictEqual(everything.filter((line) => line.includes("a limit is reached")), [said])
    }))

  it.live("says why, before the login: declined for its reason", () =>
    Effect.gen(function*() {
      const { ended, world } = yield* logged({ loginDeadline: Duration.millis(50) })
      yield* world.connect
      assert.strictEqual((yield* ended)["why"], "declined: login_timeout")
      const names = yield* world.connect
      yield* say(names, "CONNECT system", "CONNECT system", "CONNECT system")
      assert.strictEqual((yield* ended)["why"], "declined: username_taken")
    }))

  it.live("says whose login was refused last, and why, also if another was not", () =>
    Effect.gen(function*() {
      const { ended, world } = yield* logged()
      const who = yield* login(world, "ann")
      const other = yield* world.connect
      yield* say(other, "CONNECT system", "CONNECT ann", "CONNECT bob")
      assert.strictEqual(yield* other.hear, "DECLINE username_taken")
      assert.strictEqual(yield* other.hear, "DECLINE username_taken")
      assert.strictEqual(yield* other.hear, "ACCEPT")
      yield* other.halfClose
      assert.deepInclude(yield* ended, { user: "bob", refused: "ann: username_taken" })
      yield* who.halfClose
      assert.notProperty(yield* ended, "refused")
    }))
})

describe("a session in which something dies", () => {
  const why = new Error("this should not happen")
  const dies = () => Effect.die(why)
  const deaths: ReadonlyArray<readonly [what: string, options: Options, user: { readonly user?: string }]> = [
    ["an account rule", { accounts: Accounts.layerOf(dies) }, {}],
    ["the store, at an append", { store: over(() => ({ append: dies })) }, { user: "ann" }],
    ["the store, after a while", { store: over(() => ({ append: () => Effect.delay(dies(), 1) })) }, { user: "ann" }],
    ["the store, when the session ends", { store: over(() => ({ unwatch: dies })) }, { user: "ann" }]
  ]
  for (const [what, options, user] of deaths) {
    it.live(`says why in the log, once: ${what}`, () =>
      Effect.gen(function*() {
        const { ended, errors, world } = yield* logged({}, options)
        const who = yield* world.connect
        yield* say(who, "CONNECT ann", "SEND red hi")
        yield* who.halfClose
        const { session, ...line } = yield* ended
        assert.deepInclude(line, { ...user, address: "127.0.0.1", why: "failed" })
        assert.deepStrictEqual(errors, [
          { session, ...user, address: "127.0.0.1", message: "session failed", cause: why }
        ])
      }))
  }

  it.live("is ended, and says why, also where that is beside the conversation", () =>
    Effect.gen(function*() {
      const red = Name.GroupName.make("red")
      const store = over((store) => ({
        unwatch: (target, watcher) => target === red ? dies() : store.unwatch(target, watcher)
      }))
      const { ended, errors, world } = yield* logged({}, { store, accounts: Accounts.layerMemory })
      const who = yield* login(world, "ann")
      yield* say(who, "SYNC red 0")
      assert.strictEqual(yield* who.hear, "ENDSYNC")
      yield* Effect.orDie(world.declared.groups.change(red, () => Effect.succeed({ name: red, members: [] })))
      const { session, ...line } = yield* ended
      assert.deepInclude(line, { user: "ann", why: "failed" })
      assert.deepStrictEqual(errors, [
        { session, user: "ann", address: "127.0.0.1", message: "session failed", cause: why }
      ])
    }))

  it.live("is ended, and says why, also where it is brought to the head after it was slow", () =>
    Effect.gen(function*() {
      let isSlow = false
      const store = over((store) => ({ read: (...page) => isSlow ? dies() : store.read(...page) }))
      const { ended, errors, world } = yield* logged({}, { store })
      const who = yield* login(world, "ann")
      yield* say(who, "SYNC red 0")
      assert.strictEqual(yield* who.hear, "ENDSYNC")
      isSlow = true
      yield* who.stopReading
      yield* sendsMuch(yield* login(world, "bob"))
      yield* who.read()
      const { session, ...line } = yield* ended
      assert.deepInclude(line, { user: "ann", why: "failed" })
      assert.deepStrictEqual(errors, [
        { session, user: "ann", address: "127.0.0.1", message: "session failed", cause: why }
      ])
    }))

  it.live("does not say where the peer is, where addresses are left out", () =>
    Effect.gen(function*() {
      const { ended, errors, world } = yield* logged({ logAddresses: false }, { accounts: Accounts.layerOf(dies) })
      yield* say(yield* world.connect, "CONNECT ann")
      const { session } = yield* ended
      assert.deepStrictEqual(errors, [{ session, message: "session failed", cause: why }])
    }))
})
