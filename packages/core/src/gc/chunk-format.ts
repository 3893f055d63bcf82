import { MAX_CHUNK_RECIPE_BYTES, parseChunkRecipe } from '../chunk/chunk-recipe.ts'
import type { ObjectInfo } from '../contract/storage-backend.ts'
import {
  CHUNK_FRAMES_PREFIX,
  CHUNK_RECIPES_PREFIX,
  parseChunkFrameKey,
  parseChunkRecipeKey,
} from '../layout/chunk-keys.ts'
import { CHUNKS_PREFIX, RECIPES_PREFIX } from '../layout/keys.ts'
import { digestBelow } from '../layout/parse-key.ts'
import { MAX_RECIPE_BYTES, parseRecipe } from '../store/recipe.ts'
import type { Collectable } from './collectable.ts'
import { nameOf } from './name-set.ts'

/** How layers are stored in chunks: where recipes and chunks are, and what a recipe names. */
export interface ChunkFormat {
  readonly recipesPrefix: string
  readonly chunksPrefix: string
  /** A larger recipe is not read (bytes). */
  readonly maxRecipeBytes: number
  /** The layer of a recipe, by the recipe's key. */
  readonly layerOf: (key: string) => string | undefined
  /** The marks of the chunks that a recipe names. Throws `INTEGRITY`. */
  readonly marksOf: (recipe: Uint8Array, key: string) => readonly string[]
  /** The chunk that an object is. */
  readonly toChunk: (info: ObjectInfo) => Collectable | undefined
}

/** Format 2: a chunk is what was cut and how it is stored. */
export const OWN_CHUNKS: ChunkFormat = {
  recipesPrefix: CHUNK_RECIPES_PREFIX,
  chunksPrefix: CHUNK_FRAMES_PREFIX,
  maxRecipeBytes: MAX_CHUNK_RECIPE_BYTES,
  layerOf: parseChunkRecipeKey,
  marksOf: (recipe, key) => parseChunkRecipe(recipe, key).chunks.map(chunkMark),
  toChunk: (info) => {
    const chunk = parseChunkFrameKey(info.key)
    return chunk && { info, digest: chunk.raw, name: nameOf(chunk.raw), mark: chunkMark(chunk) }
  },
}

/** Format 1, the Go program's: a chunk is what was cut. */
export const GO_CHUNKS: ChunkFormat = {
  recipesPrefix: RECIPES_PREFIX,
  chunksPrefix: CHUNKS_PREFIX,
  maxRecipeBytes: MAX_RECIPE_BYTES,
  layerOf: (key) => digestBelow(RECIPES_PREFIX, key),
  marksOf: (recipe, key) => parseRecipe(recipe, key).chunks.map(({ digest }) => nameOf(digest)),
  toChunk: (info) => {
    const digest = digestBelow(CHUNKS_PREFIX, info.key)
    if (digest === undefined) return undefined
    const name = nameOf(digest)
    return { info, digest, name, mark: name }
  },
}

/** A chunk of either format; one of format 1 has no frame in its key. */
interface MarkedChunk {
  readonly raw: string
  readonly frame?: string | undefined
}

/** By what a chunk is told from others: as long as a name, of its raw bytes and of its frame where it has one. */
export function chunkMark({ raw, frame }: MarkedChunk): string {
  if (frame === undefined) return nameOf(raw)
  return nameOf(raw).slice(0, 32) + nameOf(frame).slice(0, 32)
}
