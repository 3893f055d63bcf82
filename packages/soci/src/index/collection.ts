import type { CallOptions, ImageSource } from '@s3lo/core/plugin'
import type { Descriptor, Platform } from '@s3lo/core'
import type { ArtifactsDb } from '../artifacts/artifacts-db.ts'
import { getImageManifestDescriptor } from './image-platforms.ts'

/** The descriptor of an index, and when it was made. */
export interface IndexDescriptorInfo extends Descriptor {
  readonly createdAt: Date
}

/** The indexes of an image, and its manifest for the last of the platforms. */
export interface IndexDescriptorCollection {
  readonly indexes: readonly IndexDescriptorInfo[]
  readonly manifest: Descriptor | undefined
}

/**
 * The recorded indexes of an image for each of the platforms. Throws `NOT_FOUND` for a platform
 * that the image does not have; no index at all is an empty list.
 */
export async function getIndexDescriptorCollection(
  source: ImageSource,
  artifactsDb: ArtifactsDb,
  image: Descriptor,
  platforms: readonly Platform[],
  options?: CallOptions,
): Promise<IndexDescriptorCollection> {
  const indexes: IndexDescriptorInfo[] = []
  let manifest: Descriptor | undefined
  for (const platform of platforms) {
    manifest = await getImageManifestDescriptor(source, image, platform, options)
    for (const entry of await artifactsDb.getIndexEntries(manifest.digest, options)) {
      const { mediaType, artifactType, digest, size, createdAt } = entry
      indexes.push({ mediaType, artifactType, digest, size, createdAt })
    }
  }
  return { indexes, manifest }
}
