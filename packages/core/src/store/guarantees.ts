import type { CallOptions } from '../contract/call-options.ts'
import type { BackendGuarantees, StorageBackend } from '../contract/storage-backend.ts'

/**
 * What the store guarantees, proven by writing to it where it is unknown. For a caller that is
 * about to write under a condition.
 */
export async function provenGuarantees(
  backend: StorageBackend,
  options?: CallOptions,
): Promise<BackendGuarantees> {
  return backend.proveGuarantees ? backend.proveGuarantees(options) : backend.guarantees
}
