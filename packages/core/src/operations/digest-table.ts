import { parseDigest } from '../oci/digest.ts'
import { HexProbe } from '../oci/hex-probe.ts'

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
  readonly #probe = new HexProbe(WORDS * 4)

  /** How many digests have a number. */
  get size(): number {
    return this.#size
  }

  /** The number of a digest, which gets one when it has none. Throws `INTEGRITY` for what is none. */
  add(digest: string): number {
    const { algorithm, hex } = parseDigest(digest)
    if (algorithm !== 'sha256') return this.#addOther(digest)
    this.#probe.load(hex)
    const slot = this.#findSlot()
    const known = this.#slots[slot] ?? 0
    if (known > 0) return known - 1
    const number = this.#next()
    this.#entries.set(this.#probe.words, number * WORDS)
    this.#slots[slot] = this.#size
    if (this.#size * 4 > this.#slots.length * 3) this.#rehash()
    return number
  }

  /** The number of a digest, or `undefined` when it has none. */
  find(digest: string): number | undefined {
    const { algorithm, hex } = parseDigest(digest)
    if (algorithm !== 'sha256') return this.#others.get(digest)
    this.#probe.load(hex)
    const known = this.#slots[this.#findSlot()] ?? 0
    return known > 0 ? known - 1 : undefined
  }

  /** The digest that has a number. */
  digest(number: number): string {
    const other = this.#otherNames.get(number)
    if (other !== undefined) return other
    this.#probe.take(this.#entries, number * WORDS)
    return `sha256:${this.#probe.hex}`
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
    let slot = this.#probe.hash() & last
    for (let held = this.#slots[slot] ?? 0; held > 0; held = this.#slots[slot] ?? 0) {
      if (this.#isProbe(held - 1)) break
      slot = (slot + 1) & last
    }
    return slot
  }

  #isProbe(number: number): boolean {
    return this.#probe.isAt(this.#entries, number * WORDS) && !this.#otherNames.has(number)
  }

  #rehash(): void {
    this.#slots = new Uint32Array(this.#slots.length * 2)
    for (let number = 0; number < this.#size; number++) {
      if (this.#otherNames.has(number)) continue
      this.#probe.take(this.#entries, number * WORDS)
      this.#slots[this.#findSlot()] = number + 1
    }
  }
}
