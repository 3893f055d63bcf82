import {
  type Descriptor,
  type ImageManifest,
  type ImageStore,
  parseManifest,
  readAll,
  readTagContent,
  type Reference,
} from '@s3lo/core'
import { type CallOptions, isS3loError, S3loError } from '@s3lo/core/plugin'
import { decodeBase64 } from '../base64.ts'
import type { PublicKey } from '../keys/public-key.ts'
import { problemOf } from '../problem-of.ts'
import { BUNDLE_TYPE, verifyBundle } from './bundle.ts'
import { parseSimpleSigning, SIGNATURE_ANNOTATION, type SimpleSigning } from './simple-signing.ts'

/** A signature in cosign's formats that the key made for a digest. */
export interface CosignSignature extends SimpleSigning {
  readonly form: 'simple-signing' | 'bundle'
}

/** What was found: valid signatures, and why others were not. */
export interface CosignSignatures {
  readonly valid: readonly CosignSignature[]
  readonly problems: readonly string[]
}

/** The manifest of a `.sig` tag. */
export interface SigManifest {
  readonly layers: readonly Descriptor[]
  /** Of the object that it was read from. */
  readonly etag: string
}

const MAX_PAYLOAD = 64 * 1024

/** How many signatures of one image are looked at: each costs a request, and anybody may add some. */
const MAX_SIGNATURES = 200

/** The tag under which cosign 2 keeps the signatures of a manifest. */
export function sigTag(digest: string): string {
  return `${digest.replace(':', '-')}.sig`
}

/** Finds what the key signed of a manifest: at its `.sig` tag, and in the bundles that refer to it. */
export async function findCosignSignatures(
  store: ImageStore,
  image: string,
  subject: Descriptor,
  key: PublicKey,
  options: CallOptions,
): Promise<CosignSignatures> {
  const valid: CosignSignature[] = []
  const problems: string[] = []
  const { digest } = subject
  const add = (form: CosignSignature['form'], found: SimpleSigning | string): void => {
    if (typeof found === 'string') problems.push(found)
    else if (found.digest === digest) valid.push({ ...found, form })
    else problems.push(`a signature is of ${found.digest}, not of ${digest}`)
  }
  const manifest = await findSigManifest(store, { name: image, tag: sigTag(digest) }, options)
  if (typeof manifest === 'string') problems.push(manifest)
  else if (manifest) {
    for await (const { found } of readLayers(store, manifest, key, options)) {
      add('simple-signing', found)
    }
  }
  for await (const { found } of readBundles(store, subject, key, options)) add('bundle', found)
  return { valid, problems }
}

/** The manifest of a `.sig` tag; `undefined` when there is none. Throws `INTEGRITY` when it is none. */
export async function readSigManifest(
  store: ImageStore,
  reference: Reference,
  options: CallOptions,
): Promise<SigManifest | undefined> {
  const found = await findSigManifest(store, reference, options)
  if (typeof found !== 'string') return found
  throw new S3loError('INTEGRITY', `the tag ${reference.tag ?? ''} is damaged: ${found}`, {
    hint: 'delete it, and have everybody sign again',
  })
}

/** As {@link readSigManifest}, but a text says what is wrong: anybody may have written it. */
async function findSigManifest(
  store: ImageStore,
  reference: Reference,
  options: CallOptions,
): Promise<SigManifest | string | undefined> {
  try {
    const tag = await readTagContent(store.backend, reference, options)
    if (!tag) return undefined
    const manifest = parseSigManifest(tag.content)
    return typeof manifest === 'string' ? manifest : { layers: manifest.layers, etag: tag.etag }
  } catch (error) {
    return problemOf(error)
  }
}

function parseSigManifest(content: Uint8Array): ImageManifest | string {
  try {
    const manifest = parseManifest(content, 'of signatures')
    return manifest.kind === 'manifest' ? manifest : 'the manifest of signatures is an index'
  } catch (error) {
    return problemOf(error)
  }
}

/** The layers of a `.sig` manifest, each with what the key signed in it or why that is nothing. */
export async function* readLayers(
  store: ImageStore,
  { layers }: SigManifest,
  key: PublicKey,
  options: CallOptions,
): AsyncGenerator<{ readonly layer: Descriptor; readonly found: SimpleSigning | string }> {
  for (const layer of layers.slice(0, MAX_SIGNATURES)) {
    yield { layer, found: await readLayer(store, layer, key, options) }
  }
}

async function readLayer(
  store: ImageStore,
  layer: Descriptor,
  key: PublicKey,
  options: CallOptions,
): Promise<SimpleSigning | string> {
  const signature = decodeBase64(layer.annotations?.[SIGNATURE_ANNOTATION] ?? '')
  if (!signature) return 'a signature is malformed'
  const payload = await readBlob(store, layer, options)
  if (typeof payload === 'string') return payload
  const isSigned = key.algorithms.some((algorithm) => key.verify(algorithm, payload, signature))
  return isSigned ? parseSimpleSigning(payload) : 'a signature was not made with this key'
}

/**
 * The bundles that refer to a manifest, each with the digest of it that the key signed or why that
 * is nothing. A referrer that cannot be listed ends them with a text: those behind it are unknown.
 */
export async function* readBundles(
  store: ImageStore,
  subject: Descriptor,
  key: PublicKey,
  options: CallOptions,
): AsyncGenerator<{ readonly bundle?: Descriptor; readonly found: SimpleSigning | string }> {
  let looked = 0
  try {
    for await (const bundle of store.referrers(subject, options)) {
      if (++looked > MAX_SIGNATURES) return
      if (bundle.artifactType !== BUNDLE_TYPE) continue
      yield { bundle, found: await readBundle(store, bundle, subject.digest, key, options) }
    }
  } catch (error) {
    yield { found: problemOf(error) }
  }
}

async function readBundle(
  store: ImageStore,
  referrer: Descriptor,
  digest: string,
  key: PublicKey,
  options: CallOptions,
): Promise<SimpleSigning | string> {
  const content = await readBlob(store, referrer, options)
  if (typeof content === 'string') return content
  const manifest = parseSigManifest(content)
  if (typeof manifest === 'string') return manifest
  const [layer] = manifest.layers
  const bundle = layer ? await readBlob(store, layer, options) : 'a bundle is empty'
  if (typeof bundle === 'string') return bundle
  const digests = verifyBundle(bundle, key)
  if (typeof digests === 'string') return digests
  return digests.includes(digest) ? { digest } : `a bundle is not about ${digest}`
}

async function readBlob(
  store: ImageStore,
  descriptor: Descriptor,
  options: CallOptions,
): Promise<Uint8Array | string> {
  if (descriptor.size > MAX_PAYLOAD) return `a signature of ${descriptor.size} bytes is too large`
  try {
    return await readAll(await store.fetch(descriptor, options), MAX_PAYLOAD, descriptor.digest)
  } catch (error) {
    if (isS3loError(error, 'NOT_FOUND')) return error.message
    return problemOf(error)
  }
}
