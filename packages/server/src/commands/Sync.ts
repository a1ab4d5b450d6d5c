/**
 * `SYNC <group> <after>` and `SYNC`: everything behind `after`, and from there on live (CPT 5). Both are the same
 * cursor, so there is no seam between them in which a message could be lost or told twice.
 */
import { type Command, Decline, type Name, Notice, Timestamp } from "@cpt/schema"
import { Effect } from "effect"
import type { Limit } from "../Metrics.ts"
import type { Pace } from "../Pace.ts"
import type { Services } from "../Services.ts"
import { type Cursor, type Follower, noticeLine, type Timelines } from "../Timeline.ts"

/** The session that asks. */
export interface Reader<E> extends Follower {
  /** The groups that it follows. */
  readonly groups: number
  /** Where it is in what it follows under this name. */
  readonly cursor: (target: string) => Cursor | undefined
  /** Follows a group no longer. */
  readonly leave: (group: string) => Effect.Effect<void>
  readonly pace: Pace
  /** It has reached a limit. */
  readonly hit: (limit: Limit) => void
  /** Writes lines, so many messages, and waits while the peer is behind. Nothing else may write meanwhile (CPT 5.6). */
  readonly write: (lines: Uint8Array, messages: number) => Effect.Effect<void, E>
  /** Whether the system has taken all that was written. */
  readonly isTaken: () => boolean
}

/** Writes everything but the ENDSYNC. Fails before the first line, or not at all but for `E`. */
export const sync = Effect.fnUntraced(function*<E>(
  services: Services,
  reader: Reader<E>,
  command: Command.Sync | Command.SyncInbox
) {
  const { config, metrics, timelines } = services
  metrics.syncs++
  const target = command._tag === "SYNC" ? command.group : reader.username
  const after = command._tag === "SYNC" ? command.after : Timestamp.epoch
  const cursor = reader.cursor(target) ??
    (command._tag === "SYNC" ? yield* followGroup(services, reader, command.group) : undefined)
  if (cursor === undefined) return yield* reader.write(noticeLine(target, Notice.privateInbox(target)), 0) // CPT 5.3

  // What this session should have been told live, and `after` passes over, comes before the answer; the rest is in it
  if (config.live && cursor.at < after) {
    yield* catchUp(timelines, reader, cursor, after)
    // Meanwhile more may have come: it comes before the answer too, up to `after`; or live, if `after` is in the future
    if (after < cursor.timeline.head()) yield* catchUp(timelines, reader, cursor, after)
  }

  const head = cursor.timeline.head()
  let at: Timestamp.Timestamp = after
  while (at < head) {
    const page = yield* timelines.read(target, at).pipe(
      // Half an answer cannot be declined any more, but that there is a hole must be said (CPT 5.11)
      Effect.catch((error) =>
        at === after
          ? Effect.fail(error)
          : Effect.succeed<Told>({
            lines: noticeLine(target, Notice.unreadable(at)),
            count: 0,
            through: head,
            last: true
          })
      )
    )
    // Nothing for who has been a member of the group when the answer began, and is none any more
    if (reader.cursor(target) !== cursor) return yield* reader.write(noticeLine(target, Notice.noLonger(target)), 0)
    yield* tell(reader, page)
    at = page.last && page.through < head ? head : page.through
  }
  // All up to the head has been told, and what has come meanwhile is behind it
  if (after < head && cursor.at < at) cursor.at = at
})

/** Brings a cursor, from the store, to where the head of its timeline was at the start, and not beyond `last`. */
export const catchUp = Effect.fnUntraced(function*<E>(
  timelines: Timelines["Service"],
  reader: Pick<Reader<E>, "cursor" | "isTaken" | "username" | "write">,
  cursor: Cursor,
  last: number = Infinity
) {
  const head = cursor.timeline.head()
  const { target } = cursor.timeline
  while (cursor.at < head && cursor.at < last) {
    const page = yield* timelines.read(target, cursor.at, reader.username)
    if (reader.cursor(target) !== cursor) return // it no longer follows it
    const told: Told = page.through > last ? { ...page, ...upTo(Timestamp.fromMillis(last), page.lines) } : page
    yield* tell(reader, told)
    cursor.at = told.through
  }
})

type Told = Effect.Success<ReturnType<Timelines["Service"]["read"]>>

/**
 * Writes a page. What the system has taken of it at once is given back at once: where 200 read from disk, V8 would look
 * through all of its heap for such garbage six times a second, which kept others waiting for 10 ms each time.
 */
const tell = <E>(reader: Pick<Reader<E>, "isTaken" | "write">, { count, lines, release }: Told) =>
  Effect.map(reader.write(lines, count), () => {
    if (reader.isTaken()) release?.()
  })

const LF = 10

/** What of a page is not behind a timestamp. Seldom needed, so the lines may become strings. */
const upTo = (through: Timestamp.Timestamp, lines: Uint8Array) => {
  const timestamps = new TextDecoder().decode(lines).split("\n").map((line) => Number(line.split(" ", 4)[3]))
  let [count, end] = [0, 0]
  for (let index = 0; timestamps[index]! <= through; index++) {
    if (timestamps[index]! > 0) count++ // and not what is missing
    end = lines.indexOf(LF, end) + 1
  }
  return { count, lines: lines.subarray(0, end), through }
}

/** A cursor into a group that the session has not followed yet; undefined for the inbox of somebody else. */
const followGroup = Effect.fnUntraced(function*<E>(
  services: Services,
  reader: Reader<E>,
  target: Name.GroupName
) {
  const { config, directory, store } = services
  const kind = yield* store.kindOf(target)
  if (kind === "user") return undefined
  const refused = mayFollow(services, reader.username, target)
  if (refused !== undefined) return yield* refused
  if (reader.groups >= config.maxFollowedGroups) {
    reader.hit("max-followed-groups")
    return yield* new Decline.Forbidden({})
  }
  if (kind === undefined) {
    if (!reader.pace.mayName(1)) {
      reader.hit("max-new-names")
      return yield* new Decline.RateLimited({})
    }
    reader.pace.name(1)
  }
  const cursor = yield* directory.followAs("group", target, reader)
  const meanwhile = mayFollow(services, reader.username, target)
  if (meanwhile === undefined) return cursor
  yield* reader.leave(target)
  return yield* meanwhile
})

/** Why somebody may not follow a group, where an operator has declared groups (CPT 2.3). */
export const mayFollow = (
  { accounts: { declared }, config }: Services,
  username: Name.Username,
  group: string
): Decline.Forbidden | Decline.UnknownTarget | undefined => {
  const rights = declared.rights.get(group)
  if (rights !== undefined) return rights.mayRead(username) ? undefined : new Decline.Forbidden({})
  return config.groups === "known" ? new Decline.UnknownTarget({}) : undefined
}
