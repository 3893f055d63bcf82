import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import { isS3loError, S3loError } from '../errors.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { assertDepth, type Manifest, type ManifestDocument } from '../oci/document.ts'
import { isManifestMediaType } from '../oci/media-type.ts'
import type { Platform } from '../oci/platform.ts'
import { orImageFault } from '../store/image-fault.ts'
import { type ContentReader, readManifest } from './read-manifest.ts'

/** Manifests that one walk holds together may not exceed this (bytes). */
const MAX_HELD_BYTES = 64 * 1024 * 1024

const READS_AT_ONCE = 10

/** A manifest below the roots of a walk, met once however many indexes name it. */
export interface MetManifest {
  /** Of the entry that was met first. */
  readonly descriptor: Descriptor
  /** The manifest, or what is wrong with it: `NOT_FOUND` for one that is not there. */
  readonly found: ManifestDocument | S3loError
}

export interface WalkOptions extends CallOptions {
  /** Default: 10. */
  readonly readsAtOnce?: number | undefined
  /** Gets the manifests of a level before they are read. */
  readonly onLevel?: ((level: readonly Descriptor[]) => void) | undefined
}

/**
 * Reads manifests, and level by level those below them that `visit` returns: each digest once, several
 * at once. `visit` gets a manifest when it has been read, in any order within a level. One that is
 * damaged, missing, refused or nested too deep is a value; a source that does not answer is thrown.
 */
export async function walkManifests(
  source: ContentReader,
  start: Iterable<Descriptor>,
  visit: (met: MetManifest) => Iterable<Descriptor>,
  { readsAtOnce = READS_AT_ONCE, onLevel, signal: outer }: WalkOptions = {},
): Promise<void> {
  const seen = new Set<string>()
  const isNew = ({ digest }: Descriptor): boolean => !seen.has(digest) && Boolean(seen.add(digest))
  let level = [...start].filter(isNew)
  for (let depth = 1; level.length > 0; depth++) {
    const next: Descriptor[] = []
    onLevel?.(level)
    await forEachConcurrent(
      level,
      readsAtOnce,
      async (descriptor, signal) => {
        const found = await orImageFault(async () => {
          assertDepth(depth)
          return readManifest(source, descriptor, { signal })
        })
        for (const child of visit({ descriptor, found })) if (isNew(child)) next.push(child)
      },
      outer,
    )
    level = next
  }
}

/** The entries of an index that are manifests themselves. */
export function childManifests(manifest: Manifest): readonly Descriptor[] {
  if (manifest.kind !== 'index') return []
  return manifest.manifests.filter(({ mediaType }) => isManifestMediaType(mediaType))
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
  let held = root.content.byteLength
  const reserve = (level: readonly Descriptor[]): void => {
    for (const { size } of level) held += size
    if (held <= MAX_HELD_BYTES) return
    throw new S3loError('INTEGRITY', `the image's manifests exceed ${MAX_HELD_BYTES} bytes`)
  }
  const visit = ({ descriptor, found }: MetManifest): readonly Descriptor[] => {
    if (isS3loError(found)) {
      if (isSparse && found.code === 'NOT_FOUND') return []
      throw found
    }
    documents.set(descriptor.digest, found)
    return childManifests(found.manifest).filter(follow)
  }
  const start = childManifests(root.manifest).filter(follow)
  await walkManifests(source, start, visit, { onLevel: reserve, signal })
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
