import { type ChunkRecipe, formatChunkRecipe } from '../chunk/chunk-recipe.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { Protection } from '../gc/protection.ts'
import { chunkRecipeKey } from '../layout/chunk-keys.ts'
import type { Descriptor } from '../oci/descriptor.ts'

/**
 * Writes the recipe of a layer, which keeps its chunks from then on: under the deadline of the pins, so
 * that no chunk can be gone when it lands. The caller has pinned the chunks, and they count for the
 * publication. Throws as `Protection.publish` does.
 */
export async function writeChunkRecipe(
  protection: Protection,
  layer: Descriptor,
  recipe: ChunkRecipe,
  { signal }: CallOptions = {},
): Promise<void> {
  const write = async (): Promise<boolean> => {
    await protection.publish({
      key: chunkRecipeKey(layer.digest),
      content: formatChunkRecipe(recipe),
      mediaType: 'application/json',
      digests: [layer.digest],
      signal,
    })
    return true
  }
  // After a gap between two pins, in which a collector may have deleted it, it is looked for again.
  await protection.put(layer, write, { signal }, 'recipes')
}
