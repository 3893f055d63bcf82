import { S3loError } from '../errors.ts'
import { parseDigest } from '../oci/digest.ts'
import type { Reference } from '../oci/reference.ts'

/**
 * The names of objects in a bucket: the only place where a key is spelled.
 * Layout v1.1.0 is shared with the Go program; `.s3lo/` is ours alone, and it never touches it.
 */

export const MANIFESTS_PREFIX = 'manifests/'
export const BUCKET_CONFIG_KEY = 's3lo.yaml'

const BLOBS_PREFIX = 'blobs/'
const OWN_PREFIX = '.s3lo/'
const MANIFEST_FILE = 'manifest.json'

/** Top-level prefixes that hold no image of the v1.0.0 layout. */
export const RESERVED_PREFIXES: ReadonlySet<string> = new Set([
  BLOBS_PREFIX,
  MANIFESTS_PREFIX,
  'chunks/',
  'recipes/',
  'indexes/',
  OWN_PREFIX,
])

export function blobKey(digest: string): string {
  const { algorithm, hex } = parseDigest(digest)
  return `${BLOBS_PREFIX}${algorithm}/${hex}`
}

/** Where the Go program lists the chunks of a layer that it stored in pieces. */
export function recipeKey(digest: string): string {
  const { algorithm, hex } = parseDigest(digest)
  return `recipes/${algorithm}/${hex}`
}

/** The prefix of everything that belongs to a tag; it may also be the prefix of a nested image's tags. */
export function tagPrefix(reference: Reference): string {
  return `${MANIFESTS_PREFIX}${reference.name}/${reference.tag ?? reference.digest ?? ''}/`
}

export function manifestKey(reference: Reference): string {
  return `${tagPrefix(reference)}${MANIFEST_FILE}`
}

export function historyKey(reference: Reference): string {
  return `${tagPrefix(reference)}history.json`
}

export function signaturesPrefix(reference: Reference): string {
  return `${tagPrefix(reference)}signatures/`
}

/** Where the signature record of a key is; its id is 16 lower-case hex digits. Throws `INTEGRITY` for another. */
export function signatureKey(reference: Reference, keyId: string): string {
  if (/^[0-9a-f]{16}$/.test(keyId)) return `${signaturesPrefix(reference)}${keyId}.json`
  throw new S3loError('INTEGRITY', `${JSON.stringify(keyId.slice(0, 40))} is not the id of a key`)
}

/** The files beside `manifest.json` that versions of the Go program wrote; nothing else is a tag's own. */
export function sidecarKeys(reference: Reference): readonly string[] {
  const prefix = tagPrefix(reference)
  return ['config.json', 'index.json', 'oci-layout', 'history.json'].map((file) => prefix + file)
}

/** A tag, read back from the key of its manifest; the tag is the last folder. */
export interface TagName {
  readonly image: string
  readonly tag: string
}

export function parseManifestKey(key: string): TagName | undefined {
  return key.startsWith(MANIFESTS_PREFIX) && key.endsWith(`/${MANIFEST_FILE}`)
    ? splitTag(key.slice(MANIFESTS_PREFIX.length, -MANIFEST_FILE.length - 1))
    : undefined
}

function splitTag(path: string): TagName | undefined {
  const slash = path.lastIndexOf('/')
  return slash > 0 ? { image: path.slice(0, slash), tag: path.slice(slash + 1) } : undefined
}

/** Layout v1.0.0 (read only): everything of a tag in its own folder. */
export function legacyManifestKey(reference: Reference): string {
  return `${legacyPrefix(reference)}${MANIFEST_FILE}`
}

export function legacyPrefix({ name, tag, digest }: Reference): string {
  return `${name}/${tag ?? digest ?? ''}/`
}

export function legacyBlobKey(prefix: string, digest: string): string {
  return `${prefix}${blobKey(digest)}`
}

export function parseLegacyManifestKey(key: string): TagName | undefined {
  return key.endsWith(`/${MANIFEST_FILE}`)
    ? splitTag(key.slice(0, -MANIFEST_FILE.length - 1))
    : undefined
}

export function referrersPrefix(subjectDigest: string): string {
  const { algorithm, hex } = parseDigest(subjectDigest)
  return `${OWN_PREFIX}referrers/${algorithm}/${hex}/`
}

export function referrerKey(subjectDigest: string, digest: string): string {
  const { algorithm, hex } = parseDigest(digest)
  return `${referrersPrefix(subjectDigest)}${algorithm}-${hex}.json`
}

/** The digest of the referrer that a key holds. Throws `INTEGRITY` for a foreign key under the prefix. */
export function parseReferrerKey(key: string): string {
  const file = /([a-z0-9]+)-([0-9a-f]+)\.json$/.exec(key)
  if (!file) throw new S3loError('INTEGRITY', `${key} is not the key of a referrer`)
  const digest = `${file[1]}:${file[2]}`
  parseDigest(digest)
  return digest
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
  return `${OWN_PREFIX}${reader}/layers/${algorithm}/${hex}`
}

/**
 * Records of SOCI artifacts, one object each, `<algorithm>-<hex>.json`. A record refers to its
 * artifact and to the image or layer that it was made of, by digest, and keeps neither alive. The
 * artifacts are ordinary content: an index of version 1 is a referrer with its blobs under
 * `.s3lo/blobs/`, one of version 2 a child of the image's index with its blobs under `blobs/`, and
 * both live with their image. A record whose artifact is gone is removed by `s3lo soci rebuild`.
 */
export const SOCI_ARTIFACTS_PREFIX = `${OWN_PREFIX}soci/artifacts/`

/** Where content waits whose digest is not known yet. */
export function stagingKey(id: string): string {
  return `${OWN_PREFIX}staging/${id}`
}
