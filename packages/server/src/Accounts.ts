/**
 * Who may log in, as which name, from where (CPT 3.2). A rule of one's own is one function; what it fails with goes out
 * as the `DECLINE` of the `CONNECT`, a custom word as `Decline.Declined`.
 */
import type { Decline, Name } from "@cpt/schema"
import { Context, Effect, Layer } from "effect"
import type { Certificate } from "./Certificate.ts"

/** A login that is asked for. The name is well-formed and not reserved; whether it is in use is not known yet. */
export interface Login {
  readonly username: Name.Username
  /** The peer's IP address, IPv4 in its own form also on a dual-stack listener; undefined on a Unix socket. */
  readonly remoteAddress: string | undefined
  /** What the peer has shown for a certificate; undefined without TLS, and where it was not asked for one or had none. */
  readonly certificate: Certificate | undefined
}

export type Refusal = Decline.AccountLocked | Decline.IpInvalid | Decline.Forbidden | Decline.Declined

export class Accounts extends Context.Service<Accounts, {
  readonly authorize: (login: Login) => Effect.Effect<void, Refusal>
}>()("@cpt/server/Accounts") {
  /** Anyone may be anyone. */
  static readonly layerOpen: Layer.Layer<Accounts> = Layer.succeed(this, { authorize: () => Effect.void })

  /** A rule of one's own. It has until the login deadline. */
  static readonly layerOf = (authorize: (login: Login) => Effect.Effect<void, Refusal>): Layer.Layer<Accounts> =>
    Layer.succeed(this, { authorize })
}
