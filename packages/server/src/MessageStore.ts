/**
 * The seam between the server and where messages are kept. Drivers stand in `MessageStore/`; `@cpt/server/testing`
 * has the suite that every driver, ours and other people's, must pass.
 *
 * The store gives the timestamps, says what a name is, and knows a re-send from a repeat, because those three must be
 * one transaction with the message, also when several servers share a store. It knows nothing of sessions and sockets.
 *
 * The contract, for every driver:
 * - Every method is atomic, and the messages of a batch are stored in their order.
 * - `append` returns when the messages are as safe as the driver makes them, and not before (CPT 4.1). When it fails,
 *   none of its messages is stored.
 * - Each stored message has a timestamp of `max(now, that of the message before it in its target + 1)` (CPT 4.2).
 * - Timestamps go by the time of day; the window for re-sends (CPT 4.4) by a clock that nobody sets.
 * - A read that starts after an `append` has returned sees its messages.
 * - Watchers of a target are told of each message once, in order, before its `append` returns.
 * - Whoever calls a method runs what it gives, once and at once. So a driver that need not wait may do it at the call and
 *   give back the `Exit`: a login and a SEND then need no fiber (which halved the CPU of an ACK).
 */
import type { Decline, Name, Timestamp } from "@cpt/schema"
import { Context, type Effect } from "effect"
import type { Batch } from "./Batch.ts"

/** A message that has just been stored. */
export interface Appended {
  readonly sender: Name.Username
  readonly timestamp: Timestamp.Timestamp
  /** Its `MSG` line with the line's end, encoded once for all who follow. Not to be changed. */
  readonly line: Uint8Array
}

/** Who wants to know of new messages. What it does must not wait or throw. */
export interface Watcher {
  readonly tell: (message: Appended) => void
}

/** A run of messages of one target, as they go out. */
export interface Page {
  /** Whole `MSG` lines with their ends, oldest first; empty if there are none. At most 256 KiB, or one line. */
  readonly lines: Uint8Array
  /** How many lines that are. */
  readonly count: number
  /** The reader has now seen everything up to here: where the next page begins. Never before where this one began. */
  readonly through: Timestamp.Timestamp
  /** At the time of the read there was nothing behind `through`. */
  readonly last: boolean
  /** Messages behind the start of this page, up to this timestamp, are no longer kept (CPT 5.4); 0 if none is missing. */
  readonly missingThrough: Timestamp.Timestamp
  /** Gives the memory of `lines` back at once, when nobody reads in it any more. It need not be called. */
  readonly release?: (() => void) | undefined
}

/** What a name is, as far as it has been used: `open` has only been sent to (CPT 2.2). */
export type Kind = "user" | "group" | "open"

/** Names that have messages, and are no users'. */
export interface KeptGroups {
  /** In the order of `Name.compare`. */
  readonly groups: ReadonlyArray<{ readonly name: Name.Name; readonly messages: number }>
  /** All up to this name have been looked at; undefined if there are no more. */
  readonly through: string | undefined
}

export class MessageStore extends Context.Service<MessageStore, {
  /** One sentence for the operator: where the messages are, and how long they live. */
  readonly description: string

  /**
   * Stores messages of one sender. One that is a re-send of the sender's last message (CPT 4.4) is not stored again, and
   * counts as done. What is kept is copied at the call: the batch is the caller's again after it. Gives how many names it
   * has brought into use: targets that `kindOf` did not know.
   */
  readonly append: (sender: Name.Username, batch: Batch) => Effect.Effect<number, Decline.StorageUnavailable>

  /** The sender is known to have seen the ACK of its last message: an equal one is a new one from now on (CPT 4.4). */
  readonly confirm: (sender: Name.Username) => Effect.Effect<void>

  /** The messages of `target` behind `after`, a page at a time; those of the sender `except` are passed over. */
  readonly read: (target: Name.Name, options: {
    readonly after: Timestamp.Timestamp
    readonly except?: Name.Username | undefined
  }) => Effect.Effect<Page, Decline.StorageUnavailable>

  /**
   * Tells `watcher` of each message that comes into `target` from now on. Gives the timestamp of the last message before:
   * everything up to it is there to be read, everything behind it is told. 0 if there is none.
   */
  readonly watch: (
    target: Name.Name,
    watcher: Watcher
  ) => Effect.Effect<Timestamp.Timestamp, Decline.StorageUnavailable>

  /** Ends that. A name without messages that nobody watches is nobody's again (CPT 2.2). */
  readonly unwatch: (target: Name.Name, watcher: Watcher) => Effect.Effect<void>

  /** What a name is; undefined if nobody has used it. */
  readonly kindOf: (name: Name.Name) => Effect.Effect<Kind | undefined, Decline.StorageUnavailable>

  /**
   * Makes an unused or open name a user or a group, for whoever watches it, and says what it is now: what was settled
   * before stays. A user's earlier `append`s have returned by then, also of another connection: so whoever logs in is told
   * of them as of what was there before, and not passed over as somebody who knows what they have said (CPT 5.5).
   */
  readonly claim: (
    name: Name.Name,
    kind: "user" | "group"
  ) => Effect.Effect<"user" | "group", Decline.StorageUnavailable>

  /**
   * Makes names users or groups until they are released, used or not, so that nobody can make them the other. Gives those
   * that are the other already; then none of them is declared.
   */
  readonly declare: (
    kind: "user" | "group",
    names: ReadonlyArray<Name.Name>
  ) => Effect.Effect<ReadonlyArray<Name.Name>, Decline.StorageUnavailable>

  /** Ends that. A name with messages stays what it is. */
  readonly release: (names: ReadonlyArray<Name.Name>) => Effect.Effect<void>

  /** The groups behind this name, a page at a time, as they were a moment ago. */
  readonly groups: (after: string) => Effect.Effect<KeptGroups, Decline.StorageUnavailable>

  /** Why messages cannot be stored or read now; undefined as long as they can, as far as is known. */
  readonly failure: () => string | undefined
}>()("@cpt/server/MessageStore") {}
