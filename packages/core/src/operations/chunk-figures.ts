import { ByteBudget } from '../concurrency/byte-budget.ts'
import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { isS3loError } from '../errors.ts'
import { orImageFault } from '../store/image-fault.ts'
import { readRecipe, RECIPE_BUDGET, RECIPES_AT_ONCE } from '../store/read-recipe.ts'
import { listStored } from './stored-content.ts'

/** What layers in chunks are; field names are those of `--output json`, sizes are bytes. */
export interface ChunkFigures {
  readonly layers: number
  /** Uncompressed. */
  readonly content_bytes: number
  /** As blobs: the chunks that layers share are counted for each of them. */
  readonly layer_bytes: number
  /** How many times smaller the frames are than what they decode to. */
  readonly compression: number
  /** What sharing chunks saves of `layer_bytes` (percent). */
  readonly shared_percent: number
  /** Tables of contents. */
  readonly tables: number
  readonly table_bytes: number
  /** Recipes that cannot be read, and are not counted; absent where there is none. */
  readonly unreadable?: number
}

/** What a listing tells of layers in chunks; sizes are bytes. */
interface StoredPieces {
  readonly chunkBytes: number
  readonly tables: number
  readonly tableBytes: number
}

/** Reads every recipe of a store. `undefined` where there is none. */
export async function measureChunks(
  backend: StorageBackend,
  { chunkBytes, tables, tableBytes }: StoredPieces,
  { signal: outer }: CallOptions,
): Promise<ChunkFigures | undefined> {
  const budget = new ByteBudget(RECIPE_BUDGET)
  const sums = { layers: 0, content: 0, encoded: 0, frames: 0, unreadable: 0 }
  for (const kind of ['recipes', 'go-recipes'] as const) {
    await forEachConcurrent(
      listStored(backend, kind, { signal: outer }),
      RECIPES_AT_ONCE,
      async ({ digest, info }, signal) => {
        const recipe = await budget.use(info.size, signal, () =>
          orImageFault(() => readRecipe(backend, digest, { signal })),
        )
        // Deleted since it was listed.
        if (!recipe) return
        if (isS3loError(recipe)) {
          sums.unreadable++
          return
        }
        sums.layers++
        sums.content += recipe.content.size
        for (const { size, frameSize } of recipe.chunks) {
          // Early versions of the Go program did not record it.
          if (frameSize === undefined) continue
          sums.encoded += size
          sums.frames += frameSize
        }
      },
      outer,
    )
  }
  const { layers, content, encoded, frames, unreadable } = sums
  if (layers + unreadable === 0) return undefined
  return {
    layers,
    content_bytes: content,
    layer_bytes: frames,
    compression: frames === 0 ? 1 : encoded / frames,
    shared_percent: frames === 0 ? 0 : (Math.max(0, frames - chunkBytes) / frames) * 100,
    tables,
    table_bytes: tableBytes,
    ...(unreadable > 0 ? { unreadable } : {}),
  }
}
