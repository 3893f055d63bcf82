import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { DeleteFailure } from '../contract/storage-backend.ts'
import { isS3loError } from '../errors.ts'
import { deleteInTime } from '../gc/delete-in-time.ts'
import { Protection, type ProtectionOptions } from '../gc/protection.ts'
import { manifestKey } from '../layout/keys.ts'
import { type Displacing, type PresentTag, protectDisplaced, renewDisplaced } from './displace.ts'
import type { ImageStore } from './image-store.ts'
import { lookIn } from './content-look.ts'
import type { TagEventReason } from './tag-events.ts'

export interface RemoveTagsOptions extends CallOptions {
  /** Of the events. Without one nothing is kept: what the tags name is not wanted any more. */
  readonly reason: TagEventReason | undefined
}

/** What became of tags that were to be removed. */
export interface RemovedTags {
  readonly removed: readonly PresentTag[]
  /** They name something else than what was read, or nothing: they are left as they are. */
  readonly changed: readonly PresentTag[]
  readonly failures: readonly DeleteFailure[]
}

const REQUESTS_AT_ONCE = 16

/** Runs what displaces images of a store; collectors may have what they held afterwards. */
export async function whileDisplacing<T>(
  { backend, blobs }: Pick<ImageStore, 'backend' | 'blobs'>,
  options: ProtectionOptions,
  work: (place: Displacing) => Promise<T>,
): Promise<T> {
  const look = lookIn(backend, blobs, () => Promise.resolve(true))
  const protection = new Protection(backend, look, options)
  try {
    return await work({ backend, blobs, protection })
  } finally {
    await protection.release()
  }
}

/**
 * Deletes the manifests of tags of layout v1.1.0, with one request, once the records of their images
 * are written anew. Tags that are not any more what was read are looked at again right before it.
 */
export async function removeTags(
  place: Displacing,
  tags: readonly PresentTag[],
  { reason, signal }: RemoveTagsOptions,
): Promise<RemovedTags> {
  const { backend, protection } = place
  const events = new Map<PresentTag, string>()
  const unchanged: PresentTag[] = []
  const changed: PresentTag[] = []
  const kept = new Set(reason && (await protectDisplaced(place, tags, { signal })))
  // Of pins that the records below are written under: they are young when a tag goes.
  const until = protection.deadline
  const prepare = async (tag: PresentTag, taskSignal: AbortSignal): Promise<void> => {
    const call = { signal: taskSignal }
    if (reason && kept.has(tag)) {
      const event = await orChanged(() => renewDisplaced(place, tag, { reason }, call))
      if (event === undefined) return void changed.push(tag)
      events.set(tag, event)
    }
    const now = await backend.head(tag.info.key, call)
    ;(now?.etag === tag.info.etag ? unchanged : changed).push(tag)
  }
  await forEachConcurrent(tags, REQUESTS_AT_ONCE, prepare, signal)
  const keys = unchanged.map(({ reference }) => manifestKey(reference))
  const failures = keys.length === 0 ? [] : await deleteInTime(backend, keys, { until, signal })
  const stayed = new Set(failures.map(({ key }) => key))
  const removed = unchanged.filter(({ info }) => !stayed.has(info.key))
  // What did not take place is not remembered.
  const untrue = [...events].flatMap(([tag, key]) => (removed.includes(tag) ? [] : key))
  if (untrue.length > 0) await backend.delete(untrue, { signal })
  return { removed, changed, failures }
}

async function orChanged<T>(renew: () => Promise<T>): Promise<T | undefined> {
  try {
    return await renew()
  } catch (error) {
    if (isS3loError(error, 'CONFLICT')) return undefined
    throw error
  }
}
