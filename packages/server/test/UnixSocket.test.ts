/** Where a Unix socket is made, and for whom it is open meanwhile. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { once } from "node:events"
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs"
import { connect, createServer } from "node:net"
import { tmpdir } from "node:os"
import { basename, dirname, join } from "node:path"
import * as UnixSocket from "../src/UnixSocket.ts"

/** A folder that is open to others. */
const folder = Effect.acquireRelease(
  Effect.sync(() => {
    const folder = mkdtempSync(join(tmpdir(), "cpt-"))
    chmodSync(folder, 0o755)
    return folder
  }),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

/** Listens, and looks whether others could come in at that moment. */
const listening = (path: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const server = createServer()
      await once(server.listen(path), "listening")
      return { server, isOpen: (statSync(dirname(path)).mode & 0o077) !== 0 && (statSync(path).mode & 0o077) !== 0 }
    }),
    ({ server }) => Effect.sync(() => server.close())
  )

describe("a Unix socket that is for its owner alone", () => {
  it.live("is not open to others for a moment, and leaves nothing beside it", () =>
    Effect.gen(function*() {
      const directory = yield* folder
      for (const name of ["s", "s".repeat(70)]) {
        const path = join(directory, name)
        yield* Effect.scoped(Effect.gen(function*() {
          const { isOpen } = yield* UnixSocket.place(path, listening, 0o600)
          assert.isFalse(isOpen)
          assert.strictEqual(statSync(path).mode & 0o777, 0o600)
          assert.deepStrictEqual(readdirSync(directory), [name])
        }))
        assert.deepStrictEqual(readdirSync(directory), [])
      }
    }))

  it.live("is where it was asked for, and is found there, however long its path", () =>
    Effect.gen(function*() {
      const directory = yield* folder
      const long = (bytes: number, of: string) => {
        const made = join(of, "d".repeat(bytes - of.length - 1))
        mkdirSync(made)
        return made
      }
      const paths = Array.from({ length: 14 }, (_, index) =>
        join(directory, "s".repeat(94 + index - directory.length - 1)))
      for (const bytes of [93, 94, 97, 104, 105, 106, 200]) {
        const inside = long(bytes, directory)
        paths.push(join(inside, "s"), join(inside, "s".repeat(80)))
      }
      for (const path of paths) {
        yield* Effect.scoped(Effect.gen(function*() {
          yield* UnixSocket.place(path, listening, 0o600)
          assert.deepStrictEqual(
            readdirSync(dirname(path)).filter((name) =>
              !name.startsWith("d")
            ),
            [basename(path)]
          )
          const found = connect(yield* UnixSocket.shortPath(path))
          yield* Effect.promise(() => once(found, "connect"))
          found.destroy()
        }))
      }
    }))

  it.live.runIf(process.platform === "linux")(
    "has words for a file name that is too long",
    () =>
      Effect.gen(function*() {
        const directory = yield* folder
        for (const name of ["s".repeat(108 - directory.length - 1), "s".repeat(300)]) {
          const { message } = yield* Effect.flip(UnixSocket.place(join(directory, name), listening, 0o600))
          assert.match(message, /^in a path of more than 107 bytes, its file name may have \d\d at the most$/)
        }
        assert.deepStrictEqual(readdirSync(directory), [])
      })
  )

  it.live("leaves nothing where it cannot be made", () =>
    Effect.gen(function*() {
      const directory = yield* folder
      const failed = yield* Effect.flip(UnixSocket.place(join(directory, "sock"), () => Effect.fail("no"), 0o600))
      assert.strictEqual(failed, "no")
      assert.deepStrictEqual(readdirSync(directory), [])
    }))
})
