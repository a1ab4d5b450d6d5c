/** `CONNECT <username>`: its checks in the order of CPT 3.2, and with the name, its inbox (CPT 5.5). */
import { type Command, Decline, Name } from "@cpt/schema"
import { Effect } from "effect"
import { Accounts, type Refusal } from "../Accounts.ts"
import { type Bearer, Directory } from "../Directory.ts"
import { MessageStore } from "../MessageStore.ts"
import type { Follower } from "../Timeline.ts"

export interface Peer<F extends Follower> extends Bearer {
  readonly remoteAddress: string | undefined
  /** Who follows the inbox under the name, should it be had. */
  readonly follower: (username: Name.Username) => F
  /** Account rules are other people's code: they get no more time than there is for the login. */
  readonly beforeDeadline: (
    rule: Effect.Effect<void, Refusal>
  ) => Effect.Effect<void, Refusal | Decline.LoginTimeout>
}

/** Gives who now bears the name, until `logout`, and follows its inbox. */
export const connect = Effect.fnUntraced(function*<F extends Follower>(command: Command.Connect, peer: Peer<F>) {
  const [accounts, directory, store] = [yield* Accounts, yield* Directory, yield* MessageStore]
  const { username } = command
  if (!Name.isUsername(username) || (yield* store.kindOf(username)) === "group") {
    return yield* new Decline.UsernameTaken({})
  }
  yield* peer.beforeDeadline(accounts.authorize({ username, remoteAddress: peer.remoteAddress })).pipe(
    Effect.catchTag("Declined", bareWord),
    Effect.interruptible // a server that stops does not wait for it
  )
  yield* directory.enter(username, peer)
  const follower = peer.follower(username)
  const inbox = yield* Effect.onError(
    directory.followAs("user", username, follower),
    () => directory.exit(username, peer)
  )
  if (inbox !== undefined) return follower
  yield* directory.exit(username, peer)
  return yield* new Decline.UsernameTaken({})
}, Effect.uninterruptible)

/** A rule may give any word, but one (CPT 3.4): what a client would have to show as a sentence is not let out. */
const bareWord = Effect.fnUntraced(function*(refusal: Decline.Declined) {
  if (!/\s/.test(refusal.reason)) return yield* refusal
  yield* Effect.logWarning(`an account rule refused with "${refusal.reason}", which is more than one word`)
  return yield* new Decline.Forbidden({})
})

/** The name is free again. */
export const logout = Effect.fnUntraced(function*(username: Name.Username, bearer: Bearer) {
  yield* (yield* Directory).exit(username, bearer)
})
