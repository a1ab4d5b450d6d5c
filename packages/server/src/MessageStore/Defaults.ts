/** How much a store has where nothing is said of it. By itself, so that whoever shows that need not load a store. */
const MiB = 1024 * 1024

/** Bytes of memory for the newest lines, where messages are on disk. */
export const cache = 64 * MiB

/** What is kept in memory, over all targets. */
export const memory = { messages: 1_000_000, bytes: 256 * MiB }
