/** How cases are written down. */
import type { Effect, Scope } from "effect"
import type { Case, Level, Need, Profile } from "../Case.ts"
import type { Dialect } from "../Dialect.ts"
import type { Outcome } from "../Outcome.ts"
import { unescaped } from "../Script.ts"
import type { Stage } from "../Stage.ts"

interface About {
  readonly title: string
  /** Default: MUST. */
  readonly level?: Level
  readonly quote: string
  /** Profiles that it belongs to besides. */
  readonly also?: ReadonlyArray<Profile>
  readonly needs?: ReadonlyArray<Need>
  readonly asks?: ReadonlyArray<keyof Dialect>
  readonly isAlone?: true
  readonly isIdle?: true
}

interface Played extends About {
  readonly script: string
}

interface Acted extends About {
  /** What is done, in words. */
  readonly does: string
  readonly run: (stage: Stage) => Effect.Effect<void, Outcome, Scope.Scope>
}

/** Cases of a profile, by their ids. */
export const define = (profile: Profile, cases: Readonly<Record<string, Played | Acted>>): ReadonlyArray<Case> =>
  Object.entries(cases).map(([id, about]) => {
    const { also = [], asks = [], isAlone = false, isIdle = false, level = "MUST", needs = [], quote, title } = about
    const profiles: Case["profiles"] = [profile, ...also]
    const described = { id, title, level, profiles, quote, needs, asks, isAlone, isIdle }
    if ("run" in about) return Object.assign(described, { script: about.does, run: about.run })
    const script = unescaped(about.script)
    return Object.assign(described, { script, run: (stage: Stage) => stage.play(script) })
  })
