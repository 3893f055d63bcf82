import type { CallOptions } from '../contract/call-options.ts'
import type { ObjectInfo, StorageBackend } from '../contract/storage-backend.ts'
import { byUtf8 } from '../layout/key-order.ts'
import { manifestKey, MANIFESTS_PREFIX } from '../layout/keys.ts'
import { parseManifestKey, type TagName } from '../layout/parse-key.ts'
import { REFERRER_TAG_START, isReferrerTag } from '../oci/referrer-tag.ts'
import { readLegacyEntries, readLegacyNames } from './legacy-tags.ts'
import { listKeys } from './list-keys.ts'
import { NameWindow, type WindowOptions } from './name-window.ts'
import type { TagEntry } from './tag-entry.ts'
import { readRepositoryTagNames, readRepositoryTags } from './repository-tags.ts'

export interface ReadTagsOptions extends CallOptions {
  /** Gets each object below `manifests/` that is no manifest of a tag. */
  readonly onFile?: ((info: ObjectInfo) => void) | undefined
}

/**
 * Every tag below an image-name filter (empty, or ending in `/`), in the order of keys. A tag of
 * layout v1.1.0 hides that of v1.0.0 with its name.
 */
export function readTagEntries(
  backend: StorageBackend,
  filter: string,
  { onFile, ...options }: ReadTagsOptions = {},
): AsyncGenerator<TagEntry, void> {
  return mergeLayouts(
    currentEntries(backend, filter, { onFile, ...options }),
    readLegacyEntries(backend, filter, options),
  )
}

async function* currentEntries(
  backend: StorageBackend,
  filter: string,
  { onFile, ...options }: ReadTagsOptions,
): AsyncGenerator<TagEntry, void> {
  for await (const info of backend.list(MANIFESTS_PREFIX + filter, options)) {
    const name = parseManifestKey(info.key)
    if (name) yield { ...name, info, layout: '1.1.0' }
    else onFile?.(info)
  }
}

/** Both are in key order, so a tag that both have is met in both at once. */
async function* mergeLayouts(
  current: AsyncGenerator<TagEntry, void>,
  legacy: AsyncGenerator<TagEntry, void>,
): AsyncGenerator<TagEntry, void> {
  try {
    let old = await legacy.next()
    for await (const entry of current) {
      while (!old.done) {
        const order = byUtf8(MANIFESTS_PREFIX + old.value.info.key, entry.info.key)
        if (order > 0) break
        if (order < 0) yield old.value
        old = await legacy.next()
      }
      yield entry
    }
    for (; !old.done; old = await legacy.next()) yield old.value
  } finally {
    await legacy.return()
  }
}

/** The names of the tags of layout v1.1.0 alone, as {@link readTagEntries} has them. */
export async function* readTagNames(
  backend: StorageBackend,
  filter: string,
  options?: CallOptions & { readonly startAfter?: string },
): AsyncGenerator<TagName> {
  for await (const key of listKeys(backend, MANIFESTS_PREFIX + filter, options)) {
    const name = parseManifestKey(key)
    if (name) yield name
  }
}

/**
 * The tags of one repository, of both layouts, or a window of them, in the order of names. A nested
 * repository's tags are not among them.
 *
 * Requests: one for each page of the repository's own keys from the start of the window to its end,
 * two for each folder in it that has more than a page of nested repositories (where the store
 * cannot skip keys, their pages), one for each page of layout v1.0.0, and where a window ends before
 * the tags do, one for each tag that the next one could be an extension of (`v1`, `v1.2` of `v1.2-rc`).
 */
export async function* readTags(
  backend: StorageBackend,
  repository: string,
  { after, limit, ...options }: WindowOptions = {},
): AsyncGenerator<string, void> {
  if (limit === 0) return
  const window = new NameWindow<true>({ after, limit })
  for await (const { tag } of readRepositoryTagNames(backend, repository, { after, ...options })) {
    const awaited = window.awaited(tag)
    if (!awaited) {
      window.enter(tag, () => true)
      continue
    }
    for (const name of awaited) {
      if (window.has(name)) continue
      const key = manifestKey({ name: repository, tag: name })
      if (await backend.head(key, options)) window.enter(name, () => true)
    }
    break
  }
  for await (const { image, tag } of readLegacyNames(backend, `${repository}/`, options)) {
    if (image === repository) window.enter(tag, () => true)
  }
  for (const [tag] of window.entries) yield tag
}

/** The tags of one repository, of both layouts, in the order of keys, each with the object that publishes it. */
export function readImageTags(
  backend: StorageBackend,
  image: string,
  options: CallOptions = {},
): AsyncGenerator<TagEntry, void> {
  return mergeLayouts(currentTags(backend, image, options), legacyTags(backend, image, options))
}

async function* currentTags(
  backend: StorageBackend,
  image: string,
  options: CallOptions,
): AsyncGenerator<TagEntry, void> {
  for await (const { tag, entry } of readRepositoryTags(backend, image, options)) {
    yield { image, tag, info: entry, layout: '1.1.0' }
  }
}

async function* legacyTags(
  backend: StorageBackend,
  image: string,
  options: CallOptions,
): AsyncGenerator<TagEntry, void> {
  for await (const entry of readLegacyEntries(backend, `${image}/`, options)) {
    if (entry.image === image) yield entry
  }
}

export interface RepositoriesOptions extends WindowOptions {
  /** Empty (default), or ends in `/`: `team/` selects `team` and every repository below it. */
  readonly filter?: string | undefined
}

/**
 * The repositories that have a tag, of both layouts, or a window of them, in the order of names. No
 * more names are held than twice those of a window. Requests: one for each page of the keys from the
 * start of the window to its end, or to the end of what is below the first part of its last name.
 */
export async function* readRepositories(
  backend: StorageBackend,
  { filter = '', after, limit, ...options }: RepositoriesOptions = {},
): AsyncGenerator<string, void> {
  const window = new NameWindow<true>({ after, limit })
  await readIntoWindow(backend, filter, window, { after, limit, ...options }, () => true)
  for (const [name] of window.entries) yield name
}

/** Reads tags until no later one can be of the window; `make` and `onTag` get those that are. */
export async function readIntoWindow<V>(
  backend: StorageBackend,
  filter: string,
  window: NameWindow<V>,
  { after, limit, ...options }: WindowOptions,
  make: () => V,
  onTag?: (value: V, tag: string) => void,
  isWanted: (tag: string) => boolean = () => true,
): Promise<void> {
  if (limit === 0) return
  const enter = ({ image, tag }: TagName): void => {
    if (!isWanted(tag)) return
    const value = window.enter(image, make)
    if (value !== undefined) onTag?.(value, tag)
  }
  // A name that follows another has no key before this one.
  const from = after ? { startAfter: MANIFESTS_PREFIX + after } : {}
  for await (const name of readTagNames(backend, filter, { ...options, ...from })) {
    // Without `onTag`, a name that is there needs no second tag.
    const awaited = window.awaited(name.image)?.filter((known) => onTag || !window.has(known))
    if (awaited?.length === 0) break
    enter(name)
  }
  for await (const name of readLegacyNames(backend, filter, options)) enter(name)
}

/** The tags of one image that name no image but what refers to one: cosign's, and fallback indexes. */
export async function* readReferrerTags(
  backend: StorageBackend,
  image: string,
  options?: CallOptions,
): AsyncGenerator<string> {
  const prefix = `${MANIFESTS_PREFIX}${image}/${REFERRER_TAG_START}`
  for await (const { key } of backend.list(prefix, options)) {
    const name = parseManifestKey(key)
    if (name?.image === image && isReferrerTag(name.tag)) yield name.tag
  }
}
