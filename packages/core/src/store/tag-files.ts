import type { CallOptions } from '../contract/call-options.ts'
import type { ObjectInfo, StorageBackend } from '../contract/storage-backend.ts'
import { legacyPrefix, sidecarKeys } from '../layout/keys.ts'
import { parseLegacyKey } from '../layout/parse-key.ts'
import type { Reference } from '../oci/reference.ts'
import { isManifest } from './legacy-tags.ts'
import { signatureKeys } from './signature-records.ts'

/** The keys of a tag's own files beside its manifest in layout v1.1.0; those of fixed names may be missing. */
export async function companionKeys(
  backend: StorageBackend,
  reference: Reference,
  options?: CallOptions,
): Promise<readonly string[]> {
  const signatures = signatureKeys(backend, reference, options)
  return [...sidecarKeys(reference), ...(await Array.fromAsync(signatures))]
}

/** What layout v1.0.0 has of a tag: all of it belongs to this tag alone, its blobs too. */
export interface LegacyFiles {
  readonly manifest: ObjectInfo
  readonly others: readonly ObjectInfo[]
}

/**
 * The tag's files in layout v1.0.0; `undefined` where there is no such tag. Files of images that are
 * nested in its folder are not among them.
 */
export async function readLegacyFiles(
  backend: StorageBackend,
  { name, tag = '' }: Reference,
  options?: CallOptions,
): Promise<LegacyFiles | undefined> {
  const prefix = legacyPrefix({ name, tag })
  const others: ObjectInfo[] = []
  let manifest: ObjectInfo | undefined
  if (prefix === undefined) return undefined
  for await (const info of backend.list(prefix, options)) {
    const parsed = parseLegacyKey(info.key)
    if (parsed?.image !== name || parsed.tag !== tag) continue
    if (parsed.kind === 'manifest') manifest = info
    else others.push(info)
  }
  if (!manifest) return undefined
  const isImage = others.length > 0 || (await isManifest(backend, manifest.key, options))
  return isImage ? { manifest, others } : undefined
}
