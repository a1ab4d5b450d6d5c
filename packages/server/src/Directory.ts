/**
 * Names: who is online, one session a name (CPT 3.2), and what a name becomes when somebody bears or follows it (CPT 2.2).
 * That is settled in the store, and lasts as long as the name has messages, or a follower.
 */
import { Decline, type Name } from "@cpt/schema"
import { Context, Deferred, Duration, Effect, Exit, Latch, Layer } from "effect"
import * as AtOnce from "./AtOnce.ts"
import { layerFor } from "./LayerFor.ts"
import { MessageStore } from "./MessageStore.ts"
import { Roll } from "./Roll.ts"
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
  /** Gives a wait no more time than there is for the login. */
  readonly beforeDeadline: <E>(wait: Effect.Effect<void, E>) => Effect.Effect<void, E | Decline.LoginTimeout>
}

/** Those who want one name: in the order in which they ask, the first has its turn. */
interface Line {
  readonly places: Array<Latch.Latch>
  /** What was found out last about who bears it, for those who came before it was asked. */
  found: { readonly bearer: Bearer; readonly before: number; readonly isGone: boolean } | undefined
}

export class Directory extends Context.Service<Directory, {
  /** Takes the name for a session, if a rule allows it. */
  readonly enter: <E>(
    name: Name.Username,
    bearer: Bearer,
    rule: Effect.Effect<void, E>
  ) => Effect.Effect<void, Decline.UsernameTaken | Decline.LoginTimeout | E>
  /** The name is free again, if it is still this one's. */
  readonly exit: (name: Name.Username, bearer: Bearer) => Effect.Effect<void>
  /** Follows the name as what it then is for good, and gives the follower the cursor. Undefined if it is the other. */
  readonly followAs: (
    kind: "user" | "group",
    name: Name.Username | Name.GroupName,
    follower: Follower
  ) => Effect.Effect<Cursor | undefined, Decline.StorageUnavailable>
}>()("@cpt/server/Directory") {
  /** One for each of the timelines. */
  static readonly layer: Layer.Layer<Directory, never, MessageStore | Timelines> = layerFor(
    Timelines,
    () => Layer.effect(this, make)
  )
}

const make = Effect.gen(function*() {
  const store = yield* MessageStore
  const timelines = yield* Timelines
  const online = new Roll<string, Bearer>()
  const endings = new Map<Bearer, Deferred.Deferred<void>>() // of those that somebody waits for
  const lines = new Map<string, Line>() // of names that somebody waits for
  let asked = 0 // counts who comes, and what is asked

  const ending = (bearer: Bearer) =>
    Effect.suspend(() => {
      const known = endings.get(bearer)
      const ending = known ?? Deferred.makeUnsafe<void>()
      if (known === undefined) endings.set(bearer, ending)
      return Deferred.await(ending)
    })

  /** Whether the bearer is gone. Whose end is known meanwhile is not asked about: that takes the kernel 40 ms. */
  const isGone = (bearer: Bearer) =>
    Effect.interruptible(Effect.raceFirst(bearer.presence, Effect.as(ending(bearer), "gone" as const))).pipe(
      Effect.tap((presence) =>
        presence === "leaving" || presence === undefined
          ? Effect.timeoutOption(ending(bearer), patience)
          : Effect.void
      ),
      Effect.map((presence) => presence === "gone")
    )

  /**
   * The name is in use, as far as one knows. What is found out about its bearer holds for all who wait: else a thousand
   * who want a name, and are refused, would keep the one who has it from coming back for half a minute.
   */
  const takeOver = Effect.fnUntraced(function*(name: Name.Username, bearer: Bearer, line: Line, since: number) {
    const other = online.get(name)
    if (other !== undefined) {
      if (line.found?.bearer !== other || line.found.before < since) {
        const before = asked++
        line.found = { bearer: other, before, isGone: yield* isGone(other) }
      }
      if (online.get(name) === other) {
        if (!line.found.isGone) return yield* new Decline.UsernameTaken({})
        // Whatever the kernel's table has passed over: two never bear one name
        yield* other.cut
      }
    }
    online.set(name, bearer)
  })

  /**
   * One after the other, in the order in which they ask: of two connections that somebody has lost, with the same said
   * on both, the second is not carried out before the first (CPT 4.4). Rules need not wait for each other.
   */
  const inLine = <E>(name: Name.Username, bearer: Bearer, rule: Effect.Effect<void, E>) =>
    Effect.suspend(() => {
      const line = lines.get(name) ?? { places: [], found: undefined }
      lines.set(name, line)
      const { places } = line
      const place = Latch.makeUnsafe(places.length === 0)
      places.push(place)
      const since = asked++
      const leave = Effect.sync(() => {
        places.splice(places.indexOf(place), 1)
        places[0]?.openUnsafe()
        if (places.length === 0) lines.delete(name)
      })
      return rule.pipe(
        Effect.andThen(Effect.interruptible(bearer.beforeDeadline(place.await))),
        Effect.andThen(takeOver(name, bearer, line, since)),
        Effect.ensuring(leave)
      )
    })

  return Directory.of({
    enter: (name, bearer, rule) =>
      online.has(name) || lines.has(name) || !AtOnce.isDone(rule)
        ? inLine(name, bearer, rule)
        : AtOnce.map(rule, () => {
          online.set(name, bearer)
        }),
    exit: (name, bearer) => {
      if (online.get(name) === bearer) online.delete(name)
      const ending = endings.get(bearer)
      if (ending === undefined) return Exit.void
      endings.delete(bearer)
      return Deferred.done(ending, Exit.void)
    },
    followAs: (kind, name, follower) =>
      // Followed first: what is followed is not forgotten between the two
      AtOnce.flatMap(timelines.follow(name, follower), (cursor) => {
        const settled = AtOnce.onError(store.claim(name, kind), () => timelines.leave(cursor))
        return AtOnce.flatMap(settled, (settled) => {
          if (settled !== kind) return AtOnce.map(timelines.leave(cursor), () => undefined)
          follower.follow(cursor)
          return Exit.succeed(cursor)
        })
      })
  })
})
