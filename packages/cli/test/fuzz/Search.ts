/**
 * Looks for an order that explains what was heard. What seems best at each moment is mostly right; where it leads to nothing,
 * what was done last before is done otherwise, then what was done before that.
 */
import type { Session } from "../../../server/test/model/Model.ts"
import { Violation } from "../crash/Ledger.ts"
import type { Conduct, Truth } from "./Conduct.ts"
import { type Detours, Order } from "./Order.ts"

/** How many orders are tried before there is none. */
const most = 1000

interface Failure {
  readonly violation: Violation
  readonly order: Order
  readonly detours: Detours
}

/**
 * Fails with what is wrong with the order that seemed best, if there is none.
 *
 * @param check fails if the sessions, in the order of the connections, are not what was seen of them
 */
export const explain = (
  conducts: ReadonlyArray<Conduct>,
  truth: Truth,
  raced: ReadonlySet<string>,
  check: (sessions: ReadonlyArray<Session>) => void
): void => {
  let tried = 0
  const attempt = (detours: Detours): Failure | undefined => {
    tried++
    const order = new Order(conducts, truth, raced, detours)
    try {
      check(order.replay())
      return undefined
    } catch (violation) {
      if (violation instanceof Violation) return { violation, order, detours }
      throw violation
    }
  }
  /** Whether there is a way around a failure. */
  const goRound = ({ detours, order: { steps } }: Failure): boolean => {
    const from = Math.max(-1, ...detours.keys())
    for (let step = steps.length - 1; step > from && tried < most; step--) {
      const { isMaybe = false, others = 0 } = steps[step] ?? {}
      for (let other = 0; other < others + (isMaybe ? 1 : 0); other++) {
        const failure = attempt(new Map([...detours, [step, other]]))
        if (failure === undefined) return true
        if (failure.order.steps.length > steps.length && goRound(failure)) return true
      }
    }
    return false
  }
  const first = attempt(new Map())
  if (first !== undefined && !goRound(first)) throw first.violation
}
