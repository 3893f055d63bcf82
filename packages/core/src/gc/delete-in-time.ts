import type { CallOptions } from '../contract/call-options.ts'
import type { DeleteFailure, StorageBackend } from '../contract/storage-backend.ts'
import { provenGuarantees } from '../store/guarantees.ts'
import { DEFAULT_TTL_SECONDS } from './participant.ts'
import { readTime } from './store-clock.ts'

/**
 * Deletes the objects that make a tag, under a deadline where the store enforces one: a process
 * that was stopped in between cannot remove a tag that was pushed long after (H25 of
 * docs/garbage-collection.md).
 */
export async function deleteInTime(
  backend: StorageBackend,
  keys: readonly string[],
  {
    ttlSeconds = DEFAULT_TTL_SECONDS,
    signal,
  }: CallOptions & {
    /** How long the request is good for (default 600). */
    readonly ttlSeconds?: number | undefined
  } = {},
): Promise<readonly DeleteFailure[]> {
  const { deadlines } = await provenGuarantees(backend, { signal })
  if (!deadlines) return backend.delete(keys, { signal })
  const notAfter = new Date((await readTime(backend, { signal })) + ttlSeconds * 1000)
  return backend.delete(keys, { notAfter, signal })
}
