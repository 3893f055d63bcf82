import {
  type Descriptor,
  type ManifestDocument,
  MAX_MANIFEST_BYTES,
  MEDIA_TYPE,
  S3loError,
  toDocument,
} from '@s3lo/core'

type Content = Pick<Descriptor, 'mediaType' | 'digest' | 'size'>

/**
 * The manifest of an image that an engine keeps without one. Compact JSON in a fixed key order,
 * as every s3lo has written it: equal images have equal manifests.
 */
export function buildManifest(
  config: Pick<Content, 'digest' | 'size'>,
  layers: readonly Content[],
): ManifestDocument {
  const manifest = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.ociManifest,
    config: { mediaType: MEDIA_TYPE.ociConfig, digest: config.digest, size: config.size },
    layers: layers.map(({ mediaType, digest, size }) => ({ mediaType, digest, size })),
  }
  const content = Buffer.from(JSON.stringify(manifest))
  if (content.length > MAX_MANIFEST_BYTES) {
    throw new S3loError(
      'INTEGRITY',
      `the image has ${layers.length} layers, too many for a manifest`,
    )
  }
  return toDocument(content, MEDIA_TYPE.ociManifest)
}
