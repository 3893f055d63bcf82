import { S3loError } from '../errors.ts'
import { parseDigest } from '../oci/digest.ts'
import type { Reference } from '../oci/reference.ts'

/**
 * The names of objects in a bucket: the only place where a key is spelled.
 * Layout v1.1.0 is shared with the Go program, which never touches `.s3lo/`.
 */

export const MANIFESTS_PREFIX = 'manifests/'
export const BUCKET_CONFIG_KEY = 's3lo.yaml'

export const BLOBS_PREFIX = 'blobs/'
/** Everything that only s3lo writes. */
export const OWN_PREFIX = '.s3lo/'
/** Where backends try out what a store guarantees. */
export const PROBE_PREFIX = `${OWN_PREFIX}probe/`
/** What a service was proven to guarantee. */
export const GUARANTEES_PREFIX = `${OWN_PREFIX}guarantees/`
/** The collection protocol; `gc/control-key.ts` has the names below it. */
export const GC_PREFIX = `${OWN_PREFIX}gc/`
export const CHUNKS_PREFIX = 'chunks/'
export const RECIPES_PREFIX = 'recipes/'
/** Where the Go program keeps what files a layer in chunks has. */
export const FILE_INDEXES_PREFIX = 'indexes/'
/** Where only version 3 of the Go program writes. */
export const GO_PREFIXES = [RECIPES_PREFIX, CHUNKS_PREFIX, FILE_INDEXES_PREFIX] as const
/** Where the content of a store and its settings are: what a lifecycle rule of the bucket must not delete. */
export const CONTENT_PREFIXES = [
  BLOBS_PREFIX,
  MANIFESTS_PREFIX,
  CHUNKS_PREFIX,
  RECIPES_PREFIX,
  BUCKET_CONFIG_KEY,
] as const
/** Of the blobs of referrers. */
export const REFERRER_BLOBS_PREFIX = `${OWN_PREFIX}${BLOBS_PREFIX}`
/** Of what the layer reader of SOCI keeps beside layers. */
export const LAYER_INDEXES_PREFIX = `${OWN_PREFIX}soci/layers/`
export const MANIFEST_FILE = 'manifest.json'
export const HISTORY_FILE = 'history.json'
/** What the Go program puts beside a manifest, in either layout. */
export const LEGACY_SIDECARS = ['config.json', 'index.json', 'oci-layout'] as const

/** Top-level prefixes that hold no image of the v1.0.0 layout. */
const RESERVED_PREFIXES: ReadonlySet<string> = new Set([
  BLOBS_PREFIX,
  MANIFESTS_PREFIX,
  ...GO_PREFIXES,
  OWN_PREFIX,
])

/** True for a name, or the start of a key, that no image of layout v1.0.0 has: what is there is something else. */
export function isReservedName(image: string): boolean {
  const [first = ''] = image.split('/', 1)
  return RESERVED_PREFIXES.has(`${first}/`)
}

export function blobKey(digest: string): string {
  const { algorithm, hex } = parseDigest(digest)
  return `${BLOBS_PREFIX}${algorithm}/${hex}`
}

/** Where the Go program lists the chunks of a layer that it stored in pieces. */
export function recipeKey(digest: string): string {
  const { algorithm, hex } = parseDigest(digest)
  return `${RECIPES_PREFIX}${algorithm}/${hex}`
}

/** Where the Go program keeps a chunk: one zstd frame, under the digest of what it decodes to. */
export function chunkKey(digest: string): string {
  const { algorithm, hex } = parseDigest(digest)
  return `${CHUNKS_PREFIX}${algorithm}/${hex}`
}

/** The prefix of everything that belongs to a tag; it may also be the prefix of a nested image's tags. */
export function tagPrefix(reference: Reference): string {
  return `${MANIFESTS_PREFIX}${reference.name}/${reference.tag ?? reference.digest ?? ''}/`
}

export function manifestKey(reference: Reference): string {
  return `${tagPrefix(reference)}${MANIFEST_FILE}`
}

export function historyKey(reference: Reference): string {
  return `${tagPrefix(reference)}${HISTORY_FILE}`
}

export function signaturesPrefix(reference: Reference): string {
  return `${tagPrefix(reference)}signatures/`
}

const KEY_ID = /^[0-9a-f]{16}$/

/** Where the signature record of a key is; its id is 16 lower-case hex digits. Throws `INTEGRITY` for another. */
export function signatureKey(reference: Reference, keyId: string): string {
  if (KEY_ID.test(keyId)) return `${signaturesPrefix(reference)}${keyId}.json`
  throw new S3loError('INTEGRITY', `${JSON.stringify(keyId.slice(0, 40))} is not the id of a key`)
}

/** The files beside `manifest.json` that versions of the Go program wrote; nothing else is a tag's own. */
export function sidecarKeys(reference: Reference): readonly string[] {
  const prefix = tagPrefix(reference)
  return [...LEGACY_SIDECARS, HISTORY_FILE].map((file) => prefix + file)
}

/**
 * The folder of a tag of layout v1.0.0, with everything of it; `undefined` for a name that no image
 * can have there.
 */
export function legacyPrefix({ name, tag = '' }: Reference): string | undefined {
  return isReservedName(name) ? undefined : `${name}/${tag}/`
}

/** Where the manifest of a tag is below its {@link legacyPrefix}. */
export function legacyManifestKey(prefix: string): string {
  return `${prefix}${MANIFEST_FILE}`
}

export function legacyBlobKey(prefix: string, digest: string): string {
  return `${prefix}${blobKey(digest)}`
}

/** A referrer's blobs stay out of `blobs/`, where the Go program would collect them. */
export function referrerBlobKey(digest: string): string {
  return `${OWN_PREFIX}${blobKey(digest)}`
}

/**
 * What a layer reader keeps beside a layer. It refers to the layer by its key and nothing refers to
 * it: it lives as long as the blob of that digest, and is made again from it when it is gone.
 */
export function layerIndexKey(reader: string, layerDigest: string): string {
  const { algorithm, hex } = parseDigest(layerDigest)
  return `${layerIndexesPrefix(reader)}${algorithm}/${hex}`
}

/** The prefix of every {@link layerIndexKey}. */
export function layerIndexesPrefix(reader: string): string {
  return `${OWN_PREFIX}${reader}/layers/`
}

/**
 * Records of SOCI artifacts, one object each, `<algorithm>-<hex>.json`. A record refers to its
 * artifact and to the image or layer that it was made of, by digest, and keeps neither alive. The
 * artifacts are ordinary content: an index of version 1 is a referrer with its blobs under
 * `.s3lo/blobs/`, one of version 2 a child of the image's index with its blobs under `blobs/`, and
 * both live with their image. A record whose artifact is gone is removed by `s3lo soci rebuild`.
 */
export const SOCI_ARTIFACTS_PREFIX = `${OWN_PREFIX}soci/artifacts/`

/** Which settings `s3lo.yaml` had when s3lo last saw it. */
export const SETTINGS_SEEN_KEY = `${OWN_PREFIX}settings-seen.json`

/** Where content waits whose digest is not known yet. */
export function stagingKey(id: string): string {
  return `${OWN_PREFIX}staging/${id}`
}
