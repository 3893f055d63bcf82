import type { CallOptions } from '../contract/call-options.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import { historyKey } from '../layout/keys.ts'
import { isS3loError, S3loError } from '../errors.ts'
import { totalSize } from '../oci/descriptor.ts'
import { isDigest, isShortDigest } from '../oci/digest.ts'
import { isReferrerTag } from '../oci/referrer-tag.ts'
import type { Reference } from '../oci/reference.ts'
import { type TagHistory, withEvents } from './past-tags.ts'
import { readTagEvents } from './tag-memory.ts'
import { ambiguousDigest } from '../graph/expand-digest.ts'
import { type HistoryEntry, readHistory } from '../store/history.ts'
import { orImageFault } from '../store/image-fault.ts'
import type { ImageStore } from '../store/image-store.ts'
import { readEntryManifest } from '../store/manifests.ts'
import type { TagEntry } from '../store/tag-entry.ts'
import { readImageTags, readTagEntries } from '../store/tags.ts'
import { planGraph } from '../graph/plan.ts'
import { formatStore } from '../layout/format-store.ts'

export interface HistoryOptions extends CallOptions, ProgressOptions {
  /** At most so many rows; 0 means all (default). */
  readonly limit?: number | undefined
  /** Writes that were overwritten since as well, deleted tags, and tags of what refers to images. */
  readonly all?: boolean | undefined
}

interface ImageHistoryOptions extends HistoryOptions {
  /** Tags of what refers to images, however old writes are shown. Default: `all`. */
  readonly referrers?: boolean | undefined
}

/** One image of a store by its last push; field names are those of `--output json`. */
export interface ImageHistory {
  readonly name: string
  readonly tags: number
  readonly last_pushed_at: string
  readonly total_size_bytes: number
}

/** When a store's images, or the tags of one image, were pushed. */
export type History =
  | { readonly of: 'store'; readonly rows: readonly ImageHistory[] }
  | { readonly of: 'image'; readonly image: string; readonly rows: readonly TagHistory[] }

/**
 * The history of a store, of an image in it, or of one of its tags or digests (`app:v1`,
 * `app@sha256:…`, which may be shortened), newest first. Throws `NOT_FOUND` for what was never
 * pushed, and `INVALID_REFERENCE` for a malformed or ambiguous digest.
 */
export async function history(
  store: ImageStore,
  image: string,
  options: HistoryOptions = {},
): Promise<History> {
  if (image === '') return { of: 'store', rows: await storeHistory(store, options) }
  // An "@" begins a digest, else a colon begins a tag: an image's name has neither.
  const at = image.includes('@') ? image.indexOf('@') : image.lastIndexOf(':')
  if (at < 0) return { of: 'image', image, rows: await imageHistory(store, image, options) }
  const name = image.slice(0, at)
  const version = image.slice(at + 1)
  const byDigest = image[at] === '@'
  const all = await imageHistory(store, name, { ...options, limit: 0, referrers: true })
  const rows = byDigest
    ? ofDigest(formatStore(store.backend, image), version, all)
    : await ofTag(store, { name, tag: version }, all, options)
  if (rows.length > 0) return { of: 'image', image, rows: limited(rows, options.limit ?? 0) }
  const flag = byDigest && !options.all ? ' --all' : ''
  throw new S3loError('NOT_FOUND', `${formatStore(store.backend, image)} does not exist`, {
    hint: `s3lo history ${formatStore(store.backend, name)}${flag} shows the pushes of the image`,
  })
}

/** The pushes of one tag; of one that is gone, at least the last. */
async function ofTag(
  store: ImageStore,
  { name, tag }: Required<Pick<Reference, 'name' | 'tag'>>,
  all: readonly TagHistory[],
  options: HistoryOptions,
): Promise<readonly TagHistory[]> {
  const rows = all.filter((row) => row.tag === tag)
  if (rows.length > 0 || options.all) return rows
  const events = await readTagEvents(store, { repository: name, tag }, options)
  return withEvents([], events).filter(({ superseded }) => !superseded)
}

/** The pushes of one digest. */
function ofDigest(
  reference: string,
  digest: string,
  rows: readonly TagHistory[],
): readonly TagHistory[] {
  if (!isDigest(digest) && !isShortDigest(digest)) {
    throw new S3loError('INVALID_REFERENCE', `${reference} has a malformed digest`, {
      hint: 'write sha256: and 4 or more of its hex digits',
    })
  }
  const chosen = rows.filter((row) => row.digest.startsWith(digest))
  const digests = new Set(chosen.map((row) => row.digest))
  if (digests.size > 1) throw ambiguousDigest(reference, digests)
  return chosen
}

/** The images of a store, the last pushed first. */
async function storeHistory(
  store: ImageStore,
  { limit = 0, all = false, signal, onProgress }: HistoryOptions = {},
): Promise<readonly ImageHistory[]> {
  const images = new Map<string, ImageHistory>()
  for await (const entry of readTagEntries(store.backend, '', { signal })) {
    if (!all && isReferrerTag(entry.tag)) continue
    const [current] = await tagHistory(store, entry, { signal, onProgress })
    if (!current) continue
    const known = images.get(entry.image)
    const newer = !known || current.pushed_at > known.last_pushed_at
    images.set(entry.image, {
      name: entry.image,
      tags: (known?.tags ?? 0) + 1,
      last_pushed_at: newer ? current.pushed_at : known.last_pushed_at,
      total_size_bytes: (known?.total_size_bytes ?? 0) + current.size_bytes,
    })
  }
  const rows = [...images.values()].toSorted((a, b) =>
    newestFirst(a.last_pushed_at, b.last_pushed_at),
  )
  return limited(rows, limit)
}

/**
 * The writes of one image's tags, newest first; where it has no tags any more, the last of each that was
 * deleted. Throws `NOT_FOUND` when there is no such image.
 */
export async function imageHistory(
  store: ImageStore,
  image: string,
  { limit = 0, all = false, referrers = all, signal, onProgress }: ImageHistoryOptions = {},
): Promise<readonly TagHistory[]> {
  const written: TagHistory[] = []
  let found = false
  for await (const entry of readImageTags(store.backend, image, { signal })) {
    found = true
    if (!referrers && isReferrerTag(entry.tag)) continue
    written.push(...(await tagHistory(store, entry, { signal, onProgress })))
  }
  const isRemembered = all || !found
  const events = isRemembered ? await readTagEvents(store, { repository: image }, { signal }) : []
  const shownEvents = events.filter(({ tag }) => referrers || !isReferrerTag(tag))
  const rows = withEvents(written, shownEvents)
  if (!found && rows.length === 0) {
    throw new S3loError('NOT_FOUND', `image ${image} is not in ${store.name}`, {
      hint: `s3lo list ${formatStore(store.backend)} shows what is there`,
    })
  }
  const shown = all ? rows : rows.filter(({ superseded }) => !superseded)
  return limited(
    shown.toSorted((a, b) => newestFirst(a.pushed_at, b.pushed_at)),
    limit,
  )
}

const UNREADABLE = Symbol('unreadable')

/**
 * A tag's writes, the current one first. Where the newest record is not of the current manifest
 * (a writer that keeps no history came after it), the manifest's object time is used. What
 * cannot be read of a tag is reported, and the others are still shown.
 */
async function tagHistory(
  store: ImageStore,
  entry: TagEntry,
  options: CallOptions & ProgressOptions,
): Promise<readonly TagHistory[]> {
  const { image, tag, info } = entry
  const reference = { name: image, tag }
  const recorded = await tolerant(`the history of ${image}:${tag}`, [], options, () =>
    readHistory(store.backend, historyKey(reference), options),
  )
  const document = await tolerant(`${image}:${tag}`, UNREADABLE, options, () =>
    // Of a tag of layout v1.0.0, the store has to know the folder as well.
    entry.layout === '1.0.0'
      ? store.find(reference, options)
      : readEntryManifest(store.backend, entry, options),
  )
  if (!document) return [] // Deleted while it was being listed.
  if (document === UNREADABLE) return recorded.map((row, i) => toRow(tag, row, i > 0))
  const { digest } = document.descriptor
  if (recorded[0]?.digest === digest) {
    return withoutRepeats(recorded).map((row, i) => toRow(tag, row, i > 0))
  }
  const size = await tolerant(`the size of ${image}:${tag}`, 0, options, async () => {
    const { blobs } = await planGraph(store, document, options)
    return totalSize(blobs.map(({ descriptor }) => descriptor))
  })
  const current: HistoryEntry = {
    pushed_at: `${info.lastModified.toISOString().slice(0, 19)}Z`,
    digest,
    size_bytes: size,
  }
  return withoutRepeats([current, ...recorded]).map((row, i) => toRow(tag, row, i > 0))
}

/** Of writes of one digest in a row, the newest: the others changed nothing. */
function withoutRepeats(entries: readonly HistoryEntry[]): readonly HistoryEntry[] {
  return entries.filter(({ digest }, i) => digest !== entries[i - 1]?.digest)
}

/** What is read, or `instead` with a notice where that is one image's own fault. */
async function tolerant<T, U>(
  what: string,
  instead: U,
  { onProgress }: ProgressOptions,
  read: () => Promise<T>,
): Promise<T | U> {
  const result = await orImageFault(read)
  if (!isS3loError(result)) return result
  const message = `${what} cannot be read: ${result.message}`
  onProgress?.({ type: 'notice', code: 'history-unreadable', message })
  return instead
}

function toRow(tag: string, entry: HistoryEntry, superseded: boolean): TagHistory {
  return { tag, ...entry, ...(superseded ? { superseded: true } : {}) }
}

function newestFirst(a: string, b: string): number {
  return Date.parse(b) - Date.parse(a)
}

function limited<T>(rows: readonly T[], limit: number): readonly T[] {
  return limit > 0 ? rows.slice(0, limit) : rows
}
