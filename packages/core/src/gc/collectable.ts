import type { CallOptions } from '../contract/call-options.ts'
import type { ObjectInfo, StorageBackend } from '../contract/storage-backend.ts'
import {
  CHUNK_RECIPES_PREFIX,
  LAYER_TABLES_PREFIX,
  parseChunkRecipeKey,
} from '../layout/chunk-keys.ts'
import {
  BLOBS_PREFIX,
  FILE_INDEXES_PREFIX,
  LAYER_INDEXES_PREFIX,
  RECIPES_PREFIX,
  REFERRER_BLOBS_PREFIX,
  SOCI_ARTIFACTS_PREFIX,
} from '../layout/keys.ts'
import { digestBelow, parseContentKey } from '../layout/parse-key.ts'
import { nameOf } from './name-set.ts'

/** An object that a collector may delete when nothing needs it. */
export interface Collectable {
  readonly info: ObjectInfo
  /** Its own name, in pins and rounds. */
  readonly name: string
  /** By what it is told from others of its name, where its name is not enough: as long as one, in hex. */
  readonly mark: string
  /** The digest that its key says. */
  readonly digest: string
  /** Says something about content that is kept elsewhere, and lives as long as that. */
  readonly isRecord?: true
  /** Says which chunks a layer has. */
  readonly isRecipe?: true
}

/**
 * Where a collector may delete beside digest records: what is recorded about SOCI artifacts, what a layer
 * reader keeps beside layers, tables of contents, recipes, and blobs. Chunks come after all of it.
 */
const PREFIXES = [
  SOCI_ARTIFACTS_PREFIX,
  LAYER_INDEXES_PREFIX,
  LAYER_TABLES_PREFIX,
  CHUNK_RECIPES_PREFIX,
  REFERRER_BLOBS_PREFIX,
  BLOBS_PREFIX,
]

/** All content that can be collected before chunks can. */
export async function* listCollectable(
  backend: StorageBackend,
  options?: CallOptions,
): AsyncGenerator<Collectable, void> {
  for (const prefix of PREFIXES) {
    for await (const info of backend.list(prefix, options)) {
      const item = toCollectable(info)
      if (item) yield item
    }
  }
}

/** What the Go program keeps of layers in chunks, but the chunks: what files they have, then recipes. */
export async function* listGoRecipes(
  backend: StorageBackend,
  options?: CallOptions,
): AsyncGenerator<Collectable, void> {
  for (const prefix of [FILE_INDEXES_PREFIX, RECIPES_PREFIX]) {
    for await (const info of backend.list(prefix, options)) {
      const digest = digestBelow(prefix, info.key)
      if (digest === undefined) continue
      const item = named(info, digest)
      yield prefix === RECIPES_PREFIX ? { ...item, isRecipe: true } : item
    }
  }
}

function toCollectable(info: ObjectInfo): Collectable | undefined {
  const layer = parseChunkRecipeKey(info.key)
  if (layer !== undefined) return { ...named(info, layer), isRecipe: true }
  const parsed = parseContentKey(info.key)
  if (!parsed) return undefined
  const item = named(info, parsed.digest)
  return parsed.kind === 'record' ? { ...item, isRecord: true } : item
}

function named(info: ObjectInfo, digest: string): Collectable {
  const name = nameOf(digest)
  return { info, digest, name, mark: name }
}
