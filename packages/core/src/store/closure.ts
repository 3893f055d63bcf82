import type { CallOptions } from '../contract/call-options.ts'
import { isS3loError } from '../errors.ts'
import {
  type ManifestDocument,
  MAX_MANIFEST_BYTES,
  parseDocument,
  successors,
} from '../oci/document.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { isManifestMediaType } from '../oci/media-type.ts'
import { readAll } from '../stream/read-all.ts'
import type { BlobStore } from './blobs.ts'
import {
  boundedLevels,
  type MetManifest,
  type ReadManifest,
  walkManifests,
} from './walk-manifests.ts'

/** What keeps an image whole. */
export interface Closure {
  /** Of the manifest and of all that is below it, each once. */
  readonly digests: readonly string[]
  /** The manifests below it. */
  readonly children: readonly ManifestDocument[]
}

/**
 * Everything below a manifest of the store; the manifests among it are read. Throws `NOT_FOUND` and
 * `INTEGRITY` for an image that is not whole, or has no end.
 */
export async function readClosure(
  blobs: BlobStore,
  root: ManifestDocument,
  { signal }: CallOptions = {},
): Promise<Closure> {
  const digests = new Set([root.descriptor.digest])
  const children: ManifestDocument[] = []
  /** Notes what a manifest names. Returns the manifests among it. */
  const take = ({ manifest }: ManifestDocument): readonly Descriptor[] => {
    const named = successors(manifest)
    for (const { digest } of named) digests.add(digest)
    return named.filter(({ mediaType }) => isManifestMediaType(mediaType))
  }
  const visit = ({ found }: MetManifest): readonly Descriptor[] => {
    if (isS3loError(found)) throw found
    children.push(found)
    return take(found)
  }
  const onLevel = boundedLevels(root)
  await walkManifests(readingFrom(blobs), take(root), visit, { onLevel, signal })
  return { digests: [...digests], children }
}

function readingFrom(blobs: BlobStore): ReadManifest {
  return async (descriptor, options) => {
    const { digest } = descriptor
    const body = await blobs.open(descriptor, options)
    return parseDocument(await readAll(body, MAX_MANIFEST_BYTES, digest), digest, { digest })
  }
}
