import type { CallOptions } from '../contract/call-options.ts'
import { isS3loError } from '../errors.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import type { Manifest, ManifestDocument } from '../oci/document.ts'
import { isManifestMediaType } from '../oci/media-type.ts'
import type { Platform } from '../oci/platform.ts'
import {
  boundedLevels,
  type MetManifest,
  type ReadManifest,
  walkManifests,
} from '../store/walk-manifests.ts'
import { type ContentReader, readManifest } from './read-manifest.ts'

/** The entries of an index that are manifests themselves. */
export function childManifests(manifest: Manifest): readonly Descriptor[] {
  if (manifest.kind !== 'index') return []
  return manifest.manifests.filter(({ mediaType }) => isManifestMediaType(mediaType))
}

/** What {@link walkManifests} reads manifests by, from a source. */
export function readingFrom(source: ContentReader): ReadManifest {
  return (descriptor, options) => readManifest(source, descriptor, options)
}

/** The manifests below a root that were read, by digest. */
export type ReadManifests = ReadonlyMap<string, ManifestDocument>

export interface ReadBelowOptions extends CallOptions {
  /** Which manifests that an index names are read; default: all. */
  readonly follow?: ((entry: Descriptor) => boolean) | undefined
  /** Those that are not there are left out, in place of `NOT_FOUND`. */
  readonly isSparse?: boolean | undefined
}

/**
 * Reads every manifest below a root. Throws what is wrong with one of them, and `INTEGRITY` for
 * more than 64 MiB of them.
 */
export async function readBelow(
  source: ContentReader,
  root: ManifestDocument,
  { follow = () => true, isSparse = false, signal }: ReadBelowOptions = {},
): Promise<ReadManifests> {
  const documents = new Map<string, ManifestDocument>()
  const visit = ({ descriptor, found }: MetManifest): readonly Descriptor[] => {
    if (isS3loError(found)) {
      if (isSparse && found.code === 'NOT_FOUND') return []
      throw found
    }
    documents.set(descriptor.digest, found)
    return childManifests(found.manifest).filter(follow)
  }
  const start = childManifests(root.manifest).filter(follow)
  const onLevel = boundedLevels(root)
  await walkManifests(readingFrom(source), start, visit, { onLevel, signal })
  return documents
}

/** An entry of an index, or of an index inside of it. */
export interface GraphEntry {
  readonly entry: Descriptor
  /** The index that has it, and its place there. */
  readonly index: ManifestDocument
  readonly place: number
  /** Of the entry, or of the nearest index around it that has one. */
  readonly platform: Platform | undefined
  /** Where it was read. */
  readonly document?: ManifestDocument | undefined
  /** It was read and an earlier entry has it. */
  readonly isRepeated: boolean
}

/**
 * The entries of an index and of those inside of it, in order, an index after all that is in it. What
 * is in an index comes once: an index that lists another a thousand times is no larger for it.
 */
export function* entriesBelow(
  index: ManifestDocument,
  documents: ReadManifests,
  around?: Platform,
  seen = new Set<string>(),
): Generator<GraphEntry, void> {
  if (index.manifest.kind !== 'index') return
  for (const [place, entry] of index.manifest.manifests.entries()) {
    const { digest, platform = around } = entry
    const document = documents.get(digest)
    const isRepeated = document !== undefined && seen.has(digest)
    if (document && !isRepeated) {
      seen.add(digest)
      yield* entriesBelow(document, documents, platform, seen)
    }
    yield { entry, index, place, platform, document, isRepeated }
  }
}
