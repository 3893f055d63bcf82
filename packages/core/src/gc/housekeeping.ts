import type { CallOptions } from '../contract/call-options.ts'
import { type StorageBackend, supports } from '../contract/storage-backend.ts'
import {
  BLOBS_PREFIX,
  MANIFESTS_PREFIX,
  OWN_PREFIX,
  PROBE_PREFIX,
  stagingKey,
} from '../layout/keys.ts'
import { CLOCK_PREFIX, isClockKey } from './control-key.ts'
import { type ControlObject, listControls, readControl } from './control-object.ts'
import type { Others } from './others.ts'
import { listRepositoryLeftovers } from './repository-leftovers.ts'

/** Unfinished work that is older than this (milliseconds) was abandoned: no single upload takes a day. */
const ABANDONED_AFTER_MS = 24 * 3_600_000

/** Uploads below other prefixes may belong to other programs. */
const OWN_UPLOADS = [BLOBS_PREFIX, MANIFESTS_PREFIX, OWN_PREFIX]

/** What was removed that is no content. */
export interface HousekeepingResult {
  readonly pinsRemoved: number
  readonly roundsRemoved: number
  /**
   * Content whose digest was never learned, marks of clock readings, traces of probes, and of
   * repositories: dead links, abandoned uploads in pieces, members whose blob is gone.
   */
  readonly leftoversRemoved: number
  readonly uploadsAborted: number
}

export interface HousekeepingOptions extends CallOptions {
  /** The store's time, milliseconds since 1970. */
  readonly now: number
  readonly others: Others
  /** Counts only. */
  readonly isDryRun: boolean
  /** In place of {@link ABANDONED_AFTER_MS}: for tests. */
  readonly abandonedAfterMs?: number | undefined
}

/** Removes dead pins and rounds, and what crashed writers left (docs/garbage-collection.md, step C0). */
export async function keepHouse(
  backend: StorageBackend,
  options: HousekeepingOptions,
): Promise<HousekeepingResult> {
  return {
    pinsRemoved: await removeAll(backend, deadControls(backend, 'pin', options), options),
    roundsRemoved: await removeAll(backend, deadControls(backend, 'round', options), options),
    leftoversRemoved: await removeAll(backend, leftovers(backend, options), options),
    uploadsAborted: await abortUploads(backend, options),
  }
}

async function* deadControls(
  backend: StorageBackend,
  kind: 'pin' | 'round',
  options: HousekeepingOptions,
): AsyncGenerator<string, void> {
  for await (const control of listControls(backend, kind, { signal: options.signal })) {
    if (await isOver(backend, control, options)) yield control.key
  }
}

async function isOver(
  backend: StorageBackend,
  control: ControlObject,
  { now, others, signal }: HousekeepingOptions,
): Promise<boolean> {
  if (others.isDead(control, now)) return true
  // Only where requests end with their process does it help to know that one has ended.
  if (backend.guarantees.endsWithProcess !== true) return false
  const read = await readControl(backend, control, { signal })
  return read !== undefined && others.isOver(control, read.author, now)
}

async function* leftovers(
  backend: StorageBackend,
  { now, others, abandonedAfterMs = ABANDONED_AFTER_MS, signal }: HousekeepingOptions,
): AsyncGenerator<string, void> {
  yield* listRepositoryLeftovers(backend, { now, others, abandonedAfterMs, signal })
  for (const prefix of [stagingKey(''), CLOCK_PREFIX, PROBE_PREFIX]) {
    for await (const { key, lastModified } of backend.list(prefix, { signal })) {
      if (prefix === CLOCK_PREFIX && !isClockKey(key)) continue
      if (lastModified.getTime() + abandonedAfterMs < now) yield key
    }
  }
}

const KEYS_PER_REQUEST = 1000

async function removeAll(
  backend: StorageBackend,
  keys: AsyncIterable<string>,
  { isDryRun, signal }: HousekeepingOptions,
): Promise<number> {
  let removed = 0
  let batch: string[] = []
  const remove = async (): Promise<void> => {
    const failures = isDryRun || batch.length === 0 ? [] : await backend.delete(batch, { signal })
    removed += batch.length - failures.length
    batch = []
  }
  for await (const key of keys) {
    batch.push(key)
    if (batch.length === KEYS_PER_REQUEST) await remove()
  }
  await remove()
  return removed
}

async function abortUploads(
  backend: StorageBackend,
  { now, isDryRun, abandonedAfterMs = ABANDONED_AFTER_MS, signal }: HousekeepingOptions,
): Promise<number> {
  if (!supports(backend, 'abandonedUploads') || !supports(backend, 'abortUpload')) return 0
  let aborted = 0
  for await (const upload of backend.abandonedUploads({ signal })) {
    if (!OWN_UPLOADS.some((prefix) => upload.key.startsWith(prefix))) continue
    if (upload.startedAt.getTime() + abandonedAfterMs >= now) continue
    if (!isDryRun) await backend.abortUpload(upload, { signal })
    aborted++
  }
  return aborted
}
