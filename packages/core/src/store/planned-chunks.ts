import { cutChunks } from '../chunk/cut-chunks.ts'
import { type EncodedChunk, encodeLayer } from '../chunk/encode-layer.ts'
import type { StoredChunk } from '../chunk/frame.ts'
import { mapInOrder } from '../concurrency/map-in-order.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { PresentChunks } from './present-chunks.ts'
import {
  factsOf,
  lookForFrame,
  STORED_AT_ONCE,
  withFrame,
  type WriteChunksOptions,
  type WrittenLayer,
} from './write-chunks.ts'

/** Cuts, encodes and looks for chunks as `ChunkWriter` does, and writes none. */
export class PlannedChunks {
  readonly #backend: StorageBackend
  readonly #present: PresentChunks
  /** Chunks that are there, or would be, by their raw digests. */
  readonly #frames = new Map<string, StoredChunk>()

  constructor(backend: StorageBackend) {
    this.#backend = backend
    this.#present = new PresentChunks(backend)
  }

  /** See `ChunkWriter`. */
  know(chunk: StoredChunk): void {
    this.#frames.set(chunk.raw, chunk)
  }

  /** What `ChunkWriter` would store, and what of it the store does not have. */
  async write(
    content: AsyncIterable<Uint8Array>,
    options: WriteChunksOptions = {},
  ): Promise<WrittenLayer> {
    const sent = { chunks: 0, bytes: 0 }
    const plan = async (own: EncodedChunk, signal: AbortSignal): Promise<EncodedChunk> => {
      const { raw, frame } = own
      const isKnown = this.#frames.get(raw)?.frame === frame
      const stored = isKnown ? own : await this.#look(own, signal)
      const chunk = stored ?? own
      // The same chunk may have been planned meanwhile: it is sent once.
      if (!stored && this.#frames.get(raw)?.frame !== frame) {
        sent.chunks += 1
        sent.bytes += own.frameSize
      }
      this.know(factsOf(chunk))
      return chunk
    }
    const store = (chunks: AsyncIterable<EncodedChunk>): AsyncIterable<EncodedChunk> =>
      mapInOrder(chunks, STORED_AT_ONCE, plan, options.signal)
    const layer = encodeLayer(cutChunks(content), { ...options, store })
    let step = await layer.next()
    while (!step.done) step = await layer.next()
    return { recipe: step.value, sent }
  }

  async #look(own: EncodedChunk, signal: AbortSignal): Promise<EncodedChunk | undefined> {
    const { raw } = own
    const mayBeThere = this.#frames.has(raw) || (await this.#present.mayHave(raw, { signal }))
    if (!mayBeThere) return undefined
    const { stored } = await lookForFrame(this.#backend, own, signal)
    return stored && withFrame(own, stored)
  }
}
