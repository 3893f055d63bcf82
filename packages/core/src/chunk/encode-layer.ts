import { availableParallelism } from 'node:os'
import { mapInOrder } from '../concurrency/map-in-order.ts'
import { Digester, digestOf } from '../oci/digest.ts'
import type { ChunkRecipe } from './chunk-recipe.ts'
import { cutChunks, type RawChunk } from './cut-chunks.ts'
import { encodeFrame, type StoredChunk } from './frame.ts'

/** A frame on its way to the store. */
export interface EncodedChunk extends StoredChunk {
  readonly bytes: Uint8Array
}

export interface EncodeLayerOptions {
  readonly signal?: AbortSignal | undefined
  /** Chunks that are encoded at once; each holds up to 32 MiB. Default: one for each core, at most 4. */
  readonly parallel?: number | undefined
  /**
   * The frame of a chunk; one that is stored already may be that of another encoder. Default: zstd,
   * level 3.
   */
  readonly frameOf?: (chunk: RawChunk, signal: AbortSignal) => Promise<Uint8Array>
}

/** Node's pool has four threads. */
const MOST_PARALLEL = 4

/**
 * Cuts a layer's content and encodes its chunks, several at once: gives the frames in the layer's
 * order, and in the end its recipe. The chunks are bounded, and so is the memory: those that are
 * encoded or wait to be taken, and 17 MiB.
 */
export async function* encodeLayer(
  content: AsyncIterable<Uint8Array>,
  options: EncodeLayerOptions = {},
): AsyncGenerator<EncodedChunk, ChunkRecipe> {
  const { signal, frameOf = ({ bytes }) => encodeFrame(bytes) } = options
  const parallel = options.parallel ?? Math.min(availableParallelism(), MOST_PARALLEL)
  const [whole, raw] = [new Digester(), new Digester()]
  const chunks: StoredChunk[] = []
  let [size, frameSize] = [0, 0]
  const encode = async (chunk: RawChunk, inner: AbortSignal) =>
    [chunk, await frameOf(chunk, inner)] as const
  for await (const [chunk, bytes] of mapInOrder(cutChunks(content), parallel, encode, signal)) {
    whole.update(bytes)
    raw.update(chunk.bytes)
    size += chunk.bytes.length
    frameSize += bytes.length
    const stored = {
      raw: chunk.digest,
      size: chunk.bytes.length,
      frame: digestOf(bytes),
      frameSize: bytes.length,
    }
    chunks.push(stored)
    yield { ...stored, bytes }
  }
  return {
    layer: { digest: whole.digest(), size: frameSize },
    content: { digest: raw.digest(), size },
    chunks,
  }
}
