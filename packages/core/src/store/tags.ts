import type { CallOptions } from '../contract/call-options.ts'
import type { ObjectInfo, StorageBackend } from '../contract/storage-backend.ts'
import { manifestKey, MANIFESTS_PREFIX } from '../layout/keys.ts'
import { parseManifestKey, type TagName } from '../layout/parse-key.ts'
import { FALLBACK_TAG_START, isFallbackTag } from '../oci/fallback-tag.ts'
import { readLegacyEntries } from './legacy-tags.ts'
import { listKeys } from './list-keys.ts'

/** A tag and the object that publishes it. */
export interface TagEntry extends TagName {
  /** Of the manifest. */
  readonly info: ObjectInfo
  /** v1.0.0 keeps everything of a tag in the tag's own folder. */
  readonly layout: '1.0.0' | '1.1.0'
}

export interface ReadTagsOptions extends CallOptions {
  /** Gets each object below `manifests/` that is no manifest of a tag. */
  readonly onFile?: ((info: ObjectInfo) => void) | undefined
}

/**
 * Every tag of both layouts below an image-name filter (empty, or ending in `/`): those of v1.1.0 in
 * key order, then those of v1.0.0 that none of v1.1.0 hides.
 */
export async function* readTagEntries(
  backend: StorageBackend,
  filter: string,
  { onFile, ...options }: ReadTagsOptions = {},
): AsyncGenerator<TagEntry> {
  for await (const info of backend.list(MANIFESTS_PREFIX + filter, options)) {
    const name = parseManifestKey(info.key)
    if (name) yield { ...name, info, layout: '1.1.0' }
    else onFile?.(info)
  }
  for await (const entry of readLegacyEntries(backend, filter, options)) {
    if (!(await isHidden(backend, entry, options))) yield entry
  }
}

function isHidden(
  backend: StorageBackend,
  { image, tag }: TagName,
  options?: CallOptions,
): Promise<boolean> {
  return backend.head(manifestKey({ name: image, tag }), options).then((info) => info !== undefined)
}

/** The names of the tags of layout v1.1.0 alone, as {@link readTagEntries} has them. */
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

/** The tags of one image, of both layouts; a nested image's tags are not among them. */
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
    if (info) yield { image, tag, info, layout: '1.1.0' }
  }
  for await (const entry of readLegacyEntries(backend, `${image}/`, options)) {
    if (entry.image === image && !(await isHidden(backend, entry, options))) yield entry
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
