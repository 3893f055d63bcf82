import { Readable } from 'node:stream'
import {
  type Descriptor,
  digestOf,
  formatImageName,
  type ImageStore,
  MEDIA_TYPE,
  type ManifestDocument,
  parseManifest,
  type Reference,
  toDocument,
  withPublication,
} from '@s3lo/core'
import { type CallOptions, isS3loError, S3loError } from '@s3lo/core/plugin'
import { encodeBase64 } from '../base64.ts'
import { type Signer, signChecked } from '../keys/signer.ts'
import {
  BUNDLE_TYPE,
  formatBundle,
  preAuthEncoding,
  SIGN_PREDICATE,
  signStatement,
} from './bundle.ts'
import {
  readBundles,
  readLayers,
  readSigManifest,
  type SigManifest,
  sigTag,
} from './read-signatures.ts'
import { formatSimpleSigning, SIGNATURE_ANNOTATION, SIMPLE_SIGNING_TYPE } from './simple-signing.ts'

/** What is signed, where and when. */
export interface Subject {
  readonly image: string
  readonly descriptor: Descriptor
  /** `bucket/image:tag`. */
  readonly place: string
  readonly signedAt: Date
}

/** How often a lost race for the manifest of the `.sig` tag is run again. */
const ATTEMPTS = 20

interface Content {
  readonly descriptor: Descriptor
  readonly bytes: Uint8Array
}

/**
 * Adds a signature to the image's `sha256-….sig` tag, as cosign 2 does, and keeps those of others;
 * one of the same key for the same place is replaced. Returns the tag. Throws `CONFLICT` when
 * others keep writing it.
 */
export async function writeSimpleSigning(
  store: ImageStore,
  subject: Subject,
  signer: Signer,
  options: CallOptions,
): Promise<string> {
  const { image, descriptor, place, signedAt } = subject
  const payload = formatSimpleSigning(image, { digest: descriptor.digest, place, signedAt })
  const signature = await signChecked(signer, payload, preferredAlgorithm(signer), options)
  const annotations = { [SIGNATURE_ANNOTATION]: encodeBase64(signature) }
  const layer = toContent(payload, SIMPLE_SIGNING_TYPE, annotations)
  const reference = { name: image, tag: sigTag(descriptor.digest) }
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const found = await readSigManifest(store, reference, options)
    const others = found ? await otherLayers(store, found, subject, signer, options) : []
    const layers = [...others, layer.descriptor]
    if (!(await publish(store, reference, { layers, added: layer, found }, options))) continue
    // Where the store cannot compare, another process may have written at the same moment.
    const written = await readSigManifest(store, reference, options)
    if (written?.layers.some(({ digest }) => digest === layer.descriptor.digest))
      return reference.tag
  }
  throw new S3loError('CONFLICT', `others keep writing the signatures of ${descriptor.digest}`, {
    hint: 'sign again',
  })
}

/** Attaches a sigstore bundle to the image as cosign 3 does; one of the same key says the same already. Returns its digest. */
export async function writeBundle(
  store: ImageStore,
  { image, descriptor, signedAt }: Subject,
  signer: Signer,
  options: CallOptions,
): Promise<string> {
  const place = { repository: image, subject: descriptor }
  for await (const each of readBundles(store, place, signer.publicKey, options)) {
    if (each.bundle && typeof each.found !== 'string') return each.bundle.digest
  }
  const statement = signStatement(descriptor.digest)
  const message = preAuthEncoding(statement)
  const signature = await signChecked(signer, message, preferredAlgorithm(signer), options)
  const bundle = toContent(formatBundle(statement, signature, signer.publicKey), BUNDLE_TYPE)
  const empty = toContent(Buffer.from('{}'), MEDIA_TYPE.ociEmpty)
  const document = toManifest({
    artifactType: BUNDLE_TYPE,
    config: empty.descriptor,
    layers: [bundle.descriptor],
    annotations: {
      'dev.sigstore.bundle.content': 'dsse-envelope',
      'dev.sigstore.bundle.predicateType': SIGN_PREDICATE,
      'org.opencontainers.image.created': signedAt.toISOString(),
    },
    subject: {
      mediaType: descriptor.mediaType,
      digest: descriptor.digest,
      size: descriptor.size,
    },
  })
  const open = async ({ digest }: Descriptor): Promise<Readable> =>
    Readable.from([digest === bundle.descriptor.digest ? bundle.bytes : empty.bytes])
  const purpose = `signing of ${descriptor.digest}`
  await withPublication(store, { purpose }, (publication) =>
    publication.attach(document, place, open, options),
  )
  return document.descriptor.digest
}

/** With SHA-256 where the key can: cosign, 2 and 3, verifies nothing else with a public key. */
function preferredAlgorithm({ algorithms: [first] }: Signer): NonNullable<typeof first> {
  if (first) return first
  throw new S3loError('UNSUPPORTED', 'the key has no algorithm that is known here')
}

/** The signatures that are there, without what is now said again. */
async function otherLayers(
  store: ImageStore,
  found: SigManifest,
  { descriptor, place }: Subject,
  { publicKey }: Signer,
  options: CallOptions,
): Promise<readonly Descriptor[]> {
  const again = new Set<Descriptor>()
  for await (const { layer, found: said } of readLayers(store, found, publicKey, options)) {
    if (typeof said === 'string') continue
    if (said.digest === descriptor.digest && said.place === place) again.add(layer)
  }
  return found.layers.filter((layer) => !again.has(layer))
}

interface Change {
  readonly layers: readonly Descriptor[]
  readonly added: Content
  /** What is replaced; `undefined` where there was nothing. */
  readonly found: SigManifest | undefined
}

/** False when another process wrote the tag since `found` was read. */
async function publish(
  store: ImageStore,
  reference: Reference,
  { layers, added, found }: Change,
  options: CallOptions,
): Promise<boolean> {
  const config = toContent(Buffer.from(JSON.stringify(imageConfig(layers))), MEDIA_TYPE.ociConfig)
  const contents = [config, added]
  const document = toManifest({ config: config.descriptor, layers })
  const condition = found ? { replaces: found.etag } : { createOnly: true }
  const purpose = `signing of ${formatImageName(reference)}`
  return withPublication(store, { purpose }, async (publication) => {
    const digests = contents.map(({ descriptor }) => descriptor.digest)
    await publication.protect(digests, options)
    for (const { descriptor, bytes } of contents) {
      if (await publication.has(descriptor, options)) continue
      await publication.put(descriptor, () => Promise.resolve(Readable.from([bytes])), options)
    }
    try {
      await publication.tag(document, reference, { ...options, ...condition })
      return true
    } catch (error) {
      if (isS3loError(error, 'CONFLICT')) return false
      throw error
    }
  })
}

/** What cosign 2 writes: its clients read the manifest as an image. */
function imageConfig(layers: readonly Descriptor[]): unknown {
  const created = '0001-01-01T00:00:00Z'
  return {
    architecture: '',
    created,
    history: layers.map(() => ({ created })),
    os: '',
    rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
    config: {},
  }
}

function toContent(
  bytes: Uint8Array,
  mediaType: string,
  annotations?: Readonly<Record<string, string>>,
): Content {
  const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.byteLength }
  return { descriptor: annotations ? { ...descriptor, annotations } : descriptor, bytes }
}

function toManifest(members: Readonly<Record<string, unknown>>): ManifestDocument {
  const mediaType = MEDIA_TYPE.ociManifest
  const content = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, ...members }))
  parseManifest(content, 'of a signature')
  return toDocument(content, mediaType)
}
