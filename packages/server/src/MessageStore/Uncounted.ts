/**
 * Memory for what stays for long, of which V8 is not told. It counts ArrayBuffers towards its next collection, so that one
 * came with every 12 MB of messages: 15 ms of the only thread, for what is no garbage. A SharedArrayBuffer it does not count,
 * though it frees that just as well; so what is let go and not collected yet is counted here, within a bound.
 */
const maxGarbage = 32 * 1024 * 1024
let garbage = 0

const collected = new FinalizationRegistry<number>((bytes) => {
  garbage -= bytes
})

/** Zeroes. Counted after all, if there is enough garbage that V8 does not know of. */
export const allocate = (bytes: number): ArrayBufferLike =>
  garbage < maxGarbage ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes)

/** Nobody needs it any more, but for those who still have a view into it. */
export const letGo = (memory: ArrayBufferLike): void => {
  if (!(memory instanceof SharedArrayBuffer)) return
  garbage += memory.byteLength
  collected.register(memory, memory.byteLength)
}
