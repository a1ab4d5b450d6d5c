import { assert, beforeEach, describe, it } from "@effect/vitest"
import { Effect, Semaphore } from "effect"
import { Buffer } from "node:buffer"
import type { MessageStore, Watcher } from "../../src/MessageStore.ts"
import { messageStoreSuite } from "../../src/testing/index.ts"
import { over } from "../support/stores.ts"

type Store = MessageStore["Service"]

/** What a wrong driver does not pass is no failure here; that it passes all is one. */
const isCaught = (who: string, change: (store: Store) => Partial<Store>) =>
  describe(`messageStoreSuite fails a driver that ${who}`, () => {
    let failed = 0
    describe("in its tests", () => {
      beforeEach(({ onTestFailed, task }) =>
        onTestFailed(() => {
          failed++
          Object.assign(task, { fails: true }) // Vitest looks at it when the test is over
        })
      )
      messageStoreSuite("of it", over(change), { programs: 5 })
    })
    it("in one of them at least", () => assert.isAbove(failed, 0))
  })

/** Its watchers, each in the hands of another. */
const between = (store: Store, tell: (watcher: Watcher) => Watcher["tell"]): Pick<Store, "watch" | "unwatch"> => {
  const others = new WeakMap<Watcher, Watcher>()
  return {
    watch: (target, watcher) => {
      const other = others.get(watcher) ?? { tell: tell(watcher) }
      others.set(watcher, other)
      return store.watch(target, other)
    },
    unwatch: (target, watcher) => store.unwatch(target, others.get(watcher) ?? watcher)
  }
}

describe("messageStoreSuite", () => {
  isCaught("keeps a batch that is not its own any more", (store) => {
    const lock = Semaphore.makeUnsafe(1)
    const inTurn = <A, E>(effect: () => Effect.Effect<A, E>) =>
      lock.withPermit(Effect.andThen(Effect.yieldNow, Effect.suspend(effect)))
    return {
      append: (sender, batch) => inTurn(() => store.append(sender, batch)),
      claim: (name, kind) => inTurn(() => store.claim(name, kind))
    }
  })
  isCaught("tells of all lines in the same buffer", (store) => {
    const buffer = Buffer.alloc(1024 * 1024)
    return between(store, (watcher) => (message) => {
      buffer.set(message.line)
      watcher.tell({ ...message, line: buffer.subarray(0, message.line.length) })
    })
  })
  isCaught("counts no new names", (store) => ({
    append: (sender, batch) => Effect.as(store.append(sender, batch), 0)
  }))
  isCaught("counts names that are not new", (store) => ({
    append: (sender, batch) => {
      const { count } = batch
      return Effect.as(store.append(sender, batch), count)
    }
  }))
  isCaught("is always broken", () => ({ failure: () => "always broken" }))
  isCaught("takes the memory of every page when one is given back", (store) => {
    const given: Array<Uint8Array> = []
    return {
      read: (target, options) =>
        Effect.map(store.read(target, options), (page) => {
          const lines = Buffer.from(page.lines)
          given.push(lines)
          return { ...page, lines, release: () => given.forEach((lines) => lines.fill(0)) }
        })
    }
  })
  isCaught("forgets a watcher where it watches when it leaves one target", (store) => {
    const targets = new Map<Watcher, Array<Parameters<Store["watch"]>[0]>>()
    return {
      watch: (target, watcher) => {
        targets.set(watcher, [...targets.get(watcher) ?? [], target])
        return store.watch(target, watcher)
      },
      unwatch: (_, watcher) =>
        Effect.forEach(targets.get(watcher) ?? [], (target) => store.unwatch(target, watcher), { discard: true })
    }
  })
})
