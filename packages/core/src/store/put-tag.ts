import type { CallOptions } from '../contract/call-options.ts'
import type { TagOptions } from '../contract/image-target.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import type {
  DeadlineOptions,
  ObjectInfo,
  PutOptions,
  StorageBackend,
  WriteCondition,
} from '../contract/storage-backend.ts'
import { isS3loError, S3loError } from '../errors.ts'
import { formatStore } from '../layout/format-store.ts'
import { manifestKey } from '../layout/keys.ts'
import { digestOf } from '../oci/digest.ts'
import type { ManifestDocument } from '../oci/document.ts'
import { formatImageName, type Reference } from '../oci/reference.ts'
import { provenGuarantees } from './guarantees.ts'
import { readLegacyManifest, readTagContent } from './manifests.ts'

export type PutTagOptions = Omit<TagOptions, 'imageSize' | 'forced'> & DeadlineOptions

/**
 * Writes the manifest of a tag: one write, guarded by the store where it can, else by looking before
 * and after. Gives the object; `undefined` when nothing was written, since the tag was to be created
 * and says the same already.
 */
export async function putTag(
  backend: StorageBackend,
  root: ManifestDocument,
  reference: Reference,
  { createOnly = false, replaces, onProgress, ...guards }: PutTagOptions,
): Promise<ObjectInfo | undefined> {
  const key = manifestKey(reference)
  const { signal, notAfter, onUnanswered } = guards
  const options = {
    signal,
    notAfter,
    onUnanswered,
    size: root.content.byteLength,
    mediaType: root.descriptor.mediaType,
  }
  if (!createOnly) {
    const condition = await whileUnchanged(backend, replaces, { signal })
    return backend.put(key, root.content, { ...options, condition })
  }
  const { createOnly: isEnforced } = await provenGuarantees(backend, { signal })
  if (!isEnforced) return putUnguarded(backend, root, reference, { ...options, onProgress })
  try {
    return await backend.put(key, root.content, { ...options, condition: { kind: 'absent' } })
  } catch (error) {
    if (!isS3loError(error, 'CONFLICT')) throw error
    if (await publishes(backend, root, reference, { signal })) return undefined
    throw tagExists(reference, backend, error)
  }
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

async function whileUnchanged(
  backend: StorageBackend,
  etag: string | undefined,
  options: CallOptions,
): Promise<WriteCondition | undefined> {
  if (etag === undefined) return undefined
  const { compareAndSwap } = await provenGuarantees(backend, options)
  return compareAndSwap ? { kind: 'unchanged', etag } : undefined
}

/**
 * Where the store ignores conditions: look, write, read back. Of two writers at the same moment
 * the last one wins; the other one learns it unless it looked before that.
 */
async function putUnguarded(
  backend: StorageBackend,
  root: ManifestDocument,
  reference: Reference,
  { onProgress, ...options }: PutOptions & ProgressOptions,
): Promise<ObjectInfo | undefined> {
  const { signal } = options
  const name = formatImageName(reference)
  const key = manifestKey(reference)
  if (await backend.head(key, { signal })) {
    if (await publishes(backend, root, reference, { signal })) return undefined
    throw tagExists(reference, backend)
  }
  onProgress?.({
    type: 'notice',
    code: 'immutability-not-enforced',
    message:
      `${backend.scheme}://${backend.bucket} does not refuse a second write of ${name}: ` +
      'two pushes at the same moment may both succeed, and the last one stays',
  })
  const info = await backend.put(key, root.content, options)
  if (await publishes(backend, root, reference, { signal })) return info
  throw new S3loError('CONFLICT', `another client published ${name} at the same moment`, {
    hint: `s3lo inspect ${formatStore(backend, name)} shows what is there`,
  })
}
