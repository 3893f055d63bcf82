import type { CallOptions } from '../contract/call-options.ts'
import type { ObjectInfo, StorageBackend } from '../contract/storage-backend.ts'
import { isReservedName, manifestKey, MANIFESTS_PREFIX } from '../layout/keys.ts'
import { parseLegacyKey, parseManifestKey, type TagName } from '../layout/parse-key.ts'
import { FALLBACK_TAG_START, isFallbackTag } from '../oci/fallback-tag.ts'
import { listKeys } from './list-keys.ts'

/** A tag and the object that publishes it. */
export interface TagEntry extends TagName {
  readonly info: ObjectInfo
}

/** Every tag of layout v1.1.0 below an image-name filter (empty, or ending in `/`), in key order. */
export async function* readTagEntries(
  backend: StorageBackend,
  filter: string,
  options?: CallOptions,
): AsyncGenerator<TagEntry> {
  for await (const info of backend.list(MANIFESTS_PREFIX + filter, options)) {
    const name = parseManifestKey(info.key)
    if (name) yield { ...name, info }
  }
}

/** The names of {@link readTagEntries}. */
export async function* readTagNames(
  backend: StorageBackend,
  filter: string,
  options?: CallOptions,
): AsyncGenerator<TagName> {
  for await (const key of listKeys(backend, MANIFESTS_PREFIX + filter, options)) {
    const name = parseManifestKey(key)
    if (name) yield name
  }
}

/** The tags of one image; a nested image's tags are not among them. */
export async function* readTags(
  backend: StorageBackend,
  image: string,
  options?: CallOptions,
): AsyncGenerator<string> {
  for await (const { tag } of readImageTags(backend, image, options)) yield tag
}

/** As {@link readTags}, each with the object that publishes it. */
export async function* readImageTags(
  backend: StorageBackend,
  image: string,
  options?: CallOptions,
): AsyncGenerator<TagEntry> {
  const prefix = `${MANIFESTS_PREFIX}${image}/`
  for await (const folder of backend.listPrefixes(prefix, options)) {
    const tag = folder.slice(prefix.length, -1)
    const info = await backend.head(manifestKey({ name: image, tag }), options)
    if (info) yield { image, tag, info }
  }
}

/** The tags of one image that name no image but what refers to one: cosign's, and fallback indexes. */
export async function* readFallbackTags(
  backend: StorageBackend,
  image: string,
  options?: CallOptions,
): AsyncGenerator<string> {
  const prefix = `${MANIFESTS_PREFIX}${image}/${FALLBACK_TAG_START}`
  for await (const { key } of backend.list(prefix, options)) {
    const name = parseManifestKey(key)
    if (name?.image === image && isFallbackTag(name.tag)) yield name.tag
  }
}

/**
 * Every tag of the v1.0.0 layout below an image-name filter (empty, or ending in `/`). Only folders
 * that can hold one are listed: a bucket's blobs and chunks are not walked for it, and neither is
 * what else a directory holds that is no store.
 */
export async function* readLegacyTags(
  backend: StorageBackend,
  filter: string,
  options?: CallOptions,
): AsyncGenerator<TagName> {
  if (filter !== '') {
    if (isReservedName(filter)) return
    yield* readLegacyFolder(backend, filter, options)
    return
  }
  for await (const folder of backend.listPrefixes('', options)) {
    if (!isReservedName(folder)) yield* readLegacyFolder(backend, folder, options)
  }
}

async function* readLegacyFolder(
  backend: StorageBackend,
  folder: string,
  options?: CallOptions,
): AsyncGenerator<TagName> {
  for await (const key of listKeys(backend, folder, options)) {
    const parsed = parseLegacyKey(key)
    if (parsed?.kind === 'manifest') yield { image: parsed.image, tag: parsed.tag }
  }
}
