import { mapInOrder } from '../concurrency/map-in-order.ts'
import { Digester, digestOf } from '../oci/digest.ts'
import type { ChunkRecipe } from './chunk-recipe.ts'
import { recycle } from '../stream/recycle.ts'
import type { RawChunk } from './cut-chunks.ts'
import { encodeFrame, type StoredChunk } from './frame.ts'

/** A frame on its way to the store. */
export interface EncodedChunk extends StoredChunk {
  readonly bytes: Uint8Array
}

/** What a chunk is encoded to. */
export interface Frame {
  readonly bytes: Uint8Array
  readonly digest: string
}

export interface EncodeLayerOptions {
  readonly signal?: AbortSignal | undefined
  /** Chunks that are cut, encoded or wait to be taken at once; each holds up to 32 MiB. Default 3. */
  readonly parallel?: number | undefined
  /** The digest of the content, where it is verified while it passes: it is not hashed once more. */
  readonly digest?: string | undefined
  /** The frame of a chunk. Default: zstd, level 2. */
  readonly frameOf?: (chunk: RawChunk, signal: AbortSignal) => Promise<Frame>
  /**
   * Takes the chunks on their way into the layer, and gives them in the same order. One that is stored
   * already may have the frame of another encoder then.
   */
  readonly store?: (chunks: AsyncIterable<EncodedChunk>) => AsyncIterable<EncodedChunk>
}

/** Frames of our own encoder that were made before. It only spares time: it never fails, and may forget. */
export interface FrameCache {
  /** True where the frame of a chunk was kept, whether or not it still is. */
  has(raw: string): boolean
  /** The frame of a chunk, by the digest of its raw bytes: whole and unchanged, in memory of the caller's own. */
  get(raw: string): Promise<Frame | undefined>
  /** Keeps the frame of so many raw bytes. */
  put(raw: string, rawBytes: number, frame: Frame): Promise<void>
}

/** Opens a cache where there is one. */
export type OpenFrameCache = () => Promise<FrameCache | undefined>

/** The frame of a chunk by our own encoder. */
export async function frameOfChunk(chunk: RawChunk, cache?: FrameCache): Promise<Frame> {
  const raw = await chunk.digest
  const known = await cache?.get(raw)
  if (known) return known
  const bytes = await encodeFrame(chunk.bytes)
  const frame = { bytes, digest: digestOf(bytes) }
  await cache?.put(raw, chunk.bytes.length, frame)
  return frame
}

/**
 * While one is cut, two are encoded, which takes as long: threads of Node's four are left to read and write
 * files. More at once took more memory and saved no processor time.
 */
const PARALLEL = 3

/**
 * Encodes the chunks of a layer, several at once: gives the frames in the layer's order, and in the
 * end its recipe. Chunks are bounded, and so is the memory: those that are encoded or wait to be taken.
 * The memory of a chunk is recycled when it has its frame.
 */
export async function* encodeLayer(
  content: AsyncIterable<RawChunk>,
  options: EncodeLayerOptions = {},
): AsyncGenerator<EncodedChunk, ChunkRecipe> {
  const raw = options.digest === undefined ? new Digester() : undefined
  const { store = (passed) => passed } = options
  const whole = new Digester()
  const chunks: StoredChunk[] = []
  let [size, frameSize] = [0, 0]
  for await (const encoded of store(encodeChunks(content, raw, options))) {
    const { bytes, ...stored } = encoded
    whole.update(bytes)
    size += stored.size
    frameSize += bytes.length
    chunks.push(stored)
    yield encoded
  }
  return {
    layer: { digest: whole.digest(), size: frameSize },
    content: { digest: raw?.digest() ?? options.digest ?? '', size },
    chunks,
  }
}

async function* encodeChunks(
  content: AsyncIterable<RawChunk>,
  whole: Digester | undefined,
  { signal, parallel = PARALLEL, frameOf = (chunk) => frameOfChunk(chunk) }: EncodeLayerOptions,
): AsyncGenerator<EncodedChunk, void> {
  const encode = async (chunk: RawChunk, inner: AbortSignal) =>
    [chunk, await frameOf(chunk, inner)] as const
  for await (const [chunk, frame] of mapInOrder(content, parallel, encode, signal)) {
    const { bytes: content } = chunk
    const { length: size } = content
    const raw = await chunk.digest
    whole?.update(content)
    recycle(content)
    const { bytes, digest } = frame
    yield { raw, size, frame: digest, frameSize: bytes.length, bytes }
  }
}
