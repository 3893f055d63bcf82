import type { CallOptions } from '../contract/call-options.ts'
import type { ObjectInfo, StorageBackend } from '../contract/storage-backend.ts'
import { CHUNK_RECIPES_PREFIX } from '../layout/chunk-keys.ts'
import { BLOBS_PREFIX, RECIPES_PREFIX } from '../layout/keys.ts'
import { isDigest } from '../oci/digest.ts'

/** The prefixes below which content lies under its digest, as `<algorithm>/<hex>`. */
const PREFIX = {
  blobs: BLOBS_PREFIX,
  recipes: CHUNK_RECIPES_PREFIX.slice(0, -'sha256/'.length),
  'go-recipes': RECIPES_PREFIX,
} as const

/** Blobs lie whole; a layer in chunks is a recipe, of format 2 or of the Go program's, and its chunks. */
export type StoredKind = keyof typeof PREFIX

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
  const prefix = PREFIX[kind]
  for await (const info of backend.list(prefix, options)) {
    const digest = info.key.slice(prefix.length).replace('/', ':')
    if (isDigest(digest)) yield { digest, info }
  }
}
