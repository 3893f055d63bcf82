import { createHash, randomBytes } from 'node:crypto'

export type Algorithm = 'sha256' | 'sha512'

export const ALGORITHMS: readonly Algorithm[] = ['sha256', 'sha512']

/** Names bytes, as descriptors do (image-spec, "digests"). */
export function digestOf(bytes: Uint8Array, algorithm: Algorithm = 'sha256'): string {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`
}

/** The digest of nothing that any registry holds. */
export function unknownDigest(algorithm: Algorithm = 'sha256'): string {
  return digestOf(randomBytes(32), algorithm)
}

/** A descriptor, as a document has it. */
export interface Descriptor {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
  readonly artifactType?: string
  readonly annotations?: Readonly<Record<string, string>>
  readonly data?: string
  readonly urls?: readonly string[]
  readonly platform?: { readonly os: string; readonly architecture: string }
}

/** What Docker called them before the OCI did; older clients send and want these. */
export const DOCKER_MEDIA = {
  list: 'application/vnd.docker.distribution.manifest.list.v2+json',
  manifest: 'application/vnd.docker.distribution.manifest.v2+json',
  config: 'application/vnd.docker.container.image.v1+json',
  layer: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
} as const

export const MEDIA = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
  tarLayer: 'application/vnd.oci.image.layer.v1.tar',
  foreignLayer: 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
  empty: 'application/vnd.oci.empty.v1+json',
} as const

/** The empty descriptor's content (image-spec, "guidance for an empty descriptor"). */
export const EMPTY_JSON = Buffer.from('{}')

/** Bytes that no other case has. */
export function randomBlob(size = 512): Buffer {
  return randomBytes(size)
}

export function descriptorOf(
  mediaType: string,
  bytes: Uint8Array,
  more: Partial<Descriptor> = {},
  algorithm: Algorithm = 'sha256',
): Descriptor {
  return { mediaType, digest: digestOf(bytes, algorithm), size: bytes.byteLength, ...more }
}

/** A manifest or index, as it is sent. */
export interface Document {
  readonly mediaType: string
  readonly bytes: Buffer
  readonly digest: string
  readonly subject?: Descriptor
  /** As a list of referrers names it. */
  readonly descriptor: Descriptor
}

/** Writes a document down; what is not JSON's default whitespace shows whether bytes are kept. */
export function documentOf(
  mediaType: string,
  value: Readonly<Record<string, unknown>>,
  algorithm: Algorithm = 'sha256',
): Document {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, ...value }, null, 3))
  const subject = value['subject'] as Descriptor | undefined
  const config = value['config'] as Descriptor | undefined
  const artifactType = (value['artifactType'] as string | undefined) ?? config?.mediaType
  const annotations = value['annotations'] as Record<string, string> | undefined
  const descriptor = descriptorOf(
    mediaType,
    bytes,
    {
      ...(artifactType === undefined ? {} : { artifactType }),
      ...(annotations === undefined ? {} : { annotations }),
    },
    algorithm,
  )
  return { mediaType, bytes, digest: descriptor.digest, descriptor, ...(subject && { subject }) }
}

/** A small image whose blobs are new. */
export interface Image {
  readonly document: Document
  readonly blobs: readonly Buffer[]
}

export function imageOf(value: Readonly<Record<string, unknown>> = {}): Image {
  const platform = { os: 'linux', architecture: 'amd64' }
  const layer = randomBlob()
  const diff = digestOf(layer)
  const config = Buffer.from(
    JSON.stringify({ ...platform, config: {}, rootfs: { type: 'layers', diff_ids: [diff] } }),
  )
  const document = documentOf(MEDIA.manifest, {
    config: descriptorOf(MEDIA.config, config),
    layers: [descriptorOf(MEDIA.layer, layer)],
    ...value,
  })
  return { document, blobs: [config, layer] }
}

/** An artifact with an empty config, and a subject where one is given. */
export function artifactOf(
  artifactType: string,
  value: Readonly<Record<string, unknown>> = {},
): Image {
  const layer = randomBlob()
  const document = documentOf(MEDIA.manifest, {
    artifactType,
    config: descriptorOf(MEDIA.empty, EMPTY_JSON),
    layers: [descriptorOf('application/octet-stream', layer)],
    ...value,
  })
  return { document, blobs: [EMPTY_JSON, layer] }
}
