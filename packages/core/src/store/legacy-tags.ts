import type { CallOptions } from '../contract/call-options.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { isS3loError } from '../errors.ts'
import { isReservedName, legacyPrefix } from '../layout/keys.ts'
import { parseLegacyKey, type TagName } from '../layout/parse-key.ts'
import { matchesFilter } from '../layout/store-reference.ts'
import { MAX_MANIFEST_BYTES, parseManifest } from '../oci/document.ts'
import { orImageFault } from './image-fault.ts'
import { listKeys } from './list-keys.ts'
import { readObject } from './read-object.ts'
import type { TagEntry } from './tag-entry.ts'

/**
 * Every tag of layout v1.0.0 below an image-name filter (empty, or ending in `/`). Many programs have
 * a `manifest.json`: it is a tag's where blobs or other files of an image lie beside it, or where it
 * is the manifest of one. Only folders that can hold one are listed: blobs and chunks are not walked.
 */
export async function* readLegacyEntries(
  backend: StorageBackend,
  filter: string,
  options?: CallOptions,
): AsyncGenerator<TagEntry> {
  for await (const folder of legacyFolders(backend, filter, options)) {
    const found = manifestsAmong(backend.list(folder, options), filter)
    for await (const { image, tag, object: info, isProven } of found) {
      if (isProven || (await isManifest(backend, info.key, options))) {
        yield { image, tag, info, layout: '1.0.0' }
      }
    }
  }
}

/** The names of {@link readLegacyEntries}. */
export async function* readLegacyNames(
  backend: StorageBackend,
  filter: string,
  options?: CallOptions,
): AsyncGenerator<TagName> {
  for await (const folder of legacyFolders(backend, filter, options)) {
    const found = manifestsAmong(asObjects(listKeys(backend, folder, options)), filter)
    for await (const { image, tag, object, isProven } of found) {
      if (isProven || (await isManifest(backend, object.key, options))) yield { image, tag }
    }
  }
}

async function* legacyFolders(
  backend: StorageBackend,
  filter: string,
  options?: CallOptions,
): AsyncGenerator<string> {
  if (filter !== '') {
    if (!isReservedName(filter)) yield filter
    return
  }
  for await (const folder of backend.listPrefixes('', options)) {
    if (!isReservedName(folder)) yield folder
  }
}

async function* asObjects(
  keys: AsyncIterable<string>,
): AsyncGenerator<{ readonly key: string }, void> {
  for await (const key of keys) yield { key }
}

/** A folder with files of an image; its `manifest.json` comes after most of them. */
interface Found<T> extends TagName {
  readonly object: T
  /** A file of an image lies beside it. */
  readonly isProven: boolean
}

/** In key order, the keys of one folder may have those of a folder in it between them. */
async function* manifestsAmong<T extends { readonly key: string }>(
  objects: AsyncIterable<T>,
  filter: string,
): AsyncGenerator<Found<T>> {
  /** With a file of an image, and not passed yet: each lies in the one before. */
  const proven: string[] = []
  for await (const object of objects) {
    const parsed = parseLegacyKey(object.key)
    if (!parsed || !matchesFilter(parsed.image, filter)) continue
    const { kind, image, tag } = parsed
    const prefix = legacyPrefix({ name: image, tag }) ?? ''
    while (!prefix.startsWith(proven.at(-1) ?? '')) proven.pop()
    const isProven = proven.at(-1) === prefix
    if (kind === 'manifest') yield { image, tag, object, isProven }
    else if (!isProven) proven.push(prefix)
  }
}

/** True for the manifest of an image. */
export async function isManifest(
  backend: StorageBackend,
  key: string,
  options?: CallOptions,
): Promise<boolean> {
  const manifest = await orImageFault(async () => {
    const content = await readObject(backend, key, MAX_MANIFEST_BYTES, options)
    return content && parseManifest(content, key)
  })
  return manifest !== undefined && !isS3loError(manifest)
}
