/**
 * What is random in a run, by its seed: the names of users and groups, and the choices of cases. Names are letters and
 * digits and short, which any server should take, and random, so that nobody on a server in use has them.
 */
import { createHash } from "node:crypto"

/** Numbers from 0 up to 1, always the same for the same key. */
export const randomOf = (key: string): () => number => {
  let state = createHash("sha256").update(key).digest().readUInt32LE(0)
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const digits = 6

/** `alice7k2m9x`: somebody who is called alice in a case. */
export const nameOf = (key: string, stem: string): string =>
  stem +
  createHash("sha256").update(`${key} ${stem}`).digest().readUIntBE(0, 6).toString(36).padStart(digits, "0").slice(
    -digits
  )
