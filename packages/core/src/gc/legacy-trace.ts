import type { CallOptions } from '../contract/call-options.ts'
import type { ObjectInfo, StorageBackend } from '../contract/storage-backend.ts'
import { listKeys } from '../store/list-keys.ts'
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
  const own = await findLegacyFolder(backend, options)
  if (own) return own
  let left = searched
  for await (const key of listKeys(backend, MANIFESTS_PREFIX, options)) {
    // One that is gone by now is no trace: the next may be.
    const info = isLegacySidecar(key) ? await backend.head(key, options) : undefined
    if (info) return info
    if (--left <= 0) return undefined
  }
  return undefined
}

/** The first object in the folders that such a program has for itself. */
export async function findLegacyFolder(
  backend: StorageBackend,
  options: CallOptions,
): Promise<ObjectInfo | undefined> {
  for (const prefix of GO_PREFIXES) {
    for await (const info of backend.list(prefix, options)) return info
  }
  return undefined
}

/** True for a file that such a program writes beside the manifest of a tag. */
export function isLegacySidecar(key: string): boolean {
  return LEGACY_SIDECARS.some((file) => key.endsWith(`/${file}`))
}
