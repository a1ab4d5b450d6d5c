/**
 * Tells a re-send from a repeat (CPT 4.4): the one rule, for the drivers of the store.
 *
 * Of each sender only the last message can be unconfirmed, because the protocol has one request in flight. An equal
 * message is then a re-send, within the window; any other message, or the confirmation, ends it.
 */
import { Buffer } from "node:buffer"
import type { Batch } from "./Batch.ts"

/**
 * Whether what comes now may be a re-send of what came at `at`: the window is not over. Both are milliseconds on a clock
 * that nobody sets: by the time of day, the window would be as long as that is wrong, or over at once.
 */
export const isResend = (at: number, now: number, window: number): boolean => window > 0 && now - at <= window

/** A sender's last message. Changed in place: a message costs no object, and mostly no memory. */
interface Last {
  /** Undefined if it has been confirmed. */
  target: string | undefined
  at: number
  text: Buffer
  length: number
}

/** Senders that are looked at when one comes that is not known: so many more are forgotten than come. */
const looks = 2

/** For a store in memory: one message a sender, and in time none that is confirmed or older than the window. */
export class Duplicates {
  readonly #window: number
  readonly #last = new Map<string, Last>()
  #sweep = this.#last.entries()

  /** @param window milliseconds in which an equal message is a re-send; 0 switches the check off */
  constructor(window: number) {
    this.#window = window
  }

  /**
   * Calls `store` with the index of each message that is no re-send; the last of them is the sender's last from now on.
   *
   * @param now milliseconds on a clock that nobody sets
   */
  forEachNew(sender: string, batch: Batch, now: number, store: (index: number) => void): void {
    if (this.#window === 0) {
      for (let index = 0; index < batch.count; index++) store(index)
      return
    }
    const last = this.#of(sender, now)
    let before = -1 // the message before is this one of the batch, if it is in it
    for (let index = 0; index < batch.count; index++) {
      if (before === -1 ? this.#isLast(last, batch, index, now) : areEqual(batch, before, index)) continue
      before = index
      store(index)
    }
    if (before !== -1) remember(last, batch, before, now)
  }

  confirm(sender: string): void {
    const last = this.#last.get(sender)
    if (last !== undefined) last.target = undefined
  }

  #of(sender: string, now: number): Last {
    let last = this.#last.get(sender)
    if (last === undefined) {
      this.#forget(now)
      last = { target: undefined, at: 0, text: nothing, length: 0 }
      this.#last.set(sender, last)
    }
    return last
  }

  #isLast({ at, length, target, text }: Last, { bytes, ends, starts, targets }: Batch, index: number, now: number) {
    const [start, end] = [starts[index]!, ends[index]!]
    return target === targets[index] && length === end - start && isResend(at, now, this.#window) &&
      text.compare(bytes, start, end, 0, length) === 0
  }

  #forget(now: number): void {
    for (let look = 0; look < looks; look++) {
      const { done, value } = this.#sweep.next()
      if (done === true) {
        this.#sweep = this.#last.entries()
        return
      }
      const [sender, { at, target }] = value
      if (target === undefined || !isResend(at, now, this.#window)) this.#last.delete(sender)
    }
  }
}

const nothing = Buffer.alloc(0)

/** Bytes of two messages that mostly tell; where they do not, the rest is compared natively, which has its price. */
const few = 32

/** Whether two messages of a batch are. */
const areEqual = ({ bytes, ends, starts, targets }: Batch, one: number, other: number): boolean => {
  const [from, start, length] = [starts[one]!, starts[other]!, ends[one]! - starts[one]!]
  if (length !== ends[other]! - start || targets[one] !== targets[other]) return false
  let at = 0
  while (at < length && at < few && bytes[from + at] === bytes[start + at]) at++
  if (at < few) return at === length
  return bytes.compare(bytes, start + at, start + length, from + at, from + length) === 0
}

const remember = (last: Last, { bytes, ends, starts, targets }: Batch, index: number, now: number): void => {
  const [start, end] = [starts[index]!, ends[index]!]
  const length = end - start
  if (last.text.length < length || last.text.length > 8 * length + 64) {
    last.text = Buffer.allocUnsafeSlow(2 * length) // it may stay: not from a pool, which would stay with it
  }
  bytes.copy(last.text, 0, start, end)
  last.target = targets[index]
  last.at = now
  last.length = length
}
