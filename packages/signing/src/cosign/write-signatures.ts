import { Readable } from 'node:stream'
import {
  type Descriptor,
  digestOf,
  foldSignatures,
  type ImageStore,
  MEDIA_TYPE,
  type ManifestDocument,
  parseManifest,
  signatureManifest,
  SIMPLE_SIGNING_TYPE,
  toDocument,
  withPublication,
} from '@s3lo/core'
import { type CallOptions, S3loError } from '@s3lo/core/plugin'
import { encodeBase64 } from '../base64.ts'
import { type Signer, signChecked } from '../keys/signer.ts'
import {
  BUNDLE_TYPE,
  formatBundle,
  preAuthEncoding,
  SIGN_PREDICATE,
  signStatement,
} from './bundle.ts'
import { readAttached } from './read-signatures.ts'
import { formatSimpleSigning, SIGNATURE_ANNOTATION } from './simple-signing.ts'

/** What is signed, where and when. */
export interface Subject {
  readonly image: string
  readonly descriptor: Descriptor
  /** `bucket/image:tag`. */
  readonly place: string
  readonly signedAt: Date
}

interface Content {
  readonly descriptor: Descriptor
  readonly bytes: Uint8Array
}

/**
 * Attaches a signature that cosign 2 reads once the image is in a registry, where it gets cosign's tag.
 * One of the same key for the same place that is there is replaced. Returns its digest.
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
  const { document, config } = signatureManifest([layer.descriptor])
  const folded = foldSignatures(document, descriptor)
  if (!folded) throw new S3loError('INTERNAL', 'a signature is not what its tag would have')
  // Those of before, not those of now: of two that sign at once, none takes the other away.
  const before = await repeated(store, subject, signer, options)
  const open = ({ digest }: Descriptor): Promise<Readable> =>
    Promise.resolve(Readable.from([digest === layer.descriptor.digest ? payload : config]))
  const at = { repository: image, subject: descriptor }
  await withPublication(store, purposeOf(descriptor), async (publication) => {
    await publication.attach(folded, at, open, options)
    for (const digest of before) {
      if (digest !== folded.descriptor.digest) await publication.detach(at, digest, options)
    }
  })
  return folded.descriptor.digest
}

/** Attaches a sigstore bundle to the image as cosign 3 does; one of the same key says the same already. Returns its digest. */
export async function writeBundle(
  store: ImageStore,
  { image, descriptor, signedAt }: Subject,
  signer: Signer,
  options: CallOptions,
): Promise<string> {
  const place = { repository: image, subject: descriptor }
  for await (const { form, referrer, found } of readAttached(
    store,
    place,
    signer.publicKey,
    options,
  )) {
    if (form === 'bundle' && referrer && typeof found !== 'string') return referrer.digest
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
  await withPublication(store, purposeOf(descriptor), (publication) =>
    publication.attach(document, place, open, options),
  )
  return document.descriptor.digest
}

/** With SHA-256 where the key can: cosign, 2 and 3, verifies nothing else with a public key. */
function preferredAlgorithm({ algorithms: [first] }: Signer): NonNullable<typeof first> {
  if (first) return first
  throw new S3loError('UNSUPPORTED', 'the key has no algorithm that is known here')
}

/** The digests of what holds a signature of this key for this place, and nothing else. */
async function repeated(
  store: ImageStore,
  { image, descriptor, place }: Subject,
  { publicKey }: Signer,
  options: CallOptions,
): Promise<readonly string[]> {
  const again = new Map<string, boolean>()
  const at = { repository: image, subject: descriptor }
  for await (const { form, referrer, found } of readAttached(store, at, publicKey, options)) {
    if (form !== 'simple-signing' || !referrer) continue
    const isSame =
      typeof found !== 'string' && found.digest === descriptor.digest && found.place === place
    again.set(referrer.digest, isSame && (again.get(referrer.digest) ?? true))
  }
  return [...again].flatMap(([digest, isSame]) => (isSame ? [digest] : []))
}

function purposeOf({ digest }: Descriptor): { readonly purpose: string } {
  return { purpose: `signing of ${digest}` }
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
