/**
 * A place in the messages of one group: what has been handed on and what has not, so that a stream loses nothing and
 * gives nothing twice, whatever happens to the connection. Pure bookkeeping; who reads and who asks is elsewhere.
 *
 * A place is *behind* until a `SYNC` has brought it to the head of the group, and *live* from then on. It falls behind
 * again when the connection is lost, or when its consumer has no room for a message: that one is left to the next
 * `SYNC`. So no buffer has to grow.
 *
 * Of a server that is not ours, only this is relied on: it answers a `SYNC` with every message that was sent before it
 * and after the timestamp asked for. In what order, whether live messages come as well, before the answer or twice, and
 * whether two messages may have one timestamp, is left to it.
 */
import type { Name } from "@cpt/schema"
import type { Message } from "./Event.ts"

/** Messages remembered to recognise a second copy: all that can arrive between asking and answering. */
const maxRecent = 1024

/** Messages held back while they are answered, to sort out live ones that came in before the answer; and their text. */
const maxHeld = 256
const maxHeldLength = 64 * 1024

/** Where a place begins. */
export interface Start {
  /** Messages up to it are not wanted, as far as they are there when the place becomes live. */
  readonly after: number
  /** What is asked for: `after`, or earlier where that may be ahead of the server's clock. */
  readonly from: number
}

export interface Place {
  readonly group: Name.GroupName
  /** The timestamp of the newest message that was handed on, or of one that was there before and is not wanted. */
  readonly cursor: () => number
  readonly isBehind: () => boolean
  /**
   * Begins an answer; gives the timestamp to ask for. `pushed` tells whether live messages may come in before the
   * answer, because this connection follows the group already.
   */
  readonly open: (pushed: boolean) => number
  /** A message of the answer. */
  readonly answer: (message: Message) => void
  /** The answer is complete. */
  readonly close: () => void
  /** There will be no answer: the server declined, and what the place was, it still is. */
  readonly resume: () => void
  /** The connection is lost. */
  readonly cut: () => void
  /** A message that nobody asked for. */
  readonly live: (message: Message) => void
  /** Somebody else asks for what came after `asked`, and from there on the server goes on. */
  readonly jump: (asked: number) => void
  /** There was no room for something that the server says to whoever asks again. */
  readonly fall: () => void
  /** Whether it matters here that messages up to a timestamp are gone; if that is not known, it does. */
  readonly isConcerned: (through: number | undefined) => boolean
  /** A message of the answer to somebody else. */
  readonly overhear: (message: Message) => void
}

export interface Consumer {
  /** Takes a message, if there is room. */
  readonly emit: (message: Message) => boolean
  /** The place is live: messages up to this timestamp were there and are not wanted, and none was given since. */
  readonly onPass: (timestamp: number) => void
  /** The place has fallen behind: there was no room, or somebody else's `SYNC` has left something out. */
  readonly onFall: () => void
}

export const make = (group: Name.GroupName, { after, from }: Start, { emit, onFall, onPass }: Consumer): Place => {
  let state: "behind" | "answering" | "live" = "behind"
  let before: "behind" | "live" = "behind" // what it was when the answer began
  let cursor = from
  let asked = from
  let unwanted = after // up to here, until the first answer is complete
  let coarse = false // two messages have had one timestamp, so there may be more of the cursor's
  let pushed = false
  let descents = 0 // how often the answer went back in time
  let newest = 0 // none has come yet
  let synced = false
  const held: Array<Message> = [] // by timestamp
  let heldLength = 0
  const recent = new Set<string>()

  const keyOf = (message: Message) => `${message.timestamp} ${message.sender} ${message.message}`

  const deliver = (message: Message) => {
    if (!emit(message)) return fall()
    recent.add(keyOf(message))
    if (recent.size > maxRecent) {
      for (const oldest of recent) {
        recent.delete(oldest)
        break
      }
    }
    if (message.timestamp === cursor && newest !== 0) coarse = true
    // A start may be ahead of the server's clock; the first message is not
    const isAhead = newest === 0 && message.timestamp !== 0
    // An answer that jumps about tells nothing of what is still to come
    if ((message.timestamp > cursor || isAhead) && !(state === "answering" && descents > 1)) cursor = message.timestamp
    if (message.timestamp > newest) newest = message.timestamp
  }

  const fall = () => {
    state = "behind"
    drop()
    onFall()
  }

  const drop = () => {
    held.length = 0
    heldLength = 0
  }

  const release = () => {
    const messages = held.slice()
    drop()
    for (const message of messages) {
      if (state === "behind") return
      deliver(message)
    }
  }

  /** Puts it where it belongs; false if it is there already. */
  const hold = (message: Message): boolean => {
    let at = held.length
    for (; at > 0; at--) {
      const other = held[at - 1]
      if (other === undefined || other.timestamp < message.timestamp) break
      if (other.timestamp === message.timestamp && keyOf(other) === keyOf(message)) return false
    }
    while (at < held.length && held[at]?.timestamp === message.timestamp) at++
    held.splice(at, 0, message)
    heldLength += message.message.length
    return true
  }

  let last = 0 // the timestamp of the answer's message before this one
  return {
    group,
    cursor: () => cursor,
    isBehind: () => state === "behind",
    open: (alreadyFollowed) => {
      before = state === "live" ? "live" : "behind"
      state = "answering"
      pushed = alreadyFollowed && before === "behind"
      descents = 0
      last = 0
      drop()
      asked = coarse ? Math.max(cursor - 1, 0) : cursor
      return asked
    },
    answer: (message) => {
      if (state !== "answering") return
      if (message.timestamp === 0) {
        // No time, no order, and no telling apart, except that it is there again the next time
        if (!synced || !recent.has(keyOf(message))) deliver(message)
        return
      }
      if (message.timestamp <= asked || recent.has(keyOf(message))) return
      if (message.timestamp <= unwanted) {
        newest = Math.max(newest, message.timestamp)
        return
      }
      if (message.timestamp < last) descents++
      last = message.timestamp
      if (!hold(message)) {
        descents = Math.max(descents, 1)
        return
      }
      while (held.length > maxHeld || heldLength > maxHeldLength) {
        const first = held.shift()
        if (first === undefined) return
        heldLength -= first.message.length
        deliver(first)
      }
    },
    close: () => {
      if (state !== "answering") return
      descents = 0
      release()
      if (state !== "answering") return
      cursor = Math.max(cursor, newest)
      if (newest !== 0 && newest <= unwanted) onPass(newest)
      unwanted = 0
      synced = true
      state = "live"
    },
    resume: () => {
      if (state === "answering") state = before
    },
    cut: () => {
      // What is held is the beginning of the answer, unless it may be live messages from behind what is missing
      if (state === "answering" && descents === 0 && !pushed) release()
      drop()
      state = "behind"
    },
    live: (message) => {
      if (state !== "live") return
      if (message.timestamp === 0 || !recent.has(keyOf(message))) deliver(message)
    },
    jump: (theirs) => {
      if (state === "live" && theirs > cursor) fall()
    },
    fall,
    isConcerned: (through) => through === undefined || through > unwanted,
    overhear: (message) => {
      if (state === "live" && message.timestamp > cursor) deliver(message)
    }
  }
}
