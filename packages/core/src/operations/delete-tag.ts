import type { CallOptions } from '../contract/call-options.ts'
import type { DeleteFailure, StorageBackend } from '../contract/storage-backend.ts'
import { isImmutable } from '../config/effective-config.ts'
import { S3loError } from '../errors.ts'
import { deleteInTime } from '../gc/delete-in-time.ts'
import { manifestKey } from '../layout/keys.ts'
import {
  type ConfigScope,
  formatReference,
  type StoreReference,
} from '../layout/store-reference.ts'
import { formatImageName, type Reference } from '../oci/reference.ts'
import type { ImageStore } from '../store/image-store.ts'
import { companionKeys, readLegacyFiles } from '../store/tag-files.ts'
import type { ForceOptions } from './options.ts'
import { assertTagged } from './tag-policy.ts'
import { formatStore } from '../layout/format-store.ts'

export type DeleteOptions = ForceOptions & CallOptions

/** What was deleted; field names are those of `--output json`. */
export interface DeleteResult {
  readonly ref: string
  readonly deleted: true
}

/**
 * Removes a tag, of either layout: its manifest first, so that it is gone at once, then the files
 * that belong to it by exact name. Blobs stay for the collector, but for those in the own folder of
 * a tag of layout v1.0.0. A nested image (`team/app` beside `team:app`) is never touched. Throws `NOT_FOUND`, and `CONFLICT` for an immutable image unless forced.
 */
export async function deleteTag(
  store: ImageStore,
  reference: StoreReference,
  options: DeleteOptions = {},
): Promise<DeleteResult> {
  assertTagged(reference, 'delete')
  const result = await removeTag(store, reference, options)
  if (result) return result
  throw new S3loError('NOT_FOUND', `${formatImageName(reference)} is not in ${store.name}`, {
    hint: `s3lo list ${formatStore(store.backend)} shows what is there`,
  })
}

/** As {@link deleteTag}, but absence is a value. */
async function removeTag(
  store: ImageStore,
  reference: StoreReference,
  { force = false, signal }: DeleteOptions,
): Promise<DeleteResult | undefined> {
  if (!force && isImmutable(await store.config({ signal }), reference.name)) {
    throw new S3loError('CONFLICT', `image ${reference.name} in ${store.name} is immutable`, {
      hint: 'pass --force to delete the tag all the same',
    })
  }
  const { backend } = store
  const companions = await presentCompanions(backend, reference, { signal })
  const legacy = await readLegacyFiles(backend, reference, { signal })
  const exists = await backend.head(manifestKey(reference), { signal })
  if (!exists && !legacy && companions.length === 0) return undefined
  // Both layouts: what one of them hid would be there again under the same name.
  const manifests = [...(legacy ? [legacy.manifest.key] : []), manifestKey(reference)]
  // In time: should this be held up for long, it must not take a tag that was pushed since.
  assertAllDeleted(await deleteInTime(backend, manifests, { signal }))
  const others = legacy?.others.map(({ key }) => key) ?? []
  assertAllDeleted(await backend.delete([...companions, ...others], { signal }))
  return { ref: formatReference(reference), deleted: true }
}

/** The tag's files beside its manifest that are really there. */
async function presentCompanions(
  backend: StorageBackend,
  reference: Reference,
  options: CallOptions,
): Promise<readonly string[]> {
  const keys: string[] = []
  for (const key of await companionKeys(backend, reference, options)) {
    if (await backend.head(key, options)) keys.push(key)
  }
  return keys
}

function assertAllDeleted([failure]: readonly DeleteFailure[]): void {
  if (failure) throw failure.error
}

export interface DeleteAllOptions extends DeleteOptions {
  /** Called for each tag once it is deleted: a later failure does not bring it back. */
  readonly onDeleted?: ((deleted: DeleteResult) => void) | undefined
}

/**
 * Removes every tag of one image, one after another; one that another process removes meanwhile is
 * passed over. Throws `NOT_FOUND` when it has none, and as {@link deleteTag}.
 */
export async function deleteAllTags(
  store: ImageStore,
  { image, ...location }: ConfigScope,
  { onDeleted, ...options }: DeleteAllOptions = {},
): Promise<readonly DeleteResult[]> {
  const results: DeleteResult[] = []
  for await (const tag of store.tags(image, options)) {
    const result = await removeTag(store, { ...location, image, name: image, tag }, options)
    if (!result) continue
    results.push(result)
    onDeleted?.(result)
  }
  if (results.length > 0) return results
  throw new S3loError('NOT_FOUND', `image ${image} is not in ${store.name}`, {
    hint: `s3lo list ${formatStore(store.backend)} shows what is there`,
  })
}
