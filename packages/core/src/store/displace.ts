import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { ObjectInfo, StorageBackend } from '../contract/storage-backend.ts'
import { isS3loError } from '../errors.ts'
import type { Protection } from '../gc/protection.ts'
import { manifestKey } from '../layout/keys.ts'
import { totalSize } from '../oci/descriptor.ts'
import {
  type ManifestDocument,
  MAX_MANIFEST_BYTES,
  parseDocument,
  successors,
} from '../oci/document.ts'
import { formatImageName, type Reference } from '../oci/reference.ts'
import type { BlobStore } from './blobs.ts'
import { readClosure } from './closure.ts'
import { orImageFault } from './image-fault.ts'
import { readVersion } from './read-object.ts'
import { recordPlace, writeRecord } from './records.ts'
import { type TagEventReason, writeTagEvent } from './tag-events.ts'

/** What a tag of layout v1.1.0 names at one moment. */
export interface PresentTag {
  readonly reference: Reference
  readonly info: ObjectInfo
  /** `undefined` for what is no manifest: nothing of it can be kept. */
  readonly document: ManifestDocument | undefined
}

/** What becomes of a tag whose image is displaced. */
export interface TagChange {
  readonly reason: TagEventReason
  /** The digest that it names from then on. */
  readonly became?: string | undefined
}

/** What displaces images: where they are, and what keeps collectors away from them meanwhile. */
export interface Displacing {
  readonly backend: StorageBackend
  readonly blobs: BlobStore
  readonly protection: Protection
}

/** Of one image; the tags of a whole round of retention are displaced together. */
const LOOKUPS_AT_ONCE = 16

/** What a tag names; `undefined` when there is none in layout v1.1.0. */
export async function readPresentTag(
  backend: StorageBackend,
  reference: Reference,
  options?: CallOptions,
): Promise<PresentTag | undefined> {
  const key = manifestKey(reference)
  const version = await orImageFault(() => readVersion(backend, key, MAX_MANIFEST_BYTES, options))
  if (isS3loError(version)) {
    // More than a manifest may have: it is replaced under the condition that it is still there.
    if (version.code !== 'INTEGRITY') throw version
    const info = await backend.head(key, options)
    return info && { reference, info, document: undefined }
  }
  if (!version) return undefined
  const { info, content } = version
  const name = formatImageName(reference)
  const document = await orImageFault(() => Promise.resolve(parseDocument(content, name)))
  return { reference, info, document: isS3loError(document) ? undefined : document }
}

/**
 * Pins what tags name that are about to name something else, or nothing: the digest where the
 * repository has its record, else all that is below it as well. Returns those whose images can be
 * kept: all but what is not whole. Two pins for any number of tags, one where all have records.
 */
export async function protectDisplaced(
  { blobs, protection }: Displacing,
  tags: readonly PresentTag[],
  options: CallOptions = {},
): Promise<readonly PresentTag[]> {
  const digests = tags.flatMap(({ document }) => document?.descriptor.digest ?? [])
  await protection.protect(digests, options)
  const kept: PresentTag[] = []
  const closures: string[] = []
  await forEachConcurrent(
    tags,
    LOOKUPS_AT_ONCE,
    async (tag, signal) => {
      const { document, reference } = tag
      if (!document) return
      const place = recordPlace(reference.name)
      if (!(await protection.has(document.descriptor, { signal }, place))) {
        const closure = await orImageFault(() => readClosure(blobs, document, { signal }))
        if (isS3loError(closure)) return
        closures.push(...closure.digests)
      }
      kept.push(tag)
    },
    options.signal,
  )
  await protection.protect(closures, options)
  return kept
}

/**
 * Writes the record of a displaced image anew, once its tag was looked at again under the pins of
 * {@link protectDisplaced}. Throws `CONFLICT` when the tag has changed since it was read.
 */
export async function renewRecord(
  { protection }: Displacing,
  { reference, document }: PresentTag,
  options: CallOptions = {},
): Promise<ObjectInfo | undefined> {
  if (!document) return undefined
  const { content } = document
  const origin = { key: manifestKey(reference), content, name: formatImageName(reference) }
  return writeRecord(protection, reference.name, document, { ...options, origin })
}

/** As {@link renewRecord}; then writes what happens to the tag. Returns the key of that event. */
export async function renewDisplaced(
  place: Displacing,
  tag: PresentTag,
  { reason, became }: TagChange,
  options: CallOptions = {},
): Promise<string | undefined> {
  const { reference, info, document } = tag
  if (!document) return undefined
  const { backend, protection } = place
  const { descriptor, manifest } = document
  const record = await renewRecord(place, tag, options)
  const event = {
    tag: reference.tag ?? '',
    was: descriptor.digest,
    since: info.lastModified.toISOString(),
    became,
    at: record?.lastModified ?? new Date(protection.time ?? Date.now()),
    reason,
    ...(manifest.kind === 'index' ? {} : { size_bytes: totalSize(successors(manifest)) }),
  }
  return writeTagEvent(backend, reference.name, event, options)
}
