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
  /** Manifests are foreign: names that collide must not be predictable. */
  readonly #seed = process.getBuiltinModule('node:crypto').randomInt(1, 2 ** 31) | 1
  readonly #probe = Buffer.alloc(ENTRY)
  readonly #words = new Uint32Array(this.#probe.buffer, this.#probe.byteOffset, WORDS)

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
    this.#table.set(this.#words, place * WORDS)
    this.#size++
    if (this.#size * 4 > this.#places * 3) this.#grow()
    return true
  }

  has(name: string): boolean {
    return this.#load(name) ? this.#isTaken(this.#find()) : this.#hasZero
  }

  /** False when the name is all zeros, which the table cannot hold. */
  #load(name: string): boolean {
    this.#probe.fill(0)
    this.#probe.write(name, 'hex')
    return this.#words.some((word) => word !== 0)
  }

  #find(): number {
    let place = this.#hash()
    while (this.#isTaken(place) && !this.#isProbeAt(place)) place = (place + 1) % this.#places
    return place
  }

  #hash(): number {
    let hash = this.#seed
    for (const word of this.#words) {
      hash = Math.imul(hash ^ word, 0x9e3779b1)
      hash ^= hash >>> 15
    }
    return (hash >>> 0) % this.#places
  }

  #isTaken(place: number): boolean {
    for (let i = place * WORDS; i < (place + 1) * WORDS; i++) if (this.#table[i] !== 0) return true
    return false
  }

  #isProbeAt(place: number): boolean {
    for (let i = 0; i < WORDS; i++) {
      if (this.#table[place * WORDS + i] !== this.#words[i]) return false
    }
    return true
  }

  #grow(): void {
    const old = this.#table
    this.#places *= 2
    this.#table = new Uint32Array(this.#places * WORDS)
    // Element by element: a view for each name would be garbage at once.
    for (let start = 0; start < old.length; start += WORDS) {
      let bits = 0
      for (let i = 0; i < WORDS; i++) bits |= this.#words[i] = old[start + i] ?? 0
      if (bits !== 0) this.#table.set(this.#words, this.#find() * WORDS)
    }
  }
}
