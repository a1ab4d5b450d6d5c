/**
 * One random program: clients that connect, send, sync, read slowly, and are cut at any byte, against a real server (over
 * TCP, or in memory where the seed is odd) and the model; after each step what each client has heard is what the model says, and in the end the store is.
 *
 * The server's wall clock is the program's, so even timestamps are known. Where two things race, on purpose, the model
 * does not know who wins: then what was heard must be one of the possible outcomes, or the store is asked.
 */
import { Name, Timestamp } from "@cpt/schema"
import { layerMemory, MessageStore } from "@cpt/server"
import { Clock, Deferred, Duration, Effect, Layer } from "effect"
import { Buffer } from "node:buffer"
import { clockAt } from "../support/clock.ts"
import { patiently } from "../support/patience.ts"
import { type Connection, end, inMemory, overTcp, type World } from "../support/World.ts"
import { lineOf, type Message, Model, Session } from "./Model.ts"

/** Numbers that look random and are the same for the same seed (mulberry32). */
const randomOf = (seed: number) => {
  let state = seed | 0
  return (): number => {
    state = state + 0x6d2b79f5 | 0
    let t = Math.imul(state ^ state >>> 15, 1 | state)
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t
    return ((t ^ t >>> 14) >>> 0) / 2 ** 32
  }
}

const names = ["ann", "bob", "cat"]
const otherNames = ["ann", "bob", "g", "h", "System"]
const targets = ["ann", "bob", "g", "h"]
const texts = ["ok", "no", "é 🦀"]
const nonsense = ["", "HELLO", "ACK", "SEND g", "SYNC g 01", "SEND system hi", "CONNECT a b", "send g hi"]
const future = 999_999_999_999_999

/** More than the network holds for a peer that does not read. */
const flood = Array.from({ length: 600 }, (_, index) => `${index} ${"x".repeat(8000)}`)

/** A client, or its place, where there is none at the moment. */
interface Client {
  readonly label: string
  connection: Connection
  session: Session
  isReading: boolean
  /** A SYNC whose answer it has not read: the messages that must be in it, at the least. */
  syncing: { readonly target: string; readonly after: number; readonly atLeast: number } | undefined
}

const turn = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

export const runProgram = Effect.fnUntraced(function*(seed: number, steps: number) {
  const random = randomOf(seed)
  const below = (n: number) => Math.floor(random() * n)
  const pick = <A>(all: ReadonlyArray<A>): A => {
    const picked = all[below(all.length)]
    if (picked === undefined) throw new Error("nothing to pick from")
    return picked
  }
  const model = new Model()
  const log: Array<string> = []
  // In memory a peer that does not read is felt at its first byte, over TCP at its fourth megabyte
  const isInMemory = seed % 2 === 1
  const isFlooding = !isInMemory && below(4) === 0
  let unique = 0

  const fail = (what: string): never => {
    throw new Error(
      `${what}\n\nCPT_MODEL_SEED=${seed} CPT_MODEL_PROGRAMS=1 does it again; the last of ${log.length} lines were\n\n${
        log.slice(-80).map((line) => `    ${line.length > 100 ? `${line.slice(0, 100)}…` : line}`).join("\n")
      }`
    )
  }

  // The server

  const live = yield* Clock.clockWith(Effect.succeed)
  const clockOf = (passed: () => number) => clockAt(live, () => model.now, passed)
  const readOf = new Map<string, Deferred.Deferred<void>>() // who wants to know of the next read of a target
  const chance = randomOf(-seed)
  /** In half of the programs the store answers some turns of the event loop later, as one with a thread of its own. */
  const later = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    seed % 4 < 2
      ? effect
      : Effect.tap(effect, Effect.suspend(() => Effect.repeat(turn, { times: Math.floor(chance() * 3) })))
  const observedStore = Layer.effect(
    MessageStore,
    Effect.map(MessageStore, (store) =>
      MessageStore.of({
        ...store,
        append: (sender, batch) => later(store.append(sender, batch)),
        confirm: (sender) => later(store.confirm(sender)),
        read: (target, options) => {
          Deferred.doneUnsafe(readOf.get(target) ?? Deferred.makeUnsafe<void>(), Effect.void)
          return later(store.read(target, options))
        },
        watch: (target, watcher) => later(store.watch(target, watcher)),
        kindOf: (name) => later(store.kindOf(name)),
        claim: (name, kind) => later(store.claim(name, kind)),
        declare: (kind, names) => later(store.declare(kind, names)),
        release: (names) => later(store.release(names)),
        unwatch: (target, watcher) => later(store.unwatch(target, watcher))
      }))
  ).pipe(Layer.provide(Layer.provide(layerMemory(), Layer.succeed(Clock.Clock, clockOf(() => model.uptime)))))
  const options = { store: observedStore, settings: { loginDeadline: Duration.hours(500) } }
  const world: World = yield* (isInMemory ? inMemory(options) : overTcp(options)).pipe(
    Effect.provideService(Clock.Clock, clockOf(() => 0)) // no deadline is over when time passes for the store
  )

  /** Whether there is a message of which the model does not know. */
  const holdsMore = (target: string) =>
    Effect.map(
      world.store.read(Name.Target.make(target), { after: Timestamp.fromMillis(model.head(target)) }),
      ({ lines }) => lines.length > 0
    )

  // The clients

  const clients = new Map<string, Client>()
  const labels = ["A", "B", "C"]

  const hear = Effect.fnUntraced(function*(client: Client) {
    const line = yield* patiently(client.connection.hear, () => fail(`${client.label} waited in vain`))
    log.push(`${client.label}< ${line}`)
    return line
  })

  const say = (client: Client, bytes: string | Uint8Array) => {
    log.push(
      `${client.label}> ${typeof bytes === "string" ? JSON.stringify(bytes) : Buffer.from(bytes).toString("latin1")}`
    )
    return client.connection.say(Buffer.from(bytes))
  }

  /** A live line: the next that is due of its target. */
  const isDue = (due: Array<Message>, line: string): boolean => {
    const index = due.findIndex(({ target }) => line.startsWith(`MSG ${target} `))
    const message = due[index]
    if (message === undefined || lineOf(message) !== line) return false
    due.splice(index, 1)
    return true
  }

  const matches = (expected: string | undefined, line: string): boolean =>
    expected !== undefined && (expected.endsWith("…") ? line.startsWith(expected.slice(0, -1)) : line === expected)

  /** Hears an answer, and maybe live messages around it. */
  const expect = Effect.fnUntraced(function*(client: Client, answer: ReadonlyArray<string>) {
    for (let at = 0; at < answer.length;) {
      const line = yield* hear(client)
      if (matches(answer[at], line)) at++
      else if (!isDue(client.session.due, line)) fail(`${client.label} should have heard ${answer[at]}`)
    }
    if (client.session.isOver) yield* isClosed(client)
  })

  /** Hears the answer to a SYNC during which others have sent. */
  const expectSync = Effect.fnUntraced(function*(client: Client, target: string, after: number, atLeast: number) {
    const lines: Array<string> = []
    for (let line = yield* hear(client); line !== "ENDSYNC"; line = yield* hear(client)) lines.push(line)
    const all = model.of(target, after)
    const isAnswer = (from: number) =>
      lines.length - from >= atLeast &&
      lines.slice(from).every((line, index) => line === lineOf(all[index] ?? fail("more")))
    for (let from = 0; from <= lines.length; from++) {
      const due = [...client.session.due]
      if (
        !lines.slice(0, from).every((line) => isDue(due, line)) || lines.length - from > all.length || !isAnswer(from)
      ) continue
      const told = new Set(all.slice(0, lines.length - from))
      client.session.due = due.filter((message) => !told.has(message))
      return
    }
    fail(`${client.label} got an answer that is none of the possible ones`)
  })

  /** Everybody who reads has heard all there is for them. */
  const settle = Effect.fnUntraced(function*() {
    for (const client of clients.values()) {
      while (client.isReading && client.session.due.length > 0) {
        if (!isDue(client.session.due, yield* hear(client))) fail(`${client.label} should have heard a live message`)
      }
    }
  })

  const gone = (client: Client) => {
    clients.delete(client.label)
    model.leave(client.session)
  }

  const isClosed = Effect.fnUntraced(function*(client: Client) {
    if ((yield* hear(client)) !== end) fail(`${client.label} should have heard the end`)
    gone(client)
  })

  // The steps

  const sends = (client: Client, target: string, text: string, isStored?: boolean) =>
    model.send(
      client.session,
      target,
      text,
      isStored ?? model.isResend(client.session.name ?? "", target, text) === false
    )

  /** What to send: often the same again, as whoever has not seen the ACK. */
  const anything = ({ session }: Client): { readonly target: string; readonly text: string } => {
    const last = model.log.findLast(({ sender }) => sender === session.name)
    return last !== undefined && below(3) === 0 ? last : { target: pick(targets), text: pick(texts) }
  }

  const send = Effect.fnUntraced(function*(client: Client) {
    const { target, text } = anything(client)
    model.hear(client.session)
    yield* say(client, `SEND ${target} ${text}\n`)
    const isResend = model.isResend(client.session.name ?? "", target, text)
    if (isResend !== undefined) return yield* expect(client, sends(client, target, text, !isResend))
    yield* expect(client, ["ACK"])
    sends(client, target, text, yield* holdsMore(target))
  })

  const afterOf = (target: string): number => {
    const known = model.of(target)
    switch (known.length === 0 ? 0 : below(6)) {
      case 0:
        return below(4) === 0 ? future : 0
      case 1:
        return model.now
      default:
        return Math.max(0, pick(known).timestamp + pick([-1, 0, 0, 1]))
    }
  }

  const sync = Effect.fnUntraced(function*(client: Client) {
    model.hear(client.session)
    const isBare = client.session.name !== undefined && below(5) === 0
    const target = isBare ? client.session.name ?? "" : pick(targets)
    const after = isBare ? 0 : afterOf(target)
    yield* say(client, isBare ? "SYNC\n" : `SYNC ${target} ${after}\n`)
    yield* expect(client, model.sync(client.session, target, after))
  })

  /** Whether a SYNC of it is answered with messages. */
  const isReadable = (client: Client, target: string) => !model.isPrivate(client.session, target)

  /** Asks, and does not read the answer for a while. */
  const syncSlowly = Effect.fnUntraced(function*(client: Client) {
    const target = pick(targets)
    const after = afterOf(target)
    const atLeast = model.of(target, after).length
    if (!isReadable(client, target) || atLeast === 0) return
    const isRead = Deferred.makeUnsafe<void>()
    readOf.set(target, isRead)
    model.hear(client.session)
    yield* client.connection.stopReading
    client.isReading = false
    yield* say(client, `SYNC ${target} ${after}\n`)
    log.push(`${client.label}: stop reading`)
    yield* patiently(Deferred.await(isRead), () => fail(`the SYNC of ${client.label} is not carried out`))
    client.syncing = { target, after, atLeast }
    model.sync(client.session, target, after)
  })

  const readOn = Effect.fnUntraced(function*(client: Client) {
    log.push(`${client.label}: read on`)
    yield* client.connection.read()
    client.isReading = true
    const { syncing } = client
    client.syncing = undefined
    if (syncing !== undefined) yield* expectSync(client, syncing.target, syncing.after, syncing.atLeast)
  })

  /** One syncs while another sends to the same target, and a third to another. */
  const race = Effect.fnUntraced(function*(client: Client, others: ReadonlyArray<Client>) {
    const target = pick(targets)
    if (!isReadable(client, target)) return
    // What the SYNC passes over must not depend on who is first, where nothing is due live yet
    const isNew = !client.session.follows.has(target)
    const after = Math.min(afterOf(target), isNew ? model.head(target) : future)
    const atLeast = model.of(target, after).length
    const senders = others.map((sender, index) => ({
      sender,
      to: index === 0 ? target : pick(targets.filter((other) => other !== target)),
      texts: Array.from({ length: 1 + below(15) }, () => `race ${unique++}`)
    }))
    for (const { session } of [client, ...others]) model.hear(session)
    const say1 = say(client, `SYNC ${target} ${after}\n`)
    const say2 = senders.map(({ sender, texts, to }) =>
      say(sender, texts.map((text) => `SEND ${to} ${text}\n`).join(""))
    )
    yield* Effect.all(below(2) === 0 ? [say1, ...say2] : [...say2, say1], { concurrency: "unbounded" })
    model.sync(client.session, target, after)
    for (const { sender, texts, to } of senders) for (const text of texts) sends(sender, to, text)
    for (const { sender, texts } of senders) yield* expect(sender, texts.map(() => "ACK"))
    yield* expectSync(client, target, after, atLeast)
  })

  /** Several lines in one packet. What could be a re-send of a line of the same packet is left out. */
  const pipeline = Effect.fnUntraced(function*(client: Client) {
    model.hear(client.session)
    const lines: Array<string> = []
    const answers: Array<string> = []
    for (let count = 2 + below(5); count > 0; count--) {
      const target = pick(targets)
      if (below(4) === 0) {
        lines.push(pick(nonsense.slice(1)))
        answers.push(
          ...model.decline(client.session, lines.at(-1) === "ACK" ? "unsupported_command" : "invalid_command")
        )
      } else if (below(3) === 0) {
        const after = afterOf(target)
        lines.push(`SYNC ${target} ${after}`)
        answers.push(...model.sync(client.session, target, after))
      } else {
        const text = `one of many ${unique++}`
        lines.push(`SEND ${target} ${text}`)
        answers.push(...sends(client, target, text))
      }
      if (client.session.isOver) break
    }
    yield* say(client, `${lines.join("\n")}\n`)
    yield* expect(client, answers)
  })

  /** A SEND of which only a part arrives, or of which the answer is not waited for. */
  const cut = Effect.fnUntraced(function*(client: Client) {
    const { target, text } = anything(client)
    const line = Buffer.from(`SEND ${target} ${text}\n`)
    const part = pick([0, below(line.length), line.length])
    const isReset = !client.isReading || below(2) === 0
    const { session } = client
    if (part > 0) yield* say(client, line.subarray(0, part))
    log.push(`${client.label}: ${isReset ? "cut" : "half-close"}`)
    if (isReset) {
      yield* patiently(client.connection.cut, () => fail("the server did not notice a reset"))
      // Nobody knows whether the line was heard, but whoever looks: if it was a new message
      if (part === line.length && session.name !== undefined && (yield* holdsMore(target))) {
        model.hear(session)
        sends(client, target, text, true)
      }
      return gone(client)
    }
    model.hear(session)
    yield* client.connection.halfClose
    if (part === line.length) {
      const isResend = model.isResend(session.name ?? "", target, text)
      if (isResend === undefined) {
        yield* expect(client, ["ACK"])
        sends(client, target, text, yield* holdsMore(target))
      } else {
        const answer = sends(client, target, text, !isResend)
        yield* expect(client, answer)
        if (!clients.has(client.label)) return
      }
      // CPT 4.7: it depends on whether the end of our side came before the ACK was written
      model.doubt(session.name)
    }
    yield* isClosed(client)
  })

  const connect = Effect.fnUntraced(function*(label: string) {
    const connection = yield* patiently(world.connect, () => fail("no connection"))
    const client: Client = { label, connection, session: new Session(), isReading: true, syncing: undefined }
    clients.set(label, client)
    model.sessions.add(client.session)
    log.push(`${label}: connect`)
    return client
  })

  const login = Effect.fnUntraced(function*(client: Client) {
    const free = names.filter((name) => [...model.sessions].every((session) => session.name !== name))
    const name = pick(free.length === 0 || below(10) === 0 ? otherNames : free)
    model.hear(client.session)
    yield* say(client, `CONNECT ${name}\n`)
    yield* expect(client, model.connect(client.session, name))
  })

  const step = Effect.fnUntraced(function*() {
    const label = pick(labels)
    const client = clients.get(label)
    if (client === undefined) return yield* login(yield* connect(label))
    if (!client.isReading) {
      const what = below(10)
      return what < 4 ? yield* readOn(client) : what < 5 ? yield* cut(client) : undefined
    }
    if (client.session.name === undefined && below(4) > 0) return yield* login(client)
    const others = [...clients.values()].filter((other) =>
      other !== client && other.isReading && other.session.name !== undefined
    )
    const what = below(100)
    if (what < 28) return yield* send(client)
    if (what < 43) return yield* sync(client)
    if (what < 50) return yield* pipeline(client)
    if (what < 63) return yield* cut(client)
    if (what < 65) return yield* login(client)
    if (what < 68) {
      const line = pick(nonsense)
      model.hear(client.session)
      yield* say(client, `${line}\n`)
      return yield* expect(
        client,
        model.decline(client.session, line === "ACK" ? "unsupported_command" : "invalid_command")
      )
    }
    if (what < 72) {
      const millis = pick([1, 1000, 120_001])
      model.now += millis
      model.uptime += millis
      return log.push(`(it is ${model.now})`)
    }
    if (client.session.name === undefined) return
    if (what < 74) {
      model.now += pick([-60_000, 600_000])
      return log.push(`(the clock is set to ${model.now})`)
    }
    if (what < 76) {
      const text = `announcement ${unique++}`
      for (const { due, name } of model.sessions) {
        if (name !== undefined) due.push({ target: "system", sender: "system", timestamp: 0, text })
      }
      log.push(`server: announce ${text}`)
      return yield* world.announce(text)
    }
    if (what < 82) {
      yield* client.connection.stopReading
      client.isReading = false
      return log.push(`${label}: stop reading`)
    }
    if (what < 90) return yield* syncSlowly(client)
    if (isFlooding && what < 93 && unique < 100_000) {
      unique += 100_000
      const target = pick(targets)
      model.hear(client.session)
      yield* say(client, flood.map((text) => `SEND ${target} ${text}\n`).join(""))
      return yield* expect(client, flood.flatMap((text) => sends(client, target, text)))
    }
    if (others.length > 0) return yield* race(client, others)
  })

  for (let count = 0; count < steps; count++) {
    yield* step()
    yield* settle()
  }

  // In the end everybody has heard everything, and nothing else
  for (const client of clients.values()) if (!client.isReading) yield* readOn(client)
  yield* settle()
  for (const client of clients.values()) {
    log.push(`${client.label}: half-close`)
    yield* client.connection.halfClose
    yield* isClosed(client)
  }
  for (const target of targets) {
    const name = Name.Target.make(target)
    const stored: Array<Buffer> = []
    for (let after = Timestamp.epoch, last = false; !last;) {
      const page = yield* world.store.read(name, { after })
      stored.push(Buffer.from(page.lines))
      after = page.through
      last = page.last
    }
    const expected = model.of(target).map((message) => `${lineOf(message)}\n`).join("")
    if (Buffer.concat(stored).toString() !== expected) fail(`the store holds something else for ${target}`)
    const kind = model.kinds.get(target) ?? (expected === "" ? undefined : "open")
    if ((yield* world.store.kindOf(name)) !== kind) fail(`${target} should be ${kind}`)
  }
  return log
})
