import { Readable } from 'node:stream'
import type { CallOptions } from '../contract/call-options.ts'
import type { AttachPlace } from '../contract/image-target.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { digestOf } from '../oci/digest.ts'
import { toDocument } from '../oci/document.ts'
import { MEDIA_TYPE } from '../oci/media-type.ts'
import { withPublication } from '../graph/with-publication.ts'
import type { ImageStore } from '../store/image-store.ts'

/** A document about an image. */
export interface Artifact {
  /** Also the artifact type of the referrer. */
  readonly mediaType: string
  readonly content: Uint8Array
}

/** OCI image spec v1.1.1, "guidance for an empty descriptor". */
const EMPTY = new TextEncoder().encode('{}')

/**
 * Attaches a document to a manifest of a repository as a referrer and gives the referrer's digest. The same document
 * attached again is the same referrer.
 */
export async function attachArtifact(
  store: ImageStore,
  place: AttachPlace,
  { mediaType, content }: Artifact,
  options?: CallOptions,
): Promise<string> {
  const { subject } = place
  const config = describe(MEDIA_TYPE.ociEmpty, EMPTY)
  const layer = describe(mediaType, content)
  const manifest = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.ociManifest,
    artifactType: mediaType,
    config,
    layers: [layer],
    subject: { mediaType: subject.mediaType, digest: subject.digest, size: subject.size },
  }
  const encoded = new TextEncoder().encode(JSON.stringify(manifest))
  const document = toDocument(encoded, MEDIA_TYPE.ociManifest)
  const contents = new Map([
    [config.digest, EMPTY],
    [layer.digest, content],
  ])
  const open = (blob: Descriptor): Promise<Readable> =>
    Promise.resolve(Readable.from([contents.get(blob.digest) ?? EMPTY]))
  await withPublication(store, { purpose: `attaching ${mediaType}` }, (publication) =>
    publication.attach(document, place, open, options),
  )
  return document.descriptor.digest
}

function describe(mediaType: string, content: Uint8Array): Descriptor {
  return { mediaType, digest: digestOf(content), size: content.byteLength }
}
