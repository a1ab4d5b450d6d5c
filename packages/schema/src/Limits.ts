/**
 * Every number of the protocol, with its reason. A deployment may be stricter or looser where the clause calls it
 * a default; these are the numbers that two parties may count on when they know nothing of each other.
 */

/** The TCP port that CPT recommends. It lies in Linux's range for outgoing connections, so it may be taken by one. */
export const defaultPort = 39168

/** Bytes of a client's line without its end (CPT 1.4): a long paragraph fits, and ten thousand peers hold 80 MB. */
export const maxLineBytes = 8192

/**
 * Bytes of a server's line that a client must be ready to take. A `MSG` repeats the text of a `SEND` of
 * {@link maxLineBytes} behind a group, a sender and a timestamp, and other servers may have larger limits.
 */
export const maxReceivedLineBytes = 65_536

/** Bytes of a name in UTF-8 (CPT 2.1). */
export const maxNameBytes = 64

/** Digits of a timestamp (CPT 5.1): milliseconds until the year 33658, and exact in a double. */
export const maxTimestampDigits = 15

/**
 * What `--max-line-bytes` may be at most: a `SEND` of so many bytes comes back in a `MSG` that has the sender and the
 * timestamp in it too, however long they are, and still is no longer than {@link maxReceivedLineBytes}.
 */
export const maxReadableLineBytes = maxReceivedLineBytes -
  ("MSG ".length + maxNameBytes + " ".length + maxTimestampDigits + " ".length - "SEND ".length)

/** Milliseconds in which an equal, unconfirmed `SEND` counts as a re-send (CPT 4.4): longer than a client's retries. */
export const resendWindow = 120_000

/** Milliseconds to log in (CPT 3.9): a person's client needs one, a bad radio link a few. */
export const loginDeadline = 10_000

/** Milliseconds in which a peer must take at least something of what it was written (CPT 5.8). */
export const writeDeadline = 30_000

/** Refused logins after which a session ends (CPT 3.7). */
export const maxRefusedLogins = 3

/** Declines in a row after which a session ends (CPT 3.10): whoever says that much nonsense is not a client. */
export const maxDeclinesInARow = 20
