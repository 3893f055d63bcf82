import {
  type ChunkRecipe,
  MAX_CHUNK_RECIPE_BYTES,
  parseChunkRecipe,
} from '../chunk/chunk-recipe.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { chunkRecipeKey } from '../layout/chunk-keys.ts'
import { recipeKey } from '../layout/keys.ts'
import { algorithmOf } from '../oci/digest.ts'
import { readObject } from './read-object.ts'
import { MAX_RECIPE_BYTES, parseRecipe, type Recipe } from './recipe.ts'

/** Where recipes are read many at once: the largest there may be, or many of the ordinary ones (bytes). */
export const RECIPE_BUDGET = 16 * 1024 * 1024
/** Where recipes are read many at once: how many. */
export const RECIPES_AT_ONCE = 20

/** The keys under which the recipe of a layer may be, of either format. */
export function recipeKeys(digest: string): readonly string[] {
  const own = algorithmOf(digest) === 'sha256' ? [chunkRecipeKey(digest)] : []
  return [...own, recipeKey(digest)]
}

/** The recipe of a layer, of format 2 or else of format 1. Throws `INTEGRITY`. */
export async function readRecipe(
  backend: StorageBackend,
  digest: string,
  options?: CallOptions,
): Promise<Recipe | undefined> {
  const own = await readOwnRecipe(backend, digest, options)
  return own ?? readGoRecipe(backend, digest, options)
}

/** The recipe of a layer that the Go program has stored. Throws `INTEGRITY`. */
async function readGoRecipe(
  backend: StorageBackend,
  digest: string,
  options?: CallOptions,
): Promise<Recipe | undefined> {
  const key = recipeKey(digest)
  const bytes = await readObject(backend, key, MAX_RECIPE_BYTES, options)
  return bytes && parseRecipe(bytes, key)
}

async function readOwnRecipe(
  backend: StorageBackend,
  digest: string,
  options?: CallOptions,
): Promise<Recipe | undefined> {
  const recipe = await readChunkRecipe(backend, digest, options)
  return recipe && recipeOf(recipe)
}

/** The recipe of a layer in chunks of format 2. Throws `INTEGRITY`. */
export async function readChunkRecipe(
  backend: StorageBackend,
  digest: string,
  options?: CallOptions,
): Promise<ChunkRecipe | undefined> {
  if (algorithmOf(digest) !== 'sha256') return undefined
  const key = chunkRecipeKey(digest)
  const bytes = await readObject(backend, key, MAX_CHUNK_RECIPE_BYTES, options)
  return bytes && parseChunkRecipe(bytes, key)
}

/** A recipe of format 2, to read by. */
export function recipeOf({ content, chunks }: ChunkRecipe): Recipe {
  return { content, chunks: chunks.map(({ raw, ...chunk }) => ({ digest: raw, ...chunk })) }
}
