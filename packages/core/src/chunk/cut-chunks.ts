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

/** Bytes that are scanned at once, and at most lie behind the end of a chunk. */
const STEP_BYTES = 1 << 20

/** Memory of chunks that were recycled, which is kept for the next ones (bytes). */
const KEPT_BYTES = 18 * 1024 * 1024

/** The same of shared memory, which the collector frees late: all that is in use at once. */
const KEPT_SHARED_BYTES = 48 * 1024 * 1024

/**
 * Cuts content into chunks by FastCDC. Where it is cut depends on the content alone: a change moves
 * the ends of the chunks that it touches, and mostly of no other. Each chunk has memory of its own, which
 * may be recycled, and so are the pieces of the content; beside that, the longest chunk and 1 MiB are
 * held. Content without bytes has no chunks.
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
    for (let at = 0; at < bytes.length; at += STEP_BYTES) {
      yield* cutter.push(bytes.subarray(at, at + STEP_BYTES))
    }
    recycle(bytes)
  }
  yield* cutter.end()
}

class Cutter {
  readonly #scanner = new BoundaryScanner(MAX_CHUNK_BYTES + STEP_BYTES)
  readonly #memory: SizedPool
  /** Bytes of the window that hold the present chunk and what follows it. */
  #held = 0
  #scanned = MIN_CHUNK_BYTES
  #offset = 0

  constructor(isShared: boolean) {
    this.#memory = new SizedPool(isShared ? KEPT_SHARED_BYTES : KEPT_BYTES, isShared)
  }

  /** The length of the present chunk; 0 while its end has not come. */
  #next(): number {
    const end = Math.min(this.#held, MAX_CHUNK_BYTES)
    if (end <= this.#scanned) return 0
    const length = this.#scanner.scan(this.#scanned, end)
    this.#scanned = end
    return length === 0 && end === MAX_CHUNK_BYTES ? MAX_CHUNK_BYTES : length
  }

  /** At most {@link STEP_BYTES}. */
  *push(bytes: Uint8Array): Generator<Piece, void> {
    this.#scanner.window.set(bytes, this.#held)
    this.#held += bytes.length
    for (let length = this.#next(); length > 0; length = this.#next()) yield this.#take(length)
  }

  *end(): Generator<Piece, void> {
    if (this.#held > 0) yield this.#take(this.#held)
  }

  #take(length: number): Piece {
    const { window } = this.#scanner
    const bytes = this.#memory.take(length)
    bytes.set(window.subarray(0, length))
    const offset = this.#offset
    window.copyWithin(0, length, this.#held)
    this.#offset += length
    this.#held -= length
    this.#scanned = MIN_CHUNK_BYTES
    this.#scanner.reset()
    return { offset, bytes }
  }
}
