import { parseDigest } from '../oci/digest.ts'

/** 32-bit words of a sha256. */
const WORDS = 8

/**
 * Numbers digests from 0 on, in the order in which they come: about 50 bytes for each, outside the
 * heap, where a `Map` of strings takes 200 in it. What is known of a digest then fits in arrays of
 * numbers.
 */
export class DigestTable {
  /** Open addressing with linear probing: the number of a digest and one, or 0. */
  #slots = new Uint32Array(2048)
  #entries = new Uint32Array(1024 * WORDS)
  #size = 0
  /** Of other algorithms, which are rare. */
  readonly #others = new Map<string, number>()
  readonly #otherNames = new Map<number, string>()
  /** Digests in manifests are foreign: which of them collide must not be predictable. */
  readonly #seed = process.getBuiltinModule('node:crypto').randomInt(1, 2 ** 31) | 1
  readonly #probe = Buffer.alloc(WORDS * 4)
  readonly #words = new Uint32Array(this.#probe.buffer, this.#probe.byteOffset, WORDS)

  /** How many digests have a number. */
  get size(): number {
    return this.#size
  }

  /** The number of a digest, which gets one when it has none. Throws `INTEGRITY` for what is none. */
  add(digest: string): number {
    const { algorithm, hex } = parseDigest(digest)
    if (algorithm !== 'sha256') return this.#addOther(digest)
    this.#probe.write(hex, 'hex')
    const slot = this.#findSlot()
    const known = this.#slots[slot] ?? 0
    if (known > 0) return known - 1
    const number = this.#next()
    this.#entries.set(this.#words, number * WORDS)
    this.#slots[slot] = this.#size
    if (this.#size * 4 > this.#slots.length * 3) this.#rehash()
    return number
  }

  /** The number of a digest, or `undefined` when it has none. */
  find(digest: string): number | undefined {
    const { algorithm, hex } = parseDigest(digest)
    if (algorithm !== 'sha256') return this.#others.get(digest)
    this.#probe.write(hex, 'hex')
    const known = this.#slots[this.#findSlot()] ?? 0
    return known > 0 ? known - 1 : undefined
  }

  /** The digest that has a number. */
  digest(number: number): string {
    const other = this.#otherNames.get(number)
    if (other !== undefined) return other
    this.#words.set(this.#entries.subarray(number * WORDS, (number + 1) * WORDS))
    return `sha256:${this.#probe.toString('hex')}`
  }

  #addOther(digest: string): number {
    const known = this.#others.get(digest)
    if (known !== undefined) return known
    const number = this.#next()
    this.#others.set(digest, number)
    this.#otherNames.set(number, digest)
    return number
  }

  #next(): number {
    if ((this.#size + 1) * WORDS > this.#entries.length) {
      const entries = new Uint32Array(this.#entries.length * 2)
      entries.set(this.#entries)
      this.#entries = entries
    }
    return this.#size++
  }

  /** Where the probe is, or would be. */
  #findSlot(): number {
    const last = this.#slots.length - 1
    let slot = this.#hash() & last
    for (let held = this.#slots[slot] ?? 0; held > 0; held = this.#slots[slot] ?? 0) {
      if (this.#isProbe(held - 1)) break
      slot = (slot + 1) & last
    }
    return slot
  }

  #isProbe(number: number): boolean {
    for (let i = 0; i < WORDS; i++) {
      if (this.#entries[number * WORDS + i] !== this.#words[i]) return false
    }
    return !this.#otherNames.has(number)
  }

  #hash(): number {
    let hash = this.#seed
    for (const word of this.#words) {
      hash = Math.imul(hash ^ word, 0x9e3779b1)
      hash ^= hash >>> 15
    }
    return hash >>> 0
  }

  #rehash(): void {
    this.#slots = new Uint32Array(this.#slots.length * 2)
    for (let number = 0; number < this.#size; number++) {
      if (this.#otherNames.has(number)) continue
      // Element by element: a view for each digest would be garbage at once.
      for (let i = 0; i < WORDS; i++) this.#words[i] = this.#entries[number * WORDS + i] ?? 0
      this.#slots[this.#findSlot()] = number + 1
    }
  }
}
