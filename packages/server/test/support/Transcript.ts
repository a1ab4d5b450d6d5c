/**
 * Tests that read as a session. A transcript is lines like these:
 *
 *     A> SEND g hi             A says a line; its first one connects. \r \n \t \0 \\ \xff \u{1f980} are what they are elsewhere
 *     A>> SEND g h             A says just these bytes, without the end of a line
 *     A>. SEND g hi\n          … one byte at a time
 *     A< ACK                   what A hears next, letter by letter; … at its end stands for any rest
 *     B< MSG g alice <t> hi    <t> is a timestamp: any, the first time; the same, from then on; <t-1> one less
 *     A< (end)                 the server has ended in good order; (broken off): it has not
 *     B: nothing more          B has heard nothing else, and nothing is on its way
 *     A: connect               without a word; on a connection that has ended, a new one
 *     A: half-close            A has no more to say, and still listens
 *     A: cut                   a reset, until the server has noticed
 *     A: is given up           waits until the server has done with the connection
 *     A: stop reading          and A: read on; in memory also A: read 10 bytes
 *     server: announce text    and server: stop, server: has stopped
 *     server: account {"name": "bob", "locked": true}  declares it; server: no account bob. The same with groups
 *     server: settings {"groups": "known"}
 *     (10 seconds)             the clock goes on; (back 1 hour): it is set back
 *     # a remark
 *
 * In the end everybody half-closes, and must hear the end of the connection and nothing else.
 */
import { Name } from "@cpt/schema"
import { Account, Group } from "@cpt/server"
import { it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Buffer } from "node:buffer"
import { patiently as waitPatiently } from "./patience.ts"
import { broken, type Connection, end, inMemory, type Options, overTcp, type World } from "./World.ts"

/** A test over TCP. */
export const transcript = (name: string, script: string, options?: Options): void => {
  const at = place()
  it.live(name, () => Effect.flatMap(overTcp(options), (world) => perform(world, script, at)))
}

/** A test in memory, under TestClock. Its clock begins at {@link noon}. */
export const timedTranscript = (name: string, script: string, options?: Options): void => {
  const at = place()
  it.effect(name, () =>
    TestClock.setTime(noon).pipe(
      Effect.andThen(inMemory(options)),
      Effect.flatMap((world) => perform(world, script, at)),
      // Whoever still waits for a clock that nobody moves any more would hide the failure
      Effect.onError(() =>
        Effect.forkDetach(Effect.repeat(Effect.andThen(turn, TestClock.adjust("1 second")), { times: 100 }))
      )
    ))
}

const readAccount = Schema.decodeUnknownSync(Schema.fromJsonString(Account))
const readGroup = Schema.decodeUnknownSync(Schema.fromJsonString(Group))

export const noon = 1_700_000_000_000

const escapes: Readonly<Record<string, number>> = { r: 13, n: 10, t: 9, 0: 0, "\\": 92 }

/** The bytes of a text with escapes. */
const bytesOf = (text: string): Buffer =>
  Buffer.concat(
    text.split(/(\\(?:[rnt0\\]|x[0-9a-f]{2}|u\{[0-9a-f]+\}))/).map((part, index) => {
      if (index % 2 === 0) return Buffer.from(part)
      if (part[1] === "x") return Buffer.from(part.slice(2), "hex")
      if (part[1] === "u") return Buffer.from(String.fromCodePoint(Number.parseInt(part.slice(3, -1), 16)))
      return Buffer.of(escapes[part.slice(1)] ?? 0)
    })
  )

const escaped = (text: string): string => text.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&")

const readable = (line: string): string => line.length > 120 ? `${line.slice(0, 80)}… (${line.length} letters)` : line

/** Steps that are shown of a transcript that fails. */
const shown = 24

const barrier = "MSG system system 0 (barrier "

/** Where the transcript stands, for the report of a failure. */
const place = (): string => new Error("transcript").stack?.split("\n").slice(3).join("\n") ?? ""

const perform = Effect.fnUntraced(function*(world: World, script: string, at: string) {
  const log: Array<string> = []
  const connections = new Map<string, Connection>()
  const timestamps = new Map<string, number>()
  let barriers = 0
  let stopping: Fiber.Fiber<void> | undefined

  const fail = (what: string): never => {
    const error = new Error(`${what}\n\n${log.slice(-shown).map((line) => `    ${readable(line)}`).join("\n")}   <--`)
    error.stack = `${error.name}: ${error.message}\n${at}`
    throw error
  }

  const patiently = <A>(event: Effect.Effect<A>): Effect.Effect<A> => waitPatiently(event, () => fail("waited in vain"))

  const connectionOf = (who: string) => connections.get(who) ?? fail(`${who} is not connected`)

  const connect = Effect.fnUntraced(function*(who: string) {
    const connection = yield* patiently(world.connect)
    connections.set(who, connection)
    return connection
  })

  const hear = Effect.fnUntraced(function*(who: string) {
    for (;;) {
      const line = yield* patiently(connectionOf(who).hear)
      if (line === end || line === broken) connections.delete(who)
      if (!line.startsWith(barrier)) return line
    }
  })

  /** Two announcements, one after the other: whatever was under way to `who` comes before the second. */
  const expectNothing = Effect.fnUntraced(function*(who: string) {
    for (let i = 0; i < 2; i++) {
      const text = `(barrier ${barriers++})`
      yield* world.announce(text)
      for (let line = ""; line !== `MSG system system 0 ${text}`;) {
        line = yield* patiently(connectionOf(who).hear)
        if (!line.startsWith(barrier)) fail(`${who} has heard more: ${readable(line)}`)
      }
    }
  })

  const withTimestamps = (text: string): string =>
    text.replaceAll(/<([a-z]\w*)([+-]\d+)?>/g, (_, name: string, shift = "0") => {
      const known = timestamps.get(name) ?? fail(`<${name}> is not known yet`)
      return String(known + Number(shift))
    })

  const expect = (who: string, expected: string, heard: string) => {
    const names: Array<string> = []
    const pattern = expected.split(/(<[a-z]\w*(?:[+-]\d+)?>|…$)/).map((part, index) => {
      if (index % 2 === 0) return escaped(part)
      if (part === "…") return ".*"
      const name = part.slice(1, -1)
      if (/[+-]/.test(name) || timestamps.has(name)) return withTimestamps(part)
      names.push(name)
      return "([1-9][0-9]*)"
    }).join("")
    const match = new RegExp(`^${pattern}$`, "su").exec(heard)
    if (match === null) return fail(`${who} has heard instead: ${readable(heard)}`)
    names.forEach((name, index) => timestamps.set(name, Number(match[index + 1])))
  }

  const act = Effect.fnUntraced(function*(who: string, action: string) {
    const [, bytes] = /^read (\d+) bytes$/.exec(action) ?? []
    if (bytes !== undefined) return yield* connectionOf(who).read(Number(bytes))
    switch (action) {
      case "connect":
        return yield* Effect.asVoid(connect(who))
      case "nothing more":
        return yield* expectNothing(who)
      case "is given up":
        return yield* patiently(connectionOf(who).hasEnded)
      case "half-close":
        return yield* connectionOf(who).halfClose
      case "cut":
        yield* patiently(connectionOf(who).cut)
        return connections.delete(who)
      case "stop reading":
        return yield* connectionOf(who).stopReading
      case "read on":
        return yield* connectionOf(who).read()
      default:
        return fail("an unknown action")
    }
  })

  const actOfServer = Effect.fnUntraced(function*(action: string) {
    if (action.startsWith("announce ")) return yield* world.announce(action.slice(9))
    const [, not, what = "", text = ""] = /^(no )?(account|group|settings) (.+)$/.exec(action) ?? []
    const { accounts, groups } = world.declared
    if (not !== undefined) {
      return yield* Effect.orDie(
        what === "account" ? accounts.remove(Name.Username.make(text)) : groups.remove(Name.GroupName.make(text))
      )
    }
    if (what === "account") {
      const account = readAccount(text)
      return yield* Effect.orDie(accounts.change(account.name, () => Effect.succeed(account)))
    }
    if (what === "group") {
      const group = readGroup(text)
      return yield* Effect.orDie(groups.change(group.name, () => Effect.succeed(group)))
    }
    if (what === "settings") return yield* world.reconfigure(JSON.parse(text))
    if (action === "stop") stopping = yield* Effect.forkChild(world.stop)
    else if (action === "has stopped" && stopping !== undefined) yield* patiently(Fiber.join(stopping))
    else fail("an unknown action")
  })

  const pass = Effect.fnUntraced(function*(time: string) {
    yield* allHasHappened
    if (time.startsWith("back ")) {
      yield* TestClock.setTime((yield* Clock.currentTimeMillis) - Duration.toMillis(durationOf(time.slice(5))))
    } else yield* TestClock.adjust(durationOf(time))
    yield* allHasHappened
  })

  for (const line of script.split("\n").map((line) => line.trim())) {
    if (line === "" || line.startsWith("#")) continue
    log.push(line)
    const [, time, who = "", how = "", what = ""] = /^(?:\((.*)\)|(\w+)(>>|>\.|>|<|:) ?(.*))$/s.exec(line) ??
      fail("not a step")
    if (time !== undefined) yield* pass(time)
    else if (how === "<") expect(who, bytesOf(what).toString(), yield* hear(who))
    else if (how === ":" && who === "server") yield* actOfServer(what)
    else if (how === ":") yield* act(who, what)
    else {
      const connection = connections.get(who) ?? (yield* connect(who))
      const bytes = bytesOf(withTimestamps(what))
      if (how === ">") yield* connection.say(Buffer.concat([bytes, Buffer.of(10)]))
      else if (how === ">>") yield* connection.say(bytes)
      else {
        for (const byte of bytes) {
          yield* connection.say(Buffer.of(byte))
          yield* turn
        }
      }
    }
  }

  for (const [who, connection] of connections) {
    log.push(`${who}: half-close (in the end)`)
    yield* connection.halfClose
    yield* connection.read()
    const line = yield* hear(who)
    if (line !== end) fail(`${who} has heard more: ${readable(line)}`)
  }
})

/** One turn of Node's event loop. */
const turn = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

/** In memory everything is computation: after so many turns it has come to rest, but for what waits for the clock. */
const allHasHappened = Effect.repeat(turn, { times: 50 })

const durationOf = (text: string): Duration.Duration => {
  const [, count = "", unit = ""] = /^(\d+) (ms|seconds?|minutes?|hours?)$/.exec(text) ?? []
  const millis: Readonly<Record<string, number>> = { ms: 1, second: 1000, minute: 60_000, hour: 3_600_000 }
  return Duration.millis(Number(count) * (millis[unit.replace(/(?<=..)s$/, "")] ?? Number.NaN))
}
