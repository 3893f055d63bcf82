import type { BackendOptions, StoreLocation } from '@s3lo/core/plugin'
import { LocalBackend } from './local-backend.ts'

/**
 * Opens the directory `bucket`, as typed and relative to the working directory of this moment.
 * It need not exist: the first `put` makes it. Throws `INVALID_REFERENCE` when it is empty.
 */
export async function openBackend(
  { bucket }: StoreLocation,
  { signal }: BackendOptions,
): Promise<LocalBackend> {
  signal?.throwIfAborted()
  return new LocalBackend(bucket)
}

export { isStore } from './is-store.ts'
