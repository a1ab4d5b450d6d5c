/** `SEND <target> <message>`: whether somebody may send to a target, where an operator has declared groups (CPT 2.3). */
import { Decline, type Name } from "@cpt/schema"
import { type Effect, Exit } from "effect"
import * as AtOnce from "../AtOnce.ts"
import type { Services } from "../Services.ts"

const [forbidden, unknownTarget] = [Exit.fail(new Decline.Forbidden({})), Exit.fail(new Decline.UnknownTarget({}))]

/** Known at once for declared names, and for all where nothing is declared; else the store has to be asked. */
export const mayBeSent = (
  { accounts: { declared }, config, store }: Services,
  sender: Name.Username,
  target: Name.Target
): Effect.Effect<void, Decline.DeclineError> => {
  const rights = declared.rights.get(target)
  if (rights !== undefined) return rights.maySend(sender) ? Exit.void : forbidden
  if (config.groups === "open" || declared.accounts.get(target) !== undefined) return Exit.void
  return AtOnce.flatMap(
    store.kindOf(target),
    (kind) => kind === "user" ? Exit.void : unknownTarget
  )
}
