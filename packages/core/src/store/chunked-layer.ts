import { MAX_FRAME_BYTES } from '../chunk/frame.ts'
import { mapInOrder } from '../concurrency/map-in-order.ts'
import type { ByteRange, CallOptions } from '../contract/call-options.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { S3loError } from '../errors.ts'
import { chunkFrameKey } from '../layout/chunk-keys.ts'
import { chunkKey } from '../layout/keys.ts'
import { digestOf } from '../oci/digest.ts'
import { readObject } from './read-object.ts'
import type { Recipe, RecipeChunk } from './recipe.ts'

export interface ReadChunksOptions extends CallOptions {
  readonly range?: ByteRange | undefined
}

/** Chunks of one layer that are read or decoded at once; typically 4 MiB each, never over 16. */
const CHUNKS_AT_ONCE = 4

/** What helps where the stored stream is not the blob (W17). */
const RECODED_HINT =
  'another encoder stored its chunks; an engine can pull the image, and a push makes it whole again'

/** A chunk and the part of it that a range covers. */
interface Piece {
  readonly chunk: RecipeChunk
  readonly start: number
  readonly end: number
}

/** Reads a layer that is stored in chunks, of either format. Memory is bounded by a few chunks. */
export class ChunkedLayer {
  readonly #backend: StorageBackend
  readonly #digest: string
  readonly recipe: Recipe

  /** @param digest Of the layer's blob, for messages. */
  constructor(backend: StorageBackend, digest: string, recipe: Recipe) {
    this.#backend = backend
    this.#digest = digest
    this.recipe = recipe
  }

  /** The length of the blob: all frames (bytes). `undefined` where the recipe does not have them. */
  get blobSize(): number | undefined {
    return this.recipe.chunks.reduce<number | undefined>(
      (sum, { frameSize }) =>
        sum === undefined || frameSize === undefined ? undefined : sum + frameSize,
      0,
    )
  }

  /**
   * The frames in order, each of the length that the recipe has, in format 2 each verified: the blob's
   * bytes. The caller compares the whole with the blob's digest, because the Go program never does: where a chunk was stored by
   * another encoder before, its recipes have the digest of a stream that nothing holds
   * (docs/go-compatibility.md, W17). Throws `INTEGRITY`, `NOT_FOUND`.
   */
  async *frames({ range, signal }: ReadChunksOptions = {}): AsyncGenerator<Uint8Array> {
    if (range && this.blobSize === undefined) {
      throw new S3loError(
        'UNSUPPORTED',
        `layer ${this.#digest} is stored in chunks of unknown size`,
      )
    }
    const pieces = piecesOf(
      this.recipe.chunks,
      ({ frameSize = MAX_FRAME_BYTES }) => frameSize,
      range,
    )
    for await (const [piece, frame] of mapInOrder(
      pieces,
      CHUNKS_AT_ONCE,
      async (piece, inner) => [piece, await this.#frame(piece.chunk, inner)] as const,
      signal,
    )) {
      const { frameSize = frame.length } = piece.chunk
      if (frame.length !== frameSize) throw this.#recoded(piece.chunk, frame.length)
      yield range ? frame.subarray(piece.start, piece.end) : frame
    }
  }

  /** What the frames decode to, each chunk verified: the tar. Throws `INTEGRITY`, `NOT_FOUND`. */
  async *content({ range, signal }: ReadChunksOptions = {}): AsyncGenerator<Uint8Array> {
    const pieces = piecesOf(this.recipe.chunks, ({ size }) => size, range)
    for await (const [piece, bytes] of mapInOrder(
      pieces,
      CHUNKS_AT_ONCE,
      async (piece, inner) => [piece, await this.#raw(piece.chunk, inner)] as const,
      signal,
    )) {
      yield bytes.subarray(piece.start, piece.end)
    }
  }

  async #frame(chunk: RecipeChunk, signal: AbortSignal): Promise<Uint8Array> {
    const { digest: raw, frame: expected } = chunk
    const key = expected === undefined ? chunkKey(raw) : chunkFrameKey({ raw, frame: expected })
    const frame = await readObject(this.#backend, key, MAX_FRAME_BYTES, { signal })
    if (frame) {
      const found = expected && digestOf(frame)
      if (found === expected) return frame
      throw this.#damaged(chunk, `expected a frame ${expected}, got ${found}`)
    }
    throw new S3loError(
      'NOT_FOUND',
      `chunk ${chunk.digest} of layer ${this.#digest} is missing from the store`,
      { hint: 'push the image again to repair it' },
    )
  }

  async #raw(chunk: RecipeChunk, signal: AbortSignal): Promise<Uint8Array> {
    const frame = await this.#frame(chunk, signal)
    const bytes = await this.#decode(chunk, frame)
    const actual = digestOf(bytes)
    if (actual === chunk.digest && bytes.length === chunk.size) return bytes
    throw this.#damaged(chunk, `expected ${chunk.digest} of ${chunk.size} bytes, got ${actual}`)
  }

  #decode(chunk: RecipeChunk, frame: Uint8Array): Promise<Uint8Array> {
    const { zstdDecompress } = process.getBuiltinModule('node:zlib')
    return new Promise((resolve, reject) => {
      zstdDecompress(frame, { maxOutputLength: chunk.size }, (error, bytes) => {
        if (error) reject(this.#damaged(chunk, 'its frame cannot be decompressed', error))
        else resolve(bytes)
      })
    })
  }

  #recoded({ digest, frameSize }: RecipeChunk, length: number): S3loError {
    return new S3loError(
      'INTEGRITY',
      `chunk ${digest} of layer ${this.#digest}: expected ${frameSize} stored bytes, got ${length}`,
      { hint: RECODED_HINT },
    )
  }

  #damaged({ digest }: RecipeChunk, what: string, cause?: Error): S3loError {
    return new S3loError(
      'INTEGRITY',
      `chunk ${digest} of layer ${this.#digest} is damaged: ${what}`,
      { ...(cause ? { cause } : {}), hint: 'push the image again to repair it' },
    )
  }
}

function piecesOf(
  chunks: readonly RecipeChunk[],
  sizeOf: (chunk: RecipeChunk) => number,
  { start: from = 0, end: to = Infinity }: Partial<ByteRange> = {},
): readonly Piece[] {
  const pieces: Piece[] = []
  let offset = 0
  for (const chunk of chunks) {
    const size = sizeOf(chunk)
    const start = Math.max(0, from - offset)
    const end = Math.min(size, to - offset)
    if (start < end) pieces.push({ chunk, start, end })
    offset += size
  }
  return pieces
}
