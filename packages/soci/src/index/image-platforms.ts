import { type CallOptions, type ImageSource, S3loError } from '@s3lo/core/plugin'
import {
  documentWith,
  bestFor,
  type Descriptor,
  hostPlatform,
  type IndexedImage,
  isSamePlatform,
  MAX_CONFIG_BYTES,
  MAX_MANIFEST_BYTES,
  type ManifestDocument,
  normalizePlatform,
  noSuchPlatform,
  parseImageConfig,
  type Platform,
  readAll,
  readIndexContent,
  runsOn,
} from '@s3lo/core'
import { isSociIndexType } from './soci-index.ts'

/** Reads a manifest or index with its bytes. Throws `NOT_FOUND`, `INTEGRITY`. */
export async function readDocument(
  source: ImageSource,
  descriptor: Descriptor,
  options?: CallOptions,
): Promise<ManifestDocument> {
  const stream = await source.fetch(descriptor, options)
  const content = await readAll(stream, MAX_MANIFEST_BYTES, `manifest ${descriptor.digest}`)
  return documentWith(descriptor, content)
}

/** The first of each platform, by its normal form. */
export function uniquePlatforms(platforms: Iterable<Platform>): readonly Platform[] {
  const found: Platform[] = []
  for (const platform of platforms) {
    if (!found.some((other) => isSamePlatform(other, platform))) found.push(platform)
  }
  return found
}

/** The images of an index and of the indexes inside of it: no attestations, no SOCI indexes. */
export async function indexImages(
  source: ImageSource,
  index: ManifestDocument,
  options?: CallOptions,
): Promise<readonly IndexedImage[]> {
  const { images } = await readIndexContent(source, index, options)
  return images.filter(({ isArtifact }) => !isArtifact)
}

/** The platforms of those images. */
export async function indexPlatforms(
  source: ImageSource,
  index: ManifestDocument,
  options?: CallOptions,
): Promise<readonly Platform[]> {
  const images = await indexImages(source, index, options)
  return uniquePlatforms(images.map(({ platform }) => platform))
}

/** True for an entry that is an image someone could run. */
export function isImage({ platform, artifactType }: Descriptor): boolean {
  if (isSociIndexType(artifactType)) return false
  return platform?.os !== 'unknown' && platform?.architecture !== 'unknown'
}

/** The platform that an image's config names. */
export async function manifestPlatform(
  source: ImageSource,
  { descriptor, manifest }: ManifestDocument,
  options?: CallOptions,
): Promise<Platform> {
  if (manifest.kind !== 'manifest') {
    throw new S3loError('UNSUPPORTED', `${descriptor.digest} is an ${manifest.kind}, not an image`)
  }
  const { config } = manifest
  const stream = await source.fetch(config, options)
  const bytes = await readAll(stream, MAX_CONFIG_BYTES, `config ${config.digest}`)
  return normalizePlatform(parseImageConfig(bytes, config.digest).platform)
}

/**
 * The descriptor of the manifest that is an image's for a platform; the image itself when it is a
 * single manifest. Throws `NOT_FOUND` when there is none.
 */
export async function getImageManifestDescriptor(
  source: ImageSource,
  image: Descriptor,
  platform: Platform = hostPlatform(),
  options?: CallOptions,
): Promise<Descriptor> {
  const document = await readDocument(source, image, options)
  const manifest = document.manifest
  if (manifest.kind !== 'index') {
    if (!image.platform || runsOn(image.platform, platform)) return image
    throw noSuchPlatform([{ platform: image.platform }], platform)
  }
  const images = await indexImages(source, document, options)
  const best = bestFor(images, platform)
  if (best) return best.descriptor
  throw noSuchPlatform(images, platform)
}
