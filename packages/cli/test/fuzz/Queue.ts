/** What is left of a connection: what was said on it and is not carried out yet, one after the other, and then its end. */
import type { Session } from "../../../server/test/model/Model.ts"
import type { Conduct, Deed } from "./Conduct.ts"

export class Queue {
  readonly conduct: Conduct
  readonly session: Session
  /** What was said last into a connection that was cut off: the server has heard it, or not, or the beginning of it. */
  readonly isMaybe: boolean
  readonly #deeds: ReadonlyArray<Deed>
  #next = 0
  isOver = false
  /** When it heard its last ACK. */
  ackedAt = 0

  constructor(conduct: Conduct, session: Session, deeds: ReadonlyArray<Deed>, isMaybe: boolean) {
    this.conduct = conduct
    this.session = session
    this.#deeds = deeds
    this.isMaybe = isMaybe
  }

  /** What comes next; undefined if that is the end. */
  get head(): Deed | undefined {
    return this.#deeds[this.#next]
  }

  /** What is left, with what comes next. */
  get rest(): ReadonlyArray<Deed> {
    return this.#deeds.slice(this.#next)
  }

  advance(): void {
    this.#next++
  }

  /** When what comes next was said, … */
  get saidAt(): number {
    return this.head?.saidAt ?? this.conduct.course.ending?.at ?? 0
  }

  /** … and when what was said later could have come after it. */
  get heardAt(): number {
    const { closedAt = Infinity, ending } = this.conduct.course
    if (this.isMaybe) return Infinity
    return this.head?.heardAt ?? (ending?.how === "reset" ? ending.at : closedAt)
  }

  /** Who it is; of those who may have said something, also where it is not known whether the login was heard. */
  get user(): string | undefined {
    if (!this.isMaybe) return this.session.name
    return this.session.name ?? this.#deeds.find(({ meaning }) => meaning._tag === "CONNECT")?.target
  }
}

/** The queues of a connection: what it has heard the answer to; and what it has not, if it was cut off. */
export const queuesOf = (conduct: Conduct, session: Session): ReadonlyArray<Queue> => {
  const { deeds, isCut } = conduct
  const sure = isCut ? deeds.filter(({ answer }) => answer !== undefined) : deeds
  const maybe = deeds.slice(sure.length)
  const queue = new Queue(conduct, session, sure, false)
  return maybe.length === 0 ? [queue] : [queue, new Queue(conduct, session, maybe, true)]
}
