/** What a case of the kit is. The cases are in `cases/`, a file for each profile. */
import type { Effect, Scope } from "effect"
import type { Dialect } from "./Dialect.ts"
import type { Hands } from "./Hands.ts"
import type { Outcome } from "./Outcome.ts"
import type { Stage } from "./Stage.ts"

/** How much the specification wants it: as RFC 2119 has it, or as our reading closes what CPT.md leaves open. */
export type Level = "MUST" | "SHOULD" | "MAY" | "our reading"

/**
 * - `core`: every MUST of CPT.md
 * - `strict`: every SHOULD of CPT.md, and READING.md
 * - `robust`: bytes in every cut, of every kind, and peers that do not behave
 * - `delivery`: what was acknowledged arrives: once, in order, through lost connections
 * - `identity`: every reason to decline
 * - `durable`: the same through restarts of the server
 * - `load`: many connections, many messages
 */
export const profiles = ["core", "strict", "robust", "delivery", "identity", "durable", "load"] as const
export type Profile = (typeof profiles)[number]

/** Something that not every server has, or not every run. */
export type Need = "live" | "livePrivate" | "inbox" | "network" | keyof Hands

/** What a report says of a case, of servers or of clients. */
export interface Described {
  /** Where it belongs, the clause of READING.md (and of docs/protocol.md) that it is nearest to, and what it is about. */
  readonly id: string
  /** What is so if it passes, in a few words. */
  readonly title: string
  readonly level: Level
  readonly profiles: readonly [Profile, ...ReadonlyArray<Profile>]
  /** The sentence that it checks: of CPT.md, or of READING.md where that closes what is open. */
  readonly quote: string
  /** How it goes, for people: the transcript (see `Script`), or what is done, in words. */
  readonly script: string
}

export interface Case extends Described {
  readonly run: (stage: Stage) => Effect.Effect<void, Outcome, Scope.Scope>
  /** Without these, there is nothing to be tested. */
  readonly needs: ReadonlyArray<Need>
  /**
   * The questions of the specification that it is about: in these it goes by the letter of the quote, and only in the
   * others on the server's own terms.
   */
  readonly asks: ReadonlyArray<keyof Dialect>
  /** Not while others run: it works the server hard, or restarts it. */
  readonly isAlone: boolean
  /** It does little but wait, for a second or more: whatever others are under way. */
  readonly isIdle: boolean
}

/** Which page a case quotes. */
export const source = ({ id, level }: Described): string =>
  level === "our reading" ? `READING.md ${id.split("/").find((part) => /^\d/.test(part)) ?? ""}` : "CPT.md"
