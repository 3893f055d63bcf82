import type { CallOptions } from '../contract/call-options.ts'
import type { ObjectInfo, StorageBackend } from '../contract/storage-backend.ts'
import { GO_PREFIXES, LEGACY_SIDECARS, MANIFESTS_PREFIX } from '../layout/keys.ts'

export interface LegacyTraceOptions extends CallOptions {
  /** How many objects of `manifests/` are looked at, beside the folders that are the program's own. */
  readonly searched?: number | undefined
}

/**
 * The first object that tells of a program that writes no pins. The grace period protects what such
 * a program uploads or touches; old garbage that it re-uses after a bare look cannot be protected
 * (docs/garbage-collection.md, writers that know no pins), so a clean says what it has found.
 */
export async function findLegacyTrace(
  backend: StorageBackend,
  { searched = Infinity, ...options }: LegacyTraceOptions = {},
): Promise<ObjectInfo | undefined> {
  for (const prefix of GO_PREFIXES) {
    for await (const info of backend.list(prefix, options)) return info
  }
  let left = searched
  for await (const info of backend.list(MANIFESTS_PREFIX, options)) {
    if (LEGACY_SIDECARS.some((file) => info.key.endsWith(`/${file}`))) return info
    if (--left <= 0) return undefined
  }
  return undefined
}
