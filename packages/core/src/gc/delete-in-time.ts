import type { CallOptions } from '../contract/call-options.ts'
import type { DeleteFailure, StorageBackend } from '../contract/storage-backend.ts'
import { provenGuarantees } from '../store/guarantees.ts'
import { DEFAULT_TTL_SECONDS } from './participant.ts'
import { readTime } from './store-clock.ts'

export interface DeleteInTimeOptions extends CallOptions {
  /** By the store's clock, milliseconds since 1970 (default: in ten minutes). */
  readonly until?: number | undefined
}

/**
 * Deletes the objects that make a tag, under a deadline where the store enforces one: a process
 * that was stopped in between cannot remove a tag that was pushed long after (H25 of
 * docs/garbage-collection.md).
 */
export async function deleteInTime(
  backend: StorageBackend,
  keys: readonly string[],
  { until, signal }: DeleteInTimeOptions = {},
): Promise<readonly DeleteFailure[]> {
  const { deadlines } = await provenGuarantees(backend, { signal })
  if (!deadlines) return backend.delete(keys, { signal })
  const last = until ?? (await readTime(backend, { signal })) + DEFAULT_TTL_SECONDS * 1000
  return backend.delete(keys, { notAfter: new Date(last), signal })
}
