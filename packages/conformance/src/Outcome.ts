/** How a case ends other than well, and the verdict that comes of it. */
import { Schema } from "effect"

/** What is needed to say it in a report. */
export class Broken extends Schema.TaggedError<Broken>()("Broken", {
  expected: Schema.String,
  came: Schema.String
}) {
  override get message() {
    return `expected ${this.expected}; came ${this.came}`
  }
}

/** The server says that it does not support this, or is known not to. */
export class Unsupported extends Schema.TaggedError<Unsupported>()("Unsupported", { why: Schema.String }) {}

/** It could not be found out. */
export class Inconclusive extends Schema.TaggedError<Inconclusive>()("Inconclusive", { why: Schema.String }) {}

/** No connection. */
export class Unreachable extends Schema.TaggedError<Unreachable>()("Unreachable", { why: Schema.String }) {
  override get message() {
    return this.why
  }
}

/** The case cannot be played, since whoever wrote it has made a mistake. */
export class Miswritten extends Schema.TaggedError<Miswritten>()("Miswritten", { why: Schema.String }) {
  static from(error: unknown) {
    return new Miswritten({ why: error instanceof Error ? error.message : String(error) })
  }
}

export type Outcome = Broken | Unsupported | Inconclusive | Unreachable | Miswritten

/**
 * - `pass`: what the sentence says is so
 * - `fail`: it is not, and it is a MUST
 * - `non-strict`: it is not, but it is a SHOULD, or our reading of what the specification leaves open
 * - `unsupported`: the server does not have what it is about, and says so
 * - `inconclusive`: it could not be found out here
 */
export type Verdict = "pass" | "fail" | "non-strict" | "unsupported" | "inconclusive"

export const verdicts: ReadonlyArray<Verdict> = ["pass", "fail", "non-strict", "unsupported", "inconclusive"]
