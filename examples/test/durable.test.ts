/** A server is killed in the middle of its work, and started again on the same file. */
import { CptClient, type Event } from "@cpt/client"
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Ref, Stream } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"

const example = fileURLToPath(new URL("../durable.ts", import.meta.url))

/** The example as a process of its own, which listens. */
const started = (file: string, port: number) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const process_ = spawn(process.execPath, ["--conditions=@cpt/source", example, file, String(port)], {
        stdio: ["ignore", "pipe", "inherit"]
      })
      const [line] = await once(createInterface(process_.stdout), "line")
      return { process: process_, port: Number(/:(\d+)$/.exec(String(line))?.[1]) }
    }),
    ({ process }) => Effect.promise(() => kill(process))
  )

const kill = async (process: ReturnType<typeof spawn>) => {
  if (process.exitCode !== null || process.signalCode !== null) return
  process.kill("SIGKILL")
  await once(process, "exit")
}

const textOf = (event: Event) => event._tag === "Message" ? event.message : event._tag

it.live("a server that was killed has what it ACKed, once and in order; a re-send makes no double (CPT 4.1, 4.4)", () =>
  Effect.gen(function*() {
    const folder = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "cpt-"))),
      (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
    )
    const file = join(folder, "messages.db")
    const first = yield* started(file, 0)
    const client = yield* CptClient.connect({ username: "ann", port: first.port, timeout: "20 seconds" })
    const acked = yield* Ref.make(0)
    const sending = yield* Effect.gen(function*() {
      for (let i = 0; i < 400; i++) {
        yield* client.send("red", `message ${i}`)
        yield* Ref.set(acked, i + 1)
      }
    }).pipe(Effect.forkScoped)
    // Killed while it is at work; the client reconnects and sends the rest
    yield* Ref.get(acked).pipe(Effect.tap(() => Effect.yieldNow), Effect.repeat({ until: (count) => count >= 100 }))
    yield* Effect.promise(() => kill(first.process))
    const second = yield* started(file, first.port)
    yield* Fiber.join(sending)
    const texts = yield* Stream.runCollect(Stream.map(client.sync("red"), textOf))
    assert.deepStrictEqual(texts, Array.from({ length: 400 }, (_, i) => `message ${i}`))
    yield* Effect.promise(() => kill(second.process))
  }))
