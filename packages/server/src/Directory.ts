/**
 * Names: who is online, one session a name (CPT 3.2), and what a name becomes when somebody bears or follows it (CPT 2.2).
 * That is settled in the store, and lasts as long as the name has messages, or a follower.
 */
import { Decline, type Name } from "@cpt/schema"
import { Context, Deferred, Duration, Effect, Exit, Layer } from "effect"
import { MessageStore } from "./MessageStore.ts"
import { type Cursor, type Follower, Timelines } from "./Timeline.ts"

/**
 * How long a login waits for a name whose bearer is about to go: the peer has ended its side, and what it asked for is
 * still being answered, on a slow disk maybe. Also where it is not known whether it has (CPT 3.2).
 */
const patience = Duration.millis(100)

/** Who bears a name: a session. */
export interface Bearer {
  /** Whether the peer is still there: a session may be too busy to have noticed. Undefined if that is not known. */
  readonly presence: Effect.Effect<"here" | "leaving" | "gone" | undefined>
  /** Cuts the connection. */
  readonly cut: Effect.Effect<void>
}

export class Directory extends Context.Service<Directory, {
  /** Takes the name for a session. */
  readonly enter: (name: Name.Username, bearer: Bearer) => Effect.Effect<void, Decline.UsernameTaken>
  /** The name is free again, if it is still this one's. */
  readonly exit: (name: Name.Username, bearer: Bearer) => Effect.Effect<void>
  /** Follows the name as what it then is for good, and puts the cursor among the follower's. Undefined if it is the other. */
  readonly followAs: (
    kind: "user" | "group",
    name: Name.Username | Name.GroupName,
    follower: Follower
  ) => Effect.Effect<Cursor | undefined, Decline.StorageUnavailable>
}>()("@cpt/server/Directory") {
  static readonly layer: Layer.Layer<Directory, never, MessageStore | Timelines> = Layer.effect(
    this,
    Effect.gen(function*() {
      const store = yield* MessageStore
      const timelines = yield* Timelines
      const online = new Map<string, { readonly bearer: Bearer; readonly ending: Deferred.Deferred<void> }>()

      const followAs = Effect.fnUntraced(function*(kind: "user" | "group", name: Name.Name, follower: Follower) {
        // Followed first: what is followed is not forgotten between the two
        const cursor = yield* timelines.follow(name, follower)
        const settled = yield* Effect.onError(store.claim(name, kind), () => timelines.leave(cursor))
        if (settled === kind) {
          follower.cursors.set(name, cursor)
          return cursor
        }
        yield* timelines.leave(cursor)
        return undefined
      }, Effect.uninterruptible)

      return Directory.of({
        enter: Effect.fnUntraced(function*(name, bearer) {
          const other = online.get(name)
          if (other !== undefined) {
            const presence = yield* other.bearer.presence
            if (presence === "leaving" || presence === undefined) {
              yield* Effect.timeoutOption(Deferred.await(other.ending), patience)
            }
            const still = online.get(name)
            if (still !== undefined && (still !== other || presence !== "gone")) {
              return yield* new Decline.UsernameTaken({})
            }
            // Whatever the kernel's table has passed over: two never bear one name
            if (still !== undefined) yield* still.bearer.cut
          }
          online.set(name, { bearer, ending: Deferred.makeUnsafe() })
        }),
        exit: (name, bearer) =>
          Effect.sync(() => {
            const session = online.get(name)
            if (session?.bearer !== bearer) return
            online.delete(name)
            Deferred.doneUnsafe(session.ending, Exit.void)
          }),
        followAs
      })
    })
  )
}
