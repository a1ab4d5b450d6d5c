/**
 * Messages of one sender on their way into the store, in their order, as they stand in the bytes that were read: no
 * string and no object a message.
 */
import type { Message, Name } from "@cpt/schema"
import { Buffer } from "node:buffer"

export class Batch {
  /** What the texts stand in, as valid UTF-8 that is a `Message`. */
  bytes: Buffer
  /** Messages; the arrays may be longer. */
  count = 0
  readonly targets: Array<Name.Target> = []
  readonly starts: Array<number> = []
  readonly ends: Array<number> = []

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  /** Adds a message: its text is from `start` to `end`. */
  add(target: Name.Target, start: number, end: number): void {
    const index = this.count++
    this.targets[index] = target
    this.starts[index] = start
    this.ends[index] = end
  }

  /** Bytes from the first text to the end of the last. There must be a message. */
  get size(): number {
    return this.ends[this.count - 1]! - this.starts[0]!
  }

  /** For the next one. */
  reset(bytes: Buffer): void {
    this.bytes = bytes
    this.count = 0
  }

  /** The same, for later, with the bytes. There must be a message. */
  copy(): Batch {
    const from = this.starts[0]!
    const copy = new Batch(Buffer.from(this.bytes.subarray(from, this.ends[this.count - 1])))
    for (let index = 0; index < this.count; index++) {
      copy.add(this.targets[index]!, this.starts[index]! - from, this.ends[index]! - from)
    }
    return copy
  }

  /** For those who have texts. */
  static of(...messages: ReadonlyArray<readonly [target: Name.Target, message: Message.Message]>): Batch {
    const texts = messages.map(([, message]) => Buffer.from(message))
    const batch = new Batch(Buffer.concat(texts))
    let at = 0
    messages.forEach(([target], index) => batch.add(target, at, at += texts[index]!.length))
    return batch
  }
}
