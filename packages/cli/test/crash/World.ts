/** What those who act in one data directory have in common. */
import { Gate } from "./Gate.ts"
import { type Ledger, Violation } from "./Ledger.ts"

const keptEvents = 5000

export class World {
  readonly ledger: Ledger
  readonly gate = new Gate()
  readonly counts = { acked: 0, resent: 0, received: 0, declined: new Map<string, number>() }
  /** Senders are to say nothing new. */
  isQuiet = false
  /** How many bytes senders are to send as fast as they can, before they go on as usual. */
  storm = 0
  /** Rejects with the first violation, and never resolves. */
  readonly failed: Promise<never>
  #fail: (violation: Violation) => void = () => {}
  #violation: Violation | undefined
  #events: Array<string> = []

  constructor(ledger: Ledger) {
    this.ledger = ledger
    this.failed = new Promise((_, reject) => {
      this.#fail = reject
    })
    this.failed.catch(() => {})
  }

  fail(error: unknown): void {
    if (this.#violation !== undefined) return
    this.#violation = error instanceof Violation
      ? error
      : new Violation(`the harness failed: ${error instanceof Error ? error.stack : String(error)}`)
    this.#fail(this.#violation)
  }

  get isBroken(): boolean {
    return this.#violation !== undefined
  }

  /** Notes what happened, for the report of a violation. */
  note(who: string, what: string): void {
    this.#events.push(`${performance.now().toFixed(1)} ${who} ${what.length > 100 ? `${what.slice(0, 100)}…` : what}`)
    if (this.#events.length > 2 * keptEvents) this.#events = this.#events.slice(-keptEvents)
  }

  get events(): ReadonlyArray<string> {
    return this.#events
  }
}

export const sleep = async (milliseconds: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, milliseconds)
  })

/** Waits for what must come soon, even on a busy machine. */
export const within = async <A>(milliseconds: number, what: string, promise: Promise<A>): Promise<A> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Violation(`within ${milliseconds} ms there was no ${what}`)), milliseconds)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}
