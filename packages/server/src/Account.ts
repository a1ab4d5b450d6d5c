/**
 * An account as an operator declares it: a name that is somebody's from the start (CPT 2.2), and rules for who may log in
 * as it. A rule that is not there does not hold.
 */
import { Decline, Name } from "@cpt/schema"
import { Schema } from "effect"
import * as Certificate from "./Certificate.ts"
import * as IpRange from "./IpRange.ts"
import { once } from "./Once.ts"

/** A login that is asked for. The name is well-formed and not reserved; whether it is in use is not known yet. */
export interface Login {
  readonly username: Name.Username
  /** The peer's IP address, IPv4 in its own form also on a dual-stack listener; undefined on a Unix socket. */
  readonly remoteAddress: string | undefined
  /** What the peer has shown for a certificate; undefined without TLS, and where it was not asked for one or had none. */
  readonly certificate: Certificate.Certificate | undefined
}

export type Refusal = Decline.AccountLocked | Decline.IpInvalid | Decline.Forbidden | Decline.Declined

const oneOrMore = { message: "expected at least one, or nothing at all" }

const Ranges = Schema.Array(IpRange.FromText).check(Schema.isNonEmpty(oneOrMore)).pipe(
  Schema.decode(once(IpRange.format))
)
const Certificates = Schema.Array(Certificate.RequiredFromText).check(Schema.isNonEmpty(oneOrMore)).pipe(
  Schema.decode(once(Certificate.format))
)

export const Account = Schema.Struct({
  name: Name.Username,
  /** Nobody logs in as it. */
  locked: Schema.optionalKey(Schema.Boolean),
  /** Only from there. */
  ranges: Schema.optionalKey(Ranges),
  /** Only who shows one of these. */
  certificates: Schema.optionalKey(Certificates)
})
export type Account = typeof Account.Type

/** Other rules for an account: what is not there stays as it is, and null lifts a rule. */
export const AccountChange = Schema.Struct({
  locked: Schema.optionalKey(Schema.Boolean),
  ranges: Schema.optionalKey(Schema.NullOr(Ranges)),
  certificates: Schema.optionalKey(Schema.NullOr(Certificates))
})

/** An account with other rules; undefined for one that was not there, and would have none. */
export const changed = (
  name: Name.Username,
  before: Account | undefined,
  change: typeof AccountChange.Type
): Account | undefined => {
  const locked = change.locked ?? before?.locked ?? false
  const ranges = change.ranges === undefined ? before?.ranges : change.ranges ?? undefined
  const certificates = change.certificates === undefined ? before?.certificates : change.certificates ?? undefined
  if (before === undefined && !locked && ranges === undefined && certificates === undefined) return undefined
  return {
    name,
    ...locked && { locked },
    ...ranges !== undefined && { ranges },
    ...certificates !== undefined && { certificates }
  }
}

/** Why this login is refused, in the order of CPT 3.2; undefined if it is not. Who has no address is in no range. */
export const refusal = (
  { certificates, locked, ranges }: Account,
  { certificate, remoteAddress }: Login
): Refusal | undefined => {
  if (locked === true) return new Decline.AccountLocked({})
  if (ranges !== undefined && (remoteAddress === undefined || !IpRange.includes(ranges, remoteAddress))) {
    return new Decline.IpInvalid({})
  }
  if (
    certificates !== undefined &&
    (certificate === undefined || !certificates.some((required) => Certificate.fits(required, certificate)))
  ) return new Decline.Forbidden({})
  return undefined
}
