/**
 * What goes to the writer, and what it says: an array of numbers a field, and the names and the texts in one piece, since
 * that is given away, and not copied value by value: a tenth of the main thread's time.
 */

/** What a step is; a message says with it what its target has become, where that is known. */
export const op = { message: 0, messageToUser: 2, messageToGroup: 3, confirm: 4, claimUser: 5, claimGroup: 6 } as const
export type Op = (typeof op)[keyof typeof op]

/** The steps of a transaction, in the order in which they came. */
export interface Steps {
  readonly ops: Uint8Array<ArrayBuffer>
  /** When the message came, in milliseconds: by the time of day; 0 where there is none. */
  readonly times: Float64Array<ArrayBuffer>
  /** The same on the clock that nobody sets, which the window for re-sends goes by (CPT 4.4). */
  readonly uptimes: Float64Array<ArrayBuffer>
  /** Where the text of the message ends among the texts; it begins where the one of the step before ends. */
  readonly ends: Uint32Array<ArrayBuffer>
  /**
   * Of each step, with LF between them: the sender of a message, or of the last one, whose ACK it has seen; or the name
   * that is claimed. Empty where it is that of the step before.
   */
  readonly names: string
  /** Of each step, with LF between them: the target of a message. Empty where it is that of the message before. */
  readonly targets: string
  readonly texts: Uint8Array<ArrayBuffer>
}

/** One moment by both clocks, in milliseconds. */
export interface Moment {
  readonly time: number
  readonly uptime: number
}

/** What has become of them. */
export interface Committed {
  /** For each step the timestamp of its message; 0 for a re-send, and where there is none. */
  readonly timestamps: Float64Array<ArrayBuffer>
  /** Where the line of the message ends among the lines; it begins where the one of the step before ends. */
  readonly ends: Uint32Array<ArrayBuffer>
  readonly lines: Uint8Array<ArrayBuffer>
  /** The steps with a message to a name that was not in use. */
  readonly named: ReadonlyArray<number>
  /** Milliseconds that the end of the transaction took: its write, and its sync. */
  readonly syncMillis: number
}

/** What an operator has declared under a name, as JSON; nothing, if it is no longer declared. */
export interface DeclaredName {
  readonly name: string
  readonly kind: "user" | "group"
  readonly rules: string | undefined
}
