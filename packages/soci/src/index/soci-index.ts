import type { Readable } from 'node:stream'
import { S3loError } from '@s3lo/core/plugin'
import { type Descriptor, digestOf, MAX_MANIFEST_BYTES, parseManifest, readAll } from '@s3lo/core'
import { encodeManifest } from './canonical-json.ts'

/** The type of an index that refers to its image (found through referrers). */
export const sociIndexArtifactType = 'application/vnd.amazon.soci.index.v1+json'

/** The type of an index that the image's manifest names (found through an annotation). */
export const sociIndexArtifactTypeV2 = 'application/vnd.amazon.soci.index.v2+json'

/** The media type of a zTOC. */
export const sociLayerMediaType = 'application/octet-stream'

/** The media type of a list of spans to fetch first. */
export const sociPrefetchMediaType = 'application/vnd.amazon.soci.prefetch.v1+json'

/** On a zTOC: the media type of its layer. */
export const indexAnnotationImageLayerMediaType = 'com.amazon.soci.image-layer-mediaType'

/** On a zTOC: the digest of its layer, by which it is found. */
export const indexAnnotationImageLayerDigest = 'com.amazon.soci.image-layer-digest'

/** On a zTOC: its span size, in decimal. */
export const indexAnnotationSpanSize = 'com.amazon.soci.span-size'

/** On a zTOC: `true` when its layer needs no extended attributes. */
export const indexAnnotationDisableXattrs = 'com.amazon.soci.disable-xattrs'

/** On an index: what built it. */
export const indexAnnotationBuildToolIdentifier = 'com.amazon.soci.build-tool-identifier'

/** On an image manifest and its descriptor: the digest of its index of version 2. */
export const imageAnnotationSociIndexDigest = 'com.amazon.soci.index-digest'

/** On the descriptor of an index of version 2: the digest of the image manifest it belongs to. */
export const indexAnnotationImageManifestDigest = 'com.amazon.soci.image-manifest-digest'

export type IndexVersion = 'v1' | 'v2'

const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json'

/** The config of every index: an empty object. */
export const SOCI_CONFIG_CONTENT: Uint8Array = Buffer.from('{}')

/** A SOCI index: which zTOCs belong to an image. */
export interface Index {
  /** Of the document that it is written as. */
  readonly mediaType: string
  readonly artifactType: string
  /** The zTOCs in the order of their layers, then the prefetch lists. */
  readonly blobs: readonly Descriptor[]
  /** The image's manifest, in version 1 only. */
  readonly subject?: Descriptor
  readonly annotations?: Readonly<Record<string, string>>
  readonly config: Descriptor
}

/** An index of zTOCs. Throws `USAGE` when an index of version 1 has no subject. */
export function newIndex(
  blobs: readonly Descriptor[],
  subject: Descriptor | undefined,
  annotations: Readonly<Record<string, string>> | undefined,
  version: IndexVersion = 'v1',
): Index {
  if (version === 'v1' && !subject) {
    throw new S3loError('USAGE', 'an index of version 1 must have a subject')
  }
  const artifactType = version === 'v1' ? sociIndexArtifactType : sociIndexArtifactTypeV2
  return {
    mediaType: OCI_MANIFEST,
    artifactType,
    blobs,
    ...(subject && version === 'v1' ? { subject: plain(subject) } : {}),
    ...(annotations ? { annotations } : {}),
    config: {
      mediaType: artifactType,
      digest: digestOf(SOCI_CONFIG_CONTENT),
      size: SOCI_CONFIG_CONTENT.byteLength,
    },
  }
}

/** A subject tells what it is, not where it runs. */
function plain({ mediaType, digest, size }: Descriptor): Descriptor {
  return { mediaType, digest, size }
}

/** The bytes of the OCI manifest that an index is: exactly as the snapshotter writes it again. */
export function marshalIndex(index: Index): Uint8Array {
  const { config, blobs, subject, annotations } = index
  return encodeManifest({
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config,
    layers: blobs,
    subject,
    annotations,
  })
}

/** Reads an index of either version. Throws `INTEGRITY`; `UNSUPPORTED` for any other manifest. */
export function unmarshalIndex(content: Uint8Array): Index {
  const manifest = parseManifest(content, 'SOCI index')
  const type = manifest.kind === 'manifest' ? manifest.config.mediaType : manifest.mediaType
  if (manifest.kind !== 'manifest' || !isSociIndexType(type)) {
    throw new S3loError('UNSUPPORTED', `unknown index version: ${type.slice(0, 200)}`)
  }
  return {
    mediaType: manifest.mediaType,
    artifactType: type,
    blobs: manifest.layers,
    ...(manifest.subject ? { subject: manifest.subject } : {}),
    ...(manifest.annotations ? { annotations: manifest.annotations } : {}),
    config: manifest.config,
  }
}

/** As {@link unmarshalIndex}, of at most the bytes that a manifest may have. */
export async function decodeIndex(content: Readable): Promise<Index> {
  return unmarshalIndex(await readAll(content, MAX_MANIFEST_BYTES, 'SOCI index'))
}

/** True for the type of an index of either version. */
export function isSociIndexType(type: string | undefined): boolean {
  return type === sociIndexArtifactType || type === sociIndexArtifactTypeV2
}

/** No layer of the image could be indexed, or none was large enough. */
export class EmptyIndexError extends S3loError {
  constructor(reasons: readonly string[] = []) {
    const why = reasons.length > 0 ? `: ${reasons.join('; ')}` : ''
    super('UNSUPPORTED', `no zTOCs were made, all layers were skipped${why}`, {
      hint: 'a smaller minimum layer size indexes more layers',
    })
  }
}

/** `xattr` lets a mounted layer without extended attributes stop answering questions for them. */
export type Optimization = 'xattr'

/** See {@link Optimization}. */
export const xattrOptimization: Optimization = 'xattr'

/** Every optimization there is. */
export const optimizations: readonly Optimization[] = [xattrOptimization]

/** Reads the name of an optimization. Throws `USAGE` naming those there are. */
export function parseOptimization(text: string): Optimization {
  const found = optimizations.find((optimization) => optimization === text)
  if (found) return found
  throw new S3loError('USAGE', `${JSON.stringify(text)} is not an optimization`, {
    hint: `there is ${optimizations.join(', ')}`,
  })
}
