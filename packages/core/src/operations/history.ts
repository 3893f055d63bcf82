import type { CallOptions } from '../contract/call-options.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import { historyKey } from '../layout/keys.ts'
import { isS3loError, S3loError } from '../errors.ts'
import { totalSize } from '../oci/descriptor.ts'
import { type HistoryEntry, readHistory } from '../store/history.ts'
import type { ImageStore } from '../store/image-store.ts'
import { readTagManifest } from '../store/manifests.ts'
import { readTagEntries, type TagEntry } from '../store/tags.ts'
import { planGraph } from '../graph/plan.ts'
import { formatStore } from '../layout/format-store.ts'

export interface HistoryOptions extends CallOptions, ProgressOptions {
  /** At most so many rows; 0 means all (default). */
  readonly limit?: number | undefined
  /** Writes that were overwritten since as well. */
  readonly all?: boolean | undefined
}

/** One image of a store by its last push; field names are those of `--output json`. */
export interface ImageHistory {
  readonly name: string
  readonly tags: number
  readonly last_pushed_at: string
  readonly total_size_bytes: number
}

/** One write of a tag; field names are those of `--output json`. */
export interface TagHistory {
  readonly tag: string
  readonly pushed_at: string
  readonly digest: string
  readonly size_bytes: number
  readonly superseded?: true
  readonly forced?: true
}

/** The images of a store, the last pushed first. */
export async function storeHistory(
  store: ImageStore,
  filter = '',
  { limit = 0, signal, onProgress }: HistoryOptions = {},
): Promise<readonly ImageHistory[]> {
  const images = new Map<string, ImageHistory>()
  for await (const entry of readTagEntries(store.backend, filter, { signal })) {
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

/** The writes of one image's tags, newest first. Throws `NOT_FOUND` when there is no such image. */
export async function imageHistory(
  store: ImageStore,
  image: string,
  { limit = 0, all = false, signal, onProgress }: HistoryOptions = {},
): Promise<readonly TagHistory[]> {
  const rows: TagHistory[] = []
  let found = false
  for await (const entry of readTagEntries(store.backend, `${image}/`, { signal })) {
    if (entry.image !== image) continue
    found = true
    rows.push(...(await tagHistory(store, entry, { signal, onProgress })))
  }
  if (!found) {
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

/**
 * A tag's writes, the current one first. Where the newest record is not of the current manifest
 * (a writer that keeps no history came after it), the manifest's object time stands for it.
 */
async function tagHistory(
  store: ImageStore,
  { image, tag, info }: TagEntry,
  options: CallOptions & ProgressOptions,
): Promise<readonly TagHistory[]> {
  const reference = { name: image, tag }
  const recorded = await readRecorded(store, historyKey(reference), options)
  const document = await readTagManifest(store.backend, reference, options)
  if (!document) return [] // Deleted while it was being listed.
  const { digest } = document.descriptor
  if (recorded[0]?.digest === digest) {
    return withoutRepeats(recorded).map((entry, i) => toRow(tag, entry, i > 0))
  }
  const { blobs } = await planGraph(store, document, options)
  const current: HistoryEntry = {
    pushed_at: `${info.lastModified.toISOString().slice(0, 19)}Z`,
    digest,
    size_bytes: totalSize(blobs.map(({ descriptor }) => descriptor)),
  }
  return withoutRepeats([current, ...recorded]).map((entry, i) => toRow(tag, entry, i > 0))
}

/** Of writes of one digest in a row, the newest: the others changed nothing. */
function withoutRepeats(entries: readonly HistoryEntry[]): readonly HistoryEntry[] {
  return entries.filter(({ digest }, i) => digest !== entries[i - 1]?.digest)
}

/** What a tag's file records. One that cannot be read says so and counts as empty: the others are still shown. */
async function readRecorded(
  store: ImageStore,
  key: string,
  { signal, onProgress }: CallOptions & ProgressOptions,
): Promise<readonly HistoryEntry[]> {
  try {
    return await readHistory(store.backend, key, { signal })
  } catch (error) {
    if (!isS3loError(error, 'INTEGRITY')) throw error
    onProgress?.({ type: 'notice', code: 'history-unreadable', message: error.message })
    return []
  }
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
