import { TableBuilder } from '../chunk/build-table.ts'
import type { ChunkRecipe } from '../chunk/chunk-recipe.ts'
import { cutChunks, type RawChunk } from '../chunk/cut-chunks.ts'
import { encodeLayer, type Frame, frameOfChunk } from '../chunk/encode-layer.ts'
import { decodeFrame, MAX_FRAME_BYTES, type StoredChunk } from '../chunk/frame.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { ObjectInfo, StorageBackend } from '../contract/storage-backend.ts'
import { isS3loError } from '../errors.ts'
import type { Protection } from '../gc/protection.ts'
import { chunkFrameKey, parseChunkFrameKey, rawChunkPrefix } from '../layout/chunk-keys.ts'
import { MEDIA_TYPE } from '../oci/media-type.ts'
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
  /** Chunks that are looked for, encoded and sent at once; see `encodeLayer`. */
  readonly parallel?: number | undefined
}

/** Frames of the same raw bytes that are looked at: one for each encoder that wrote to the store. */
const MOST_FRAMES = 4

/** Chunks are pinned in groups of so many bytes or a chunk more, which are held meanwhile. */
const PINNED_BYTES = 16 * 1024 * 1024

/**
 * Stores layers in chunks of format 2, under the pins of one publication: a chunk is pinned before the
 * store is asked for it, and everything that a layer needs counts for the publication.
 */
export class ChunkWriter {
  readonly #backend: StorageBackend
  readonly #protection: Protection
  readonly #present: PresentChunks
  /** Frames that are there, by their raw digests. */
  readonly #frames = new Map<string, StoredChunk>()

  constructor(backend: StorageBackend, protection: Protection) {
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
    { signal, parallel, digest }: WriteChunksOptions = {},
  ): Promise<WrittenLayer> {
    const { createOnly } = await provenGuarantees(this.#backend, { signal })
    const sent = { chunks: 0, bytes: 0 }
    const frameOf = async (chunk: RawChunk, inner: AbortSignal): Promise<Frame> => {
      const { frame, isSent } = await this.#store(chunk, createOnly, inner)
      if (isSent) {
        sent.chunks += 1
        sent.bytes += frame.bytes.length
      }
      return frame
    }
    const table = new TableBuilder()
    const chunks = this.#pinned(withTable(cutChunks(content), table), { signal })
    const layer = encodeLayer(chunks, { frameOf, signal, parallel, digest })
    let step = await layer.next()
    while (!step.done) step = await layer.next()
    const recipe = step.value
    const place = { backend: this.#backend, protection: this.#protection }
    await writeLayerTable(place, table, recipe, { signal })
    const stored = { mediaType: MEDIA_TYPE.ociLayerZstd, ...recipe.layer }
    await writeChunkRecipe(this.#protection, stored, recipe, { signal })
    return { recipe, sent }
  }

  /** The chunks, pinned many at once before the first of them is passed on. */
  async *#pinned(
    chunks: AsyncIterable<RawChunk>,
    options: CallOptions,
  ): AsyncGenerator<RawChunk, void> {
    let group: RawChunk[] = []
    let bytes = 0
    const pin = (): void => {
      const raws = group.map(({ digest }) => digest)
      // The first that needs the pin gets the failure, and tries again.
      this.#protection.protect(raws, options).catch(() => undefined)
    }
    for await (const chunk of chunks) {
      group.push(chunk)
      bytes += chunk.bytes.length
      if (bytes < PINNED_BYTES) continue
      pin()
      yield* group
      group = []
      bytes = 0
    }
    pin()
    yield* group
  }

  /** The frame of a chunk that the store has then. */
  async #store(
    chunk: RawChunk,
    createOnly: boolean,
    signal: AbortSignal,
  ): Promise<{ readonly frame: Frame; readonly isSent: boolean }> {
    const [cover, own] = await Promise.all([
      this.#protection.settle(chunk.digest, { signal }),
      frameOfChunk(chunk),
    ])
    if (this.#frames.get(chunk.digest)?.frame === own.digest) return { frame: own, isSent: false }
    const { stored, isTorn } = await this.#look(chunk, own, createOnly, signal)
    const frame = stored ?? own
    const isSent =
      !stored &&
      (await putFrame(this.#backend, chunk, own, { createOnly: createOnly && !isTorn, signal }))
    const { digest: raw, bytes } = chunk
    const there = { raw, size: bytes.length, frame: frame.digest, frameSize: frame.bytes.length }
    const place = framePlace(frame.digest)
    this.#protection.note({ descriptor: chunkPiece(there), place, cover })
    this.know(there)
    return { frame, isSent }
  }

  /** A chunk that was not there is not looked for where the write itself tells that it has come since. */
  async #look(
    chunk: RawChunk,
    own: Frame,
    createOnly: boolean,
    signal: AbortSignal,
  ): Promise<FoundFrame> {
    const isKnown = this.#frames.has(chunk.digest)
    if (!isKnown && createOnly && !(await this.#present.mayHave(chunk.digest, { signal }))) {
      return { isTorn: false }
    }
    return lookForFrame(this.#backend, chunk, own, signal)
  }
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
  { bytes, digest: raw }: RawChunk,
  own: Frame,
  signal: AbortSignal,
): Promise<FoundFrame> {
  const ownKey = chunkFrameKey({ raw, frame: own.digest })
  const others: ObjectInfo[] = []
  let isTorn = false
  for await (const info of backend.list(rawChunkPrefix(raw), { signal })) {
    const isOwn = info.key === ownKey
    if (isOwn && info.size === own.bytes.length) return { stored: own, isTorn: false }
    if (isOwn) isTorn = true
    else if (others.length < MOST_FRAMES && info.size <= MAX_FRAME_BYTES) others.push(info)
  }
  for (const { key, size: frameSize } of others) {
    const name = parseChunkFrameKey(key)
    if (!name) continue
    const frame = await readObject(backend, key, MAX_FRAME_BYTES, { signal })
    const chunk = { ...name, size: bytes.length, frameSize }
    if (frame && (await isWhole(chunk, frame))) {
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
  { digest: raw }: RawChunk,
  frame: Frame,
  { createOnly, signal }: CallOptions & { readonly createOnly: boolean },
): Promise<boolean> {
  const key = chunkFrameKey({ raw, frame: frame.digest })
  const options = { signal, mediaType: MEDIA_TYPE.octetStream, storageClass: 'tiered' } as const
  try {
    await backend.put(key, frame.bytes, {
      ...options,
      digest: frame.digest,
      ...(createOnly && { condition: { kind: 'absent' } }),
    })
    return true
  } catch (error) {
    if (createOnly && isS3loError(error, 'CONFLICT')) return false
    throw error
  }
}
