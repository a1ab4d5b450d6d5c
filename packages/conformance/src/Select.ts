/** Which cases somebody means. */
import type { Case, Profile } from "./Case.ts"

export interface Selection {
  readonly profiles: ReadonlyArray<Profile>
  /** Ids, beginnings of ids (`send/`, `send/4.2`), or ids with `*` for anything. */
  readonly ids: ReadonlyArray<string>
}

const escaped = (text: string): string => text.replaceAll(/[\\^$.+?()[\]{}|]/g, "\\$&")

/** Whether an id is meant: the whole of it, or a beginning that ends where a part of it does. */
const means = (pattern: string): (id: string) => boolean => {
  const whole = new RegExp(`^${escaped(pattern).replaceAll("*", ".*")}${pattern.endsWith("/") ? "" : "(?:/.*)?$"}`)
  return (id) => whole.test(id)
}

/** Those that are in one of the profiles, if any is named, and of an id that is meant, if any is. */
export const select = (cases: ReadonlyArray<Case>, { ids, profiles }: Selection): ReadonlyArray<Case> => {
  const meant = ids.map(means)
  return cases.filter((of) =>
    (profiles.length === 0 || of.profiles.some((profile) => profiles.includes(profile))) &&
    (meant.length === 0 || meant.some((is) => is(of.id)))
  )
}
