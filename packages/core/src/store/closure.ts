import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import { S3loError } from '../errors.ts'
import {
  assertDepth,
  type ManifestDocument,
  MAX_MANIFEST_BYTES,
  parseDocument,
  successors,
} from '../oci/document.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { isManifestMediaType } from '../oci/media-type.ts'
import { readAll } from '../stream/read-all.ts'
import type { BlobStore } from './blobs.ts'

/** What keeps an image whole. */
export interface Closure {
  /** Of the manifest and of all that is below it, each once. */
  readonly digests: readonly string[]
  /** The manifests below it. */
  readonly children: readonly ManifestDocument[]
}

/** Manifests of one image together may not exceed this (bytes): they are held. */
const MAX_BYTES = 64 * 1024 * 1024
const READS_AT_ONCE = 10

/**
 * Everything below a manifest of the store; the manifests among it are read. Throws `NOT_FOUND` and
 * `INTEGRITY` for an image that is not whole, or has no end.
 */
export async function readClosure(
  blobs: BlobStore,
  root: ManifestDocument,
  options: CallOptions = {},
): Promise<Closure> {
  const digests = new Set([root.descriptor.digest])
  const children: ManifestDocument[] = []
  let level = [root]
  let bytes = 0
  for (let depth = 1; level.length > 0; depth++) {
    const entries: Descriptor[] = []
    for (const { manifest } of level) {
      for (const descriptor of successors(manifest)) {
        const isNew = !digests.has(descriptor.digest)
        digests.add(descriptor.digest)
        if (isNew && isManifestMediaType(descriptor.mediaType)) entries.push(descriptor)
      }
    }
    if (entries.length > 0) assertDepth(depth)
    for (const { size } of entries) bytes += size
    if (bytes > MAX_BYTES) {
      throw new S3loError('INTEGRITY', `the image's manifests exceed ${MAX_BYTES} bytes`)
    }
    level = await readManifests(blobs, entries, options)
    children.push(...level)
  }
  return { digests: [...digests], children }
}

async function readManifests(
  blobs: BlobStore,
  descriptors: readonly Descriptor[],
  options: CallOptions,
): Promise<ManifestDocument[]> {
  const documents: ManifestDocument[] = []
  await forEachConcurrent(
    descriptors,
    READS_AT_ONCE,
    async (descriptor, signal) => {
      const { digest } = descriptor
      const content = await readAll(
        await blobs.open(descriptor, { signal }),
        MAX_MANIFEST_BYTES,
        digest,
      )
      documents.push(parseDocument(content, digest, { digest }))
    },
    options.signal,
  )
  return documents
}
