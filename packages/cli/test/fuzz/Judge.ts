/**
 * Whether a server has done right by all its connections. That is so if there is an order of all that was said in which
 * the model of the server gives each of them what it has heard, and tells it live what it was told.
 */
import { lineOf, type Message } from "../../../server/test/model/Model.ts"
import { Violation } from "../crash/Ledger.ts"
import { type Conduct, conductOf, type Truth } from "./Conduct.ts"
import type { Course } from "./Peer.ts"
import { mustBeFair } from "./Races.ts"
import { explain } from "./Search.ts"

/**
 * @param truth what each target holds in the end
 * @param raced names that several wanted at the same time
 */
export const judge = (courses: ReadonlyArray<Course>, truth: Truth, raced: ReadonlySet<string>): void => {
  const conducts = courses.map((course) => conductOf(course, truth))
  for (const name of raced) mustBeFair(name, conducts)
  explain(conducts, truth, raced, (sessions) => {
    for (const [index, conduct] of conducts.entries()) mustHaveHeard(conduct, sessions[index]?.due ?? [])
  })
}

/** CPT 5.5, 5.12: each message once and in order, live or in an answer. */
const mustHaveHeard = ({ course, items }: Conduct, all: ReadonlyArray<Message>): void => {
  const dues = Map.groupBy(all, ({ target }) => target)
  for (const item of items) {
    if ("live" in item) {
      const due = dues.get(item.live.split(" ")[1] ?? "")?.shift()
      if (due !== undefined && lineOf(due) === item.live) continue
      throw new Violation(
        `${course.label} heard ${item.live}, where ${due ? lineOf(due) : "nothing"} was due (CPT 5.5)`
      )
    }
    const { answer, target = "" } = item.deed
    const left = dues.get(target)
    if (left === undefined || answer === undefined || answer.length < 2) continue
    const told = new Set(answer)
    dues.set(target, left.filter((message) => !told.has(lineOf(message))))
  }
  const missed = [...dues.values()].flat()[0]
  if (course.isSettled && missed !== undefined) {
    throw new Violation(`${course.label} follows ${missed.target}, and has not heard ${lineOf(missed)} (CPT 5.5)`)
  }
}
