import { isImmutable } from '../config/effective-config.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { DeleteFailure, StorageBackend } from '../contract/storage-backend.ts'
import { isS3loError, S3loError } from '../errors.ts'
import { deleteInTime } from '../gc/delete-in-time.ts'
import { formatStore } from '../layout/format-store.ts'
import {
  type ConfigScope,
  formatReference,
  type StoreReference,
} from '../layout/store-reference.ts'
import type { ManifestDocument } from '../oci/document.ts'
import { formatImageName, type Reference } from '../oci/reference.ts'
import { type PresentTag, readPresentTag } from '../store/displace.ts'
import { orImageFault } from '../store/image-fault.ts'
import type { ImageStore } from '../store/image-store.ts'
import { removeTags, whileDisplacing } from '../store/remove-tags.ts'
import { companionKeys, readLegacyFiles } from '../store/tag-files.ts'
import type { ForceOptions } from './options.ts'
import {
  damagedImage,
  findUses,
  otherRepositories,
  type Purge,
  purge,
  type Purged,
  type PurgeOptions,
  type WholeImage,
  wholeImage,
} from './purge.ts'
import { expiryBy, untilOf } from './untagged.ts'

export interface DeleteOptions extends ForceOptions, PurgeOptions {
  /** The image shall not stay pullable by its digest: its record and its history go as well. */
  readonly purge?: boolean | undefined
  /**
   * Of a digest: what it lists stays pullable by its own digest, where it was pushed by that. It is what
   * clients of registries count on, which delete one manifest after the other.
   */
  readonly keepChildren?: boolean | undefined
  /** False: `also_in` is not looked for, which lists every record of the store. */
  readonly alsoIn?: boolean | undefined
}

/** What was deleted; field names are those of `--output json`. */
export interface DeleteResult {
  readonly ref: string
  readonly deleted: true
  /** Of the image; absent where the tag named none. */
  readonly digest?: string
  /** Until when the image stays pullable by its digest: RFC 3339, or `forever`. */
  readonly kept_until?: string
  /** Tags that were deleted with it: what names a digest is deleted with that. */
  readonly tags?: readonly string[]
  /** With `purge`, and of a digest: what names the image still, so that it stays. */
  readonly remaining?: readonly string[]
  /**
   * With `purge`, and of a digest: other repositories of the store that have the image, or one of its
   * platforms, by their records. What they have stays.
   */
  readonly also_in?: readonly string[]
  /** With `purge`, and of a digest. */
  readonly purged?: Purged
}

/**
 * Removes a tag, of either layout: its manifest first, so that it is gone at once, then the files
 * that belong to it by exact name. The image stays pullable by its digest for as long as
 * `lifecycle.keep_untagged` says, unless it is purged. A digest is purged with all tags that name it.
 * Blobs stay for the collector, but for those in the own folder of a tag of layout v1.0.0. A nested
 * image (`team/app` beside `team:app`) is never touched. Throws `NOT_FOUND`, and `CONFLICT` for an
 * immutable image unless forced.
 */
export async function deleteTag(
  store: ImageStore,
  reference: StoreReference,
  options: DeleteOptions = {},
): Promise<DeleteResult> {
  const result =
    reference.digest === undefined
      ? await removeTag(store, reference, options)
      : await removeDigest(store, reference, reference.digest, options)
  if (result) return result
  throw new S3loError('NOT_FOUND', `${formatImageName(reference)} is not in ${store.name}`, {
    hint: `s3lo list ${formatStore(store.backend)} shows what is there`,
  })
}

/** As {@link deleteTag}, but absence is a value. */
async function removeTag(
  store: ImageStore,
  reference: StoreReference,
  options: DeleteOptions,
): Promise<DeleteResult | undefined> {
  await assertMutable(store, reference, options)
  const gone = await removeFiles(store, reference, options)
  if (!gone) return undefined
  const { document } = gone
  const ref = formatReference(reference)
  if (!document) return { ref, deleted: true }
  const { digest } = document.descriptor
  if (!options.purge) {
    const until = await keptUntil(store, reference.name, options)
    return { ref, deleted: true, digest, kept_until: until }
  }
  const image = await wholeImage(store, reference.name, document, options)
  const outcome = await purge(store, image, options)
  return { ref, deleted: true, digest, ...(await toResult(store, image, outcome, options)) }
}

async function removeDigest(
  store: ImageStore,
  reference: StoreReference,
  digest: string,
  options: DeleteOptions,
): Promise<DeleteResult | undefined> {
  await assertMutable(store, reference, options)
  const root = await orImageFault(() => store.find(reference, options))
  if (!root) return undefined
  const isDamaged = isS3loError(root)
  if (isDamaged && root.code !== 'INTEGRITY') throw root
  const whole = isDamaged
    ? damagedImage(reference.name, digest)
    : await wholeImage(store, reference.name, root, options)
  const image = options.keepChildren ? { ...whole, children: new Set<string>() } : whole
  const tags: string[] = []
  for (const tag of (await findUses(store, image, options)).tags) {
    const named = { name: reference.name, tag }
    // One that was moved meanwhile names something else.
    if (await removeFiles(store, named, { ...options, purge: true, only: digest })) tags.push(tag)
  }
  const outcome = await purge(store, image, options)
  // No record was in the way: what is damaged is a blob, which is not a tag's to lose.
  if (isDamaged && outcome.purged.records === 0) throw root
  const ref = formatReference(reference)
  return { ref, deleted: true, digest, tags, ...(await toResult(store, image, outcome, options)) }
}

async function toResult(
  store: ImageStore,
  image: WholeImage,
  { uses: { tags, holders }, purged }: Purge,
  { alsoIn = true, signal }: DeleteOptions,
): Promise<Pick<DeleteResult, 'remaining' | 'also_in' | 'purged'>> {
  const remaining = [...tags.map((tag) => `${image.repository}:${tag}`), ...holders]
  const others = alsoIn ? await otherRepositories(store, image, { signal }) : []
  return { remaining, ...(others.length > 0 ? { also_in: others } : {}), purged }
}

async function assertMutable(
  store: ImageStore,
  { name }: Reference,
  { force = false, signal }: DeleteOptions,
): Promise<void> {
  if (force || !isImmutable(await store.config({ signal }), name)) return
  throw new S3loError('CONFLICT', `image ${name} in ${store.name} is immutable`, {
    hint: 'pass --force to delete the tag all the same',
  })
}

/** By the store's clock as far as this machine's agrees with it. */
async function keptUntil(
  store: ImageStore,
  repository: string,
  { signal }: CallOptions,
): Promise<string> {
  const expiry = expiryBy(await store.config({ signal }))
  return untilOf(expiry.expiresAt({ repository, info: { lastModified: new Date() } }))
}

interface RemoveFilesOptions extends DeleteOptions {
  /** Only while the tag names this digest. */
  readonly only?: string | undefined
}

/** The files of a tag that was there, and what it named; `undefined` when there was nothing to delete. */
async function removeFiles(
  store: ImageStore,
  reference: Reference,
  options: RemoveFilesOptions,
): Promise<{ readonly document: ManifestDocument | undefined } | undefined> {
  const { backend } = store
  const { signal } = options
  const companions = await presentCompanions(backend, reference, { signal })
  const legacy = await readLegacyFiles(backend, reference, { signal })
  const present = await readPresentTag(backend, reference, { signal })
  if (!present && !legacy && companions.length === 0) return undefined
  if (isAnother(present, options)) return undefined
  // Both layouts, the hidden one first: it would be there again under the same name.
  const hidden = legacy ? [legacy.manifest.key] : []
  if (hidden.length > 0) assertAllDeleted(await deleteInTime(backend, hidden, { signal }))
  const document = await removeManifest(store, present, options)
  const others = legacy?.others.map(({ key }) => key) ?? []
  assertAllDeleted(await backend.delete([...companions, ...others], { signal }))
  return { document }
}

/** How often a tag is looked at again that others move at the same time. */
const MAX_ATTEMPTS = 16

/** Returns what the tag named when it was deleted. */
async function removeManifest(
  store: ImageStore,
  first: PresentTag | undefined,
  options: RemoveFilesOptions,
): Promise<ManifestDocument | undefined> {
  const { protection, purge: purges = false, signal } = options
  const reason = purges ? undefined : 'deleted'
  let present = first
  for (let attempt = 1; present && !isAnother(present, options); attempt++) {
    const tag = present
    const { reference } = tag
    const who = `delete of ${formatImageName(reference)}`
    const removal = await whileDisplacing(store, { who, ...protection, signal }, (place) =>
      removeTags(place, [tag], { reason, signal }),
    )
    assertAllDeleted(removal.failures)
    if (removal.removed.length > 0) return tag.document
    if (attempt === MAX_ATTEMPTS) throw contested(store, reference)
    present = await readPresentTag(store.backend, reference, { signal })
  }
  return first?.document
}

function isAnother(
  tag: PresentTag | undefined,
  { only }: Pick<RemoveFilesOptions, 'only'>,
): boolean {
  return only !== undefined && tag !== undefined && tag.document?.descriptor.digest !== only
}

function contested({ name, backend }: ImageStore, reference: Reference): S3loError {
  const image = formatImageName(reference)
  return new S3loError('CONFLICT', `${image} in ${name} is moved by others all the time`, {
    hint: `run it again, or see what is there: s3lo inspect ${formatStore(backend, image)}`,
  })
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
  for await (const tag of store.tags(image, { signal: options.signal })) {
    const result = await removeTag(store, { ...location, name: image, tag }, options)
    if (!result) continue
    results.push(result)
    onDeleted?.(result)
  }
  if (results.length > 0) return results
  throw new S3loError('NOT_FOUND', `image ${image} is not in ${store.name}`, {
    hint: `s3lo list ${formatStore(store.backend)} shows what is there`,
  })
}
