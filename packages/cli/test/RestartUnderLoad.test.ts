/** A server that is told to stop and is started again, three times, under 200 clients that send and follow. */
import { CptClient, type Event, isMessage } from "@cpt/client"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schedule, Stream } from "effect"
import * as Cpt from "./support/Cpt.ts"

const clients = 200
const groups = 10
const messages = 20
const restarts = 3

const groupOf = (index: number) => `group${index % groups}`

const login = (port: number, username: string) =>
  CptClient.connect({ username, port, timeout: "30 seconds", retry: Schedule.spaced("50 millis") })

type Line = readonly [sender: string, message: string, timestamp: number]

const lines = <E>(events: Stream.Stream<Event, E>) =>
  events.pipe(
    Stream.filter(isMessage),
    Stream.map(({ message, sender, timestamp }): Line => [sender, message, timestamp])
  )

describe("a restart under load", () => {
  it.live(
    "loses nothing and doubles nothing, for those who send and for those who follow",
    () =>
      Effect.gen(function*() {
        const [port, data] = [yield* Cpt.freePort, yield* Cpt.folder]
        const start = Effect.tap(Cpt.start(["serve", "--data", data, "--port", String(port)]), ({ line }) => line)
        let server = yield* start
        const others = (messages * clients / groups) - messages
        let sent = 0
        const talks = yield* Effect.forEach(
          Array.from({ length: clients }, (_, index) => index),
          Effect.fnUntraced(function*(index) {
            const [name, group] = [`client${index}`, groupOf(index)]
            const client = yield* login(port, name)
            const following = yield* lines(client.follow([group])).pipe(
              Stream.filter(([sender]) => sender !== name),
              Stream.take(others),
              Stream.runCollect,
              Effect.forkScoped
            )
            const sending = Effect.forEach(Array.from({ length: messages }, (_, serial) => serial), (serial) =>
              Effect.map(client.send(group, `${name} says ${serial}`), () => {
                sent++
              }), { discard: true })
            return { name, group, following, sending }
          }),
          { concurrency: 50 }
        )
        const all = yield* Effect.forkScoped(
          Effect.forEach(talks, ({ sending }) =>
            sending, { concurrency: "unbounded", discard: true })
        )
        for (let restart = 1; restart <= restarts; restart++) {
          const due = clients * messages * restart / (restarts + 1)
          yield* Effect.repeat(
            Effect.sync(() =>
              sent
            ),
            {
              until: (sent) => sent >= due,
              schedule: Schedule.spaced("1 millis")
            }
          )
          yield* server.signal("SIGTERM")
          assert.strictEqual(yield* server.status, 0)
          server = yield* start
        }
        yield* Fiber.join(all)
        assert.strictEqual(sent, clients * messages)

        const reader = yield* login(port, "reader")
        const kept = new Map<string, ReadonlyArray<Line>>()
        for (let group = 0; group < groups; group++) {
          const held = yield* Stream.runCollect(lines(reader.sync(groupOf(group))))
          assert.strictEqual(new Set(held.map(([, message]) => message)).size, held.length, "once each")
          assert.strictEqual(held.length, messages * clients / groups)
          for (let index = 1; index < held.length; index++) assert.isAbove(held[index]![2], held[index - 1]![2])
          kept.set(groupOf(group), held)
        }
        for (const { following, group, name } of talks) {
          const heard = yield* Fiber.join(following)
          const due = kept.get(group)!.filter(([sender]) => sender !== name)
          assert.deepStrictEqual([...heard], due)
        }
      }),
    60_000
  )
})
