import { S3loError } from '../errors.ts'
import { parseDigest } from '../oci/digest.ts'
import { OWN_PREFIX } from './keys.ts'

/**
 * The names of layers in chunks of format 2. The digest of what is stored is a part of a chunk's name:
 * two encoders make two frames of the same bytes, and in format 1 one of them publishes a layer whose
 * digest no stored stream has (docs/go-compatibility.md, W17).
 */

export const CHUNK_FRAMES_PREFIX = `${OWN_PREFIX}chunks/sha256/`
export const CHUNK_RECIPES_PREFIX = `${OWN_PREFIX}recipes/sha256/`
/** Of the tables of contents of layers, `<algorithm>/<hex>` each. */
export const LAYER_TABLES_PREFIX = `${OWN_PREFIX}files/`

/** What a chunk is called: what was cut, and the frame that is stored. Both are sha256. */
export interface ChunkName {
  readonly raw: string
  readonly frame: string
}

/** Throws `INTEGRITY` for a digest that is no sha256. */
export function chunkFrameKey({ raw, frame }: ChunkName): string {
  return `${rawChunkPrefix(raw)}${hexOf(frame)}`
}

/** The prefix of all frames of the same raw bytes. */
export function rawChunkPrefix(raw: string): string {
  return `${CHUNK_FRAMES_PREFIX}${hexOf(raw)}-`
}

/** Where the recipe of the layer with that digest is. */
export function chunkRecipeKey(layer: string): string {
  return `${CHUNK_RECIPES_PREFIX}${hexOf(layer)}`
}

/** Where the table of contents of the layer with that digest is. */
export function layerTableKey(layer: string): string {
  const { algorithm, hex } = parseDigest(layer)
  return `${LAYER_TABLES_PREFIX}${algorithm}/${hex}`
}

const CHUNK = /^([0-9a-f]{64})-([0-9a-f]{64})$/

/** The chunk of a key below {@link CHUNK_FRAMES_PREFIX}; `undefined` for one that s3lo does not write. */
export function parseChunkFrameKey(key: string): ChunkName | undefined {
  if (!key.startsWith(CHUNK_FRAMES_PREFIX)) return undefined
  const [, raw, frame] = CHUNK.exec(key.slice(CHUNK_FRAMES_PREFIX.length)) ?? []
  if (raw === undefined || frame === undefined) return undefined
  return { raw: `sha256:${raw}`, frame: `sha256:${frame}` }
}

/** The layer of a key below {@link CHUNK_RECIPES_PREFIX}; `undefined` for one that s3lo does not write. */
export function parseChunkRecipeKey(key: string): string | undefined {
  const hex = key.startsWith(CHUNK_RECIPES_PREFIX) ? key.slice(CHUNK_RECIPES_PREFIX.length) : ''
  return /^[0-9a-f]{64}$/.test(hex) ? `sha256:${hex}` : undefined
}

function hexOf(digest: string): string {
  const { algorithm, hex } = parseDigest(digest)
  if (algorithm === 'sha256') return hex
  throw new S3loError('INTEGRITY', `expected a sha256, got a ${algorithm}`)
}
