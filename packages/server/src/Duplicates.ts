/**
 * Tells a re-send from a repeat (CPT 4.4): the one rule, for the drivers of the store.
 *
 * Of each sender only the last message can be unconfirmed, because the protocol has one request in flight. An equal
 * message is then a re-send, within the window; any other message, or the confirmation, ends it.
 */
import type { Draft } from "./MessageStore.ts"

/**
 * Whether what comes now may be a re-send of what came at `at`, both in milliseconds: the window is not over. Where the
 * clock has been set back, it is not either.
 */
export const isResend = (at: number, now: number, window: number): boolean => window > 0 && now - at <= window

interface Last {
  readonly sender: Draft["sender"]
  target: Draft["target"]
  message: Draft["message"]
  at: number
}

/** For a store in memory: one message a sender, and none that is confirmed or older than the window. */
export class Duplicates {
  readonly #window: number
  readonly #last = new Map<string, Last>() // oldest first: an entry is always put at the end
  #newest: Last | undefined // the one at the end, which is the same sender's again when many come in one go

  /** @param window milliseconds in which an equal message is a re-send; 0 switches the check off */
  constructor(window: number) {
    this.#window = window
  }

  /** Whether this is a re-send of the sender's last message. If not, it is the sender's last message from now on. */
  isResend({ message, sender, target }: Draft, now: number): boolean {
    const last = this.#newest?.sender === sender ? this.#newest : this.#last.get(sender)
    if (last !== undefined) {
      if (last.target === target && last.message === message && isResend(last.at, now, this.#window)) return true
      last.target = target
      last.message = message
      last.at = now
      if (last === this.#newest) return false
      this.#last.delete(sender)
    }
    if (this.#window === 0) return false
    this.#newest = last ?? { sender, target, message, at: now }
    this.#last.set(sender, this.#newest)
    for (const [sender, { at }] of this.#last) {
      if (isResend(at, now, this.#window)) break
      this.#last.delete(sender)
    }
    return false
  }

  confirm(sender: string): void {
    this.#last.delete(sender)
    if (this.#newest?.sender === sender) this.#newest = undefined
  }
}
