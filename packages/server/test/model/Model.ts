/** The server, as the protocol has it: no sockets, no pages, no cursors, no time but `now` and `uptime`. */
import { Name } from "@cpt/schema"

export interface Message {
  readonly target: string
  readonly sender: string
  readonly timestamp: number
  readonly text: string
}

export const lineOf = ({ sender, target, text, timestamp }: Message) => `MSG ${target} ${sender} ${timestamp} ${text}`

/** A connection. */
export class Session {
  name: string | undefined
  readonly follows = new Set<string>()
  refusedLogins = 0
  declines = 0
  /** The ACK of its last SEND has left; its next line confirms that. */
  isAcked = false
  /** What it is to be told live: in order for each target. */
  due: Array<Message> = []
  get isOver(): boolean {
    return this.refusedLogins === 3 || this.declines === 20
  }
}

interface Unconfirmed {
  readonly target: string
  readonly text: string
  readonly at: number
  /** Whether it is confirmed was a race, of which nobody knows the outcome. */
  isDoubtful: boolean
}

export class Model {
  now = 1_700_000_000_000 // the time of day, which can be set
  uptime = 0 // how many milliseconds have passed
  readonly log: Array<Message> = []
  readonly #logs = new Map<string, Array<Message>>() // of each target
  readonly kinds = new Map<string, "user" | "group">()
  readonly sessions = new Set<Session>()
  readonly unconfirmed = new Map<string, Unconfirmed>() // the last message of each sender

  of = (target: string, after = 0) => (this.#logs.get(target) ?? []).filter(({ timestamp }) => timestamp > after)
  count = (target: string) => this.#logs.get(target)?.length ?? 0
  head = (target: string) => this.#logs.get(target)?.at(-1)?.timestamp ?? 0
  isFollowed = (name: string) => [...this.sessions].some(({ follows }) => follows.has(name))

  /** A packet came, or an end in good order (CPT 4.4). */
  hear(session: Session): void {
    if (session.isAcked && session.name !== undefined) this.unconfirmed.delete(session.name)
    session.isAcked = false
  }

  /** It is not known whether its ACK has been confirmed. */
  doubt(sender: string | undefined): void {
    const last = this.unconfirmed.get(sender ?? "")
    if (last !== undefined) last.isDoubtful = true
  }

  decline(session: Session, reason: string): ReadonlyArray<string> {
    session.declines++
    return [`DECLINE ${reason}`]
  }

  isTaken(name: string): boolean { // CPT 2.2, 3.2
    return Name.isReserved(name) || this.kinds.get(name) === "group" ||
      [...this.sessions].some((other) => other.name === name)
  }

  connect(session: Session, name: string): ReadonlyArray<string> { // CPT 3.2, 3.7
    if (session.name !== undefined) return this.decline(session, "already_logged_in")
    if (this.isTaken(name)) {
      session.refusedLogins++
      return this.decline(session, "username_taken")
    }
    session.name = name
    session.declines = 0
    session.follows.add(name)
    this.kinds.set(name, "user")
    return ["ACCEPT"]
  }

  /** Undefined where nobody knows. */
  isResend(sender: string, target: string, text: string): boolean | undefined { // CPT 4.4
    const last = this.unconfirmed.get(sender)
    if (last === undefined || last.target !== target || last.text !== text) return false
    return last.isDoubtful ? undefined : this.uptime - last.at <= 120_000
  }

  send(session: Session, target: string, text: string, isStored: boolean): ReadonlyArray<string> {
    const sender = session.name
    if (sender === undefined) return this.decline(session, "not_logged_in")
    session.isAcked = true
    session.declines = 0
    if (!isStored) return ["ACK"]
    const message = { target, sender, timestamp: Math.max(this.now, this.head(target) + 1), text } // CPT 4.2
    this.log.push(message)
    const log = this.#logs.get(target)
    if (log === undefined) this.#logs.set(target, [message])
    else log.push(message)
    this.unconfirmed.set(sender, { target, text, at: this.uptime, isDoubtful: false })
    // CPT 5.5; somebody who has come back on another connection is still who has sent it
    for (const other of this.sessions) if (other.name !== sender && other.follows.has(target)) other.due.push(message)
    return ["ACK"]
  }

  isPrivate(session: Session, target: string): boolean { // CPT 5.3
    return target !== session.name && this.kinds.get(target) === "user"
  }

  sync(session: Session, target: string, after: number): ReadonlyArray<string> { // CPT 5.1 to 5.3
    if (session.name === undefined) return this.decline(session, "not_logged_in")
    session.declines = 0
    if (this.isPrivate(session, target)) {
      return [`MSG ${target} system 0 private: …`, "ENDSYNC"]
    }
    if (target !== session.name) this.kinds.set(target, "group")
    session.follows.add(target)
    return [...this.of(target, after).map(lineOf), "ENDSYNC"]
  }

  leave(session: Session): void {
    this.sessions.delete(session)
    for (const name of session.follows) {
      if (this.head(name) === 0 && !this.isFollowed(name)) this.kinds.delete(name)
    }
  }
}
