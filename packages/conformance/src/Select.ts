/** Which cases somebody means. */
import { type Described, type Profile, profiles as allProfiles } from "./Case.ts"

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

/** Under which profile a case is told, where some were selected: the first of its own that was. */
export const home = ({ profiles }: Described, selected: ReadonlyArray<Profile>): Profile =>
  profiles.find((profile) => selected.includes(profile)) ?? profiles[0]

/**
 * Those that are in one of the profiles, if any is named, and of an id that is meant, if any is; those under one profile
 * beside each other.
 */
export const select = <C extends Described>(
  cases: ReadonlyArray<C>,
  { ids, profiles }: Selection
): ReadonlyArray<C> => {
  const meant = ids.map(means)
  const placeOf = (of: Described) => allProfiles.indexOf(home(of, profiles))
  return cases.filter((of) =>
    (profiles.length === 0 || of.profiles.some((profile) => profiles.includes(profile))) &&
    (meant.length === 0 || meant.some((is) => is(of.id)))
  ).toSorted((a, b) => placeOf(a) - placeOf(b))
}
