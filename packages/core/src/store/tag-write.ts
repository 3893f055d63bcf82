import type { CallOptions } from '../contract/call-options.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import type { StorageBackend, WriteCondition } from '../contract/storage-backend.ts'
import { S3loError } from '../errors.ts'
import { formatStore } from '../layout/format-store.ts'
import { manifestKey } from '../layout/keys.ts'
import { digestOf } from '../oci/digest.ts'
import type { ManifestDocument } from '../oci/document.ts'
import { formatImageName, type Reference } from '../oci/reference.ts'
import { provenGuarantees } from './guarantees.ts'
import { readLegacyManifest, readTagContent } from './manifests.ts'

/** How a tag is created: guarded by the store where it can, else by looking before and after. */
type TagGuard =
  /** The tag says the same already, and is left as it is. */
  | { readonly kind: 'done' }
  /** Without a condition, which the store ignores, the tag is read back. */
  | { readonly kind: 'write'; readonly condition: WriteCondition | undefined }

/** Throws `CONFLICT` where the tag names another manifest. */
export async function tagGuard(
  backend: StorageBackend,
  root: ManifestDocument,
  reference: Reference,
  { signal, onProgress }: CallOptions & ProgressOptions,
): Promise<TagGuard> {
  const guarantees = await provenGuarantees(backend, { signal })
  if (guarantees.createOnly) return { kind: 'write', condition: { kind: 'absent' } }
  if (await backend.head(manifestKey(reference), { signal })) {
    if (await publishes(backend, root, reference, { signal })) return { kind: 'done' }
    throw tagExists(reference, backend)
  }
  onProgress?.({
    type: 'notice',
    code: 'immutability-not-enforced',
    message:
      `${backend.scheme}://${backend.bucket} does not refuse a second write of ${formatImageName(reference)}: ` +
      'two pushes at the same moment may both succeed, and the last one stays',
  })
  return { kind: 'write', condition: undefined }
}

/**
 * Of two writers at the same moment the last one wins; the other one learns it here, unless it looks
 * before that. Throws `CONFLICT`.
 */
export async function assertPublished(
  backend: StorageBackend,
  root: ManifestDocument,
  reference: Reference,
  options: CallOptions,
): Promise<void> {
  if (await publishes(backend, root, reference, options)) return
  const name = formatImageName(reference)
  throw new S3loError('CONFLICT', `another client published ${name} at the same moment`, {
    hint: `s3lo inspect ${formatStore(backend, name)} shows what is there`,
  })
}

/** The digest of what a tag publishes, manifest or not; `undefined` where there is no such tag. */
export async function presentDigest(
  backend: StorageBackend,
  reference: Reference,
  options?: CallOptions,
): Promise<string | undefined> {
  const published = await readTagContent(backend, reference, options)
  if (published) return digestOf(published.content)
  return (await readLegacyManifest(backend, reference, options))?.descriptor.digest
}

/** The refusal to overwrite an immutable tag. */
export function tagExists(
  reference: Reference,
  { scheme, bucket }: Pick<StorageBackend, 'scheme' | 'bucket'>,
  cause?: unknown,
): S3loError {
  return new S3loError(
    'CONFLICT',
    `tag ${formatImageName(reference)} in ${scheme}://${bucket} is immutable and names another image`,
    { hint: 'push a new tag, or pass --force to overwrite it', cause },
  )
}

async function publishes(
  backend: StorageBackend,
  { descriptor }: ManifestDocument,
  reference: Reference,
  options: CallOptions,
): Promise<boolean> {
  return (await presentDigest(backend, reference, options)) === descriptor.digest
}
