/**
 * Up to where messages are gone of names that are not remembered any more (CPT 5.4), in bounded memory: each name has two
 * of the places, and a place keeps the latest time of all that have it. What both say is never too early for a name. It is
 * too late only for one that shares each of its places with another: hardly ever, as long as few were forgotten.
 */
import { Timestamp } from "@cpt/schema"

/** Bytes of the store for each place of 8: a 64th of its bound, and 4 places for each name of which it knows more. */
const bytesForPlace = 512
const mostPlaces = 2 ** 20

export class Forgotten {
  readonly #count: number
  #places: Float64Array | undefined // once something is forgotten

  /** @param bytes that the store may have */
  constructor(bytes: number) {
    this.#count = Math.min(mostPlaces, Math.floor(bytes / bytesForPlace) + 1)
  }

  /** Forgets a name whose messages are gone up to here. */
  add(name: string, through: Timestamp.Timestamp): void {
    if (through === Timestamp.epoch) return
    const places = this.#places ??= new Float64Array(this.#count)
    const one = hash(name)
    const other = mix(one)
    places[one % this.#count] = Math.max(places[one % this.#count]!, through)
    places[other % this.#count] = Math.max(places[other % this.#count]!, through)
  }

  /** Up to where messages of a name are gone, or later; 0 where none is. */
  through(name: string): Timestamp.Timestamp {
    if (this.#places === undefined) return Timestamp.epoch
    const one = hash(name)
    return Timestamp.fromMillis(
      Math.min(this.#places[one % this.#count]!, this.#places[mix(one) % this.#count]!)
    )
  }
}

/** FNV-1a, of UTF-16. */
const hash = (name: string): number => {
  let sum = 0x81_1c_9d_c5
  for (let at = 0; at < name.length; at++) sum = Math.imul(sum ^ name.charCodeAt(at), 0x01_00_01_93)
  return mix(sum)
}

/** Each bit of what it gives depends on all bits of what it is given. */
const mix = (number: number): number => {
  const half = Math.imul(number ^ (number >>> 16), 0x85_eb_ca_6b)
  const whole = Math.imul(half ^ (half >>> 13), 0xc2_b2_ae_35)
  return (whole ^ (whole >>> 16)) >>> 0
}
