import { MAX_FRAME_BYTES } from '../chunk/frame.ts'
import { MAX_CHUNK_BYTES } from '../chunk/gear.ts'
import { S3loError } from '../errors.ts'
import { isDigest } from '../oci/digest.ts'
import {
  asArray,
  asObject,
  asSize,
  asString,
  type JsonObject,
  optional,
  parseJson,
} from '../oci/json.ts'

/** A larger recipe is not read (bytes): this one would be of a layer of 400 GiB. */
export const MAX_RECIPE_BYTES = 16 * 1024 * 1024

/** A piece of a layer: one zstd frame. */
export interface RecipeChunk {
  /** Of the raw bytes. */
  readonly digest: string
  /** Raw bytes. */
  readonly size: number
  /** Bytes of the frame; recipes of early versions of the Go program do not have it. */
  readonly frameSize: number | undefined
  /** Digest of the frame, which is a part of its name; format 1 has none. */
  readonly frame?: string
}

/**
 * A layer in chunks, of format 1 as the Go program has it (docs/go-compatibility.md, chunks) or of format
 * 2. Its frames in this order are one zstd stream, which is the layer's blob; what they decode to is
 * its tar.
 */
export interface Recipe {
  /** The digest and size of the raw content, which is the tar. */
  readonly content: { readonly digest: string; readonly size: number }
  readonly chunks: readonly RecipeChunk[]
}

/** Reads a recipe of format 1. Throws `INTEGRITY` for one whose members contradict each other. */
export function parseRecipe(bytes: Uint8Array, key: string): Recipe {
  const document = asObject(parseJson(bytes, key), key)
  const chunks = asArray(document['chunks'], `${key}.chunks`).map((value, i) =>
    parseChunk(asObject(value, `${key}.chunks[${i}]`), `${key}.chunks[${i}]`),
  )
  const content = {
    digest: sha256Of(document, 'layer', key),
    size: asSize(document['size'], `${key}.size`),
  }
  const total = chunks.reduce((sum, { size }) => sum + size, 0)
  if (total !== content.size) {
    throw new S3loError(
      'INTEGRITY',
      `${key}: expected chunks of ${content.size} bytes, got ${total}`,
    )
  }
  return { content, chunks }
}

function parseChunk(chunk: JsonObject, path: string): RecipeChunk {
  const size = asSize(chunk['size'], `${path}.size`)
  const frameSize = optional(chunk, 'compressedSize', path, asSize)
  if (size === 0 || size > MAX_CHUNK_BYTES) {
    throw new S3loError(
      'INTEGRITY',
      `${path}.size: expected 1 to ${MAX_CHUNK_BYTES} bytes, got ${size}`,
    )
  }
  if (frameSize !== undefined && frameSize > MAX_FRAME_BYTES) {
    throw new S3loError(
      'INTEGRITY',
      `${path}.compressedSize: expected at most ${MAX_FRAME_BYTES} bytes, got ${frameSize}`,
    )
  }
  return { digest: sha256Of(chunk, 'digest', path), size, frameSize }
}

/** The Go program writes digests as hex without their algorithm. */
function sha256Of(object: JsonObject, member: string, path: string): string {
  const digest = `sha256:${asString(object[member], `${path}.${member}`)}`
  if (isDigest(digest)) return digest
  throw new S3loError('INTEGRITY', `${path}.${member} is not the hex of a sha256`)
}
