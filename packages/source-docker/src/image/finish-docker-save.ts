import {
  type BlobSink,
  digestOf,
  formatPlatform,
  type ManifestDocument,
  MEDIA_TYPE,
  parseImageConfig,
  type Platform,
  S3loError,
  runsOn,
} from '@s3lo/core'
import { slice } from '../stream/slice.ts'
import { followLinks } from '../tar/tar-index.ts'
import { assembleImage, type StoredLayer } from './assemble-image.ts'
import {
  type ArchivedImage,
  DOCKER_MANIFEST,
  parseDockerManifest,
  selectArchivedImage,
} from './docker-manifest.ts'
import type { SavedImage } from './read-save.ts'

/** Which image of a save is meant, and what is known of it. */
export interface WantedImage {
  readonly name?: string | undefined
  /** The digest of its config, which engines call its id. */
  readonly configDigest?: string | undefined
  readonly platform?: Platform | undefined
}

/**
 * Makes the manifest of an image that has gone by as a docker archive, and gives its config to the
 * sink. Throws `INTEGRITY` where the parts do not fit, `NOT_FOUND` for another platform.
 */
export async function finishDockerSave(
  save: SavedImage,
  sink: BlobSink,
  wanted: WantedImage,
): Promise<ManifestDocument> {
  const images = parseDockerManifest(document(save, DOCKER_MANIFEST), save.archive)
  const image = select(images, save, wanted)
  const config = document(save, image.config)
  requirePlatform(config, wanted.platform, save.archive)
  const layers = image.layers.map((path) => layer(save, path))
  const manifest = assembleImage(config, layers, save.archive)
  const descriptor = {
    mediaType: MEDIA_TYPE.ociConfig,
    digest: digestOf(config),
    size: config.byteLength,
  }
  if (!(await sink.has(descriptor))) await sink.put(descriptor, slice(config))
  return manifest
}

function select(
  images: readonly ArchivedImage[],
  save: SavedImage,
  { name, configDigest }: WantedImage,
): ArchivedImage {
  if (configDigest === undefined) return selectArchivedImage(images, name, save.archive)
  // Of many images in a list, several may name one config: each is hashed once.
  const digests = new Map<Uint8Array, string>()
  const found = images.find(({ config }) => {
    const content = document(save, config)
    const digest = digests.get(content) ?? digestOf(content)
    digests.set(content, digest)
    return digest === configDigest
  })
  if (found) return found
  throw new S3loError('INTEGRITY', `${save.archive} does not hold the image ${configDigest}`)
}

function requirePlatform(config: Uint8Array, wanted: Platform | undefined, archive: string): void {
  const { platform } = parseImageConfig(config, digestOf(config))
  if (!wanted || runsOn(platform, wanted)) return
  throw new S3loError('NOT_FOUND', `${archive} has no platform ${formatPlatform(wanted)}`, {
    hint: `it has ${formatPlatform(platform)}`,
  })
}

function document(save: SavedImage, path: string): Uint8Array {
  const content = save.documents.get(followLinks(path, save.links))
  if (content) return content
  throw new S3loError('INTEGRITY', `${save.archive} has no ${JSON.stringify(path.slice(0, 160))}`)
}

function layer(save: SavedImage, path: string): StoredLayer {
  const stored = save.blobs.get(followLinks(path, save.links))
  if (stored) return stored
  throw new S3loError(
    'INTEGRITY',
    `${save.archive} has no layer ${JSON.stringify(path.slice(0, 160))}`,
  )
}
