import type { Descriptor } from './descriptor.ts'
import { digestOf, parseDigest } from './digest.ts'
import { type ImageManifest, type Manifest, type ManifestDocument, toDocument } from './document.ts'
import { asObject, parseStrictJson } from './json.ts'
import { MEDIA_TYPE } from './media-type.ts'

/** The media type of what cosign signs: a payload, one layer of a manifest of signatures. */
export const SIMPLE_SIGNING_TYPE = 'application/vnd.dev.cosign.simplesigning.v1+json'

/** The artifact type of signatures that refer to what they are of, as cosign reads them. */
export const SIGNATURES_TYPE = 'application/vnd.dev.cosign.artifact.sig.v1+json'

/** Marks signatures that refer to an image in a store, and have a tag where cosign 2 looks for one. */
const TAGGED = 's3lo.cosign-tag'

/** A manifest of signatures and the config that it names. */
export interface SignatureManifest {
  readonly document: ManifestDocument
  readonly config: Uint8Array
}

/** The tag under which cosign 2 keeps the signatures of a manifest; `undefined` where it has none. */
export function signatureTagOf(digest: string): string | undefined {
  const { algorithm, hex } = parseDigest(digest)
  return algorithm === 'sha256' ? `sha256-${hex}.sig` : undefined
}

/** The manifest whose signatures a tag names; `undefined` for any other tag. */
export function signedDigestOf(tag: string): string | undefined {
  const [, hex] = /^sha256-([0-9a-f]{64})\.sig$/.exec(tag) ?? []
  return hex === undefined ? undefined : `sha256:${hex}`
}

/** Signatures as cosign 2 writes them: its clients read the manifest as an image. */
export function signatureManifest(layers: readonly Descriptor[]): SignatureManifest {
  const created = '0001-01-01T00:00:00Z'
  const content = {
    architecture: '',
    created,
    history: layers.map(() => ({ created })),
    os: '',
    rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
    config: {},
  }
  const bytes = Buffer.from(JSON.stringify(content))
  const config = {
    mediaType: MEDIA_TYPE.ociConfig,
    digest: digestOf(bytes),
    size: bytes.byteLength,
  }
  const mediaType = MEDIA_TYPE.ociManifest
  const manifest = { schemaVersion: 2, mediaType, config, layers }
  return {
    document: toDocument(Buffer.from(JSON.stringify(manifest)), mediaType),
    config: bytes,
  }
}

/**
 * The manifest of a `.sig` tag as a referrer of what it is about, from which {@link unfoldSignatures}
 * gives the very bytes again; `undefined` for one of which it would not, and for what holds no
 * signatures.
 */
export function foldSignatures(
  { content, manifest }: ManifestDocument,
  { mediaType, digest, size }: Descriptor,
): ManifestDocument | undefined {
  if (manifest.kind !== 'manifest' || manifest.subject || manifest.artifactType) return undefined
  if (manifest.mediaType !== MEDIA_TYPE.ociManifest || !holdsSignatures(manifest)) return undefined
  const object = asObject(parseStrictJson(content, 'signatures'), 'signatures')
  const folded = {
    ...object,
    artifactType: SIGNATURES_TYPE,
    annotations: { ...manifest.annotations, [TAGGED]: 'sig' },
    subject: { mediaType, digest, size },
  }
  const document = toDocument(Buffer.from(JSON.stringify(folded)), MEDIA_TYPE.ociManifest)
  const back = unfoldSignatures(document)
  return back && Buffer.compare(back.content, content) === 0 ? document : undefined
}

/** The manifest of the tag that was folded; `undefined` for any other referrer. */
export function unfoldSignatures(document: ManifestDocument): ManifestDocument | undefined {
  const { content, manifest } = document
  if (manifest.kind !== 'manifest' || manifest.annotations?.[TAGGED] !== 'sig') return undefined
  if (manifest.artifactType !== SIGNATURES_TYPE || !holdsSignatures(manifest)) return undefined
  const object = asObject(parseStrictJson(content, 'signatures'), 'signatures')
  const { artifactType: _, subject: __, annotations: ___, ...members } = object
  const { [TAGGED]: ____, ...annotations } = manifest.annotations
  const isAnnotated = Object.keys(annotations).length > 0
  const back = isAnnotated ? { ...members, annotations } : members
  return toDocument(Buffer.from(JSON.stringify(back)), MEDIA_TYPE.ociManifest)
}

/** True for a manifest whose every layer is a payload that cosign signed. */
export function holdsSignatures(manifest: Manifest): manifest is ImageManifest {
  if (manifest.kind !== 'manifest' || manifest.layers.length === 0) return false
  return manifest.layers.every(({ mediaType }) => mediaType === SIMPLE_SIGNING_TYPE)
}
