import { type CallOptions, type ImageSource, isS3loError } from '@s3lo/core/plugin'
import { type Descriptor, formatPlatform, MAX_MANIFEST_BYTES, readAll } from '@s3lo/core'
import type { SociBlobStore } from '../index/build-contract.ts'
import { indexImages, manifestPlatform, readDocument } from '../index/image-platforms.ts'
import {
  type Index,
  indexAnnotationBuildToolIdentifier,
  indexAnnotationImageLayerDigest,
  indexAnnotationImageManifestDigest,
  indexAnnotationSpanSize,
  isSociIndexType,
  sociIndexArtifactType,
  sociLayerMediaType,
  sociPrefetchMediaType,
  unmarshalIndex,
} from '../index/soci-index.ts'
import {
  type ArtifactEntry,
  artifactEntryTypeIndex,
  artifactEntryTypeLayer,
  artifactEntryTypePrefetch,
  type ArtifactsDb,
  ArtifactStoreEmptyError,
} from './artifacts-db.ts'

export interface SyncOptions extends CallOptions {
  /** The clock that new records are dated by. */
  readonly now?: (() => Date) | undefined
  /** Gets every index of the images, recorded or not. */
  readonly onIndex?: ((index: Index) => void) | undefined
  /** Gets every image once its indexes are recorded. */
  readonly onImage?: ((image: Descriptor) => void) | undefined
}

/** An image as one repository has it. */
export interface RepositoryImage {
  readonly repository: string
  readonly image: Descriptor
}

/** What a synchronisation changed: the digests of the artifacts. */
export interface SyncResult {
  readonly removed: readonly string[]
  readonly added: readonly string[]
}

/**
 * Makes the records what the store holds: those whose artifact is gone are removed, and the
 * indexes of `images` with their zTOCs are recorded, of version 1 (referrers) and 2 (listed in the
 * image). Records that are there stay as they are.
 */
export async function syncWithLocalStore(
  db: ArtifactsDb,
  store: ImageSource & SociBlobStore,
  images: AsyncIterable<RepositoryImage> | Iterable<RepositoryImage>,
  { now = () => new Date(), onIndex, onImage, signal }: SyncOptions = {},
): Promise<SyncResult> {
  const exists = (artifact: Descriptor): Promise<boolean> => isThere(store, artifact, { signal })
  const removed = await removeGone(db, exists, { signal })
  const added: string[] = []
  for await (const { repository, image } of images) {
    for await (const found of indexesOf(store, repository, image, { signal })) {
      const index = await readIndex(store, found, { signal })
      onIndex?.(index)
      for (const entry of entriesOf(index, found, now())) {
        if (await db.find(entry.digest, { signal })) continue
        await db.writeArtifactEntry(entry, { signal })
        added.push(entry.digest)
      }
    }
    onImage?.(image)
  }
  return { removed, added }
}

/** A store of which nothing is recorded yet has nothing to forget. */
async function removeGone(
  db: ArtifactsDb,
  exists: (artifact: Descriptor) => Promise<boolean>,
  options: CallOptions,
): Promise<readonly string[]> {
  try {
    return await db.removeOldArtifacts(exists, options)
  } catch (error) {
    if (error instanceof ArtifactStoreEmptyError) return []
    throw error
  }
}

/** True when the content can be read: it may lie among the blobs or among those of referrers. */
async function isThere(
  store: ImageSource & SociBlobStore,
  artifact: Descriptor,
  options: CallOptions,
): Promise<boolean> {
  if (await store.exists(artifact, options)) return true
  try {
    const content = await store.fetch(artifact, { ...options, range: { start: 0, end: 1 } })
    content.destroy()
    return true
  } catch (error) {
    if (isS3loError(error, 'NOT_FOUND')) return false
    throw error
  }
}

/** An index of an image in the store. */
interface FoundIndex {
  readonly descriptor: Descriptor
  readonly repository: string
  readonly manifestDigest: string
  readonly imageDigest: string
  readonly platform: string
}

async function* indexesOf(
  store: ImageSource,
  repository: string,
  image: Descriptor,
  options: CallOptions,
): AsyncGenerator<FoundIndex> {
  const document = await readDocument(store, image, options)
  const manifest = document.manifest
  if (manifest.kind === 'manifest') {
    const platform = formatPlatform(await manifestPlatform(store, document, options))
    const place = { repository, image }
    yield* referringIndexes(store, place, image, platform, options)
    return
  }
  if (manifest.kind !== 'index') return
  for (const entry of manifest.manifests) {
    const platform = entry.platform ? formatPlatform(entry.platform) : ''
    const manifestDigest = entry.annotations?.[indexAnnotationImageManifestDigest]
    if (isSociIndexType(entry.artifactType) && manifestDigest) {
      yield {
        descriptor: entry,
        repository,
        manifestDigest,
        imageDigest: image.digest,
        platform,
      }
    }
  }
  for (const { descriptor, platform } of await indexImages(store, document, options)) {
    const name = formatPlatform(platform)
    yield* referringIndexes(store, { repository, image }, descriptor, name, options)
  }
}

async function* referringIndexes(
  store: ImageSource,
  { repository, image }: RepositoryImage,
  manifest: Descriptor,
  platform: string,
  options: CallOptions,
): AsyncGenerator<FoundIndex> {
  if (!store.referrers) return
  for await (const descriptor of store.referrers(repository, manifest, options)) {
    if (descriptor.artifactType !== sociIndexArtifactType) continue
    const found = { descriptor, repository, imageDigest: image.digest, platform }
    yield { ...found, manifestDigest: manifest.digest }
  }
}

async function readIndex(
  store: ImageSource,
  { descriptor: { mediaType, digest, size }, repository }: FoundIndex,
  options: CallOptions,
): Promise<Index> {
  const stream = await store.fetch({ mediaType, digest, size }, { ...options, repository })
  return unmarshalIndex(await readAll(stream, MAX_MANIFEST_BYTES, `SOCI index ${digest}`))
}

function entriesOf(index: Index, found: FoundIndex, createdAt: Date): readonly ArtifactEntry[] {
  const { digest, size } = found.descriptor
  const buildToolIdentifier = index.annotations?.[indexAnnotationBuildToolIdentifier] ?? ''
  const entry: ArtifactEntry = {
    type: artifactEntryTypeIndex,
    size,
    digest,
    mediaType: index.mediaType,
    artifactType: index.artifactType,
    originalDigest: found.manifestDigest,
    location: found.manifestDigest,
    imageDigest: found.imageDigest,
    platform: found.platform,
    repository: found.repository,
    createdAt,
    spanSize: 0,
    buildToolIdentifier,
  }
  return [entry, ...blobEntries(index, buildToolIdentifier, createdAt)]
}

function blobEntries(index: Index, tool: string, createdAt: Date): readonly ArtifactEntry[] {
  return index.blobs.flatMap(({ mediaType, digest, size, annotations = {} }) => {
    const isZtoc = mediaType === sociLayerMediaType
    const layer = annotations[indexAnnotationImageLayerDigest]
    if (layer === undefined || (!isZtoc && mediaType !== sociPrefetchMediaType)) return []
    return {
      type: isZtoc ? artifactEntryTypeLayer : artifactEntryTypePrefetch,
      size,
      digest,
      mediaType,
      artifactType: '',
      originalDigest: layer,
      location: isZtoc ? layer : '',
      imageDigest: '',
      platform: '',
      repository: '',
      createdAt,
      spanSize: parseSpanSize(annotations[indexAnnotationSpanSize]),
      // A reused zTOC may be of another builder than its index; it is only built again then.
      buildToolIdentifier: tool,
    }
  })
}

/** Indexes before v0.12 of the original do not say; then the zTOC is never reused. */
function parseSpanSize(text: string | undefined): number {
  return text !== undefined && /^[0-9]{1,15}$/.test(text) ? Number(text) : 0
}
