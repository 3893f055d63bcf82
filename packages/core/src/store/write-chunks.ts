import { type ChunkRecipe, formatChunkRecipe } from '../chunk/chunk-recipe.ts'
import type { RawChunk } from '../chunk/cut-chunks.ts'
import { encodeLayer } from '../chunk/encode-layer.ts'
import { decodeFrame, encodeFrame, MAX_FRAME_BYTES, type StoredChunk } from '../chunk/frame.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { ObjectInfo, StorageBackend } from '../contract/storage-backend.ts'
import { isS3loError } from '../errors.ts'
import {
  chunkFrameKey,
  chunkRecipeKey,
  parseChunkFrameKey,
  rawChunkPrefix,
} from '../layout/chunk-keys.ts'
import { digestOf } from '../oci/digest.ts'
import { MEDIA_TYPE } from '../oci/media-type.ts'
import { readObject } from './read-object.ts'

/** A layer that was stored in chunks. */
export interface WrittenLayer {
  readonly recipe: ChunkRecipe
  /** What the store did not have before: chunks, and bytes of their frames. */
  readonly sent: { readonly chunks: number; readonly bytes: number }
}

export interface WriteChunksOptions extends CallOptions {
  /** Chunks that are looked for, encoded and sent at once; see `encodeLayer`. */
  readonly parallel?: number | undefined
  /**
   * Frames by their raw digests, of recipes that the caller keeps collectors off and has seen since: a
   * chunk that is among them, and is encoded to the same frame, is not looked for.
   */
  readonly known?: ReadonlyMap<string, StoredChunk> | undefined
}

/** Frames of the same raw bytes that are looked at: one for each encoder that wrote to the store. */
const MOST_FRAMES = 4

/**
 * Stores a layer in chunks of format 2: each chunk that the store does not have, and the recipe last.
 * A frame that is there is used, of whichever encoder, after it was verified. Nothing is pinned: the
 * caller has to keep collectors off the raw digests before it names the layer.
 */
export async function writeChunkedLayer(
  backend: StorageBackend,
  content: AsyncIterable<Uint8Array>,
  { signal, parallel, known }: WriteChunksOptions = {},
): Promise<WrittenLayer> {
  const sent = { chunks: 0, bytes: 0 }
  const frameOf = async (chunk: RawChunk, inner: AbortSignal): Promise<Uint8Array> => {
    const frame = await encodeFrame(chunk.bytes)
    if (isSame(known?.get(chunk.digest), frame)) return frame
    const { stored, isTorn } = await lookForFrame(backend, chunk, frame, inner)
    if (stored) return stored
    if (!(await putFrame(backend, chunk, frame, isTorn, inner))) return frame
    sent.chunks += 1
    sent.bytes += frame.length
    return frame
  }
  const layer = encodeLayer(content, { frameOf, signal, parallel })
  let step = await layer.next()
  while (!step.done) step = await layer.next()
  const recipe = step.value
  const key = chunkRecipeKey(recipe.layer.digest)
  await backend.put(key, formatChunkRecipe(recipe), { signal, mediaType: 'application/json' })
  return { recipe, sent }
}

function isSame(known: StoredChunk | undefined, frame: Uint8Array): boolean {
  return known?.frameSize === frame.length && known.frame === digestOf(frame)
}

/** What the store has of a chunk. */
interface FoundFrame {
  /** Our own frame without a read, else the first one that is whole. */
  readonly stored?: Uint8Array
  /** Our own frame is there, and of another length. */
  readonly isTorn: boolean
}

async function lookForFrame(
  backend: StorageBackend,
  { bytes, digest: raw }: RawChunk,
  own: Uint8Array,
  signal: AbortSignal,
): Promise<FoundFrame> {
  const ownKey = chunkFrameKey({ raw, frame: digestOf(own) })
  const others: ObjectInfo[] = []
  let isTorn = false
  for await (const info of backend.list(rawChunkPrefix(raw), { signal })) {
    const isOwn = info.key === ownKey
    if (isOwn && info.size === own.length) return { stored: own, isTorn: false }
    if (isOwn) isTorn = true
    else if (others.length < MOST_FRAMES && info.size <= MAX_FRAME_BYTES) others.push(info)
  }
  for (const { key, size: frameSize } of others) {
    const name = parseChunkFrameKey(key)
    if (!name) continue
    const frame = await readObject(backend, key, MAX_FRAME_BYTES, { signal })
    const chunk = { ...name, size: bytes.length, frameSize }
    if (frame && (await isWhole(chunk, frame))) return { stored: frame, isTorn }
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
  frame: Uint8Array,
  isTorn: boolean,
  signal: AbortSignal,
): Promise<boolean> {
  const key = chunkFrameKey({ raw, frame: digestOf(frame) })
  const options = { signal, mediaType: MEDIA_TYPE.octetStream, storageClass: 'tiered' } as const
  const isGuarded = backend.guarantees.createOnly && !isTorn
  try {
    await backend.put(key, frame, {
      ...options,
      ...(isGuarded && { condition: { kind: 'absent' } }),
    })
    return true
  } catch (error) {
    if (isGuarded && isS3loError(error, 'CONFLICT')) return false
    throw error
  }
}
