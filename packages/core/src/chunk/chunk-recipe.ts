import { S3loError } from '../errors.ts'
import { parseChunkRecipeKey } from '../layout/chunk-keys.ts'
import { asArray, asObject, type JsonObject, parseStrictJson } from '../oci/json.ts'
import { MAX_FRAME_BYTES, type StoredChunk } from './frame.ts'
import { MAX_CHUNK_BYTES } from './gear.ts'
import { hexOf, readSized, type SizedDigest } from './sized-digest.ts'

/** A larger recipe is not read (bytes): this one would be of a layer of 200 GiB. */
export const MAX_CHUNK_RECIPE_BYTES = 16 * 1024 * 1024

/** The version of the document. */
const VERSION = 1

/**
 * A layer that is stored in chunks of format 2: its frames in this order are one zstd stream, which
 * is the layer's blob, and what they decode to is its tar. A chunk that repeats stands there again.
 */
export interface ChunkRecipe {
  /** The blob: the frames in their order. */
  readonly layer: SizedDigest
  /** What it decodes to. */
  readonly content: SizedDigest
  readonly chunks: readonly StoredChunk[]
}

/** The document that is stored. Throws `UNSUPPORTED` for a layer of so many chunks that none reads it. */
export function formatChunkRecipe({ layer, content, chunks }: ChunkRecipe): Uint8Array {
  const document = {
    v: VERSION,
    layer: hexOf(layer.digest),
    size: layer.size,
    content: hexOf(content.digest),
    contentSize: content.size,
    chunks: chunks.map(({ raw, size, frame, frameSize }) => ({
      raw: hexOf(raw),
      size,
      frame: hexOf(frame),
      frameSize,
    })),
  }
  const bytes = Buffer.from(JSON.stringify(document))
  if (bytes.length <= MAX_CHUNK_RECIPE_BYTES) return bytes
  throw new S3loError('UNSUPPORTED', `layer ${layer.digest} has ${chunks.length} chunks`, {
    hint: 'store it whole: chunked: false',
  })
}

/**
 * Reads the recipe that is stored under `key`. Throws `INTEGRITY` for one that is of another layer
 * or version, whose sizes are none of chunks, or whose members contradict each other. Whether the
 * chunks make the layer, only its digest tells.
 */
export function parseChunkRecipe(bytes: Uint8Array, key: string): ChunkRecipe {
  const document = asObject(parseStrictJson(bytes, key), key)
  if (document['v'] !== VERSION) throw invalid(`${key}.v: expected ${VERSION}`)
  const layer = readSized(document, 'layer', 'size', key)
  if (layer.digest !== parseChunkRecipeKey(key)) throw invalid(`${key} is of ${layer.digest}`)
  const content = readSized(document, 'content', 'contentSize', key)
  const chunks = asArray(document['chunks'], `${key}.chunks`).map((value, i) => {
    const path = `${key}.chunks[${i}]`
    return parseChunk(asObject(value, path), path)
  })
  assertSum(layer.size, chunks, ({ frameSize }) => frameSize, `${key}.size`)
  assertSum(content.size, chunks, ({ size }) => size, `${key}.contentSize`)
  return { layer, content, chunks }
}

function parseChunk(chunk: JsonObject, path: string): StoredChunk {
  const raw = readSized(chunk, 'raw', 'size', path)
  const frame = readSized(chunk, 'frame', 'frameSize', path)
  assertBetween(raw.size, MAX_CHUNK_BYTES, `${path}.size`)
  assertBetween(frame.size, MAX_FRAME_BYTES, `${path}.frameSize`)
  return { raw: raw.digest, size: raw.size, frame: frame.digest, frameSize: frame.size }
}

function assertBetween(size: number, most: number, path: string): void {
  if (size > 0 && size <= most) return
  throw invalid(`${path}: expected 1 to ${most} bytes, got ${size}`)
}

function assertSum(
  expected: number,
  chunks: readonly StoredChunk[],
  sizeOf: (chunk: StoredChunk) => number,
  path: string,
): void {
  const total = chunks.reduce((sum, chunk) => sum + sizeOf(chunk), 0)
  if (total !== expected) throw invalid(`${path}: expected ${total} bytes, got ${expected}`)
}

function invalid(text: string): S3loError {
  return new S3loError('INTEGRITY', text)
}
