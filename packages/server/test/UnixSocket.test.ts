/** Where a Unix socket is made, and for whom it is open meanwhile. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { once } from "node:events"
import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
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
      // The longest path that is taken as it is, and one that is not
      for (const name of ["s".repeat(98 - directory.length - 1), "s".repeat(70)]) {
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

  it.live("leaves nothing where it cannot be made", () =>
    Effect.gen(function*() {
      const directory = yield* folder
      const failed = yield* Effect.flip(UnixSocket.place(join(directory, "sock"), () => Effect.fail("no"), 0o600))
      assert.strictEqual(failed, "no")
      assert.deepStrictEqual(readdirSync(directory), [])
    }))
})
