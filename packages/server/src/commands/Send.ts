/**
 * `SEND <target> <message>`: into the store, and then it is ACKed (CPT 4.1). What a session sends in one go is one
 * append, so that a store with a disk under it can make it one sync.
 */
import type { Command, Decline, Name } from "@cpt/schema"
import { Effect } from "effect"
import { MessageStore } from "../MessageStore.ts"

export const send = Effect.fnUntraced(function*(
  sender: Name.Username,
  commands: ReadonlyArray<Command.Send>
): Effect.fn.Return<void, Decline.StorageUnavailable, MessageStore> {
  const store = yield* MessageStore
  yield* store.append(commands.map(({ message, target }) => ({ sender, target, message })))
})

/** The ACK of the sender's last message has been seen: it counts no longer as lost (CPT 4.4). */
export const confirm = Effect.fnUntraced(function*(sender: Name.Username) {
  yield* (yield* MessageStore).confirm(sender)
})
