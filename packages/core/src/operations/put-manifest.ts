import { Readable } from 'node:stream'
import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import { isImmutable } from '../config/effective-config.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { TagOptions } from '../contract/image-target.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import { S3loError } from '../errors.ts'
import { withPublication } from '../graph/with-publication.ts'
import { type Descriptor, isForeignLayer, totalSize, uniqueByDigest } from '../oci/descriptor.ts'
import { digestOf } from '../oci/digest.ts'
import { type ManifestDocument, successors, toDocument } from '../oci/document.ts'
import { isManifestMediaType } from '../oci/media-type.ts'
import { formatImageName } from '../oci/reference.ts'
import type { ImageStore } from '../store/image-store.ts'
import type { PublishOptions } from './options.ts'
import { readTagContent } from '../store/manifests.ts'
import type { StorePublication } from '../store/publication.ts'
import { readRecord } from '../store/records.ts'

/** What a tag has to be when it is written. */
export type TagExpectation =
  | { readonly kind: 'absent' }
  /** It names a manifest of one of these digests (of sha256). */
  | { readonly kind: 'one-of'; readonly digests: readonly string[] }
  | { readonly kind: 'present' }

export interface PutManifestOptions extends CallOptions, ProgressOptions {
  /** Of every tag. Without it, tags are moved from any manifest. */
  readonly expects?: TagExpectation | undefined
  /**
   * Whether what the manifest names may be named by the one who sends it; default: everything of the
   * store. What it may not is missing.
   */
  readonly mayName?: ((digest: string, options: CallOptions) => Promise<boolean>) | undefined
  /**
   * Called for each tag, before the first of them is written, once all that the manifest names is known
   * to be there: what it throws keeps everything from being published.
   */
  readonly beforePublish?: PublishOptions['beforePublish']
  /** How long collectors are waited for (milliseconds, default without end); then `UNAVAILABLE`. */
  readonly maxWaitMs?: number | undefined
}

/** A manifest whose content is in a store already. */
export interface ManifestPut {
  readonly repository: string
  /** Its descriptor has the digest that it is to be known by. */
  readonly document: ManifestDocument
  /** True where it is named by that digest, besides the tags. */
  readonly isByDigest: boolean
  readonly tags: readonly string[]
}

/** `incomplete`: nothing was published, because these digests are missing. */
export type ManifestPutResult =
  | { readonly kind: 'published' }
  | { readonly kind: 'incomplete'; readonly missing: readonly string[] }

const LOOKUPS_AT_ONCE = 16

/**
 * Publishes a manifest of which the store has the rest: under its digest, and under tags. Layers that
 * only their maker distributes may be missing, and so may the subject. Throws `CONFLICT` for a tag
 * that is not what is expected or is immutable, `UNAVAILABLE` where a collector takes too long.
 */
export async function putManifest(
  store: ImageStore,
  put: ManifestPut,
  options: PutManifestOptions = {},
): Promise<ManifestPutResult> {
  const { document, isByDigest, repository, tags } = put
  const { content, descriptor } = document
  const tagged = toDocument(content, descriptor.mediaType)
  let isAdmitted = false
  const admit = async (): Promise<void> => {
    if (isAdmitted) return
    for (const tag of tags) await options.beforePublish?.(tagged, { name: repository, tag })
    isAdmitted = true
  }
  if (isByDigest) {
    const result = await publish(store, put, options, async (publication, { signal }) => {
      await admit()
      // Parents may name it.
      await publication.put(descriptor, async () => Readable.from([content]), { signal })
      await publication.record(document, repository, { signal })
    })
    if (result.kind === 'incomplete') return result
  }
  const { onProgress } = options
  for (const tag of tags) {
    const reference = { name: repository, tag }
    const conditions = await tagConditions(store, tagged, reference, options)
    const result = await publish(store, put, options, async (publication, { signal }) => {
      await admit()
      const tagOptions = { ...conditions, ...sizeOf(document), onProgress, signal }
      await publication.tag(tagged, reference, tagOptions)
    })
    if (result.kind === 'incomplete') return result
  }
  return { kind: 'published' }
}

/** Looks for all that the manifest names, under pins, and lets `write` publish it. */
function publish(
  store: ImageStore,
  { document, repository }: ManifestPut,
  options: PutManifestOptions,
  write: (publication: StorePublication, options: CallOptions) => Promise<void>,
): Promise<ManifestPutResult> {
  const { maxWaitMs, onProgress, signal } = options
  const { descriptor, manifest } = document
  const named = uniqueByDigest(successors(manifest).filter((entry) => !isForeignLayer(entry)))
  const { subject } = manifest
  const begin = { purpose: `push to ${repository}`, maxWaitMs, onProgress }
  return withPublication(store, begin, async (publication) => {
    const digests = [descriptor, ...named, ...(subject ? [subject] : [])].map(
      ({ digest }) => digest,
    )
    await publication.protect(digests, { signal })
    const missing = await findMissing(store, publication, repository, named, options)
    if (missing.length > 0) return { kind: 'incomplete', missing }
    await write(publication, { signal })
    return { kind: 'published' }
  })
}

/** In the order of the manifest. */
async function findMissing(
  store: ImageStore,
  publication: StorePublication,
  repository: string,
  named: readonly Descriptor[],
  { mayName, signal: outer }: PutManifestOptions,
): Promise<readonly string[]> {
  const missing = new Set<string>()
  await forEachConcurrent(
    named,
    LOOKUPS_AT_ONCE,
    async (entry, signal) => {
      const { digest } = entry
      const isThere =
        (mayName === undefined || (await mayName(digest, { signal }))) &&
        ((await publication.has(entry, { signal })) ||
          (await restoreChild(store, publication, repository, entry, { signal })))
      if (!isThere) missing.add(digest)
    },
    outer,
  )
  return named.map(({ digest }) => digest).filter((digest) => missing.has(digest))
}

/** A child of an index that was pushed under a tag alone is a record, and no blob yet. */
async function restoreChild(
  { backend }: ImageStore,
  publication: StorePublication,
  repository: string,
  entry: Descriptor,
  { signal }: CallOptions,
): Promise<boolean> {
  if (!isManifestMediaType(entry.mediaType)) return false
  const record = await readRecord(backend, repository, entry.digest, { signal })
  if (record?.descriptor.size !== entry.size) return false
  await publication.put(entry, async () => Readable.from([record.content]), { signal })
  return true
}

/** How the tag is written. Throws `CONFLICT` where it is not as expected now. */
async function tagConditions(
  store: ImageStore,
  { descriptor }: ManifestDocument,
  reference: { readonly name: string; readonly tag: string },
  { expects, signal }: PutManifestOptions,
): Promise<Pick<TagOptions, 'createOnly' | 'replaces'>> {
  const isFixed = isImmutable(await store.config({ signal }), reference.name)
  if (!expects && !isFixed) return {}
  const present = await readTagContent(store.backend, reference, { signal })
  const digest = present && digestOf(present.content)
  if (isFixed && digest !== undefined && digest !== descriptor.digest) {
    throw new S3loError('CONFLICT', `tag ${formatImageName(reference)} is immutable`, {
      hint: 'push a new tag',
    })
  }
  if (expects && !isExpected(expects, digest)) {
    const found = digest === undefined ? 'does not exist' : `names ${digest}`
    throw new S3loError('CONFLICT', `tag ${formatImageName(reference)} ${found}`)
  }
  return isFixed || !present ? { createOnly: true } : { replaces: present.etag }
}

function isExpected(expects: TagExpectation, digest: string | undefined): boolean {
  if (expects.kind === 'absent') return digest === undefined
  if (digest === undefined) return false
  return expects.kind === 'present' || expects.digests.includes(digest)
}

/** For the tag's history. What an index has below it is not added up. */
function sizeOf({ manifest }: ManifestDocument): Pick<TagOptions, 'imageSize'> {
  return manifest.kind === 'index' ? {} : { imageSize: totalSize(successors(manifest)) }
}
