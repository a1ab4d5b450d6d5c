/**
 * A server with an account rule of its own: who is not invited gets a word of our own as the reason.
 *
 *     npx node --conditions=@cpt/source examples/account-rule.ts
 */
import { Decline } from "@cpt/schema"
import { Accounts, layerMemory, Listener, Server } from "@cpt/server"
import { Effect, Layer } from "effect"
import { launchIfMain } from "./main.ts"

const invited = new Set(["alice", "bob"])

const Invited = Accounts.layerOf(({ username }) =>
  invited.has(username) ? Effect.void : Effect.fail(new Decline.Declined({ reason: "not_invited" }))
)

/** For those who are invited, on a port of the caller's choice. */
export const invitedOnly = (port: number) =>
  Server.layer(Listener.tcp({ port })).pipe(Layer.provide([Invited, layerMemory()]))

launchIfMain(import.meta.url, invitedOnly(39168))
