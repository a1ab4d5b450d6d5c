/**
 * Tells a re-send from a repeat (CPT 4.4): the one rule, for the drivers of the store.
 *
 * Of each sender only the last message can be unconfirmed, because the protocol has one request in flight. An equal
 * message is then a re-send, within the window; any other message, or the confirmation, ends it. So this holds one
 * message a sender, and none that is confirmed or older than the window.
 */
/** A `Draft`, or what is left of one in a thread that knows plain strings only. */
interface Sent {
  readonly sender: string
  readonly target: string
  readonly message: string
}

export interface Last {
  readonly target: string
  readonly message: string
  readonly at: number
}

export class Duplicates {
  readonly #window: number
  readonly #last = new Map<string, Last>() // oldest first: an entry is always put at the end

  /** @param window milliseconds in which an equal message is a re-send; 0 switches the check off */
  constructor(window: number) {
    this.#window = window
  }

  /** Whether this is a re-send of the sender's last message. If not, it is the sender's last message from now on. */
  isResend(draft: Sent, now: number): boolean {
    if (this.#window === 0) return false
    const last = this.#last.get(draft.sender)
    if (
      last !== undefined && now - last.at <= this.#window &&
      last.target === draft.target && last.message === draft.message
    ) return true
    this.#last.delete(draft.sender)
    this.#last.set(draft.sender, { target: draft.target, message: draft.message, at: now })
    for (const [sender, { at }] of this.#last) {
      if (now - at <= this.#window) break
      this.#last.delete(sender)
    }
    return false
  }

  /** What a store remembers of a sender from before this process (CPT 4.4: after a crash it counts as unconfirmed). */
  recall(sender: string, last: Last): void {
    this.#last.set(sender, last)
  }

  confirm(sender: string): void {
    this.#last.delete(sender)
  }
}
