import { HexProbe } from '../oci/hex-probe.ts'

/** Bytes kept of each name: all of a sha256, and more than enough of a sha512. */
const ENTRY = 32
const WORDS = ENTRY / 4

/**
 * A set of hex names at 32 bytes each (up to 64 with the room to grow), where a `Set` of strings
 * takes more than 150: what is live has to be known as a whole before anything can be deleted, and
 * manifests name it in no order, so no merge of sorted listings can do without it. The objects
 * themselves stream past it and are never held.
 */
export class DigestSet {
  /** Open addressing with linear probing; all zeros is an empty place. */
  #table = new Uint32Array(1024 * WORDS)
  #places = 1024
  #size = 0
  #hasZero = false
  readonly #probe = new HexProbe(ENTRY)

  get size(): number {
    return this.#size
  }

  /** Adds a hex name; returns whether it is new. */
  add(name: string): boolean {
    if (!this.#load(name)) {
      const isNew = !this.#hasZero
      this.#hasZero = true
      if (isNew) this.#size++
      return isNew
    }
    const place = this.#find()
    if (this.#isTaken(place)) return false
    this.#table.set(this.#probe.words, place * WORDS)
    this.#size++
    if (this.#size * 4 > this.#places * 3) this.#grow()
    return true
  }

  has(name: string): boolean {
    return this.#load(name) ? this.#isTaken(this.#find()) : this.#hasZero
  }

  /** False when the name is all zeros, which the table cannot hold. */
  #load(name: string): boolean {
    this.#probe.load(name)
    return !this.#probe.isZero
  }

  #find(): number {
    const last = this.#places - 1
    let place = this.#probe.hash() & last
    while (this.#isTaken(place) && !this.#probe.isAt(this.#table, place * WORDS)) {
      place = (place + 1) & last
    }
    return place
  }

  #isTaken(place: number): boolean {
    for (let i = place * WORDS; i < (place + 1) * WORDS; i++) if (this.#table[i] !== 0) return true
    return false
  }

  #grow(): void {
    const old = this.#table
    this.#places *= 2
    this.#table = new Uint32Array(this.#places * WORDS)
    for (let start = 0; start < old.length; start += WORDS) {
      this.#probe.take(old, start)
      if (!this.#probe.isZero) {
        this.#table.set(this.#probe.words, this.#find() * WORDS)
      }
    }
  }
}
