/** `CONNECT <username>`: its checks in the order of CPT 3.2, and with the name, its inbox (CPT 5.5). */
import { Decline, Name } from "@cpt/schema"
import { Effect, Exit } from "effect"
import type { Login, Refusal } from "../Accounts.ts"
import * as AtOnce from "../AtOnce.ts"
import type { Bearer } from "../Directory.ts"
import type { Services } from "../Services.ts"
import type { Follower } from "../Timeline.ts"

/** Where somebody comes from, and with what. */
type From = Pick<Login, "certificate" | "remoteAddress">

export interface Peer<F extends Follower> extends Bearer, From {
  /** Who follows the inbox under the name, should it be had. */
  readonly follower: (username: Name.Username) => F
}

/** Gives who now bears the name, until it leaves the directory, and follows its inbox. To be run uninterruptibly. */
export const connect = <F extends Follower>(
  services: Services,
  username: Name.Name,
  peer: Peer<F>
): Effect.Effect<F, Decline.DeclineError> => {
  const { directory, store } = services
  if (!Name.isUsername(username)) return taken()
  const name = username
  const rule = AtOnce.flatMap(
    store.kindOf(name),
    (kind): Effect.Effect<void, Decline.DeclineError> =>
      kind === "group" ? taken() : allowed(peer, permitted(services, name, peer))
  )
  return AtOnce.flatMap(directory.enter(name, peer, rule), () => followInbox(name, peer))

  function followInbox(name: Name.Username, peer: Peer<F>) {
    const follower = peer.follower(name)
    const inbox = AtOnce.onError(directory.followAs("user", name, follower), () => directory.exit(name, peer))
    return AtOnce.flatMap(
      inbox,
      (inbox) => inbox === undefined ? Effect.andThen(directory.exit(name, peer), taken) : Exit.succeed(follower)
    )
  }
}

/** Whether somebody may be logged in under a name: asked at the login, and again when what is declared has changed. */
export const permitted = (
  { accounts: { authorize, declared }, config }: Services,
  username: Name.Username,
  peer: From
): Effect.Effect<void, Refusal> =>
  config.accounts === "known" && declared.accounts.get(username) === undefined
    ? Exit.fail(new Decline.Forbidden({}))
    : authorize(new Asked(username, peer))

/** Where the peer is costs a call of the system, which most rules need not. */
class Asked implements Login {
  readonly username: Name.Username
  readonly #peer: From

  constructor(username: Name.Username, peer: From) {
    this.username = username
    this.#peer = peer
  }

  get remoteAddress() {
    return this.#peer.remoteAddress
  }

  get certificate() {
    return this.#peer.certificate
  }
}

const taken = () => Effect.fail(new Decline.UsernameTaken({}))

/** What an account rule says. That is other people's code: it gets no more time than there is for the login. */
const allowed = (peer: Peer<Follower>, rule: Effect.Effect<void, Refusal>) =>
  AtOnce.isThere(rule) ? rule : peer.beforeDeadline(rule).pipe(
    Effect.catchTag("Declined", bareWord),
    Effect.interruptible // a server that stops does not wait for it
  )

/** A rule may give any word, but one (CPT 3.4): what a client would have to show as a sentence is not let out. */
const bareWord = Effect.fnUntraced(function*(refusal: Decline.Declined) {
  if (!/\s/.test(refusal.reason)) return yield* refusal
  yield* Effect.logWarning(`an account rule refused with "${refusal.reason}", which is more than one word`)
  return yield* new Decline.Forbidden({})
})
