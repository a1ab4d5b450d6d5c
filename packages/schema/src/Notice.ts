/**
 * What a server says in its own name inside the answer to a `SYNC`: `MSG <group> system 0 <text>` (CPT 5.3, 5.4). The
 * beginning of the text tells a program which it is; the rest is for people.
 */
import { Message } from "./Message.ts"
import { Name, systemName } from "./Name.ts"
import type { Timestamp } from "./Timestamp.ts"

/** The sender of notices and announcements. */
export const sender = Name.make(systemName)

/** A hole: the server no longer has messages that were asked for. */
export const missingPrefix = "missing: "

/** The inbox of somebody else, or a group of others. */
export const privatePrefix = "private: "

/** Messages up to and including `through` are gone. */
export const missing = (through: Timestamp): Message =>
  Message.make(`${missingPrefix}messages up to ${new Date(through).toISOString()} (${through}) are no longer kept`)

/** The timestamp up to which messages are gone, where a notice says that in the words of {@link missing}. */
export const missingThrough = (text: string): number | undefined => {
  const [, through] = /^missing: .* \((\d{1,15})\) are no longer kept$/.exec(text) ?? []
  return through === undefined ? undefined : Number(through)
}

/** `name` is a user, and not the one who asks. */
export const privateInbox = (name: Name): Message =>
  Message.make(`${privatePrefix}${name} is a user, and only ${name} can read these messages`)

/** `name` is a group that the one who followed it may not read any more. */
export const noLonger = (name: Name): Message => Message.make(`${privatePrefix}you can no longer read ${name}`)

/** What comes after `after` cannot be read now: half an answer cannot be declined any more. */
export const unreadable = (after: Timestamp): Message =>
  Message.make(`${missingPrefix}messages after ${after} cannot be read now`)
