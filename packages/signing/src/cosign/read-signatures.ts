import {
  type Descriptor,
  type ImageManifest,
  type ImageStore,
  parseManifest,
  ReferrerFinder,
  readAll,
  readTagContent,
  type Reference,
} from '@s3lo/core'
import {
  type AttachPlace,
  type CallOptions,
  type FetchOptions,
  type ImageSource,
  isRefusedBeside,
  isS3loError,
  S3loError,
} from '@s3lo/core/plugin'
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

type ReadOptions = Omit<FetchOptions, 'range'>

/** Whose blobs signatures are. */
type Contents = Pick<ImageSource, 'fetch'>

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
  const signatures = new SignatureList(subject.digest)
  const tag = sigTag(subject.digest)
  const manifest = await findSigManifest(store, { name: image, tag }, options)
  if (typeof manifest === 'string') signatures.problems.push(manifest)
  else if (manifest) {
    for await (const { found } of readLayers(store, manifest, key, options)) {
      signatures.add('simple-signing', found)
    }
  }
  for await (const { found } of readBundles(store, { repository: image, subject }, key, options)) {
    signatures.add('bundle', found)
  }
  return signatures
}

/** What was found of one manifest. */
class SignatureList implements CosignSignatures {
  readonly valid: CosignSignature[] = []
  readonly problems: string[] = []
  readonly #digest: string

  constructor(digest: string) {
    this.#digest = digest
  }

  add(form: CosignSignature['form'], found: SimpleSigning | string): void {
    if (typeof found === 'string') this.problems.push(found)
    else if (found.digest === this.#digest) this.valid.push({ ...found, form })
    else this.problems.push(`a signature is of ${found.digest}, not of ${this.#digest}`)
  }
}

/**
 * As {@link findCosignSignatures}, in a registry or layout. What the source refuses to show, while it
 * shows the image, is a problem of its signatures. Throws what the source throws when it cannot be
 * asked.
 */
export async function findSourceSignatures(
  source: ImageSource,
  image: string,
  subject: Descriptor,
  key: PublicKey,
  options: CallOptions,
): Promise<CosignSignatures> {
  const signatures = new SignatureList(subject.digest)
  const finder = new ReferrerFinder(source, image, options)
  const subjectReference = { name: image, digest: subject.digest }
  const readSubject = (): Promise<unknown> => source.resolve(subjectReference, options)
  let looked = 0
  try {
    for await (const referrer of finder.find(subject)) {
      const { manifest, descriptor, tag } = referrer
      const isBundle = tag === undefined && manifest.artifactType === BUNDLE_TYPE
      if ((!isBundle && tag !== sigTag(subject.digest)) || manifest.kind !== 'manifest') continue
      if (++looked > MAX_SIGNATURES) break
      try {
        if (isBundle) {
          const found = await readBundle(source, descriptor, subject.digest, key, options)
          signatures.add('bundle', found)
          continue
        }
        for await (const { found } of readLayers(source, manifest, key, options)) {
          signatures.add('simple-signing', found)
        }
      } catch (error) {
        if (!isS3loError(error) || !(await isRefusedBeside(error, readSubject))) throw error
        signatures.problems.push(`a signature cannot be read: ${error.message}`)
      }
    }
  } catch (error) {
    options.signal?.throwIfAborted()
    signatures.problems.push(problemOf(error))
  }
  if (finder.refusal !== undefined) signatures.problems.push(finder.refusal)
  return signatures
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
    return manifest.kind === 'manifest'
      ? manifest
      : `the manifest of signatures is an ${manifest.kind}`
  } catch (error) {
    return problemOf(error)
  }
}

/** The layers of a `.sig` manifest, each with what the key signed in it or why that is nothing. */
export async function* readLayers(
  source: Contents,
  { layers }: Pick<SigManifest, 'layers'>,
  key: PublicKey,
  options: CallOptions,
): AsyncGenerator<{ readonly layer: Descriptor; readonly found: SimpleSigning | string }> {
  for (const layer of layers.slice(0, MAX_SIGNATURES)) {
    yield { layer, found: await readLayer(source, layer, key, options) }
  }
}

async function readLayer(
  source: Contents,
  layer: Descriptor,
  key: PublicKey,
  options: CallOptions,
): Promise<SimpleSigning | string> {
  const signature = decodeBase64(layer.annotations?.[SIGNATURE_ANNOTATION] ?? '')
  if (!signature) return 'a signature is malformed'
  const payload = await readBlob(source, layer, options)
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
  { repository, subject }: AttachPlace,
  key: PublicKey,
  options: CallOptions,
): AsyncGenerator<{ readonly bundle?: Descriptor; readonly found: SimpleSigning | string }> {
  let looked = 0
  try {
    for await (const bundle of store.referrers(repository, subject, options)) {
      if (bundle.artifactType !== BUNDLE_TYPE) continue
      if (++looked > MAX_SIGNATURES) return
      yield {
        bundle,
        found: await readBundle(store, bundle, subject.digest, key, { ...options, repository }),
      }
    }
  } catch (error) {
    yield { found: problemOf(error) }
  }
}

async function readBundle(
  source: Contents,
  referrer: Descriptor,
  digest: string,
  key: PublicKey,
  options: ReadOptions,
): Promise<SimpleSigning | string> {
  const content = await readBlob(source, referrer, options)
  if (typeof content === 'string') return content
  const manifest = parseSigManifest(content)
  if (typeof manifest === 'string') return manifest
  const [layer] = manifest.layers
  const bundle = layer ? await readBlob(source, layer, options) : 'a bundle is empty'
  if (typeof bundle === 'string') return bundle
  const digests = verifyBundle(bundle, key)
  if (typeof digests === 'string') return digests
  return digests.includes(digest) ? { digest } : `a bundle is not about ${digest}`
}

async function readBlob(
  source: Contents,
  descriptor: Descriptor,
  options: ReadOptions,
): Promise<Uint8Array | string> {
  if (descriptor.size > MAX_PAYLOAD) return `a signature of ${descriptor.size} bytes is too large`
  try {
    return await readAll(await source.fetch(descriptor, options), MAX_PAYLOAD, descriptor.digest)
  } catch (error) {
    if (isS3loError(error, 'NOT_FOUND')) return error.message
    return problemOf(error)
  }
}
