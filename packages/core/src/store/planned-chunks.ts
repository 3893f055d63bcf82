import { cutChunks, type RawChunk } from '../chunk/cut-chunks.ts'
import { encodeLayer, type Frame, frameOfChunk } from '../chunk/encode-layer.ts'
import type { StoredChunk } from '../chunk/frame.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { PresentChunks } from './present-chunks.ts'
import { lookForFrame, type WriteChunksOptions, type WrittenLayer } from './write-chunks.ts'

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
    const frameOf = async (chunk: RawChunk, signal: AbortSignal): Promise<Frame> => {
      const own = await frameOfChunk(chunk)
      const { digest: raw, bytes } = chunk
      const isKnown = this.#frames.get(raw)?.frame === own.digest
      const stored = isKnown ? own : await this.#look(chunk, own, signal)
      const frame = stored ?? own
      // The same chunk may have been planned meanwhile: it is sent once.
      if (!stored && this.#frames.get(raw)?.frame !== own.digest) {
        sent.chunks += 1
        sent.bytes += own.bytes.length
      }
      this.know({ raw, size: bytes.length, frame: frame.digest, frameSize: frame.bytes.length })
      return frame
    }
    const layer = encodeLayer(cutChunks(content), { ...options, frameOf })
    let step = await layer.next()
    while (!step.done) step = await layer.next()
    return { recipe: step.value, sent }
  }

  async #look(chunk: RawChunk, own: Frame, signal: AbortSignal): Promise<Frame | undefined> {
    const mayBeThere =
      this.#frames.has(chunk.digest) || (await this.#present.mayHave(chunk.digest, { signal }))
    if (!mayBeThere) return undefined
    return (await lookForFrame(this.#backend, chunk, own, signal)).stored
  }
}
