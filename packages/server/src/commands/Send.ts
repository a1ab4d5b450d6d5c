/**
 * `SEND <target> <message>`: into the store, and then it is ACKed (CPT 4.1). What a session sends in one go is one
 * append, so that a store with a disk under it can make it one sync.
 */
import type { Decline, Name } from "@cpt/schema"
import type { Effect } from "effect"
import type { Draft, MessageStore } from "../MessageStore.ts"

type Store = MessageStore["Service"]

/** What is given is to be run, once; if it is an `Exit`, all has been done already. */
export const send = (store: Store, drafts: ReadonlyArray<Draft>): Effect.Effect<void, Decline.StorageUnavailable> =>
  store.append(drafts)

/** The ACK of the sender's last message has been seen: it counts no longer as lost (CPT 4.4). As with {@link send}. */
export const confirm = (store: Store, sender: Name.Username): Effect.Effect<void> => store.confirm(sender)
