import { TableBuilder } from '../chunk/build-table.ts'
import type { ChunkRecipe } from '../chunk/chunk-recipe.ts'
import { cutPieces, type RawChunk } from '../chunk/cut-chunks.ts'
import {
  type EncodedChunk,
  encodeLayer,
  type Frame,
  type FrameCache,
  frameOfChunk,
  type OpenFrameCache,
} from '../chunk/encode-layer.ts'
import { decodeFrame, MAX_FRAME_BYTES, type StoredChunk } from '../chunk/frame.ts'
import { mapInOrder } from '../concurrency/map-in-order.ts'
import { HashThread } from '../chunk/hash-thread.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { ObjectInfo, StorageBackend } from '../contract/storage-backend.ts'
import { isS3loError } from '../errors.ts'
import type { Protection } from '../gc/protection.ts'
import { chunkFrameKey, parseChunkFrameKey, rawChunkPrefix } from '../layout/chunk-keys.ts'
import { MEDIA_TYPE } from '../oci/media-type.ts'
import { recyclable, recycle } from '../stream/recycle.ts'
import { chunkPiece, framePlace } from './content-look.ts'
import { provenGuarantees } from './guarantees.ts'
import { PresentChunks } from './present-chunks.ts'
import { readObject } from './read-object.ts'
import { writeChunkRecipe } from './write-recipe.ts'
import { withTable, writeLayerTable } from './write-table.ts'

/** A layer that was stored in chunks. */
export interface WrittenLayer {
  readonly recipe: ChunkRecipe
  /** What the store did not have before: chunks, and bytes of their frames. */
  readonly sent: { readonly chunks: number; readonly bytes: number }
}

export interface WriteChunksOptions extends CallOptions {
  /** The digest of the content, which is verified against it while it passes. */
  readonly digest?: string | undefined
  /** What the content is said to be long (bytes): a long one is hashed on a thread beside. */
  readonly size?: number | undefined
}

/** Frames of the same raw bytes that are looked at: one for each encoder that wrote to the store. */
const MOST_FRAMES = 4

/** Chunks are pinned in groups of so many bytes or a chunk more, whose frames are held meanwhile. */
const PINNED_BYTES = 16 * 1024 * 1024

/** A shorter layer is hashed before a thread for that has started (bytes). */
const THREADED_BYTES = 64 * 1024 * 1024

/** Chunks that are looked for and sent at once. */
export const STORED_AT_ONCE = 6

/**
 * Stores layers in chunks of format 2, under the pins of one publication: a chunk is pinned before the
 * store is asked for it, and everything that a layer needs counts for the publication.
 */
export class ChunkWriter {
  readonly #backend: StorageBackend
  readonly #protection: Protection
  readonly #present: PresentChunks
  readonly #cache: OpenFrameCache
  /** Frames that are there, by their raw digests. */
  readonly #frames = new Map<string, StoredChunk>()

  /** @param frames Frames that were made before. */
  constructor(backend: StorageBackend, protection: Protection, frames?: OpenFrameCache) {
    let cache: ReturnType<OpenFrameCache> | undefined
    this.#cache = async () => (cache ??= frames?.())
    this.#backend = backend
    this.#protection = protection
    this.#present = new PresentChunks(backend)
  }

  /** Makes a frame known that was seen, and noted, under a pin: it is not looked for. */
  know(chunk: StoredChunk): void {
    this.#frames.set(chunk.raw, chunk)
  }

  /**
   * Stores each chunk of a layer that the store does not have, then the layer's table, and the recipe last.
   * A frame that is there is used, of whichever encoder, after it was verified.
   */
  async write(
    content: AsyncIterable<Uint8Array>,
    { signal, digest, size = 0 }: WriteChunksOptions = {},
  ): Promise<WrittenLayer> {
    const { createOnly } = await provenGuarantees(this.#backend, { signal })
    const cache = await this.#cache()
    const sent = { chunks: 0, bytes: 0 }
    const storeOne = async (own: EncodedChunk, inner: AbortSignal): Promise<EncodedChunk> => {
      const { chunk, isSent } = await this.#store(own, createOnly, inner)
      if (isSent) {
        sent.chunks += 1
        sent.bytes += chunk.frameSize
      }
      return chunk
    }
    const frameOf = (chunk: RawChunk): Promise<Frame> => frameOfChunk(chunk, cache)
    const store = (chunks: AsyncIterable<EncodedChunk>): AsyncIterable<EncodedChunk> =>
      mapInOrder(this.#pinned(chunks, { signal }), STORED_AT_ONCE, storeOne, signal)
    const thread =
      size >= THREADED_BYTES && this.#isBoundByHashes(cache) ? new HashThread() : undefined
    try {
      const table = new TableBuilder(thread)
      const chunks = withTable(cutPieces(content, { isShared: thread !== undefined }), table)
      const layer = encodeLayer(chunks, { store, signal, digest, frameOf })
      let step = await layer.next()
      while (!step.done) {
        recycle(step.value.bytes)
        step = await layer.next()
      }
      const recipe = step.value
      const place = { backend: this.#backend, protection: this.#protection }
      await writeLayerTable(place, table, recipe, { signal })
      const stored = { mediaType: MEDIA_TYPE.ociLayerZstd, ...recipe.layer }
      await writeChunkRecipe(this.#protection, stored, recipe, { signal })
      return { recipe, sent }
    } finally {
      await thread?.close()
    }
  }

  /**
   * True where frames of known chunks were made before, so that a push hashes more than it encodes, and
   * there is a core for that. Beside the encoders, a thread that hashes would only take more memory.
   */
  #isBoundByHashes(cache: FrameCache | undefined): boolean {
    const { availableParallelism } = process.getBuiltinModule('node:os')
    if (!cache || availableParallelism() < 2) return false
    for (const raw of this.#frames.keys()) if (cache.has(raw)) return true
    return false
  }

  /** The chunks, pinned many at once before the first of them is passed on. */
  async *#pinned(
    chunks: AsyncIterable<EncodedChunk>,
    options: CallOptions,
  ): AsyncGenerator<EncodedChunk, void> {
    let group: EncodedChunk[] = []
    let bytes = 0
    const pin = (): void => {
      const raws = group.map(({ raw }) => raw)
      // The first that needs the pin gets the failure, and tries again.
      this.#protection.protect(raws, options).catch(() => undefined)
    }
    for await (const chunk of chunks) {
      group.push(chunk)
      bytes += chunk.size
      if (bytes < PINNED_BYTES) continue
      pin()
      yield* group
      group = []
      bytes = 0
    }
    pin()
    yield* group
  }

  /** The chunk with the frame that the store has then. */
  async #store(
    own: EncodedChunk,
    createOnly: boolean,
    signal: AbortSignal,
  ): Promise<{ readonly chunk: EncodedChunk; readonly isSent: boolean }> {
    const cover = await this.#protection.settle(own.raw, { signal })
    if (this.#frames.get(own.raw)?.frame === own.frame) {
      // One that is sent is left to the collector: a connection may still read it behind the answer.
      recyclable(own.bytes)
      return { chunk: own, isSent: false }
    }
    const { stored, isTorn } = await this.#look(own, createOnly, signal)
    const isSent =
      !stored && (await putFrame(this.#backend, own, { createOnly: createOnly && !isTorn, signal }))
    const chunk = stored ? withFrame(own, stored) : own
    const place = framePlace(chunk.frame)
    this.#protection.note({ descriptor: chunkPiece(chunk), place, cover })
    this.know(factsOf(chunk))
    return { chunk, isSent }
  }

  /** A chunk that was not there is not looked for where the write itself tells that it has come since. */
  async #look(own: EncodedChunk, createOnly: boolean, signal: AbortSignal): Promise<FoundFrame> {
    const isKnown = this.#frames.has(own.raw)
    if (!isKnown && createOnly && !(await this.#present.mayHave(own.raw, { signal }))) {
      return { isTorn: false }
    }
    return lookForFrame(this.#backend, own, signal)
  }
}

/** The chunk with another frame of the same raw bytes. */
export function withFrame(chunk: EncodedChunk, { bytes, digest: frame }: Frame): EncodedChunk {
  return { ...chunk, frame, frameSize: bytes.length, bytes }
}

/** A chunk without the memory of its frame. */
export function factsOf({ raw, size, frame, frameSize }: EncodedChunk): StoredChunk {
  return { raw, size, frame, frameSize }
}

/** What the store has of a chunk. */
interface FoundFrame {
  /** Our own frame without a read, else the first one that is whole. */
  readonly stored?: Frame
  /** Our own frame is there, and of another length. */
  readonly isTorn: boolean
}

/** Looks what the store has of a chunk; a frame of another encoder is read. */
export async function lookForFrame(
  backend: StorageBackend,
  own: EncodedChunk,
  signal: AbortSignal,
): Promise<FoundFrame> {
  const { raw, size } = own
  const ownKey = chunkFrameKey(own)
  const others: ObjectInfo[] = []
  let isTorn = false
  for await (const info of backend.list(rawChunkPrefix(raw), { signal })) {
    const isOwn = info.key === ownKey
    if (isOwn && info.size === own.frameSize) {
      return { stored: { bytes: own.bytes, digest: own.frame }, isTorn: false }
    }
    if (isOwn) isTorn = true
    else if (others.length < MOST_FRAMES && info.size <= MAX_FRAME_BYTES) others.push(info)
  }
  for (const { key, size: frameSize } of others) {
    const name = parseChunkFrameKey(key)
    if (!name) continue
    const frame = await readObject(backend, key, MAX_FRAME_BYTES, { signal })
    if (frame && (await isWhole({ ...name, size, frameSize }, frame))) {
      return { stored: { bytes: frame, digest: name.frame }, isTorn }
    }
  }
  return { isTorn }
}

async function isWhole(...found: Parameters<typeof decodeFrame>): Promise<boolean> {
  try {
    await decodeFrame(...found)
    return true
  } catch (error) {
    if (isS3loError(error, 'INTEGRITY')) return false
    throw error
  }
}

/** False where another writer has stored the same frame meanwhile. */
async function putFrame(
  backend: StorageBackend,
  chunk: EncodedChunk,
  { createOnly, signal }: CallOptions & { readonly createOnly: boolean },
): Promise<boolean> {
  const options = { signal, mediaType: MEDIA_TYPE.octetStream, storageClass: 'tiered' } as const
  try {
    await backend.put(chunkFrameKey(chunk), chunk.bytes, {
      ...options,
      digest: chunk.frame,
      ...(createOnly && { condition: { kind: 'absent' } }),
    })
    return true
  } catch (error) {
    if (createOnly && isS3loError(error, 'CONFLICT')) return false
    throw error
  }
}
