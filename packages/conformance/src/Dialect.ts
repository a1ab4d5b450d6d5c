/**
 * How a server reads what the specification leaves open. It is found out before the cases run (`Probe`); a case is then
 * played on the server's own terms, but for those cases that are about the question itself.
 */

/** How much of a second the number of a timestamp counts. */
export type Unit = "seconds" | "milliseconds" | "microseconds" | "nanoseconds"

export interface Dialect {
  readonly unit: Unit
  /** `MSG <sender> <timestamp> <message>`, as in the diagram of the specification: never, for private messages, always. */
  readonly diagram: "never" | "private" | "always"
  /** Whose name a private message has as its group. */
  readonly privateGroup: "receiver" | "sender" | "another"
  /** How the own private messages are asked for: `SYNC`, or `SYNC <own name> 0`. */
  readonly inbox: "bare" | "named" | "none"
  /** Whether new messages come by themselves; and private ones. */
  readonly live: boolean
  readonly livePrivate: boolean
  /** Whether they also come to who sent them. */
  readonly echo: boolean
  /** Whether the connection ends with a DECLINE. */
  readonly closes: boolean
  /** Whether a server's lines end with CR LF. */
  readonly crlf: boolean
  /** Whether more than a word stands behind DECLINE. */
  readonly explains: boolean
  /** Whether something stands behind ACCEPT, ACK or ENDSYNC. */
  readonly wordy: boolean
  /** Whether who has not logged in is served. */
  readonly anonymous: boolean
}

/** As READING.md has it. */
export const reading: Dialect = {
  unit: "milliseconds",
  diagram: "never",
  privateGroup: "receiver",
  inbox: "bare",
  live: true,
  livePrivate: true,
  echo: false,
  closes: false,
  crlf: false,
  explains: false,
  wordy: false,
  anonymous: false
}

/** Milliseconds after which the next timestamp is another one, whatever the clock's steps. */
export const tick = ({ unit }: Dialect): number => unit === "seconds" ? 1100 : 5

/** How many of a timestamp's units a millisecond has. */
export const perMillisecond: { readonly [U in Unit]: number } = {
  seconds: 0.001,
  milliseconds: 1,
  microseconds: 1000,
  nanoseconds: 1_000_000
}

/** Which unit makes this number a time near now, within a few decades; undefined for none. */
export const unitOf = (timestamp: bigint): Unit | undefined => {
  const digits = timestamp.toString().length
  if (digits < 9) return undefined
  return digits < 12 ? "seconds" : digits < 15 ? "milliseconds" : digits < 18 ? "microseconds" : "nanoseconds"
}

const inboxes: { readonly [I in Dialect["inbox"]]: string } = {
  bare: "",
  named:
    "private messages are asked for by the own name (SYNC <own name> <after>), and not by a bare SYNC (READING 5.2)",
  none: "private messages cannot be asked for (READING 5.2)"
}

/** One sentence for each question that is read otherwise, with the clause that closes it. */
export const differences = (dialect: Dialect = reading): ReadonlyArray<string> =>
  [
    dialect.unit === "milliseconds" ? "" : `timestamps are in ${dialect.unit}, not in milliseconds (READING 4.2)`,
    dialect.diagram === "never"
      ? ""
      : `${dialect.diagram === "private" ? "private messages have" : "every MSG has"} the form of the diagram, ` +
        "MSG <sender> <timestamp> <message> (READING 5.2, 6.4)",
    dialect.privateGroup === "receiver"
      ? ""
      : `the group of a private message is ${
        dialect.privateGroup === "sender" ? "its sender" : "another name"
      }, and not its receiver (READING 5.2)`,
    inboxes[dialect.inbox],
    dialect.live
      ? ""
      : "new messages of a group that was synced do not come by themselves: clients have to ask (READING 5.5, 5.7)",
    dialect.livePrivate ? "" : "new private messages do not come by themselves (READING 5.5, 5.7)",
    dialect.echo ? "messages also come to who sent them (READING 5.5)" : "",
    dialect.closes ? "the connection is closed after a DECLINE that a client could go on from (READING 3.5)" : "",
    dialect.crlf ? "lines end with CR LF, not with LF alone (READING 1.1)" : "",
    dialect.explains ? "more than one word stands behind DECLINE (READING 3.4)" : "",
    dialect.wordy ? "something stands behind ACCEPT, ACK or ENDSYNC (CPT.md: they have no parameters)" : "",
    dialect.anonymous ? "who has not logged in is served (READING 3.1)" : ""
  ].filter((sentence) => sentence !== "")
