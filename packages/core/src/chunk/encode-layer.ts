import { mapInOrder } from '../concurrency/map-in-order.ts'
import { Digester, digestOf } from '../oci/digest.ts'
import type { ChunkRecipe } from './chunk-recipe.ts'
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
  /** Chunks that are encoded at once; each holds up to 32 MiB. Default 6. */
  readonly parallel?: number | undefined
  /** The digest of the content, where it is verified while it passes: it is not hashed once more. */
  readonly digest?: string | undefined
  /**
   * The frame of a chunk; one that is stored already may be that of another encoder. Default: zstd,
   * level 2.
   */
  readonly frameOf?: (chunk: RawChunk, signal: AbortSignal) => Promise<Frame>
}

/** The frame of a chunk by our own encoder. */
export async function frameOfChunk({ bytes: raw }: RawChunk): Promise<Frame> {
  const bytes = await encodeFrame(raw)
  return { bytes, digest: digestOf(bytes) }
}

/** Node's pool has four threads, which are to have work while two frames are on their way. */
const PARALLEL = 6

/**
 * Encodes the chunks of a layer, several at once: gives the frames in the layer's order, and in the
 * end its recipe. Chunks are bounded, and so is the memory: those that are encoded or wait to be taken.
 */
export async function* encodeLayer(
  content: AsyncIterable<RawChunk>,
  options: EncodeLayerOptions = {},
): AsyncGenerator<EncodedChunk, ChunkRecipe> {
  const { signal, parallel = PARALLEL, frameOf = frameOfChunk } = options
  const whole = new Digester()
  const raw = options.digest === undefined ? new Digester() : undefined
  const chunks: StoredChunk[] = []
  let [size, frameSize] = [0, 0]
  const encode = async (chunk: RawChunk, inner: AbortSignal) =>
    [chunk, await frameOf(chunk, inner)] as const
  for await (const [chunk, frame] of mapInOrder(content, parallel, encode, signal)) {
    const { bytes } = frame
    whole.update(bytes)
    raw?.update(chunk.bytes)
    size += chunk.bytes.length
    frameSize += bytes.length
    const stored = {
      raw: chunk.digest,
      size: chunk.bytes.length,
      frame: frame.digest,
      frameSize: bytes.length,
    }
    chunks.push(stored)
    yield { ...stored, bytes }
  }
  return {
    layer: { digest: whole.digest(), size: frameSize },
    content: { digest: raw?.digest() ?? options.digest ?? '', size },
    chunks,
  }
}
