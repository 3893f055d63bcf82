import { S3loError } from '../errors.ts'
import type { Descriptor } from './descriptor.ts'
import { type ManifestDocument, MAX_MANIFEST_BYTES, toDocument } from './document.ts'
import { asArray, asObject, parseJson } from './json.ts'
import { isImageConfigType, MEDIA_TYPE } from './media-type.ts'

const UNCOMPRESSED: ReadonlySet<string> = new Set([MEDIA_TYPE.ociLayer, MEDIA_TYPE.dockerLayer])

/** Docker's media types, each with its equal of OCI: Docker has none for zstd that all clients read. */
const OCI_TYPES: ReadonlyMap<string, string> = new Map([
  [MEDIA_TYPE.dockerManifest, MEDIA_TYPE.ociManifest],
  [MEDIA_TYPE.dockerConfig, MEDIA_TYPE.ociConfig],
  [MEDIA_TYPE.dockerLayer, MEDIA_TYPE.ociLayer],
  [MEDIA_TYPE.dockerLayerGzip, MEDIA_TYPE.ociLayerGzip],
])

const LAYERS: ReadonlySet<string> = new Set([
  ...UNCOMPRESSED,
  MEDIA_TYPE.ociLayerGzip,
  MEDIA_TYPE.ociLayerZstd,
  MEDIA_TYPE.dockerLayerGzip,
])

/**
 * The uncompressed layers of an image that can be stored compressed. None for what is not the manifest of
 * one image, and for one with a layer that OCI has no media type for.
 */
export function uncompressedLayers({ manifest }: ManifestDocument): readonly Descriptor[] {
  if (manifest.kind !== 'manifest' || !isImageConfigType(manifest.config.mediaType)) return []
  if (!manifest.layers.every(({ mediaType }) => LAYERS.has(mediaType))) return []
  return manifest.layers.filter(isUncompressed)
}

/** True for a layer by its media type. */
export function isUncompressed({ mediaType }: Pick<Descriptor, 'mediaType'>): boolean {
  return UNCOMPRESSED.has(mediaType)
}

/** What a layer is replaced by. */
type LayerOf = (layer: Descriptor) => Pick<Descriptor, 'mediaType' | 'digest' | 'size'> | undefined

/**
 * The manifest with other layers, as OCI has it: the config, and with it the image's ID, stays. What is
 * not replaced, unknown members too, stays as it is; the document itself where nothing is replaced. Throws
 * `INTEGRITY` for a result that is too large.
 */
export function withLayers(document: ManifestDocument, layerOf: LayerOf): ManifestDocument {
  const { manifest, descriptor } = document
  if (manifest.kind !== 'manifest') return document
  const replaced = manifest.layers.map(layerOf)
  if (replaced.every((layer) => layer === undefined)) return document
  const raw = asObject(parseJson(document.content, descriptor.digest), descriptor.digest)
  const layers = asArray(raw['layers'], 'layers').map((value, i) => {
    const layer = asOci(value)
    const own = replaced[i]
    if (!own) return layer
    // Both are about the content that is replaced.
    const { data: _data, urls: _urls, ...rest } = layer
    return { ...rest, ...own }
  })
  const whole = { ...asOci(raw), config: asOci(raw['config']), layers }
  const content = Buffer.from(JSON.stringify(whole))
  if (content.length > MAX_MANIFEST_BYTES) {
    throw new S3loError('INTEGRITY', `the manifest ${descriptor.digest} is too large`, {
      hint: 'store its layers as they are: chunked: false',
    })
  }
  return toDocument(content, ociTypeOf(manifest.mediaType))
}

/** The object with OCI's media type in the place of Docker's. */
function asOci(value: unknown): Readonly<Record<string, unknown>> {
  const object = asObject(value, 'a member of a manifest')
  const { mediaType } = object
  return typeof mediaType === 'string' ? { ...object, mediaType: ociTypeOf(mediaType) } : object
}

function ociTypeOf(mediaType: string): string {
  return OCI_TYPES.get(mediaType) ?? mediaType
}
