import { compareKeys } from './key-path.ts'

/** Up to this many names are kept as they are: most folders hold little. */
const FEW = 256

/** Bytes of one chunk of names. */
const CHUNK_BYTES = 1024 * 1024

/** A name's length stands before it. */
const LENGTH_BYTES = 2

/** How many bytes at the start of a name are compared as one number, which holds them exactly. */
const HEAD_BYTES = 6

/**
 * Names of files and folders, to be read in the order of their bytes; a folder's has its slash.
 * They are kept outside the heap, for one folder can hold millions: a million blobs take 90 MB.
 */
export class NameList {
  #few: string[] = []
  #many: PackedNames | undefined

  add(name: string): void {
    if (this.#many) this.#many.add(name)
    else if (this.#few.length < FEW) this.#few.push(name)
    else this.#pack(name)
  }

  /** All names, by their UTF-8 bytes. */
  sorted(): Iterable<string> {
    return this.#many?.sorted() ?? this.#few.toSorted(compareKeys)
  }

  #pack(name: string): void {
    this.#many = new PackedNames()
    for (const earlier of this.#few) this.#many.add(earlier)
    this.#many.add(name)
    this.#few = []
  }
}

/** Names in a few large pieces of memory. */
class PackedNames {
  readonly #chunks: Buffer[] = []
  /** Bytes of the last chunk that are taken. */
  #used = CHUNK_BYTES
  /** Of each name: its chunk and its offset there, as one number. */
  #places = new Float64Array(FEW * 2)
  #heads = new Float64Array(FEW * 2)
  #length = 0

  add(name: string): void {
    const needed = LENGTH_BYTES + Buffer.byteLength(name)
    if (this.#used + needed > CHUNK_BYTES) {
      this.#chunks.push(Buffer.allocUnsafeSlow(CHUNK_BYTES))
      this.#used = 0
    }
    const chunk = this.#chunk(this.#chunks.length - 1)
    const start = this.#used + LENGTH_BYTES
    const size = chunk.write(name, start)
    chunk.writeUInt16LE(size, this.#used)
    if (this.#length === this.#places.length) this.#grow()
    this.#places[this.#length] = (this.#chunks.length - 1) * CHUNK_BYTES + this.#used
    this.#heads[this.#length] = headOf(chunk, start, size)
    this.#length += 1
    this.#used += needed
  }

  *sorted(): Generator<string, void> {
    const order = Uint32Array.from({ length: this.#length }, (_, i) => i)
    order.sort((a, b) => this.#compare(a, b))
    for (const i of order) {
      const { chunk, start, end } = this.#locate(i)
      yield chunk.toString('utf8', start, end)
    }
  }

  #compare(a: number, b: number): number {
    const byHead = (this.#heads[a] ?? 0) - (this.#heads[b] ?? 0)
    if (byHead !== 0) return byHead
    const [one, other] = [this.#locate(a), this.#locate(b)]
    return one.chunk.compare(other.chunk, other.start, other.end, one.start, one.end)
  }

  #locate(i: number): { readonly chunk: Buffer; readonly start: number; readonly end: number } {
    const place = this.#places[i] ?? 0
    const chunk = this.#chunk(Math.floor(place / CHUNK_BYTES))
    const start = (place % CHUNK_BYTES) + LENGTH_BYTES
    return { chunk, start, end: start + chunk.readUInt16LE(start - LENGTH_BYTES) }
  }

  #chunk(index: number): Buffer {
    const chunk = this.#chunks[index]
    if (chunk) return chunk
    throw new RangeError(`there is no chunk ${index} of names`)
  }

  #grow(): void {
    this.#places = doubled(this.#places)
    this.#heads = doubled(this.#heads)
  }
}

/** The start of a name as a number that orders as its bytes do; a shorter name comes first. */
function headOf(chunk: Buffer, start: number, size: number): number {
  const bytes = Math.min(size, HEAD_BYTES)
  const head = bytes === 0 ? 0 : chunk.readUIntBE(start, bytes)
  return head * 256 ** (HEAD_BYTES - bytes)
}

function doubled(numbers: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(numbers.length * 2)
  larger.set(numbers)
  return larger
}
