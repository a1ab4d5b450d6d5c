/**
 * Names of users and groups: one rule and one name space for both (CPT 2.1, 2.2).
 *
 * `Name` is what may stand in a name's place on the wire, `system` included. `Username`, `GroupName` and `Target` are
 * names that somebody can bear: not reserved. Whether a name is taken, or a group, is the server's to know.
 */
import { Schema } from "effect"
import * as Limits from "./Limits.ts"

/** The sender of the server's own messages, and the group of its announcements (CPT 5.9). */
export const systemName = "system"

/** In any letter case, also what folds to it ("ſystem", "syﬆem"): nobody can pass for the server (CPT 2.5). */
export const isReserved = (name: string): boolean =>
  name.length <= systemName.length &&
  (name.toLowerCase() === systemName || name.toUpperCase() === systemName.toUpperCase())

const plain = /^[\x21-\x7e]{1,64}$/
// C: control, format, surrogate, private-use and unassigned characters
const forbidden = /[\p{White_Space}\p{C}]/u
const encoder = new TextEncoder()

/** What is wrong with a name, in words; `undefined` for a good one. */
export const nameFault = (name: string): string | undefined => {
  if (plain.test(name)) return undefined
  if (name.length === 0) return "a name must not be empty"
  if (name.length > Limits.maxNameBytes || encoder.encode(name).length > Limits.maxNameBytes) {
    return `a name has at most ${Limits.maxNameBytes} bytes`
  }
  if (forbidden.test(name)) return "a name has no white space, control or invisible characters"
  return name === name.normalize("NFC") ? undefined : "a name must be in Unicode normal form C"
}

const borneFault = (name: string) => isReserved(name) ? `"${name}" is reserved for the server` : undefined

/** A name as it may stand on the wire: 1 to 64 bytes of UTF-8 in NFC, visible characters only. */
export const Name = Schema.String.pipe(
  Schema.check(Schema.makeFilter(nameFault, { identifier: "Name" })),
  Schema.brand("Name")
)
export type Name = typeof Name.Type

const Borne = Name.pipe(Schema.check(Schema.makeFilter(borneFault)))

/** The name that a session logs in with. */
export const Username = Borne.pipe(Schema.brand("Username"))
export type Username = typeof Username.Type

/** Whether a name can be borne: of those that may stand on the wire, all but the reserved ones. */
export const isUsername = (name: Name): name is Username => !isReserved(name)

/** The name of a group, or of the own inbox, in a `SYNC`. */
export const GroupName = Borne.pipe(Schema.brand("GroupName"))
export type GroupName = typeof GroupName.Type

/** Where a `SEND` goes: a user or a group; the sender need not know which. */
export const Target = Borne.pipe(Schema.brand("Target"))
export type Target = typeof Target.Type

/** The order in which names are listed: that of their bytes, as databases have it. */
export const compare = (a: string, b: string): -1 | 0 | 1 => {
  const length = Math.min(a.length, b.length)
  for (let at = 0; at < length; at++) {
    const [x, y] = [a.charCodeAt(at), b.charCodeAt(at)]
    if (x !== y) return behindSurrogates(x) < behindSurrogates(y) ? -1 : 1
  }
  return a.length === b.length ? 0 : a.length < b.length ? -1 : 1
}

/** Surrogates stand for characters behind all others; but in UTF-16 some of those have higher numbers. */
const behindSurrogates = (unit: number): number => unit >= 0xd800 && unit < 0xe000 ? unit + 0x2800 : unit

/** Whether a {@link Name} could be made of it: what the Schema says (property-tested), by hand. */
export const isName = (name: string): name is Name => nameFault(name) === undefined

/** As {@link isName}, of a {@link Target}. */
export const isTarget = (name: string): name is Target => nameFault(name) === undefined && !isReserved(name)
