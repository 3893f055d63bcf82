import { digestOf } from '../oci/digest.ts'
import { recycle, SizedPool } from '../stream/recycle.ts'
import { MAX_CHUNK_BYTES, MIN_CHUNK_BYTES } from './gear.ts'
import { BoundaryScanner } from './scan-module.ts'

/** A piece of a layer, as it was cut. */
export interface Piece {
  /** Where it begins in the layer (bytes). */
  readonly offset: number
  readonly bytes: Uint8Array
}

/** A piece with the sha256 of its bytes. */
export interface CutChunk extends Piece {
  readonly digest: string
}

/** A piece whose sha256 may still be made. */
export interface RawChunk extends Piece {
  readonly digest: string | Promise<string>
}

export interface CutOptions {
  /** The memory of the pieces is shared, so that another thread can read them. */
  readonly isShared?: boolean | undefined
}

/** Bytes that are scanned at once. */
const STEP_BYTES = 1 << 18

/** Bytes that V8 copies at once. */
const WORD_BYTES = 8

/** Memory of chunks that were recycled, which is kept for the next ones (bytes). */
const KEPT_BYTES = 18 * 1024 * 1024

/** The same of shared memory, which the collector frees late: all that is in use at once. */
const KEPT_SHARED_BYTES = 48 * 1024 * 1024

/**
 * Cuts content into chunks by FastCDC. Where it is cut depends on the content alone: a change moves
 * the ends of the chunks that it touches, and mostly of no other. Each chunk has memory of its own, which
 * may be recycled, and so are the pieces of the content. Content without bytes has no chunks.
 */
export async function* cutChunks(
  content: AsyncIterable<Uint8Array>,
): AsyncGenerator<CutChunk, void> {
  for await (const piece of cutPieces(content)) {
    yield { ...piece, digest: digestOf(piece.bytes) }
  }
}

/** As {@link cutChunks}, and hashes nothing. */
export async function* cutPieces(
  content: AsyncIterable<Uint8Array>,
  { isShared = false }: CutOptions = {},
): AsyncGenerator<Piece, void> {
  const cutter = new Cutter(isShared)
  for await (const bytes of content) {
    yield* cutter.push(bytes)
    recycle(bytes)
  }
  yield* cutter.end()
}

class Cutter {
  readonly #scanner = new BoundaryScanner(STEP_BYTES)
  readonly #pool: SizedPool
  /** What the present chunk is held in, and how much of it that is (bytes). */
  #room: Uint8Array = new Uint8Array()
  #held = 0
  #offset = 0

  constructor(isShared: boolean) {
    this.#pool = new SizedPool(isShared ? KEPT_SHARED_BYTES : KEPT_BYTES, isShared)
  }

  *push(bytes: Uint8Array): Generator<Piece, void> {
    for (let at = 0; at < bytes.length;) {
      const { length, isEnd } = this.#next(bytes.subarray(at))
      this.#hold(bytes.subarray(at, at + length))
      at += length
      if (isEnd) yield this.#take()
    }
  }

  *end(): Generator<Piece, void> {
    if (this.#held > 0) yield this.#take()
  }

  /** How many of the next bytes belong to the present chunk, and whether it ends with them. */
  #next(bytes: Uint8Array): { readonly length: number; readonly isEnd: boolean } {
    const unscanned = MIN_CHUNK_BYTES - this.#held
    if (unscanned > 0) return { length: Math.min(unscanned, bytes.length), isEnd: false }
    const most = MAX_CHUNK_BYTES - this.#held
    const step = bytes.subarray(0, Math.min(STEP_BYTES, most))
    const found = this.#scanner.scan(step, this.#held)
    return { length: found || step.length, isEnd: found > 0 || step.length === most }
  }

  #hold(bytes: Uint8Array): void {
    const length = this.#held + bytes.length
    // A chunk begins where in a word its content does: V8 copies words into shared memory, and otherwise bytes.
    if (this.#held === 0) this.#room = this.#roomFor(length, bytes.byteOffset % WORD_BYTES)
    else if (length > this.#room.length) this.#grow(length)
    this.#room.set(bytes, this.#held)
    this.#held = length
  }

  #grow(length: number): void {
    const room = this.#roomFor(length, this.#room.byteOffset)
    room.set(this.#room.subarray(0, this.#held))
    recycle(this.#room)
    this.#room = room
  }

  #roomFor(length: number, offset: number): Uint8Array {
    const { buffer } = this.#pool.take(offset + length)
    return new Uint8Array(buffer, offset)
  }

  #take(): Piece {
    const piece = { offset: this.#offset, bytes: this.#room.subarray(0, this.#held) }
    this.#offset += this.#held
    this.#held = 0
    this.#scanner.reset()
    return piece
  }
}
