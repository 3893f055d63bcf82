import type { CallOptions } from '../contract/call-options.ts'
import type { ObjectInfo, StorageBackend } from '../contract/storage-backend.ts'
import { BLOBS_PREFIX, CHUNKS_PREFIX, RECIPES_PREFIX } from '../layout/keys.ts'
import { isDigest } from '../oci/digest.ts'

/** The prefixes below which content lies under its digest. */
const PREFIX = { blobs: BLOBS_PREFIX, recipes: RECIPES_PREFIX, chunks: CHUNKS_PREFIX } as const

/** Blobs lie whole; what the Go program chunked is a recipe and its chunks. */
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
