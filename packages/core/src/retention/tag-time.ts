import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { ObjectInfo, StorageBackend } from '../contract/storage-backend.ts'
import { historyKey, MANIFESTS_PREFIX, tagPrefix } from '../layout/keys.ts'
import { parseTagKey, type TagName } from '../layout/parse-key.ts'
import { type HistoryEntry, readHistory } from '../store/history.ts'
import { orImageFault } from '../store/image-fault.ts'
import { readLegacyEntries } from '../store/legacy-tags.ts'
import { readTagManifest } from '../store/manifests.ts'
import type { TagEntry } from '../store/tag-entry.ts'
import type { DatedTag } from './rule.ts'

/** What the date of a tag is worked out from. */
export interface TagTimeFacts {
  /** Of the object that publishes the tag. */
  readonly lastModified: Date
  /** The newest entry of the tag's history. */
  readonly newest: HistoryEntry | undefined
  /** Of the manifest that is published now. */
  readonly digest: string | undefined
  /** Milliseconds since 1970. */
  readonly now: number
}

/**
 * When a tag was last written: by its newest history entry if that is about the manifest that is
 * there now, or by its object, whichever is later. A bucket that was moved keeps its ages no
 * longer than that, and never loses a tag for it. An entry from the future is a wrong clock's.
 */
export function tagTime({ lastModified, newest, digest, now }: TagTimeFacts): Date {
  const pushed = laterPush({ lastModified, newest, now })
  return pushed && newest?.digest === digest ? pushed : lastModified
}

/** When the newest entry was written, where that is later than the object and not in the future. */
function laterPush({ lastModified, newest, now }: Omit<TagTimeFacts, 'digest'>): Date | undefined {
  const pushed = newest && new Date(newest.pushed_at)
  return pushed && pushed > lastModified && pushed.getTime() <= now ? pushed : undefined
}

export interface DatedTagsOptions extends CallOptions {
  /** Milliseconds since 1970. */
  readonly now: number
  /** False spares the reading of a tag that no rule applies to: it is dated by its object. */
  readonly isWanted?: ((tag: TagName) => boolean) | undefined
  /** Gets the manifest of each tag, which is not read for it. */
  readonly onManifest?: ((info: ObjectInfo) => void) | undefined
}

const READS_AT_ONCE = 20

/**
 * Every tag below an image-name filter (empty, or ending in `/`) with its date, in no order. Only
 * tags that have a history cost a request beyond the listing, and a second one those whose newest
 * entry is later than their object. A tag whose history or manifest cannot be read is undated, and
 * so is not dropped on a guess.
 */
export async function readDatedTags(
  backend: StorageBackend,
  filter: string,
  { now, isWanted = () => true, onManifest, signal }: DatedTagsOptions,
): Promise<readonly DatedTag[]> {
  const tags: DatedTag[] = []
  await forEachConcurrent(
    listTags(backend, filter, { signal }),
    READS_AT_ONCE,
    async (listed, taskSignal) => {
      const { image, tag } = listed
      onManifest?.(listed.info)
      const isDated = listed.hasHistory && isWanted({ image, tag })
      const time = isDated
        ? await orImageFault(() => readTime(backend, listed, { now, signal: taskSignal }))
        : listed.info.lastModified
      tags.push(
        time instanceof Date
          ? { image, tag, time }
          : { image, tag, time: listed.info.lastModified, undated: time },
      )
    },
    signal,
  )
  return withLegacy(backend, filter, tags, { onManifest, signal })
}

async function readTime(
  backend: StorageBackend,
  { image, tag, info: { lastModified } }: ListedTag,
  { now, signal }: DatedTagsOptions,
): Promise<Date> {
  const reference = { name: image, tag }
  const [newest] = await readHistory(backend, historyKey(reference), { signal })
  const manifest =
    laterPush({ lastModified, now, newest }) &&
    (await readTagManifest(backend, reference, { signal }))
  return tagTime({ lastModified, now, newest, digest: manifest?.descriptor.digest })
}

/** Layout v1.0.0 has no histories: a tag is as old as its manifest, unless v1.1.0 has it as well. */
async function withLegacy(
  backend: StorageBackend,
  filter: string,
  tags: readonly DatedTag[],
  { onManifest, ...options }: Pick<DatedTagsOptions, 'onManifest' | 'signal'>,
): Promise<readonly DatedTag[]> {
  const legacy = new Map<string, TagEntry>()
  for await (const entry of readLegacyEntries(backend, filter, options)) {
    legacy.set(`${entry.image}:${entry.tag}`, entry)
  }
  if (legacy.size === 0) return tags
  const known = tags.map((tag): DatedTag => {
    const isInBoth = legacy.delete(`${tag.image}:${tag.tag}`)
    return isInBoth ? { ...tag, legacy: true } : tag
  })
  const others = [...legacy.values()].map(({ image, tag, info }): DatedTag => {
    onManifest?.(info)
    return { image, tag, time: info.lastModified, legacy: true }
  })
  return [...known, ...others]
}

interface ListedTag {
  readonly image: string
  readonly tag: string
  readonly info: ObjectInfo
  readonly hasHistory: boolean
}

/**
 * In key order, a tag's `history.json` comes before its `manifest.json`; between them may lie the
 * tags of an image that is named like the tag's folder.
 */
async function* listTags(
  backend: StorageBackend,
  filter: string,
  options: CallOptions,
): AsyncGenerator<ListedTag, void> {
  /** With a history, and not passed yet: each lies in the one before. */
  const folders: string[] = []
  for await (const info of backend.list(MANIFESTS_PREFIX + filter, options)) {
    const parsed = parseTagKey(info.key)
    if (!parsed) continue
    const { kind, image, tag } = parsed
    const folder = tagPrefix({ name: image, tag })
    while (!folder.startsWith(folders.at(-1) ?? '')) folders.pop()
    if (kind === 'history') folders.push(folder)
    if (kind === 'manifest') yield { image, tag, info, hasHistory: folders.at(-1) === folder }
  }
}
