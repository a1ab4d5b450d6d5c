/**
 * The suite that every driver of `MessageStore` must pass: the contract of `MessageStore.ts`, sentence by sentence, and
 * then random programs against a model of it.
 *
 *     messageStoreSuite("my driver", myLayer)
 *
 * Each build of the layer is taken to be an empty store of its own. The suite runs under TestClock: a driver takes the
 * time of a message from Effect's Clock, and waits for nothing that needs that clock to move. In some tests the time of day
 * jumps while no time passes.
 */
import { Command, type Decline, Limits, Message, Name, Timestamp } from "@cpt/schema"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Clock, Effect, Exit, Fiber, Layer, Schema, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Buffer } from "node:buffer"
import { Batch } from "../Batch.ts"
import { type Appended, type KeptGroups, type Kind, MessageStore } from "../MessageStore.ts"
import { jumpingClock } from "./JumpingClock.ts"

export interface SuiteOptions {
  /** Milliseconds in which the layer takes an equal, unconfirmed message for a re-send. Default: CPT's 120 s. */
  readonly resendWindow?: number
  /** Random programs to run, each on a store of its own. Default: 200. */
  readonly programs?: number
  /** The same driver, if it can be bounded: keeping no more than so many messages, at least 20. */
  readonly bounded?: { readonly layer: Layer.Layer<MessageStore, unknown>; readonly messages: number }
}

type Store = MessageStore["Service"]

/** Sets the time of day, forward or back; no time passes. */
type Jump = (millis: number) => Effect.Effect<void>

/** A message on its way into the store. */
interface Draft {
  readonly sender: Name.Username
  readonly target: Name.Target
  readonly message: Message.Message
}

/** What a session does: the append is run at once, and while it waits, its batch is that of what is said next. */
const handOver = (store: Store, sender: Name.Username, batch: Batch) =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const appending = yield* Effect.forkChild(restore(store.append(sender, batch)), { startImmediately: true })
      const { bytes, count } = batch
      bytes.fill("?")
      batch.reset(bytes)
      for (let index = 0; index < count; index++) batch.add(target("another"), 0, 1)
      return yield* Effect.onInterrupt(restore(Fiber.join(appending)), () => Fiber.interrupt(appending))
    })
  )

/** Those of each sender that follow each other, in one go. Gives how many names are new. */
const append = (store: Store, drafts: ReadonlyArray<Draft>): Effect.Effect<number, Decline.StorageUnavailable> => {
  const [first] = drafts
  if (first === undefined) return Effect.succeed(0)
  const end = drafts.findIndex(({ sender }) => sender !== first.sender)
  const [own, others] = end === -1 ? [drafts, []] : [drafts.slice(0, end), drafts.slice(end)]
  const batch = Batch.of(...own.map(({ message, target }) => [target, message] as const))
  return Effect.flatMap(
    handOver(store, first.sender, batch),
    (named) => Effect.map(append(store, others), (more) => named + more)
  )
}

/** With an empty store of its own, and a clock whose time of day can be set. */
const withStore = <A, E, F, R>(
  layer: Layer.Layer<MessageStore, E>,
  body: (store: Store, jump: Jump) => Effect.Effect<A, F, R>
) =>
  Effect.flatMap(jumpingClock, ({ clock, jump }) =>
    MessageStore.pipe(
      Effect.flatMap((store) => body(store, jump)),
      Effect.provide(Layer.fresh(layer)),
      Effect.provideService(Clock.Clock, clock)
    ))

/** Watches a target until the scope ends. The lines, which a session may have waiting for a slow peer, are then as they were. */
const watch = (store: Store, to: string, tell: (message: Appended) => void) => {
  const lines: Array<readonly [Uint8Array, before: Buffer]> = []
  const watcher = {
    tell: (message: Appended) => {
      lines.push([message.line, Buffer.from(message.line)])
      tell(message)
    }
  }
  return Effect.acquireRelease(
    store.watch(target(to), watcher),
    () =>
      Effect.map(store.unwatch(target(to), watcher), () => {
        for (const [line, before] of lines) assert.isTrue(before.equals(line), "a line stays as it was told")
      })
  )
}

/** A message as it is read, with its line taken apart. */
interface Read {
  readonly sender: string
  readonly timestamp: number
  readonly text: string
}

const maxPageBytes = 256 * 1024

const user = (name: string) => Name.Username.make(name)
const target = (name: string) => Name.Target.make(name)
const draft = (sender: string, to: string, text: string): Draft => ({
  sender: user(sender),
  target: target(to),
  message: Message.Message.make(text)
})
const at = (millis: number) => Timestamp.Timestamp.make(millis)

/** `count` drafts of texts that are all different. */
const series = (sender: string, to: string, count: number, from = 0): ReadonlyArray<Draft> =>
  Array.from({ length: count }, (_, index) => draft(sender, to, `${sender} ${from + index}`))

const textsOf = (messages: ReadonlyArray<{ readonly text: string }>) => messages.map(({ text }) => text)

/** A line without its end, with what is between its fields; as the wire has it. */
const parsed = (to: string, line: string): Read => {
  const fields = /^MSG (\S+) (\S+) (\d+) (.*)$/su.exec(line)
  assert.isNotNull(fields, `not the line of a message: ${line}`)
  const [, group, sender = "", timestamp, text = ""] = fields
  assert.strictEqual(group, to, "the target of a message in a page")
  return { sender, timestamp: Number(timestamp), text }
}

const linesOf = (bytes: Uint8Array): ReadonlyArray<string> => {
  if (bytes.length === 0) return []
  assert.strictEqual(bytes.at(-1), 10, "a page is whole lines")
  return new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, -1)).split("\n")
}

/** Reads page after page to the end, holding each page to its promises. */
const readAll = Effect.fnUntraced(function*(store: Store, to: string, after = 0, except?: string) {
  const messages: Array<Read> = []
  const missing: Array<number> = []
  let through = at(after)
  for (let last = false; !last;) {
    const from = through
    const page = yield* store.read(target(to), {
      after: from,
      ...except === undefined ? {} : { except: user(except) }
    })
    const lines = linesOf(page.lines)
    assert.strictEqual(page.count, lines.length, "a page knows how many lines it has")
    assert.isTrue(lines.length <= 1 || page.lines.length <= maxPageBytes, "a page has 256 KiB, or one line")
    assert.isAtLeast(page.through, from, "a page goes forward")
    if (page.missingThrough > 0) {
      assert.isAbove(page.missingThrough, from, "what is missing lies behind where the page began")
      missing.push(page.missingThrough)
    }
    page.release?.()
    const read = lines.map((line) => parsed(to, line))
    for (const [index, { timestamp }] of read.entries()) {
      assert.isAbove(timestamp, read[index - 1]?.timestamp ?? from, "the order of a page")
      assert.isAtMost(timestamp, page.through, "a page ends at or behind its last message")
    }
    messages.push(...read)
    through = page.through
    last = page.last
    assert.isTrue(last || through > from, "a page that is not the last goes on")
  }
  return { messages, missing, through }
})

// The model

/** What a store is, without a thought of speed. */
class Model {
  readonly messages = new Map<string, Array<Read>>()
  readonly kinds = new Map<string, Kind>()
  readonly declared = new Map<string, "user" | "group">()
  readonly #last = new Map<string, { readonly draft: Draft; readonly at: number }>()
  readonly #window: number
  constructor(window: number) {
    this.#window = window
  }

  of(to: string): ReadonlyArray<Read> {
    return this.messages.get(to) ?? []
  }

  head(to: string): number {
    return this.of(to).at(-1)?.timestamp ?? 0
  }

  /** At `now`, by the time of day, and `uptime` milliseconds after the beginning. */
  append(drafts: ReadonlyArray<Draft>, now: number, uptime: number): void {
    for (const draft of drafts) {
      const last = this.#last.get(draft.sender)
      const isResend = last !== undefined && uptime - last.at <= this.#window && this.#window > 0 &&
        last.draft.target === draft.target && last.draft.message === draft.message
      if (isResend) continue
      this.#last.set(draft.sender, { draft, at: uptime })
      const timestamp = Math.max(now, this.head(draft.target) + 1)
      const message = { sender: draft.sender, timestamp, text: draft.message }
      this.messages.set(draft.target, [...this.of(draft.target), message])
      if (!this.kinds.has(draft.target)) this.kinds.set(draft.target, this.declared.get(draft.target) ?? "open")
    }
  }

  confirm(sender: string): void {
    this.#last.delete(sender)
  }

  claim(name: string, kind: Kind): Kind {
    const settled = this.kindOf(name) ?? "open"
    const now = settled === "open" ? kind : settled
    this.kinds.set(name, now)
    return now
  }

  /** Nobody watches it any more. */
  forget(name: string): void {
    if (this.of(name).length === 0) this.kinds.delete(name)
  }

  kindOf(name: string): Kind | undefined {
    return this.declared.get(name) ?? this.kinds.get(name)
  }

  declare(kind: "user" | "group", names: ReadonlyArray<string>): ReadonlyArray<string> {
    const others = names.filter((name) => (this.kindOf(name) ?? "open") !== "open" && this.kindOf(name) !== kind)
    if (others.length > 0) return others
    for (const name of names) {
      this.declared.set(name, kind)
      if (this.kinds.has(name)) this.kinds.set(name, kind)
    }
    return others
  }
}

// Programs

const Senders = Schema.Literals(["ann", "bob"])
const Targets = Schema.Literals(["bob", "red", "blue"])
const Step = Schema.Union([
  Schema.TaggedStruct("append", {
    drafts: Schema.Array(
      Schema.Struct({ sender: Senders, target: Targets, text: Schema.Literals(["ok", "no", "é 🦀"]) })
    )
  }),
  Schema.TaggedStruct("confirm", { sender: Senders }),
  Schema.TaggedStruct("read", {
    target: Targets,
    // from before, at, or just behind one of its messages
    index: Schema.Literals([0, 1, 2, 5]),
    shift: Schema.Literals([-1, 0, 1]),
    except: Schema.Literals(["ann", "bob", "nobody"])
  }),
  Schema.TaggedStruct("claim", { target: Targets, kind: Schema.Literals(["user", "group"]) }),
  Schema.TaggedStruct("declare", { targets: Schema.Array(Targets), kind: Schema.Literals(["user", "group"]) }),
  Schema.TaggedStruct("release", { target: Targets }),
  Schema.TaggedStruct("watch", { target: Targets }),
  Schema.TaggedStruct("unwatch", { target: Targets }),
  Schema.TaggedStruct("wait", { millis: Schema.Literals([1, 1000]) }),
  Schema.TaggedStruct("outwait", {}),
  Schema.TaggedStruct("jump", { millis: Schema.Literals([-3_600_000, -10_000, 10_000, 7_200_000]) })
])
type Step = typeof Step.Type
const steps = Arbitrary.array(Arbitrary.schema(Step), { maxLength: 40 })

const describeStep = (step: Step): string => JSON.stringify(step)

/** Runs a program against both, and compares whatever can be seen. */
const runProgram = Effect.fnUntraced(function*(store: Store, jump: Jump, program: ReadonlyArray<Step>, window: number) {
  const model = new Model(window)
  const watching = new Map<string, { readonly scope: Scope.Closeable; readonly told: Array<Read>; from: number }>()
  let now = 1_700_000_000_000
  let uptime = 0
  yield* TestClock.setTime(now)
  for (const step of program) {
    switch (step._tag) {
      case "append": {
        const drafts = step.drafts.map(({ sender, target, text }) => draft(sender, target, text))
        const to = Array.from(new Set(drafts.map(({ target }) => target)))
        const kinds = yield* Effect.forEach(to, store.kindOf)
        const named = yield* append(store, drafts)
        assert.strictEqual(named, kinds.filter((kind) => kind === undefined).length, describeStep(step))
        model.append(drafts, now, uptime)
        break
      }
      case "confirm": {
        yield* store.confirm(user(step.sender))
        model.confirm(step.sender)
        break
      }
      case "read": {
        const all = model.of(step.target)
        const after = Math.max(0, (all[step.index]?.timestamp ?? 0) + step.shift)
        const { messages, missing } = yield* readAll(store, step.target, after, step.except)
        const expected = all.filter(({ sender, timestamp }) => timestamp > after && sender !== step.except)
        assert.deepStrictEqual(messages, expected, describeStep(step))
        assert.deepStrictEqual(missing, [], "nothing is missing")
        break
      }
      case "claim": {
        if (!watching.has(step.target)) break
        const kind = yield* store.claim(target(step.target), step.kind)
        assert.strictEqual(kind, model.claim(step.target, step.kind), describeStep(step))
        break
      }
      case "declare": {
        const names = Array.from(new Set(step.targets))
        const others = yield* store.declare(step.kind, names.map(target))
        assert.deepStrictEqual(others, model.declare(step.kind, names).map(target), describeStep(step))
        break
      }
      case "release": {
        // What a name then is that has no messages and is watched, nobody promises
        if (watching.has(step.target) && model.of(step.target).length === 0) break
        yield* store.release([target(step.target)])
        model.declared.delete(step.target)
        model.forget(step.target)
        break
      }
      case "watch": {
        if (watching.has(step.target)) break
        const scope = yield* Scope.make()
        const told: Array<Read> = []
        const head = yield* watch(store, step.target, (message) => told.push(readOf(step.target, message)))
          .pipe(Scope.provide(scope))
        assert.strictEqual(head, model.head(step.target), "the head of a watched target")
        watching.set(step.target, { scope, told, from: head })
        break
      }
      case "unwatch": {
        const watched = watching.get(step.target)
        watching.delete(step.target)
        if (watched === undefined) break
        yield* Scope.close(watched.scope, Exit.void)
        model.forget(step.target)
        break
      }
      case "wait":
      case "outwait": {
        const millis = step._tag === "wait" ? step.millis : window + 1
        now += millis
        uptime += millis
        yield* TestClock.adjust(millis)
        break
      }
      case "jump": {
        now += step.millis
        yield* jump(step.millis)
      }
    }
    for (const [to, { from, told }] of watching) {
      const since = model.of(to).filter(({ timestamp }) => timestamp > from)
      assert.deepStrictEqual(told, since, `what the watcher of ${to} was told by ${describeStep(step)}`)
    }
    for (const to of Targets.literals) {
      // Whether being watched is a use of a name, nobody promises
      if (watching.has(to)) continue
      const kind = yield* store.kindOf(target(to))
      if (kind !== "open" || model.kinds.has(to)) assert.strictEqual(kind, model.kindOf(to), `the kind of ${to}`)
    }
  }
  for (const to of Targets.literals) assert.deepStrictEqual((yield* readAll(store, to)).messages, model.of(to))
  for (const { scope } of watching.values()) yield* Scope.close(scope, Exit.void)
})

/** What a watcher was told; the line must be the wire's. */
const readOf = (to: string, { line, sender, timestamp }: Appended): Read => {
  const [text = "", ...more] = linesOf(line)
  assert.deepStrictEqual(more, [], "a watcher is told a line a message")
  const read = parsed(to, text)
  assert.deepStrictEqual({ sender: read.sender, timestamp: read.timestamp }, { sender, timestamp })
  return read
}

export const messageStoreSuite = <E>(
  name: string,
  layer: Layer.Layer<MessageStore, E>,
  { bounded, programs = 200, resendWindow = Limits.resendWindow }: SuiteOptions = {}
): void => {
  const now = 1_700_000_000_000

  /** A test with an empty store, at `now`. */
  const test = <A, F>(
    title: string,
    body: (store: Store, jump: Jump) => Effect.Effect<A, F, Scope.Scope>,
    on: Layer.Layer<MessageStore, unknown> = layer
  ) =>
    it.effect(
      title,
      () => Effect.andThen(TestClock.setTime(now), withStore(on, body))
    )

  describe(name, () => {
    describe("append and read", () => {
      test("gives back what was stored, as the lines of the wire, oldest first", (store) =>
        Effect.gen(function*() {
          yield* append(store, [draft("ann", "red", "hi")])
          yield* TestClock.setTime(now + 5)
          yield* append(store, [draft("bob", "red", "  é 🦀\t ")])
          const page = yield* store.read(target("red"), { after: Timestamp.epoch })
          assert.deepStrictEqual(linesOf(page.lines), [
            Command.msgLine("red", "ann", now, "hi"),
            Command.msgLine("red", "bob", now + 5, "  é 🦀\t ")
          ])
          assert.strictEqual(page.through, now + 5)
          assert.isTrue(page.last)
          assert.strictEqual(page.missingThrough, 0)
        }))

      test("takes drafts of many senders and targets at once, and keeps their order in each target", (store) =>
        Effect.gen(function*() {
          yield* append(store, [
            draft("ann", "red", "1"),
            draft("bob", "blue", "2"),
            draft("bob", "red", "3"),
            draft("ann", "blue", "4"),
            draft("ann", "red", "5")
          ])
          assert.deepStrictEqual(textsOf((yield* readAll(store, "red")).messages), ["1", "3", "5"])
          assert.deepStrictEqual(textsOf((yield* readAll(store, "blue")).messages), ["2", "4"])
        }))

      test("has nothing to do with no drafts", (store) => append(store, []))

      test("reads what lies behind `after`, and not what is at it", (store) =>
        Effect.gen(function*() {
          yield* append(store, series("ann", "red", 5)) // now … now + 4
          const textsAfter = (after: number) =>
            Effect.map(readAll(store, "red", after), ({ messages }) => textsOf(messages))
          assert.deepStrictEqual(yield* textsAfter(now + 1), ["ann 2", "ann 3", "ann 4"])
          assert.deepStrictEqual(yield* textsAfter(now - 1), yield* textsAfter(0))
          assert.deepStrictEqual(yield* textsAfter(now + 3), ["ann 4"])
          assert.deepStrictEqual(yield* textsAfter(now + 4), [])
        }))

      test("reads nothing behind the end, and does not go back there", (store) =>
        Effect.gen(function*() {
          yield* append(store, series("ann", "red", 3))
          for (const name of ["red", "nobody"]) {
            const { release, ...page } = yield* store.read(target(name), { after: at(now + 1000) })
            release?.()
            assert.deepStrictEqual(
              { ...page, lines: page.lines.length },
              { lines: 0, count: 0, through: at(now + 1000), last: true, missingThrough: Timestamp.epoch }
            )
          }
        }))

      test("reads a name that nobody has used as empty", (store) =>
        Effect.gen(function*() {
          const { messages, missing } = yield* readAll(store, "nobody")
          assert.deepStrictEqual([messages, missing], [[], []])
        }))

      test("lists groups, and what has only been sent to, in the order of their names", (store) =>
        Effect.gen(function*() {
          const names = [
            "\u{1f980}",
            "\ufb01x",
            "éa",
            "Red",
            "red",
            "a%b",
            ...series("ann", "red", 2100).map((_, n) => `g${n}`)
          ]
          yield* append(store, names.map((name) => draft("ann", name, "x")))
          yield* append(store, [...series("ann", "red", 2), draft("ann", "bob", "psst")])
          yield* store.claim(user("bob"), "user")
          const list = Effect.gen(function*() {
            const found: Array<readonly [string, number]> = []
            let after = ""
            for (let through: string | undefined = ""; through !== undefined;) {
              after = through
              const page: KeptGroups = yield* store.groups(after)
              found.push(...page.groups.map(({ messages, name }) => [name, messages] as const))
              through = page.through
              assert.isTrue(through === undefined || Name.compare(through, after) > 0, "a page goes forward")
            }
            return found
          })
          const expected = names.toSorted(Name.compare).map((name) => [name, name === "red" ? 3 : 1] as const)
          const found = yield* list.pipe(
            // It may be a moment behind
            Effect.tap(() => Effect.promise(() => new Promise((resume) => setTimeout(resume, 20)))),
            Effect.repeat({
              times: 200,
              until: (found) => found.length === expected.length && found.some(([, n]) => n === 3)
            })
          )
          assert.deepStrictEqual(found, expected)
        }))

      test("takes the longest names, and tells names apart by every letter", (store) =>
        Effect.gen(function*() {
          const names = ["é".repeat(32), "Red", "red", "0", "constructor", "__proto__", "a%b_c", "';--", "\\"]
          yield* append(store, names.map((name) => draft("é".repeat(32), name, `to ${name}`)))
          for (const name of names) {
            assert.deepStrictEqual(textsOf((yield* readAll(store, name)).messages), [`to ${name}`])
          }
          yield* append(store, [draft("__proto__", "blue", "x")])
          assert.deepStrictEqual((yield* readAll(store, "blue")).messages.map(({ sender }) => sender), ["__proto__"])
        }))

      test("passes over the messages of one sender", (store) =>
        Effect.gen(function*() {
          const texts: Array<string> = []
          for (const [index, sender] of [..."abbaaabbcabbb"].entries()) {
            yield* append(store, [draft(sender, "red", `${sender}${index}`)])
            texts.push(`${sender}${index}`)
          }
          for (const except of ["a", "b", "c", "d"]) {
            const { messages, through } = yield* readAll(store, "red", 0, except)
            assert.deepStrictEqual(textsOf(messages), texts.filter((text) => !text.startsWith(except)))
            assert.strictEqual(through, now + texts.length - 1, "the end is reached, whoever spoke last")
          }
        }))

      test("gives a long log in pages that join without a seam", (store) =>
        Effect.gen(function*() {
          const texts = Array.from({ length: 400 }, (_, index) => `${index} ${"x".repeat(index * 97 % 8000)}`)
          for (let from = 0; from < texts.length; from += 50) {
            yield* append(store, texts.slice(from, from + 50).map((text) => draft("ann", "red", text)))
          }
          const { messages, through } = yield* readAll(store, "red")
          assert.deepStrictEqual(textsOf(messages), texts)
          assert.strictEqual(through, now + texts.length - 1)
          const half = yield* readAll(store, "red", now + 199)
          assert.deepStrictEqual(textsOf(half.messages), texts.slice(200))
          assert.deepStrictEqual((yield* readAll(store, "red", 0, "ann")).messages, [])
        }))

      test("gives pages of 256 KiB at most, whatever the length of the lines", (store) =>
        Effect.gen(function*() {
          for (const length of [1000, 5000, 8000, 50_000, 130_000, 200_000]) {
            const texts = Array.from({ length: Math.ceil(600_000 / length) }, (_, index) =>
              `${index} ${"x".repeat(length)}`)
            yield* append(
              store,
              texts.map((text) =>
                draft("ann", `red${length}`, text)
              )
            )
            assert.deepStrictEqual(textsOf((yield* readAll(store, `red${length}`)).messages), texts)
          }
        }))

      test("gives a line that is longer than a page as a page of its own", (store) =>
        Effect.gen(function*() {
          const texts = ["before", "x".repeat(maxPageBytes + 1), "between", "é".repeat(maxPageBytes), "after"]
          yield* append(store, texts.map((text) => draft("ann", "red", text)))
          assert.deepStrictEqual(textsOf((yield* readAll(store, "red")).messages), texts)
        }))

      test("leaves alone what it has given", (store) =>
        Effect.gen(function*() {
          yield* append(store, series("ann", "red", 3))
          const page = yield* store.read(target("red"), { after: Timestamp.epoch })
          const copy = Buffer.from(page.lines)
          yield* readAll(store, "red") // and gives that back
          for (let i = 0; i < 200; i++) yield* append(store, series("bob", "red", 10, i * 10))
          assert.isTrue(copy.equals(page.lines))
        }))
    })

    test("can store and read, as far as it knows, and says where messages are", (store) =>
      Effect.gen(function*() {
        assert.match(store.description, /^.+$/)
        assert.isUndefined(store.failure())
        yield* append(store, series("ann", "red", 3))
        yield* readAll(store, "red")
        assert.isUndefined(store.failure())
      }))

    describe("timestamps (CPT 4.2)", () => {
      const timestamps = (store: Store, to: string) =>
        Effect.map(readAll(store, to), ({ messages }) => messages.map(({ timestamp }) => timestamp))

      test("are the time, and one more than the last where the time has not moved", (store) =>
        Effect.gen(function*() {
          yield* append(store, series("ann", "red", 3))
          yield* append(store, series("bob", "red", 1))
          yield* TestClock.setTime(now + 2)
          yield* append(store, series("ann", "red", 1, 3))
          yield* TestClock.setTime(now + 1000)
          yield* append(store, series("ann", "red", 2, 4))
          assert.deepStrictEqual(
            yield* timestamps(store, "red"),
            [now, now + 1, now + 2, now + 3, now + 4, now + 1000, now + 1001]
          )
        }))

      test("go on increasing when the clock jumps back, and follow it again when it has caught up", (store) =>
        Effect.gen(function*() {
          yield* append(store, series("ann", "red", 1))
          yield* TestClock.setTime(now - 3_600_000)
          yield* append(store, series("bob", "red", 2))
          yield* TestClock.setTime(now + 1)
          yield* append(store, series("cat", "red", 1))
          yield* TestClock.setTime(now + 10)
          yield* append(store, series("dan", "red", 1))
          assert.deepStrictEqual(yield* timestamps(store, "red"), [now, now + 1, now + 2, now + 3, now + 10])
        }))

      test("of one target do not depend on those of another", (store) =>
        Effect.gen(function*() {
          yield* append(store, [draft("ann", "red", "1"), draft("ann", "blue", "2"), draft("ann", "red", "3")])
          assert.deepStrictEqual(yield* timestamps(store, "red"), [now, now + 1])
          assert.deepStrictEqual(yield* timestamps(store, "blue"), [now])
        }))

      test("are never 0, which is the server's own", (store) =>
        Effect.gen(function*() {
          yield* TestClock.setTime(0)
          yield* append(store, series("ann", "red", 2))
          assert.deepStrictEqual(yield* timestamps(store, "red"), [1, 2])
        }))
    })

    describe.runIf(resendWindow > 0)("re-sends (CPT 4.4)", () => {
      const hi = draft("ann", "red", "hi")
      const count = (store: Store, to = "red") => Effect.map(readAll(store, to), ({ messages }) => messages.length)

      test("are stored once, and count as done", (store) =>
        Effect.gen(function*() {
          yield* append(store, [hi])
          yield* append(store, [hi])
          yield* append(store, [hi, hi])
          assert.strictEqual(yield* count(store), 1)
        }))

      test("are known within one append too", (store) =>
        Effect.gen(function*() {
          yield* append(store, [hi, hi, draft("bob", "red", "hi"), hi])
          assert.strictEqual(yield* count(store), 2)
        }))

      test("are equal in sender, target and text", (store) =>
        Effect.gen(function*() {
          yield* append(store, [hi])
          yield* append(store, [draft("bob", "red", "hi")])
          yield* append(store, [hi])
          assert.strictEqual(yield* count(store), 2, "another's message ends nothing")
          yield* append(store, [draft("ann", "blue", "hi")])
          assert.strictEqual(yield* count(store, "blue"), 1)
          yield* append(store, [draft("ann", "blue", "hi ")])
          assert.strictEqual(yield* count(store, "blue"), 2)
        }))

      test("are equal to their last byte, however long", (store) =>
        Effect.gen(function*() {
          const lengths = [1, 2, 31, 32, 33, 64, 8000]
          const drafts = lengths.flatMap((length) => {
            const [one, other] = ["x".repeat(length), `${"x".repeat(length - 1)}y`]
            return [one, one, other, other].map((text) => draft("ann", "red", text))
          })
          yield* append(store, drafts)
          assert.strictEqual(yield* count(store), 2 * lengths.length)
        }))

      test("are over with the sender's first other message", (store) =>
        Effect.gen(function*() {
          yield* append(store, [hi, draft("ann", "red", "ho"), hi])
          assert.strictEqual(yield* count(store), 3)
          yield* append(store, [draft("ann", "blue", "hi")])
          yield* append(store, [hi])
          assert.strictEqual(yield* count(store), 4)
        }))

      test("are over when the sender is known to have seen the ACK", (store) =>
        Effect.gen(function*() {
          yield* append(store, [hi])
          yield* store.confirm(user("bob"))
          yield* append(store, [hi])
          assert.strictEqual(yield* count(store), 1, "another's ACK confirms nothing")
          yield* store.confirm(user("ann"))
          yield* append(store, [hi])
          assert.strictEqual(yield* count(store), 2)
          yield* append(store, [hi])
          assert.strictEqual(yield* count(store), 2, "the second is unconfirmed in its turn")
          yield* store.confirm(user("nobody"))
        }))

      test("are over after the window", (store) =>
        Effect.gen(function*() {
          yield* append(store, [hi])
          yield* TestClock.setTime(now + resendWindow - 1)
          yield* append(store, [hi])
          assert.strictEqual(yield* count(store), 1)
          yield* TestClock.setTime(now + 2 * resendWindow)
          yield* append(store, [hi])
          assert.strictEqual(yield* count(store), 2)
        }))

      test(
        "are over after the window, and not before, whatever the clock is set to",
        (store, jump) =>
          Effect.gen(function*() {
            for (const [index, millis] of [-3_600_000, 7_200_000].entries()) {
              const to = `red${index}`
              const again = Effect.suspend(() => append(store, [draft("ann", to, "hi")]))
              yield* again
              yield* jump(millis)
              yield* TestClock.adjust(resendWindow - 1)
              yield* again
              assert.strictEqual(yield* count(store, to), 1)
              yield* TestClock.adjust(2)
              yield* again
              assert.strictEqual(yield* count(store, to), 2)
            }
          })
      )

      test("are not told to watchers", (store) =>
        Effect.gen(function*() {
          const told: Array<Appended> = []
          yield* watch(store, "red", (message) => told.push(message))
          yield* append(store, [hi, hi])
          yield* append(store, [hi])
          assert.strictEqual(told.length, 1)
        }))
    })

    describe("watch", () => {
      test("tells of each message of the target, once, in order, before its append returns", (store) =>
        Effect.gen(function*() {
          const told: Array<Read> = []
          const head = yield* watch(store, "red", (message) => told.push(readOf("red", message)))
          assert.strictEqual(head, 0)
          for (let i = 0; i < 5; i++) {
            yield* append(store, [...series("ann", "red", 3, i * 3), ...series("bob", "blue", 2, i * 2)])
            assert.deepStrictEqual(told, (yield* readAll(store, "red")).messages)
          }
          assert.strictEqual(told.length, 15)
        }))

      test("gives the last message before it, and tells of none up to that", (store) =>
        Effect.gen(function*() {
          yield* append(store, series("ann", "red", 3))
          const told: Array<Read> = []
          const head = yield* watch(store, "red", (message) => told.push(readOf("red", message)))
          assert.strictEqual(head, now + 2)
          assert.deepStrictEqual(told, [])
          yield* append(store, series("bob", "red", 1))
          assert.deepStrictEqual(told, [{ sender: "bob", timestamp: now + 3, text: "bob 0" }])
        }))

      test("tells every watcher, until its scope ends", (store) =>
        Effect.gen(function*() {
          const told: { readonly long: Array<string>; readonly short: Array<string> } = { long: [], short: [] }
          const note = (who: keyof typeof told) => (message: Appended) => told[who].push(readOf("red", message).text)
          const scope = yield* Scope.make()
          yield* watch(store, "red", note("long"))
          yield* watch(store, "red", note("short")).pipe(Scope.provide(scope))
          yield* append(store, series("ann", "red", 1))
          yield* Scope.close(scope, Exit.void)
          yield* append(store, series("bob", "red", 1))
          assert.deepStrictEqual(told, { long: ["ann 0", "bob 0"], short: ["ann 0"] })
        }))

      test("tells a watcher of several targets, and of the others when it leaves one", (store) =>
        Effect.gen(function*() {
          const told: Array<string> = []
          const watcher = { tell: ({ line }: Appended) => void told.push(Buffer.from(line).toString()) }
          for (const to of ["red", "blue"]) yield* store.watch(target(to), watcher)
          yield* store.unwatch(target("red"), watcher)
          yield* append(store, [draft("ann", "red", "1"), draft("ann", "blue", "2")])
          assert.deepStrictEqual(told, [`${Command.msgLine("blue", "ann", now, "2")}\n`])
        }))

      test("leaves no hole and no seam among concurrent appends", (store) =>
        Effect.gen(function*() {
          const told: Array<Read> = []
          const writers = yield* Effect.forkChild(
            Effect.forEach(
              Array.from({ length: 10 }, (_, writer) => `w${writer}`),
              (writer) =>
                Effect.forEach(
                  [0, 1, 2, 3, 4],
                  (round) => Effect.andThen(Effect.yieldNow, append(store, series(writer, "red", 2, round * 2)))
                ),
              { concurrency: "unbounded" }
            )
          )
          yield* Effect.yieldNow
          yield* Effect.yieldNow
          const head = yield* watch(store, "red", (message) => told.push(readOf("red", message)))
          const before = (yield* readAll(store, "red")).messages.filter(({ timestamp }) => timestamp <= head)
          yield* Fiber.join(writers)
          const { messages } = yield* readAll(store, "red")
          assert.strictEqual(messages.length, 100)
          assert.deepStrictEqual([...before, ...told], messages)
        }))
    })

    describe("names (CPT 2.2)", () => {
      const red = target("red")

      test("are counted by the append that brings them into use", (store) =>
        Effect.gen(function*() {
          const some = [...series("ann", "red", 2), ...series("ann", "blue", 2)]
          assert.strictEqual(yield* append(store, some), 2)
          assert.strictEqual(yield* append(store, some), 0)
          yield* store.declare("group", [target("declared")])
          yield* watch(store, "claimed", () => {})
          yield* store.claim(target("claimed"), "user")
          const others = ["red", "declared", "new", "claimed", "new"].map((to) => draft("bob", to, "hi"))
          assert.strictEqual(yield* append(store, others), 1)
        }))

      test("are nothing, open, and then a user or a group for good", (store) =>
        Effect.gen(function*() {
          assert.isUndefined(yield* store.kindOf(red))
          yield* append(store, series("ann", "red", 1))
          assert.strictEqual(yield* store.kindOf(red), "open")
          yield* watch(store, "red", () => {})
          assert.strictEqual(yield* store.claim(red, "user"), "user")
          assert.strictEqual(yield* store.claim(red, "group"), "user")
          assert.strictEqual(yield* store.kindOf(red), "user")
          yield* append(store, series("bob", "red", 1))
          assert.strictEqual(yield* store.kindOf(red), "user")
          assert.strictEqual((yield* readAll(store, "red")).messages.length, 2)
        }))

      test("are claimed for a user when all that they have said before is stored (CPT 5.5)", (store) =>
        Effect.gen(function*() {
          for (const text of ["one", "two", "three"]) {
            const said = yield* Effect.forkChild(append(store, [draft("ann", "red", text)]), { startImmediately: true })
            yield* Effect.scoped(Effect.flatMap(watch(store, "ann", () => {}), () => store.claim(user("ann"), "user")))
            assert.isDefined(said.pollUnsafe())
            assert.strictEqual((yield* readAll(store, "red")).messages.at(-1)?.text, text)
          }
        }))

      test("can be claimed before they are used", (store) =>
        Effect.gen(function*() {
          yield* watch(store, "red", () => {})
          assert.strictEqual(yield* store.claim(red, "group"), "group")
          assert.strictEqual(yield* store.claim(red, "user"), "group")
          yield* append(store, series("ann", "red", 1))
          assert.strictEqual(yield* store.kindOf(red), "group")
          assert.isUndefined(yield* store.kindOf(target("ann")), "a sender is not a user for that")
        }))

      test("are what they are at once, also when whoever made them so has gone again", (store) =>
        Effect.gen(function*() {
          for (const kind of ["user", "group"] as const) {
            const name = target(`a-${kind}`)
            yield* append(store, [draft("ann", name, "1")])
            yield* Effect.scoped(Effect.flatMap(watch(store, name, () => {}), () => store.claim(name, kind)))
            assert.strictEqual(yield* store.kindOf(name), kind)
            yield* watch(store, name, () => {})
            assert.strictEqual(yield* store.claim(name, kind === "user" ? "group" : "user"), kind)
          }
        }))

      test("are forgotten without messages when nobody watches them any more, and not with them", (store) =>
        Effect.gen(function*() {
          const bear = (kind: Exclude<Kind, "open">, meanwhile: Effect.Effect<unknown, Decline.StorageUnavailable>) =>
            Effect.scoped(Effect.gen(function*() {
              yield* watch(store, "red", () => {})
              assert.strictEqual(yield* store.claim(red, kind), kind)
              yield* meanwhile
              assert.strictEqual(yield* store.kindOf(red), kind)
            }))
          yield* bear("user", Effect.void)
          assert.isUndefined(yield* store.kindOf(red))
          yield* bear("group", Effect.scoped(watch(store, "red", () => {})))
          assert.isUndefined(yield* store.kindOf(red))
          yield* bear("group", Effect.suspend(() => append(store, series("ann", "red", 1))))
          assert.strictEqual(yield* store.kindOf(red), "group")
        }))

      test("go to one of those who claim them at the same time", (store) =>
        Effect.gen(function*() {
          yield* watch(store, "red", () => {})
          const claims = yield* Effect.forEach(
            Array.from({ length: 20 }, (_, index) => index % 2 === 0 ? "user" as const : "group" as const),
            (kind) => Effect.andThen(Effect.yieldNow, Effect.suspend(() => store.claim(red, kind))),
            { concurrency: "unbounded" }
          )
          assert.strictEqual(new Set(claims).size, 1)
          assert.strictEqual(yield* store.kindOf(red), claims[0])
        }))
    })

    describe("declared names (CPT 2.2, 2.3)", () => {
      const red = target("red")

      test("are what they were declared to be, used or not", (store) =>
        Effect.gen(function*() {
          assert.deepStrictEqual(yield* store.declare("user", [red]), [])
          assert.strictEqual(yield* store.kindOf(red), "user")
          yield* append(store, series("ann", "red", 1))
          assert.strictEqual(yield* store.kindOf(red), "user")
          yield* Effect.scoped(Effect.gen(function*() {
            yield* watch(store, "red", () => {})
            assert.strictEqual(yield* store.claim(red, "group"), "user")
          }))
          assert.strictEqual(yield* store.kindOf(red), "user")
        }))

      test("may have been sent to before", (store) =>
        Effect.gen(function*() {
          yield* append(store, series("ann", "red", 1))
          assert.deepStrictEqual(yield* store.declare("group", [red, target("blue")]), [])
          assert.strictEqual(yield* store.kindOf(red), "group")
          yield* store.release([red])
          assert.strictEqual(yield* store.kindOf(red), "group")
        }))

      test("are all as declared, or none is", (store) =>
        Effect.gen(function*() {
          yield* watch(store, "red", () => {})
          yield* store.claim(red, "group")
          assert.deepStrictEqual(yield* store.declare("user", [target("ann"), red]), [red])
          assert.isUndefined(yield* store.kindOf(target("ann")))
          assert.strictEqual(yield* store.kindOf(red), "group")
          assert.deepStrictEqual(yield* store.declare("group", [red]), [])
          assert.deepStrictEqual(yield* store.declare("user", [red]), [red])
        }))

      test("stay so when they are released, if they have messages", (store) =>
        Effect.gen(function*() {
          yield* store.declare("user", [red, target("bob")])
          yield* append(store, series("ann", "bob", 1))
          yield* store.release([red, target("bob")])
          assert.isUndefined(yield* store.kindOf(red))
          assert.strictEqual(yield* store.kindOf(target("bob")), "user")
          yield* watch(store, "bob", () => {})
          assert.strictEqual(yield* store.claim(target("bob"), "group"), "user")
        }))

      test("are had by one of those who declare and claim them at the same time", (store) =>
        Effect.forEach(
          Array.from({ length: 30 }, (_, round) => target(`name-${round}`)),
          (name, round) =>
            Effect.scoped(Effect.gen(function*() {
              if (round % 3 === 0) yield* append(store, series("ann", name, 1))
              const claim = Effect.andThen(watch(store, name, () => {}), () => store.claim(name, "group"))
              const wait = Effect.repeat(Effect.yieldNow, { times: round % 5 })
              const [claimed, others] = yield* Effect.all([
                round % 2 === 0 ? Effect.andThen(wait, claim) : claim,
                Effect.andThen(wait, Effect.suspend(() => store.declare("user", [name])))
              ], { concurrency: "unbounded" })
              assert.deepStrictEqual(others, claimed === "group" ? [name] : [], name)
              assert.strictEqual(yield* store.kindOf(name), claimed)
            })),
          { discard: true }
        ))
    })

    describe("atomicity", () => {
      test("keeps the drafts of one append together, whoever else appends", (store) =>
        Effect.gen(function*() {
          const writers = Array.from({ length: 10 }, (_, writer) => `w${writer}`)
          yield* Effect.forEach(
            writers,
            (writer) => Effect.andThen(Effect.yieldNow, append(store, series(writer, "red", 20))),
            { concurrency: "unbounded" }
          )
          const { messages } = yield* readAll(store, "red")
          assert.strictEqual(messages.length, 200)
          for (const writer of writers) {
            const from = messages.findIndex(({ sender }) => sender === writer)
            assert.deepStrictEqual(
              textsOf(messages.slice(from, from + 20)),
              series(writer, "red", 20).map(({ message }) => message)
            )
          }
        }))

      test("shows what was appended to every read that starts later", (store) =>
        Effect.forEach(
          Array.from({ length: 20 }, (_, writer) => `w${writer}`),
          Effect.fnUntraced(function*(writer) {
            for (let round = 0; round < 3; round++) {
              yield* Effect.yieldNow
              yield* append(store, series(writer, "red", 1, round))
              const mine = (yield* readAll(store, "red")).messages.filter(({ sender }) => sender === writer)
              assert.strictEqual(mine.length, round + 1)
            }
          }),
          { concurrency: "unbounded" }
        ))

      test("stores one of many equal messages that come at the same time", (store) =>
        Effect.gen(function*() {
          yield* Effect.forEach(
            Array.from({ length: 20 }),
            () => Effect.andThen(Effect.yieldNow, append(store, [draft("ann", "red", "hi")])),
            { concurrency: "unbounded" }
          )
          assert.strictEqual((yield* readAll(store, "red")).messages.length, resendWindow > 0 ? 1 : 20)
        }))

      test("stores all drafts of an append that is interrupted, or none", (store) =>
        Effect.gen(function*() {
          for (let turns = 0; turns < 5; turns++) {
            const to = `red${turns}`
            const appending = yield* Effect.forkChild(
              Effect.suspend(() => append(store, [...series("ann", to, 10), ...series("ann", `${to}b`, 10)]))
            )
            for (let i = 0; i < turns; i++) yield* Effect.yieldNow
            yield* Fiber.interrupt(appending)
            const stored = (yield* readAll(store, to)).messages.length
            assert.include([0, 10], stored)
            assert.strictEqual((yield* readAll(store, `${to}b`)).messages.length, stored)
          }
        }))
    })

    if (bounded !== undefined) {
      describe("bounds (CPT 5.4)", () => {
        const { layer: small, messages: limit } = bounded

        test("drop the oldest, and say up to where", (store) =>
          Effect.gen(function*() {
            for (let round = 0; round < 6; round++) {
              yield* append(store, series("ann", "red", limit / 2, round * limit / 2))
              const all = Array.from({ length: (round + 1) * limit / 2 }, (_, index) => `ann ${index}`)
              const { messages, missing } = yield* readAll(store, "red")
              const [first = assert.fail("nothing is left")] = messages
              assert.isAtMost(messages.length, limit)
              assert.deepStrictEqual(textsOf(messages), all.slice(-messages.length))
              assert.deepStrictEqual(missing, messages.length === all.length ? [] : [first.timestamp - 1])
              // Whoever asks from there on misses nothing
              const behind = yield* readAll(store, "red", first.timestamp - 1)
              assert.deepStrictEqual([textsOf(behind.messages), behind.missing], [textsOf(messages), []])
            }
          }), small)

        test(
          "are over all targets, and what is gone is said even when nothing is left",
          (store) =>
            Effect.gen(function*() {
              yield* append(store, series("ann", "red", 3))
              yield* TestClock.setTime(now + 100)
              yield* append(store, series("bob", "blue", limit))
              const { messages, missing } = yield* readAll(store, "red")
              assert.deepStrictEqual([messages, missing], [[], [now + 2]])
              assert.deepStrictEqual((yield* readAll(store, "red", now + 2)).missing, [])
              assert.strictEqual((yield* readAll(store, "blue")).messages.length, limit)
              yield* append(store, series("ann", "red", 1, 3))
              const again = yield* readAll(store, "red")
              assert.deepStrictEqual([textsOf(again.messages), again.missing], [["ann 3"], [now + 2]])
            }),
          small
        )

        test("give timestamps that increase over what is gone", (store) =>
          Effect.gen(function*() {
            yield* append(store, series("ann", "red", 3))
            yield* append(store, series("bob", "blue", limit))
            yield* TestClock.setTime(now - 1000)
            yield* append(store, series("ann", "red", 1, 3))
            assert.deepStrictEqual((yield* readAll(store, "red")).messages.map(({ timestamp }) => timestamp), [now + 3])
          }), small)

        test(
          "let a name go when its last message has, unless somebody bears or follows it",
          (store) =>
            Effect.gen(function*() {
              yield* append(store, [draft("ann", "gone", "x"), draft("ann", "watched", "x")])
              yield* Effect.scoped(
                Effect.flatMap(watch(store, "gone", () => {}), () => store.claim(target("gone"), "user"))
              )
              yield* watch(store, "watched", () => {})
              yield* store.claim(target("watched"), "user")
              yield* append(store, series("bob", "blue", limit))
              assert.strictEqual(yield* store.claim(target("watched"), "group"), "user")
              assert.strictEqual(yield* store.claim(target("gone"), "group"), "group")
            }),
          small
        )
      })
    }

    it.effect.prop(
      "is the model, whatever happens",
      [steps],
      ([program]) => withStore(layer, (store, jump) => runProgram(store, jump, program, resendWindow)),
      { arbitrary: { runs: programs, size: 40 } }
    )
  })
}
