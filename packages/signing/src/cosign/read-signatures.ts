import {
  type Descriptor,
  type ImageManifest,
  MAX_MANIFEST_BYTES,
  parseManifest,
  ReferrerFinder,
  readAll,
  readTagContent,
  type Reference,
  SIGNATURES_TYPE,
  signatureTagOf,
} from '@s3lo/core'
import {
  type AttachPlace,
  type CallOptions,
  type FetchOptions,
  type ImageSource,
  isRefusedBeside,
  isS3loError,
  type StoreSource,
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

type ReadOptions = Omit<FetchOptions, 'range'>

/** Whose blobs signatures are. */
type Contents = Pick<ImageSource, 'fetch'>

const MAX_PAYLOAD = 64 * 1024

/** How many signatures of one image are looked at: each costs a request, and anybody may add some. */
const MAX_SIGNATURES = 200
const TOO_MANY = `those behind the first ${MAX_SIGNATURES} signatures were not looked at`

/** Finds what the key signed of a manifest: in what refers to it, and at its `.sig` tag if there is one. */
export async function findCosignSignatures(
  store: StoreSource,
  image: string,
  subject: Descriptor,
  key: PublicKey,
  options: CallOptions,
): Promise<CosignSignatures> {
  const signatures = new SignatureList(subject.digest)
  const tag = signatureTagOf(subject.digest)
  const tagged = tag && (await findSigManifest(store, { name: image, tag }, options))
  if (typeof tagged === 'string') signatures.problems.push(tagged)
  else if (tagged) {
    for await (const found of readLayers(store, tagged, key, options)) {
      signatures.add('simple-signing', found)
    }
  }
  const place = { repository: image, subject }
  for await (const { form, found } of readAttached(store, place, key, options)) {
    signatures.add(form, found)
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
      const form = tag === undefined ? formOf(manifest) : undefined
      const isTagged = tag !== undefined && tag === signatureTagOf(subject.digest)
      if ((!form && !isTagged) || manifest.kind !== 'manifest') continue
      if (looked >= MAX_SIGNATURES) break
      try {
        if (form === 'bundle') {
          looked++
          const found = await readBundle(source, descriptor, subject.digest, key, options)
          signatures.add('bundle', found)
          continue
        }
        for await (const found of readLayers(source, manifest, key, options)) {
          signatures.add('simple-signing', found)
          if (++looked >= MAX_SIGNATURES) break
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

/** The manifest of a `.sig` tag that another program wrote; a text says what is wrong with it. */
async function findSigManifest(
  store: StoreSource,
  reference: Reference,
  options: CallOptions,
): Promise<ImageManifest | string | undefined> {
  try {
    const tag = await readTagContent(store.backend, reference, options)
    return tag && parseSigManifest(tag.content)
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
async function* readLayers(
  source: Contents,
  { layers }: Pick<ImageManifest, 'layers'>,
  key: PublicKey,
  options: CallOptions,
): AsyncGenerator<SimpleSigning | string> {
  for (const layer of layers.slice(0, MAX_SIGNATURES)) {
    yield readLayer(source, layer, key, options)
  }
  if (layers.length > MAX_SIGNATURES) yield TOO_MANY
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

/** A signature that refers to a manifest, and what the key signed in it or why that is nothing. */
interface AttachedSignature {
  readonly form: CosignSignature['form']
  /** What holds it; absent where the list ended. */
  readonly referrer?: Descriptor
  readonly found: SimpleSigning | string
}

/**
 * The signatures that refer to a manifest, each with what the key signed. A referrer that cannot be
 * listed ends them with a text: those behind it are unknown.
 */
export async function* readAttached(
  store: StoreSource,
  { repository, subject }: AttachPlace,
  key: PublicKey,
  options: CallOptions,
): AsyncGenerator<AttachedSignature> {
  const looked = { bundle: 0, 'simple-signing': 0 }
  const call = { ...options, repository }
  try {
    for await (const referrer of store.referrers(repository, subject, options)) {
      const form = formOf(referrer)
      if (!form || looked[form] > MAX_SIGNATURES) {
        if (Object.values(looked).every((count) => count > MAX_SIGNATURES)) return
        continue
      }
      for await (const found of readReferrer(store, referrer, subject.digest, key, call)) {
        const isOver = ++looked[form] > MAX_SIGNATURES
        yield { form, referrer, found: isOver ? TOO_MANY : found }
        if (isOver) break
      }
    }
  } catch (error) {
    yield { form: 'bundle', found: problemOf(error) }
  }
}

/** `undefined` for what is no signature of an image. */
function formOf({
  artifactType,
}: Pick<Descriptor, 'artifactType'>): CosignSignature['form'] | undefined {
  if (artifactType === BUNDLE_TYPE) return 'bundle'
  return artifactType === SIGNATURES_TYPE ? 'simple-signing' : undefined
}

async function* readReferrer(
  source: Contents,
  referrer: Descriptor,
  digest: string,
  key: PublicKey,
  options: ReadOptions,
): AsyncGenerator<SimpleSigning | string> {
  if (referrer.artifactType === BUNDLE_TYPE) {
    yield await readBundle(source, referrer, digest, key, options)
    return
  }
  const content = await readBlob(source, referrer, options, MAX_MANIFEST_BYTES)
  const manifest = typeof content === 'string' ? content : parseSigManifest(content)
  if (typeof manifest === 'string') yield manifest
  else if (manifest.layers.length === 0) yield 'a manifest of signatures has none'
  else yield* readLayers(source, manifest, key, options)
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
  limit = MAX_PAYLOAD,
): Promise<Uint8Array | string> {
  if (descriptor.size > limit) return `a signature of ${descriptor.size} bytes is too large`
  try {
    return await readAll(await source.fetch(descriptor, options), limit, descriptor.digest)
  } catch (error) {
    if (isS3loError(error, 'NOT_FOUND')) return error.message
    return problemOf(error)
  }
}
