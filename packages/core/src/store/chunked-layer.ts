import { decompressFrame, MAX_FRAME_BYTES } from '../chunk/frame.ts'
import { MAX_CHUNK_BYTES } from '../chunk/gear.ts'
import { ByteBudget } from '../concurrency/byte-budget.ts'
import { readAhead } from '../concurrency/read-ahead.ts'
import type { ByteRange, CallOptions } from '../contract/call-options.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { isS3loError, S3loError } from '../errors.ts'
import { chunkFrameKey } from '../layout/chunk-keys.ts'
import { chunkKey } from '../layout/keys.ts'
import { digestOf } from '../oci/digest.ts'
import { readObject } from './read-object.ts'
import type { Recipe, RecipeChunk } from './recipe.ts'

export interface ReadChunksOptions extends CallOptions {
  readonly range?: ByteRange | undefined
}

/** Memory for the chunks that this process reads at once, of all layers (bytes). */
const READ_AHEAD = new ByteBudget(64 * 1024 * 1024)

/** Chunks of one layer that are read or decoded at once; typically 4 MiB each, never over 16. */
const MOST_AHEAD = 8

/** Bytes by which a frame is longer than its chunk, at most. */
const FRAME_OVERHEAD = MAX_FRAME_BYTES - MAX_CHUNK_BYTES

const REPAIR_HINT = 'push the image again to repair it'

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

  /** @param digest Of the layer's blob. */
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

  /** What helps where the frames are not the blob, although each of them is right. */
  get otherStreamHint(): string {
    return this.recipe.chunks.every(hasFrameDigest) ? REPAIR_HINT : RECODED_HINT
  }

  /**
   * The frames in order, each of the length that the recipe has, each verified: in format 2 itself, in
   * format 1 what it decodes to. The caller compares the whole with the blob's digest, because the Go
   * program never does: where a chunk was stored by another encoder before, its recipes have the digest of
   * a stream that nothing holds (docs/go-compatibility.md, W17). Throws `INTEGRITY`, `NOT_FOUND`.
   */
  async *frames({ range, signal }: ReadChunksOptions = {}): AsyncGenerator<Uint8Array> {
    if (range && this.blobSize === undefined) {
      throw new S3loError(
        'UNSUPPORTED',
        `layer ${this.#digest} is stored in chunks of unknown size`,
      )
    }
    const pieces = piecesOf(this.recipe.chunks, frameBytes, range)
    const ahead = { budget: READ_AHEAD, most: MOST_AHEAD, signal, bytesOf: bytesInMemory }
    yield* readAhead(pieces, ahead, async ({ chunk, start, end }, inner) => {
      const frame = await this.#frame(chunk, inner)
      if (!hasFrameDigest(chunk)) await this.#decode(chunk, frame, true)
      const { frameSize = frame.length } = chunk
      if (frame.length !== frameSize) throw this.#recoded(chunk, frame.length)
      return range ? frame.subarray(start, end) : frame
    })
  }

  /**
   * What the frames decode to: the tar, each chunk verified, in a range by its raw digest too. The caller
   * compares the whole with the recipe's digest of it. Throws `INTEGRITY`, `NOT_FOUND`.
   */
  async *content({ range, signal }: ReadChunksOptions = {}): AsyncGenerator<Uint8Array> {
    const pieces = piecesOf(this.recipe.chunks, ({ size }) => size, range)
    const ahead = { budget: READ_AHEAD, most: MOST_AHEAD, signal, bytesOf: bytesInMemory }
    yield* readAhead(pieces, ahead, async ({ chunk, start, end }, inner) => {
      const frame = await this.#frame(chunk, inner)
      // Where the whole is compared, the digest of the frame is enough to name a chunk that is damaged.
      const bytes = await this.#decode(chunk, frame, range !== undefined || !hasFrameDigest(chunk))
      return bytes.subarray(start, end)
    })
  }

  async #frame(chunk: RecipeChunk, signal: AbortSignal): Promise<Uint8Array> {
    const { digest: raw, frame: expected } = chunk
    const key = expected === undefined ? chunkKey(raw) : chunkFrameKey({ raw, frame: expected })
    const frame = await this.#read(chunk, key, signal)
    if (!frame) {
      throw new S3loError(
        'NOT_FOUND',
        `chunk ${raw} of layer ${this.#digest} is missing from the store`,
        { hint: REPAIR_HINT },
      )
    }
    if (expected === undefined) return frame
    const found = digestOf(frame)
    if (found === expected) return frame
    throw this.#damaged(chunk, `expected a frame ${expected}, got ${found}`)
  }

  async #read(
    chunk: RecipeChunk,
    key: string,
    signal: AbortSignal,
  ): Promise<Uint8Array | undefined> {
    try {
      return await readObject(this.#backend, key, mostFrameBytes(chunk), { signal })
    } catch (error) {
      if (!isS3loError(error, 'INTEGRITY')) throw error
      throw this.#damaged(chunk, error.message, error)
    }
  }

  async #decode(chunk: RecipeChunk, frame: Uint8Array, isHashed: boolean): Promise<Uint8Array> {
    const bytes = await decompressFrame(frame, chunk.size).catch((error: Error) => {
      throw this.#damaged(chunk, 'its frame cannot be decompressed', error)
    })
    const actual = isHashed ? digestOf(bytes) : chunk.digest
    if (actual === chunk.digest && bytes.length === chunk.size) return bytes
    const got = `got ${bytes.length} bytes of ${actual}`
    throw this.#damaged(chunk, `expected ${chunk.digest} of ${chunk.size} bytes, ${got}`)
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
      { ...(cause ? { cause } : {}), hint: REPAIR_HINT },
    )
  }
}

/** True in format 2. */
function hasFrameDigest({ frame }: RecipeChunk): boolean {
  return frame !== undefined
}

/** As the recipe has it, where it does. */
function frameBytes({ frameSize = MAX_FRAME_BYTES }: RecipeChunk): number {
  return frameSize
}

/** A longer one is not read. In format 1, the frame of another encoder may be of another length. */
function mostFrameBytes(chunk: RecipeChunk): number {
  return hasFrameDigest(chunk) ? frameBytes(chunk) : chunk.size + FRAME_OVERHEAD
}

function bytesInMemory({ chunk }: Piece): number {
  return mostFrameBytes(chunk) + chunk.size
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
