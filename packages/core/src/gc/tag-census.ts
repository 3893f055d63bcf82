import type { CallOptions } from '../contract/call-options.ts'
import type { ObjectInfo, StorageBackend } from '../contract/storage-backend.ts'
import { S3loError } from '../errors.ts'
import { formatStore } from '../layout/format-store.ts'
import { readLegacyNames } from '../store/legacy-tags.ts'
import { readTagNames } from '../store/tags.ts'
import { listCollectable } from './collectable.ts'
import { CENSUS_PREFIX, censusKey, parseCensusKey } from './control-key.ts'

/**
 * How many tags the last clean of a store saw. A collector believes what a listing leaves out, so a
 * listing that lies (a proxy's page, a replica, a folder that is not mounted) is the one thing
 * that makes it delete the content of living images; this is what it is held against.
 *
 * The number is in the name of an empty object that is written once, so it is never seen half
 * written. Names that are not well formed count for nothing. A forged number makes
 * the next clean stop for a word of the operator, or takes the belt off as a first clean has none;
 * it never makes a clean delete more, and the clean after that removes it.
 */
export interface Census {
  /** Tags of every image. */
  readonly tags: number
}

/** A count, and what was written down about earlier ones. */
export interface TakenCensus extends Census {
  readonly earlier: readonly string[]
}

export interface CensusOptions extends CallOptions {
  /** Throws nothing for too few tags. */
  readonly expectFewer?: boolean | undefined
  /** How many tags a listing of all that the caller has just made shows; default: one is made. */
  readonly counted?: number | undefined
}

/**
 * Counts the tags of a store. Throws `INTEGRITY` where there is content but not one tag, and where
 * there are fewer than half of the tags that the last clean saw.
 */
export async function takeCensus(
  backend: StorageBackend,
  { expectFewer = false, counted, signal }: CensusOptions,
): Promise<TakenCensus> {
  const tags = counted ?? (await countTags(backend, { signal }))
  const recorded = await Array.fromAsync(listCensuses(backend, { signal }))
  const taken = { tags, earlier: recorded.map(({ info }) => info.key) }
  if (expectFewer) return taken
  assertEnough(backend, tags, recorded.toSorted(byAge).at(-1))
  if (tags === 0 && (await hasContent(backend, { signal }))) {
    throw missingTags(backend, 'has content, but not one tag')
  }
  return taken
}

async function countTags(backend: StorageBackend, options: CallOptions): Promise<number> {
  let tags = 0
  for await (const _ of readTagNames(backend, '', options)) tags++
  for await (const _ of readLegacyNames(backend, '', options)) tags++
  return tags
}

/** Throws `INTEGRITY` when a listing shows fewer than half of the tags that were seen before. */
export function assertEnough(
  backend: StorageBackend,
  tags: number,
  before: Census | undefined,
): void {
  if (!before || tags * 2 >= before.tags) return
  throw missingTags(backend, `shows ${tags} tags, where ${before.tags} were seen before`)
}

/** Remembers a number, in place of what earlier cleans have left. */
export async function recordCensus(
  backend: StorageBackend,
  tags: number,
  { earlier }: TakenCensus,
  { signal }: CallOptions = {},
): Promise<void> {
  const id = process.getBuiltinModule('node:crypto').randomUUID().replaceAll('-', '')
  const own = await backend.put(censusKey(tags, id), new Uint8Array(0), { size: 0, signal })
  const obsolete = new Set(earlier)
  // Of several cleans at once the newest number stays, and any of them removes the others.
  for await (const { info } of listCensuses(backend, { signal })) {
    if (info.lastModified < own.lastModified) obsolete.add(info.key)
  }
  if (obsolete.size > 0) await backend.delete([...obsolete], { signal })
}

interface RecordedCensus extends Census {
  readonly info: ObjectInfo
}

async function* listCensuses(
  backend: StorageBackend,
  options: CallOptions,
): AsyncGenerator<RecordedCensus, void> {
  for await (const info of backend.list(CENSUS_PREFIX, options)) {
    const tags = parseCensusKey(info.key)
    if (tags !== undefined) yield { tags, info }
  }
}

/** Of the same moment, which may be a second long, the greater number counts as the later one. */
function byAge(a: RecordedCensus, b: RecordedCensus): number {
  return a.info.lastModified.getTime() - b.info.lastModified.getTime() || a.tags - b.tags
}

async function hasContent(backend: StorageBackend, options: CallOptions): Promise<boolean> {
  for await (const _ of listCollectable(backend, options)) return true
  return false
}

function missingTags(backend: StorageBackend, what: string): S3loError {
  const ref = formatStore(backend)
  return new S3loError('INTEGRITY', `${ref} ${what}: nothing is deleted on such a listing`, {
    hint: `compare with s3lo list ${ref}; where tags were deleted on purpose: s3lo clean ${ref} --expect-fewer`,
  })
}
