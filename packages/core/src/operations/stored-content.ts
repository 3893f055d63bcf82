import type { CallOptions } from '../contract/call-options.ts'
import type { ObjectInfo, StorageBackend } from '../contract/storage-backend.ts'
import {
  CHUNK_RECIPES_PREFIX,
  LAYER_TABLES_PREFIX,
  parseChunkRecipeKey,
} from '../layout/chunk-keys.ts'
import { BLOBS_PREFIX, RECIPES_PREFIX } from '../layout/keys.ts'
import { digestBelow } from '../layout/parse-key.ts'

interface Place {
  readonly prefix: string
  /** The digest that a key below the prefix has. */
  readonly digestOfKey: (key: string) => string | undefined
}

const PLACES = {
  blobs: byPath(BLOBS_PREFIX),
  recipes: { prefix: CHUNK_RECIPES_PREFIX, digestOfKey: parseChunkRecipeKey },
  tables: byPath(LAYER_TABLES_PREFIX),
  'go-recipes': byPath(RECIPES_PREFIX),
} as const satisfies Readonly<Record<string, Place>>

function byPath(prefix: string): Place {
  return { prefix, digestOfKey: (key) => digestBelow(prefix, key) }
}

/** Blobs lie whole; a layer in chunks is a recipe, of format 2 or of the Go program's, a table and its chunks. */
export type StoredKind = keyof typeof PLACES

/** An object that is content, with the digest that its key says. */
export interface StoredContent {
  readonly digest: string
  readonly info: ObjectInfo
}

/** Everything of one kind in a store, in key order; objects whose keys are no digests are left out. */
export async function* listStored(
  backend: StorageBackend,
  kind: StoredKind,
  options?: CallOptions,
): AsyncGenerator<StoredContent, void> {
  const { prefix, digestOfKey } = PLACES[kind]
  for await (const info of backend.list(prefix, options)) {
    const digest = digestOfKey(info.key)
    if (digest !== undefined) yield { digest, info }
  }
}
