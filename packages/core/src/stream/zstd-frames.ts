const ZSTD = 0xfd2fb528
/** The first of sixteen (RFC 8878, section 3.1.2). */
const ZSTD_SKIPPABLE = 0x184d2a50
const CHECKSUM_SIZE = 4

/** True for the magic number of a frame, of the kind to be skipped too. */
export function isZstdMagic(magic: number): boolean {
  return magic === ZSTD || isSkippable(magic)
}

function isSkippable(magic: number): boolean {
  return magic - (magic % 16) === ZSTD_SKIPPABLE
}

/** What is read next: its length, and what it says about what follows. */
interface Field {
  readonly size: number
  readonly read: (bytes: Buffer) => Step
}

/** Bytes that tell nothing, and the field behind them. */
interface Step {
  readonly skip: number
  readonly next: Field
}

/**
 * Follows the frames of zstd content by their headers (RFC 8878, section 3.1), to know whether the
 * content ends where a frame ends. Decompressors of many versions of Node take content that is cut
 * short for whole. Content that is no zstd is never whole.
 */
export class ZstdFrames {
  #field: Field = FRAME
  #skip = 0
  #held = Buffer.alloc(0)
  #isEmpty = true

  push(chunk: Uint8Array): void {
    if (chunk.length > 0) this.#isEmpty = false
    let rest = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    while (rest.length > 0) {
      const skipped = Math.min(this.#skip, rest.length)
      this.#skip -= skipped
      rest = rest.subarray(skipped)
      const wanted = this.#field.size - this.#held.length
      this.#held = Buffer.concat([this.#held, rest.subarray(0, wanted)])
      rest = rest.subarray(wanted)
      if (this.#held.length === this.#field.size) this.#step(this.#field.read(this.#held))
    }
  }

  /** True at the end of a frame, at which another may begin. */
  get isWhole(): boolean {
    const isBetween = this.#field === FRAME && this.#held.length === 0 && this.#skip === 0
    return isBetween && !this.#isEmpty
  }

  #step({ skip, next }: Step): void {
    this.#skip = skip
    this.#field = next
    this.#held = Buffer.alloc(0)
  }
}

const FRAME: Field = {
  size: 4,
  read(bytes) {
    const magic = bytes.readUInt32LE()
    if (magic === ZSTD) return { skip: 0, next: DESCRIPTOR }
    return { skip: 0, next: isSkippable(magic) ? SKIPPED : FOREIGN }
  },
}

const SKIPPED: Field = {
  size: 4,
  read: (bytes) => ({ skip: bytes.readUInt32LE(), next: FRAME }),
}

/** What is no frame; the decompressor says so. */
const FOREIGN: Field = { size: 1, read: () => ({ skip: 0, next: FOREIGN }) }

const DESCRIPTOR: Field = {
  size: 1,
  read(bytes) {
    const descriptor = bytes.readUInt8()
    const isSingleSegment = (descriptor & 0x20) !== 0
    const windowSize = isSingleSegment ? 0 : 1
    const dictionarySize = [0, 1, 2, 4][descriptor & 3] ?? 0
    const contentSize = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0
    const tail = (descriptor & 4) === 0 ? 0 : CHECKSUM_SIZE
    return { skip: windowSize + dictionarySize + contentSize, next: BLOCKS[tail] ?? FOREIGN }
  },
}

/** The headers of blocks, in frames with a checksum behind the last one and without. */
const BLOCKS: Readonly<Record<number, Field>> = {
  0: blockBefore(0),
  [CHECKSUM_SIZE]: blockBefore(CHECKSUM_SIZE),
}

function blockBefore(tail: number): Field {
  const block: Field = {
    size: 3,
    read(bytes) {
      const header = bytes.readUIntLE(0, 3)
      const isLast = (header & 1) === 1
      // A block of this type has one byte, which is repeated.
      const size = ((header >> 1) & 3) === 1 ? 1 : header >> 3
      return isLast ? { skip: size + tail, next: FRAME } : { skip: size, next: block }
    },
  }
  return block
}
