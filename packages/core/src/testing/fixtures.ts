import { Readable } from 'node:stream'
import type { FetchOptions, ImageSource } from '../contract/image-source.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { S3loError } from '../errors.ts'
import { blobKey, manifestKey } from '../layout/keys.ts'
import { ANNOTATION } from '../oci/annotations.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { digestOf } from '../oci/digest.ts'
import { type ManifestDocument, toDocument } from '../oci/document.ts'
import { MEDIA_TYPE } from '../oci/media-type.ts'
import { parsePlatform } from '../oci/platform.ts'
import { formatImageName, type Reference } from '../oci/reference.ts'
import { verified } from '../stream/verify-digest.ts'

/** A whole image in memory: its root manifest, and everything below it by digest. */
export interface ImageFixture {
  readonly root: ManifestDocument
  readonly content: ReadonlyMap<string, Uint8Array>
}

export interface FixtureOptions {
  /** The bytes of each layer; texts are encoded. */
  readonly layers: readonly (string | Uint8Array)[]
  /** Of the layers; default a plain tar of OCI. */
  readonly layerType?: string | undefined
  /** `os/arch[/variant]` (default `linux/amd64`). */
  readonly platform?: string | undefined
  /** Added to the config, to make it differ or grow. */
  readonly label?: string | undefined
}

/** A single-platform image. Its layers are opaque bytes: nothing in s3lo's core looks inside. */
export function imageFixture({
  layers,
  layerType = MEDIA_TYPE.ociLayer,
  platform = 'linux/amd64',
  label = '',
}: FixtureOptions): ImageFixture {
  const content = new Map<string, Uint8Array>()
  function add(bytes: Uint8Array, mediaType: string): Descriptor {
    const digest = digestOf(bytes)
    content.set(digest, bytes)
    return { mediaType, digest, size: bytes.byteLength }
  }
  const descriptors = layers.map((layer) => add(encode(layer), layerType))
  const { os, architecture, variant } = parsePlatform(platform)
  const diffIds = descriptors.map(({ digest }) => digest)
  const config = {
    architecture,
    ...(variant ? { variant } : {}),
    os,
    config: { Labels: { label } },
    rootfs: { type: 'layers', diff_ids: diffIds },
  }
  const manifest = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.ociManifest,
    config: add(encode(JSON.stringify(config)), MEDIA_TYPE.ociConfig),
    layers: descriptors,
  }
  return { root: toDocument(encode(JSON.stringify(manifest)), MEDIA_TYPE.ociManifest), content }
}

/** An index over images, each with an attestation manifest when asked for, as BuildKit makes them. */
export function indexFixture(
  images: Readonly<Record<string, ImageFixture>>,
  { attestations = false }: { readonly attestations?: boolean } = {},
): ImageFixture {
  const content = new Map<string, Uint8Array>()
  const manifests: Descriptor[] = []
  function add(image: ImageFixture, extra: Partial<Descriptor>): void {
    for (const [digest, bytes] of image.content) content.set(digest, bytes)
    content.set(image.root.descriptor.digest, image.root.content)
    manifests.push({ ...image.root.descriptor, ...extra })
  }
  for (const [platform, image] of Object.entries(images)) {
    add(image, { platform: parsePlatform(platform) })
  }
  for (const image of attestations ? Object.values(images) : []) {
    const { digest } = image.root.descriptor
    add(imageFixture({ layers: [`statement about ${digest}`], label: digest }), {
      platform: { os: 'unknown', architecture: 'unknown' },
      annotations: {
        [ANNOTATION.attestationSubject]: digest,
        [ANNOTATION.attestationType]: 'attestation-manifest',
      },
    })
  }
  const index = { schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests }
  return { root: toDocument(encode(JSON.stringify(index)), MEDIA_TYPE.ociIndex), content }
}

/** A manifest that refers to `subject`, as a signature or SBOM does. */
export function referrerFixture(
  subject: Descriptor,
  artifactType: string,
  payload: string,
): ImageFixture {
  const { digest, size, mediaType } = subject
  const blob = encode(payload)
  const empty = encode('{}')
  const manifest = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.ociManifest,
    artifactType,
    config: { mediaType: MEDIA_TYPE.ociEmpty, digest: digestOf(empty), size: empty.byteLength },
    layers: [{ mediaType: artifactType, digest: digestOf(blob), size: blob.byteLength }],
    subject: { mediaType, digest, size },
  }
  const content = new Map([
    [digestOf(empty), empty],
    [digestOf(blob), blob],
  ])
  return { root: toDocument(encode(JSON.stringify(manifest)), MEDIA_TYPE.ociManifest), content }
}

/** A source of fixtures by name; what it has fetched is recorded. */
export class FixtureSource implements ImageSource {
  readonly kind = 'random-access'
  readonly name = 'fixtures'
  /** Digests, in the order of their fetches. */
  readonly fetched: string[] = []
  readonly #images: ReadonlyMap<string, ImageFixture>

  constructor(images: Readonly<Record<string, ImageFixture>>) {
    this.#images = new Map(Object.entries(images))
  }

  async resolve(reference: Reference): Promise<Descriptor> {
    const image = this.#images.get(formatImageName(reference))
    if (!image) throw new S3loError('NOT_FOUND', `no fixture ${formatImageName(reference)}`)
    return image.root.descriptor
  }

  async fetch(descriptor: Descriptor, { range, signal }: FetchOptions = {}): Promise<Readable> {
    signal?.throwIfAborted()
    this.fetched.push(descriptor.digest)
    for (const { root, content } of this.#images.values()) {
      const bytes =
        root.descriptor.digest === descriptor.digest ? root.content : content.get(descriptor.digest)
      if (!bytes) continue
      return range
        ? Readable.from([bytes.subarray(range.start, range.end)])
        : verified(Readable.from([bytes]), descriptor)
    }
    throw new S3loError('NOT_FOUND', `no fixture has ${descriptor.digest}`)
  }
}

/** Writes an image into a bucket by hand, in layout v1.1.0. */
export async function putImage(
  backend: StorageBackend,
  reference: Reference,
  { root, content }: ImageFixture,
): Promise<void> {
  for (const [digest, bytes] of content) await backend.put(blobKey(digest), bytes)
  await backend.put(manifestKey(reference), root.content)
}

function encode(text: string | Uint8Array): Uint8Array {
  return typeof text === 'string' ? new TextEncoder().encode(text) : text
}
