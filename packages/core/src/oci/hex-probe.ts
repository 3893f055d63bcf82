/**
 * One hex name as 32-bit words, for tables of names that are compared word by word. Names in manifests
 * are foreign: the hash has a seed of its own, so that which of them collide cannot be predicted.
 */
export class HexProbe {
  readonly #bytes: Buffer
  readonly #seed = process.getBuiltinModule('node:crypto').randomInt(1, 2 ** 31) | 1
  /** The name that was loaded last; what is written here is the name. */
  readonly words: Uint32Array

  /** `bytes`: the length of a name; a multiple of 4. */
  constructor(bytes: number) {
    this.#bytes = Buffer.alloc(bytes)
    this.words = new Uint32Array(this.#bytes.buffer, this.#bytes.byteOffset, bytes / 4)
  }

  get hex(): string {
    return this.#bytes.toString('hex')
  }

  /** True for a name of zeros. */
  get isZero(): boolean {
    for (const word of this.words) if (word !== 0) return false
    return true
  }

  /** A longer name is cut, a shorter one ends in zeros. */
  load(hex: string): void {
    if (hex.length < this.#bytes.length * 2) this.#bytes.fill(0)
    this.#bytes.write(hex, 'hex')
  }

  /** True where the words of a table from a place on are the name. */
  isAt(table: Uint32Array, start: number): boolean {
    const { words } = this
    for (let i = 0; i < words.length; i++) if (table[start + i] !== words[i]) return false
    return true
  }

  /** Takes the name from a table: element by element, as a view for each would be garbage at once. */
  take(table: Uint32Array, start: number): void {
    const { words } = this
    for (let i = 0; i < words.length; i++) words[i] = table[start + i] ?? 0
  }

  /** 32 bits. */
  hash(): number {
    let hash = this.#seed
    for (const word of this.words) {
      hash = Math.imul(hash ^ word, 0x9e3779b1)
      hash ^= hash >>> 15
    }
    return hash >>> 0
  }
}
