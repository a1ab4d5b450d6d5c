/** The write deadline: who takes nothing of what it was written is cut, and who takes a little is not (CPT 5.8). */
import { Duration, Effect } from "effect"
import { type Connection, writeDeadline } from "./Connection.ts"
import * as Kernel from "./Kernel.ts"

/** How often a peer that is behind is looked at in the time of the write deadline. */
const looks = 4

/** Of a connection, what tells whether its peer takes something. */
export interface Watched extends Pick<Connection, "cut" | "isGone" | "key"> {
  /** The peer has been sent all that there is for it. */
  readonly hasAll: () => boolean
  /** Bytes that have been handed over, since the beginning: how much waits may stay the same, while all of it is new. */
  readonly handedOver: () => number
}

/**
 * Cuts the peer when nothing has moved; over when it has been sent everything. The kernel's buffers are large, and it says
 * that it has room only when a third of them is free: a peer that takes a KB a second would look asleep for minutes.
 */
export const untilItMoves = Effect.fnUntraced(function*(
  connection: Watched,
  deadline: Duration.Duration
): Effect.fn.Return<void> {
  const look = Duration.toMillis(deadline) / looks
  let before = "" // not looked up yet: the kernel's table is long, and most are through in no time
  for (let still = 0; still < looks;) {
    yield* Effect.sleep(look)
    if (connection.hasAll() || connection.isGone()) return
    const key = connection.key()
    // No two looks see the same table
    const bytes = key === undefined ? undefined : yield* Effect.promise(() => Kernel.unacknowledged(key, look / 2))
    const now = `${connection.handedOver()} ${bytes}`
    still = now === before ? still + 1 : 0
    before = now
  }
  yield* connection.cut(writeDeadline)
})
