import { digestOf, type ManifestDocument, parseImageConfig, S3loError } from '@s3lo/core'
import { buildManifest } from './build-manifest.ts'
import { type ContentForm, layerMediaType } from './compression.ts'

/** A layer of an archive: where it stands, what it is, and the digest of its bytes as they stand. */
export interface StoredLayer {
  readonly path: string
  readonly form: ContentForm
  readonly digest: string
  /** Bytes. */
  readonly size: number
}

/**
 * The manifest of an archived image. Throws `INTEGRITY` unless its layers are as many as its
 * config names, and each plain one is the very one named there.
 */
export function assembleImage(
  config: Uint8Array,
  layers: readonly StoredLayer[],
  archive: string,
): ManifestDocument {
  const configDigest = digestOf(config)
  const { diffIds } = parseImageConfig(config, configDigest)
  requireLayerCount(layers.length, diffIds.length, archive)
  const described = layers.map(({ path, form, digest, size }, i) => {
    const mediaType = layerMediaType(form, path)
    const plain = form !== 'gzip' && form !== 'zstd'
    if (plain && digest !== diffIds[i]) {
      throw new S3loError(
        'INTEGRITY',
        `layer ${path} of ${archive} is ${digest}, not ${diffIds[i]}`,
      )
    }
    return { mediaType, digest, size }
  })
  return buildManifest({ digest: configDigest, size: config.byteLength }, described)
}

/** More layers than an image that can run has by far; each costs a look into the archive. */
const MAX_LAYERS = 10_000

/** Throws `INTEGRITY` unless there are as many layers as the config names, and not too many. */
export function requireLayerCount(layers: number, diffIds: number, archive: string): void {
  if (layers === diffIds && layers <= MAX_LAYERS) return
  const counts = `${layers} layers, the image's config names ${diffIds}`
  throw new S3loError('INTEGRITY', `${archive} has ${counts}`)
}
